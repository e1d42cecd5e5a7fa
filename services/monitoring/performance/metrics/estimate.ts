// What a classifier's scores promise, without labels: confidence-based performance estimation
// (CBPE) as NannyML does it (docs: how_it_works/performance_estimation; performance_estimation/
// confidence_based/metrics.py). The score of a row is taken for the probability p of its class, so
// the confusion matrix has an expectation:
//   TP = sum of p over rows predicted positive    FP = sum of 1 - p over them
//   FN = sum of p over rows predicted negative    TN = sum of 1 - p over them
// and so have accuracy, precision, recall and F1. The expected ROC curve rises by p and runs by 1 -
// p at each row, from the highest score down; rows of one score are one straight piece.
//
// The interval is where the true value lies in 95 of 100 cases if the scores are calibrated. Labels
// are then independent Bernoulli(p), so counts are Poisson-binomial with variance sum of p (1 - p);
// for ratios their first-order (delta method) variance, from the derivative by each label. Value
// plus and minus 1.96 standard deviations, within 0 and 1. NannyML's own band adds the sampling
// error of its reference instead; ours answers how far chance alone can carry the truth.

import { areProbabilities, type ClassRows, hasScores, NO_CLASS } from "./class-rows.ts";
import { gatherRows, hasRowScores, rowsWhere } from "./classification.ts";

/** Of a normal distribution: 95 % lie within. */
const DEVIATIONS = 1.959963984540054;

/** See plinth.monitoring.v1.Estimate. */
export interface Estimated {
  readonly value: number;
  readonly lower: number;
  readonly upper: number;
}

/** Of two classes all that can be computed; of more the accuracy. */
export interface EstimatedMetrics {
  /** Rows with scores. */
  readonly rows: number;
  readonly accuracy: Estimated;
  readonly precision?: Estimated;
  readonly recall?: Estimated;
  readonly f1?: Estimated;
  readonly rocAuc?: Estimated;
}

/** Undefined where no row has scores, or the scores are no probabilities. */
export function estimateMetrics(given: ClassRows): EstimatedMetrics | undefined {
  const scored = rowsWithChances(given, () => true);
  if (scored === undefined) {
    return undefined;
  }
  const { rows, positive } = scored;
  const accuracy = expectedAccuracy(scored);
  if (positive === undefined) {
    return { rows, accuracy };
  }
  const chances = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    chances[row] = scored.scores[row * scored.scored + positive]!;
  }
  const isPositive = (row: number) => scored.predicted[row] === positive;
  return { rows, accuracy, ...expectedShares(chances, isPositive), ...expectedRocAuc(chances) };
}

/** What was expected of the labelled rows, and what they turned out to be. */
export interface ComparedAccuracy {
  readonly estimate: Estimated;
  readonly truth: number;
}

/** Of the very same rows: those with scores and a label. Undefined where there are none. */
export function compareAccuracy(given: ClassRows): ComparedAccuracy | undefined {
  const rows = rowsWithChances(given, (row) => given.labels[row] !== NO_CLASS);
  if (rows === undefined) {
    return undefined;
  }
  let right = 0;
  for (let row = 0; row < rows.rows; row++) {
    right += rows.predicted[row] === rows.labels[row] ? 1 : 0;
  }
  return { estimate: expectedAccuracy(rows), truth: right / rows.rows };
}

/** The rows that have the score of every class and a predicted one among them. */
function rowsWithChances(
  given: ClassRows,
  isWanted: (row: number) => boolean,
): ClassRows | undefined {
  if (!hasScores(given)) {
    return undefined;
  }
  const known = rowsWhere(given, (row) => {
    return isWanted(row) && given.predicted[row]! < given.scored && hasRowScores(given, row);
  });
  const rows = known.length === given.rows ? given : gatherRows(given, known);
  return rows.rows === 0 || !areProbabilities(rows) ? undefined : rows;
}

/** Each row is right with the score of its predicted class. */
function expectedAccuracy({ rows, predicted, scores, scored }: ClassRows): Estimated {
  let right = 0;
  let variance = 0;
  for (let row = 0; row < rows; row++) {
    const guess = predicted[row]!;
    const chance = guess === NO_CLASS ? 0 : scores[row * scored + guess]!;
    right += chance;
    variance += chance * (1 - chance);
  }
  return estimated(right / rows, variance / rows ** 2);
}

/**
 * With A positives among the m rows predicted positive and B among the others, all independent:
 * precision A / m, recall A / (A + B), F1 2A / (A + B + m).
 */
function expectedShares(
  chances: Float64Array,
  isPositive: (row: number) => boolean,
): Pick<EstimatedMetrics, "precision" | "recall" | "f1"> {
  let m = 0;
  let [a, varianceA, b, varianceB] = [0, 0, 0, 0];
  for (let row = 0; row < chances.length; row++) {
    const chance = chances[row]!;
    if (isPositive(row)) {
      m += 1;
      a += chance;
      varianceA += chance * (1 - chance);
    } else {
      b += chance;
      varianceB += chance * (1 - chance);
    }
  }
  const all = a + b;
  const sum = all + m;
  const recall = () => estimated(a / all, (b * b * varianceA + a * a * varianceB) / all ** 4);
  const f1 = () =>
    estimated((2 * a) / sum, (4 * ((b + m) ** 2 * varianceA + a * a * varianceB)) / sum ** 4);
  return {
    ...(m === 0 ? {} : { precision: estimated(a / m, varianceA / m ** 2) }),
    ...(all === 0 ? {} : { recall: recall() }),
    ...(sum === 0 ? {} : { f1: f1() }),
  };
}

/**
 * The area is U / (P N), with P = sum of p, N = sum of 1 - p and U the sum over all pairs of p_i (1
 * - p_j), halved for equal scores. By the label of row k, U grows by the N below k less the P above
 * it (equal ones counted half), P by 1 and N by -1.
 */
function expectedRocAuc(chances: Float64Array): Pick<EstimatedMetrics, "rocAuc"> {
  const sorted = chances.slice().sort();
  const positives = sorted.reduce((sum, chance) => sum + chance, 0);
  const negatives = sorted.length - positives;
  const pairs = positives * negatives;
  if (pairs <= 0) {
    return {};
  }
  let wins = 0;
  forEachTie(sorted, ({ chance, count, below }) => {
    wins += count * chance * (below + (count * (1 - chance)) / 2);
  });
  const area = wins / pairs;
  let variance = 0;
  let passed = 0;
  forEachTie(sorted, ({ chance, count, below }) => {
    const above = positives - passed - (count * chance) / 2;
    const growth = below + (count * (1 - chance)) / 2 - above;
    const slope = (growth - area * (negatives - positives)) / pairs;
    variance += count * chance * (1 - chance) * slope * slope;
    passed += count * chance;
  });
  return { rocAuc: estimated(area, variance) };
}

/** Calls back for each different score, ascending, with the expected negatives below it. */
function forEachTie(
  sorted: Float64Array,
  callback: (tie: {
    readonly chance: number;
    readonly count: number;
    readonly below: number;
  }) => void,
): void {
  let below = 0;
  for (let start = 0; start < sorted.length; ) {
    const chance = sorted[start]!;
    let end = start + 1;
    while (end < sorted.length && sorted[end] === chance) {
      end += 1;
    }
    const count = end - start;
    callback({ chance, count, below });
    below += count * (1 - chance);
    start = end;
  }
}

function estimated(value: number, variance: number): Estimated {
  const reach = DEVIATIONS * Math.sqrt(variance);
  return { value, lower: Math.max(0, value - reach), upper: Math.min(1, value + reach) };
}
