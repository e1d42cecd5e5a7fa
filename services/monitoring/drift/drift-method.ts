// The methods by name, and when each calls a column drifted. Reports name the method of every
// number, because the systems people compare with differ in all of this.

/**
 * - psi: Evidently's, over its bins, zeros filled.
 * - psi_deciles: the credit-risk form, over the baseline's deciles, shares at least 0.0001.
 * - kl_divergence: Evidently's, over its bins, zeros filled.
 * - jensen_shannon: Evidently's distance, natural logarithm, over its bins.
 * - jensen_shannon_base2: NannyML's distance, base 2, over Doane's bins of the baseline.
 * - hellinger: Evidently's.
 * - wasserstein: Evidently's, normed by the baseline's standard deviation.
 * - kolmogorov_smirnov: two-sided p-value.
 * - chi_square: Evidently's goodness of fit, p-value.
 * - chi_square_contingency: NannyML's test of independence, p-value.
 * - z_test: two-proportion test, p-value.
 */
export type DriftMethod =
  | "psi"
  | "psi_deciles"
  | "kl_divergence"
  | "jensen_shannon"
  | "jensen_shannon_base2"
  | "hellinger"
  | "wasserstein"
  | "kolmogorov_smirnov"
  | "chi_square"
  | "chi_square_contingency"
  | "z_test";

/** How a value stands to the threshold when the column has drifted. */
export type DriftComparison = ">=" | "<=" | "<";

/** From which value on a column is what. A value on a band's border is in the more severe one. */
export interface SeverityBands {
  readonly moderate: number;
  readonly significant: number;
}

export interface MethodRule {
  /** What the value is: a distance grows with drift, a p-value falls. */
  readonly measures: "distance" | "p-value";
  readonly comparison: DriftComparison;
  readonly threshold: number;
  readonly bands: SeverityBands;
  /** Below so many values on either side chance alone makes drift of nothing. */
  readonly sizeMin: number;
}

/**
 * A distance has no notion of chance. With ten bins and n values on both sides, nothing at all
 * comes to a PSI of about 18 / n, a Jensen-Shannon distance of 1.4 / sqrt n and a normed
 * Wasserstein distance of 1.8 / sqrt n (normal columns). With 500 values against a large baseline
 * 95 of 100 such windows stay at or under the usual threshold of 0.1 in each of them.
 */
const DISTANCE_SIZE_MIN = 500;
/** A p-value allows for the size itself; its approximations do not for a handful. */
const TEST_SIZE_MIN = 30;

/** 0.10 and 0.25 are the convention for PSI; thresholds are Evidently's. */
const distance = (moderate: number, significant: number, threshold = 0.1): MethodRule => ({
  measures: "distance",
  comparison: ">=",
  threshold,
  bands: { moderate, significant },
  sizeMin: DISTANCE_SIZE_MIN,
});

/** Bands are whylogs': possible drift up to 0.15, drift up to 0.05. */
const test = (comparison: "<=" | "<"): MethodRule => ({
  measures: "p-value",
  comparison,
  threshold: 0.05,
  bands: { moderate: 0.15, significant: 0.05 },
  sizeMin: TEST_SIZE_MIN,
});

/** A distance in base e is this much more in base 2. */
const BASE_2 = 1 / Math.sqrt(Math.LN2);

/**
 * Defaults of each method. Hellinger's bands are whylogs'. Where no system names bands (Kullback-
 * Leibler, Wasserstein) they are PSI's; Jensen-Shannon's significant 0.18 is about where PSI is
 * 0.25, since its divergence is about PSI / 8 for small changes.
 */
export const METHOD_RULES: Readonly<Record<DriftMethod, MethodRule>> = {
  psi: distance(0.1, 0.25),
  psi_deciles: distance(0.1, 0.25),
  kl_divergence: distance(0.1, 0.25),
  jensen_shannon: distance(0.1, 0.18),
  jensen_shannon_base2: distance(0.1 * BASE_2, 0.18 * BASE_2, 0.1 * BASE_2),
  hellinger: distance(0.15, 0.4),
  wasserstein: distance(0.1, 0.25),
  kolmogorov_smirnov: test("<="),
  chi_square: test("<"),
  chi_square_contingency: test("<"),
  z_test: test("<"),
};
