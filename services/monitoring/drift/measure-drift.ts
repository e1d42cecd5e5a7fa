// One column, baseline against current: chooses the method, brings both sides into its bins,
// measures and judges. Everything a drift report says of a column is decided here.

import {
  decileEdges,
  doaneEdges,
  type NumericPair,
  type PairedCounts,
  pairInBins,
  pairWithLeftover,
  sturgesEdges,
  sturgesEdgesOfDistinct,
} from "./bins.ts";
import { pairCategories } from "./categories.ts";
import { chiSquareContingency, chiSquareGoodnessOfFit } from "./chi-square.ts";
import { chooseMethod, distinctTogether, haveSameEdges } from "./choose-method.ts";
import {
  type CategoricalDistribution,
  type Distribution,
  histogramOf,
  type NumericDistribution,
  type NumericHistogram,
  rangeOf,
  sizeOf,
} from "./distribution.ts";
import { type DriftMethod, METHOD_RULES } from "./drift-method.ts";
import {
  type DriftResult,
  judge,
  type Measurement,
  type NotComparableReason,
  type VerdictOptions,
} from "./drift-result.ts";
import { hellingerDistance } from "./hellinger.ts";
import { jensenShannonDistance } from "./jensen-shannon.ts";
import { klDivergence } from "./kl-divergence.ts";
import { kolmogorovSmirnov } from "./kolmogorov-smirnov.ts";
import { populationStabilityIndex } from "./psi.ts";
import { fillZeroShares, floorShares, sharesOf } from "./shares.ts";
import { pairValues, valueCounts } from "./value-counts.ts";
import { normedWassersteinDistance } from "./wasserstein.ts";
import { zTest } from "./z-test.ts";

/** Evidently gives each value a bin of its own where the baseline has at most so many of them. */
const VALUES_AS_BINS_MAX = 20;
/** The square of a difference of such numbers is still a double. */
const MAGNITUDE_MAX = 1e150;

export interface DriftOptions extends VerdictOptions {
  /** Absent: Evidently's choice (choose-method.ts). */
  readonly method?: DriftMethod;
  /** Least values on both sides. Absent: the method's (500 for distances, 30 for tests). */
  readonly sizeMin?: number;
  /** Of Kolmogorov-Smirnov: see TailOptions. */
  readonly exactStepsMax?: number;
}

/** Two columns of one kind, both not empty. */
type Pair =
  | ({ readonly kind: "numeric" } & NumericPair)
  | {
      readonly kind: "categorical";
      readonly baseline: CategoricalDistribution;
      readonly current: CategoricalDistribution;
    };

/**
 * Measures the drift of one column. Never throws on data: what cannot be measured is a result.
 * Binned methods take the rows themselves where there are some; a histogram is interpolated into
 * the method's bins, which comes to the same number as its own bins become fine.
 */
export function measureDrift(
  columns: { readonly baseline: Distribution; readonly current: Distribution },
  options: DriftOptions = {},
): DriftResult {
  const sizes = { baseline: sizeOf(columns.baseline), current: sizeOf(columns.current) };
  const refuse = (reason: NotComparableReason, method = options.method): DriftResult => {
    const base = { outcome: "not-comparable", reason, sizes } as const;
    return method === undefined ? base : { ...base, method };
  };
  if (sizes.baseline === 0) return refuse("baseline-empty");
  if (sizes.current === 0) return refuse("current-empty");
  const pair = pairOf(columns.baseline, columns.current);
  if (pair === undefined) return refuse("kinds-differ");
  if (isConstant(pair)) return refuse("constant");
  if (isTooLarge(pair)) return refuse("numbers-too-large");
  const method = options.method ?? chosenFor(pair, sizes.baseline);
  const sizeMin = options.sizeMin ?? METHOD_RULES[method].sizeMin;
  if (Math.min(sizes.baseline, sizes.current) < sizeMin) {
    return { outcome: "too-few-samples", method, sizes, sizeMin };
  }
  const measurement = measure(method, pair, options);
  if (typeof measurement === "string") return refuse(measurement, method);
  return judge(method, measurement, { ...options, sizes });
}

function pairOf(baseline: Distribution, current: Distribution): Pair | undefined {
  if (baseline.form === "categories") {
    if (current.form !== "categories") return undefined;
    return { kind: "categorical", baseline, current };
  }
  return current.form === "categories" ? undefined : { kind: "numeric", baseline, current };
}

function isConstant(pair: Pair): boolean {
  if (pair.kind === "categorical") {
    const { categories, baseline } = pairCategories(pair.baseline, pair.current);
    return categories.length === 1 && baseline.length === 1;
  }
  const [a, b] = [rangeOf(pair.baseline), rangeOf(pair.current)];
  return a.min === a.max && a.min === b.min && a.min === b.max;
}

function isTooLarge(pair: Pair): boolean {
  if (pair.kind === "categorical") return false;
  return [pair.baseline, pair.current].some((side) => {
    const { min, max } = rangeOf(side);
    return min < -MAGNITUDE_MAX || max > MAGNITUDE_MAX;
  });
}

function chosenFor(pair: Pair, baselineSize: number): DriftMethod {
  const distinct = distinctTogether(pair.baseline, pair.current);
  return chooseMethod({ kind: pair.kind, baselineSize, distinct });
}

function measure(
  method: DriftMethod,
  pair: Pair,
  options: DriftOptions,
): Measurement | NotComparableReason {
  switch (method) {
    case "psi":
    case "kl_divergence": {
      const [p, q] = filled(evidentlyBins(pair));
      return { value: method === "psi" ? populationStabilityIndex(p, q) : klDivergence(p, q) };
    }
    case "psi_deciles": {
      if (pair.kind === "categorical") return "method-does-not-apply";
      const [p, q] = bothShares(pairInBins(pair, decileEdges(pair.baseline)));
      return { value: populationStabilityIndex(floorShares(p), floorShares(q)) };
    }
    case "jensen_shannon": {
      const { baseline, current } = evidentlyBins(pair);
      return { value: jensenShannonDistance(baseline, current, { base: "e" }) };
    }
    case "jensen_shannon_base2": {
      const { baseline, current } = doaneBins(pair);
      return { value: jensenShannonDistance(baseline, current, { base: "2" }) };
    }
    case "hellinger": {
      const { baseline, current } = hellingerBins(pair);
      return { value: hellingerDistance(baseline, current) };
    }
    case "wasserstein":
      if (pair.kind === "categorical") return "method-does-not-apply";
      return { value: normedWassersteinDistance(pair) };
    case "kolmogorov_smirnov": {
      if (pair.kind === "categorical") return "method-does-not-apply";
      const { statistic, pValue } = kolmogorovSmirnov(pair.baseline, pair.current, options);
      return { value: pValue, statistic };
    }
    case "chi_square":
    case "chi_square_contingency":
    case "z_test":
      return testOfValues(method, pair);
  }
}

function testOfValues(
  method: "chi_square" | "chi_square_contingency" | "z_test",
  pair: Pair,
): Measurement | NotComparableReason {
  const counts = valuesAsBins(pair);
  if (counts === undefined) return "bins-differ";
  if (method === "z_test") {
    if (counts.baseline.length > 2) return "method-does-not-apply";
    const { statistic, pValue } = zTest({
      baseline: { hits: counts.baseline[0] as number, size: sizeOf(pair.baseline) },
      current: { hits: counts.current[0] as number, size: sizeOf(pair.current) },
    });
    return { value: pValue, statistic };
  }
  const test = method === "chi_square" ? chiSquareGoodnessOfFit : chiSquareContingency;
  const { pValue, statistic, degreesOfFreedom } = test(counts);
  return { value: pValue, statistic, degreesOfFreedom };
}

/** Evidently's: a bin a value where the baseline has at most 20, else Sturges over both. */
function evidentlyBins(pair: Pair): PairedCounts {
  if (pair.kind === "categorical" || hasFewValues(pair.baseline)) {
    const counts = valuesAsBins(pair);
    if (counts !== undefined) return counts;
  }
  return pair.kind === "categorical"
    ? pairCategories(pair.baseline, pair.current)
    : pairInBins(pair, sturgesEdges(pair));
}

/** Evidently's Hellinger: Sturges over the different values, where they are known. */
function hellingerBins(pair: Pair): PairedCounts {
  if (pair.kind === "categorical") return pairCategories(pair.baseline, pair.current);
  const values = pairedValues(pair);
  const edges = values === undefined ? sturgesEdges(pair) : sturgesEdgesOfDistinct(values.values);
  return pairInBins(pair, edges);
}

function doaneBins(pair: Pair): PairedCounts {
  if (pair.kind === "categorical") return pairCategories(pair.baseline, pair.current);
  return pairWithLeftover(pair, doaneEdges(pair.baseline));
}

/**
 * A bin for each category or different value; of histograms whose bins are wider than a value, the
 * bins that hold something. Undefined for two such histograms with different edges.
 */
function valuesAsBins(pair: Pair): PairedCounts | undefined {
  if (pair.kind === "categorical") return pairCategories(pair.baseline, pair.current);
  const { baseline, current } = pair;
  const values = pairedValues(pair);
  if (values !== undefined) return values;
  const edges =
    baseline.form === "histogram" ? baseline.edges : (current as NumericHistogram).edges;
  const a = baseline.form === "sample" ? histogramOf(baseline, edges) : baseline;
  const b = current.form === "sample" ? histogramOf(current, edges) : current;
  if (!haveSameEdges(a, b)) return undefined;
  const [p, q] = [allBins(a), allBins(b)];
  const isHeld = (_count: number, i: number) => (p[i] as number) + (q[i] as number) > 0;
  return { baseline: p.filter(isHeld), current: q.filter(isHeld) };
}

function pairedValues(pair: NumericPair): ReturnType<typeof pairValues> | undefined {
  const [a, b] = [valueCounts(pair.baseline), valueCounts(pair.current)];
  return a === undefined || b === undefined ? undefined : pairValues(a, b);
}

function allBins({ below, counts, above }: NumericHistogram): Float64Array {
  return Float64Array.of(below, ...counts, above);
}

function hasFewValues(numeric: NumericDistribution): boolean {
  const known = numeric.form === "histogram" ? numeric.distinct : undefined;
  const distinct = known ?? valueCounts(numeric)?.values.length ?? Number.POSITIVE_INFINITY;
  return distinct <= VALUES_AS_BINS_MAX;
}

function bothShares({ baseline, current }: PairedCounts): readonly [Float64Array, Float64Array] {
  return [sharesOf(baseline), sharesOf(current)];
}

function filled(counts: PairedCounts): readonly [Float64Array, Float64Array] {
  const [p, q] = bothShares(counts);
  return [fillZeroShares(p), fillZeroShares(q)];
}
