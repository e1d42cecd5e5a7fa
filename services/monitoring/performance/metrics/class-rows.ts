// Rows of a classifier, as its measures take them.

/** A row without a prediction, or without a label. */
export const NO_CLASS = 0xffff;
/** A label that is no class of the model. */
export const UNKNOWN_CLASS = 0xfffe;

/** One entry a row in each array. */
export interface ClassRows {
  readonly rows: number;
  /** Places in the list of classes, or NO_CLASS. */
  readonly predicted: Uint16Array;
  /** Places in the list of classes, UNKNOWN_CLASS or NO_CLASS. */
  readonly labels: Uint16Array;
  /** How many classes there are. */
  readonly classes: number;
  /** The class that counts as positive; undefined where the model has not two. */
  readonly positive: number | undefined;
  /** How many classes, from the first on, have scores; 0: there are none. */
  readonly scored: number;
  /** `scored` a row, row by row; NaN: none. */
  readonly scores: Float32Array;
}

/** Whether there are scores that say something. */
export function hasScores({ scored }: ClassRows): boolean {
  return scored > 1;
}

/** How far rounding may carry the scores of one row from a sum of 1. */
const SUM_TOLERANCE = 0.01;

/** Whether what scores there are can be probabilities; margins of a decision function cannot. */
export function areProbabilities({ rows, scored, scores }: ClassRows): boolean {
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let place = row * scored; place < (row + 1) * scored; place++) {
      const score = scores[place]!;
      if (score < 0 || score > 1) {
        return false;
      }
      sum += score;
    }
    // NaN, a row without scores, is neither.
    if (Math.abs(sum - 1) > SUM_TOLERANCE) {
      return false;
    }
  }
  return true;
}
