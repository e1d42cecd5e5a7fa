// How good a classifier was, from labels. Definitions are those of scikit-learn: of two classes the
// measures of the positive one, of more the unweighted mean over the classes that occur among
// labels or predictions ("macro", zero_division=0), each against the rest. A label that is no class
// of the model makes its row wrong; it has no place in the confusion matrix and in measures of
// scores.

import {
  areProbabilities,
  type ClassRows,
  hasScores,
  NO_CLASS,
  UNKNOWN_CLASS,
} from "./class-rows.ts";
import { rocAuc } from "./roc-auc.ts";

/** More classes have no confusion matrix. */
export const CONFUSION_CLASSES_MAX = 100;
/** Scores are held this far from 0 and 1, whose logarithm would be infinite. */
const SCORE_MIN = 1e-15;
const CALIBRATION_BINS = 10;

/** See plinth.monitoring.v1.ClassificationMetrics; what cannot be computed is absent. */
export interface ClassMetrics {
  /** Rows that have a prediction and a label. */
  readonly rows: number;
  readonly accuracy?: number;
  readonly precision?: number;
  readonly recall?: number;
  readonly f1?: number;
  readonly rocAuc?: number;
  readonly logLoss?: number;
  readonly calibrationError?: number;
  /** Row by row, true classes; empty where there are more than CONFUSION_CLASSES_MAX. */
  readonly confusion: Float64Array;
  readonly unknownLabels: number;
}

/** Of the rows that have a prediction and a label. */
export function classMetrics(given: ClassRows): ClassMetrics {
  const counts = countClasses(given);
  const { rows, right, unknown } = counts;
  return {
    rows,
    ...(rows === 0 ? {} : { accuracy: right / rows }),
    ...(given.positive === undefined ? macro(counts) : ofPositive(counts, given.positive)),
    ...scoreMetrics(given),
    confusion: counts.confusion,
    unknownLabels: unknown,
  };
}

interface ClassCounts {
  rows: number;
  right: number;
  unknown: number;
  /** By class: rows that were right, predicted so, and labelled so. */
  readonly hits: Float64Array;
  readonly predicted: Float64Array;
  readonly labelled: Float64Array;
  readonly confusion: Float64Array;
}

function countClasses({ rows, predicted, labels, classes }: ClassRows): ClassCounts {
  const cells = classes > CONFUSION_CLASSES_MAX ? 0 : classes * classes;
  const counts: ClassCounts = {
    rows: 0,
    right: 0,
    unknown: 0,
    hits: new Float64Array(classes),
    predicted: new Float64Array(classes),
    labelled: new Float64Array(classes),
    confusion: new Float64Array(cells),
  };
  for (let row = 0; row < rows; row++) {
    const guess = predicted[row]!;
    const truth = labels[row]!;
    if (guess === NO_CLASS || truth === NO_CLASS) {
      continue;
    }
    counts.rows += 1;
    counts.predicted[guess]! += 1;
    if (truth === UNKNOWN_CLASS) {
      counts.unknown += 1;
      continue;
    }
    counts.labelled[truth]! += 1;
    if (guess === truth) {
      counts.right += 1;
      counts.hits[truth]! += 1;
    }
    if (cells > 0) {
      counts.confusion[truth * classes + guess]! += 1;
    }
  }
  return counts;
}

type Shares = Pick<ClassMetrics, "precision" | "recall" | "f1">;

function ofPositive(counts: ClassCounts, positive: number): Shares {
  const hits = counts.hits[positive]!;
  const predicted = counts.predicted[positive]!;
  const labelled = counts.labelled[positive]!;
  return {
    ...(predicted === 0 ? {} : { precision: hits / predicted }),
    ...(labelled === 0 ? {} : { recall: hits / labelled }),
    ...(predicted + labelled === 0 ? {} : { f1: (2 * hits) / (predicted + labelled) }),
  };
}

function macro({ hits, predicted, labelled }: ClassCounts): Shares {
  let classes = 0;
  let precision = 0;
  let recall = 0;
  let f1 = 0;
  for (let place = 0; place < hits.length; place++) {
    const either = predicted[place]! + labelled[place]!;
    if (either > 0) {
      classes += 1;
      precision += predicted[place] === 0 ? 0 : hits[place]! / predicted[place]!;
      recall += labelled[place] === 0 ? 0 : hits[place]! / labelled[place]!;
      f1 += (2 * hits[place]!) / either;
    }
  }
  return classes === 0
    ? {}
    : { precision: precision / classes, recall: recall / classes, f1: f1 / classes };
}

type OfScores = Pick<ClassMetrics, "rocAuc" | "logLoss" | "calibrationError">;

function scoreMetrics(given: ClassRows): OfScores {
  if (!hasScores(given)) {
    return {};
  }
  const scored = withScores(given);
  if (scored.rows === 0) {
    return {};
  }
  const auc = meanRocAuc(scored);
  return {
    ...(auc === undefined ? {} : { rocAuc: auc }),
    ...(areProbabilities(scored)
      ? { logLoss: logLoss(scored), calibrationError: calibrationError(scored) }
      : {}),
  };
}

/** The rows that have all scores, one of them of the predicted class and one of the label. */
function withScores(given: ClassRows): ClassRows {
  const { labels, predicted, scored } = given;
  const kept = rowsWhere(given, (row) => {
    return labels[row]! < scored && predicted[row]! < scored && hasRowScores(given, row);
  });
  return kept.length === given.rows ? given : gatherRows(given, kept);
}

/** Whether a row has every score. */
export function hasRowScores({ scored, scores }: ClassRows, row: number): boolean {
  for (let place = row * scored; place < (row + 1) * scored; place++) {
    if (Number.isNaN(scores[place])) {
      return false;
    }
  }
  return scored > 0;
}

/** The rows for which a condition holds, ascending. */
export function rowsWhere({ rows }: ClassRows, holds: (row: number) => boolean): Uint32Array {
  const found = new Uint32Array(rows);
  let count = 0;
  for (let row = 0; row < rows; row++) {
    if (holds(row)) {
      found[count++] = row;
    }
  }
  return found.subarray(0, count);
}

/** These rows alone, in their order. */
export function gatherRows(given: ClassRows, rows: Uint32Array): ClassRows {
  const { scored } = given;
  const count = rows.length;
  const predicted = new Uint16Array(count);
  const labels = new Uint16Array(count);
  const scores = new Float32Array(count * scored);
  for (let at = 0; at < count; at++) {
    const row = rows[at]!;
    predicted[at] = given.predicted[row]!;
    labels[at] = given.labels[row]!;
    for (let place = 0; place < scored; place++) {
      scores[at * scored + place] = given.scores[row * scored + place]!;
    }
  }
  return { ...given, rows: count, predicted, labels, scores };
}

/** Of the positive class, or the mean of all classes that have rows on both sides. */
function meanRocAuc(given: ClassRows): number | undefined {
  if (given.positive !== undefined) {
    return rocAucOf(given, given.positive);
  }
  const areas = Array.from({ length: given.scored }, (_, place) => rocAucOf(given, place));
  const known = areas.filter((area) => area !== undefined);
  return known.length === 0 ? undefined : known.reduce((a, b) => a + b) / known.length;
}

function rocAucOf({ rows, labels, scores, scored }: ClassRows, place: number): number | undefined {
  const positives = new Float32Array(rows);
  const negatives = new Float32Array(rows);
  let ones = 0;
  let zeros = 0;
  for (let row = 0; row < rows; row++) {
    const score = scores[row * scored + place]!;
    if (labels[row] === place) {
      positives[ones++] = score;
    } else {
      negatives[zeros++] = score;
    }
  }
  return rocAuc(positives.subarray(0, ones), negatives.subarray(0, zeros));
}

/** The mean of -ln of the score of the true class. */
function logLoss({ rows, labels, scores, scored }: ClassRows): number {
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const score = scores[row * scored + labels[row]!]!;
    sum -= Math.log(Math.min(Math.max(score, SCORE_MIN), 1 - SCORE_MIN));
  }
  return sum / rows;
}

/**
 * Expected calibration error (Naeini, Cooper and Hauskrecht 2015): the mean over ten bins of equal
 * width, weighted by their rows, of |mean score - share that was right|. Of two classes the
 * positive one's score against its share; of more the predicted class's score against its hits
 * (Guo et al. 2017). A score on an edge belongs to the bin on its right, 1 to the last.
 */
function calibrationError(given: ClassRows): number {
  const { rows, labels, predicted, scores, scored, positive } = given;
  const sums = new Float64Array(CALIBRATION_BINS);
  const hits = new Float64Array(CALIBRATION_BINS);
  for (let row = 0; row < rows; row++) {
    const place = positive ?? predicted[row]!;
    const score = scores[row * scored + place]!;
    const bin = Math.min(Math.floor(score * CALIBRATION_BINS), CALIBRATION_BINS - 1);
    sums[bin]! += score;
    hits[bin]! += labels[row] === place ? 1 : 0;
  }
  let distance = 0;
  for (let bin = 0; bin < CALIBRATION_BINS; bin++) {
    distance += Math.abs(sums[bin]! - hits[bin]!);
  }
  return distance / rows;
}
