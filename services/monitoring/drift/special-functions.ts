// The few special functions that p-values rest on, to 1e-12 relative. Each p-value is computed as
// the tail it is, never as one less the rest, so that small ones keep their digits.

import assert from "node:assert";

/** Half of ln(2 pi). */
const HALF_LOG_TWO_PI = 0.9189385332046728;
/** 1 - Euler's constant. */
const ONE_MINUS_EULER = 0.42278433509846713;
/** zeta(k) - 1 for k = 2, 3, ...: the series of lgamma around 2. */
const ZETA_MINUS_ONE: readonly number[] = [
  0.6449340668482264, 0.2020569031595943, 0.08232323371113819, 0.03692775514336993,
  0.01734306198444914, 0.008349277381922827, 0.00407735619794434, 0.0020083928260822143,
  0.0009945751278180853, 0.0004941886041194645, 0.0002460865533080483, 0.00012271334757848915,
  6.124813505870483e-5, 3.058823630702049e-5, 1.528225940865187e-5, 7.637197637899763e-6,
  3.81729326499984e-6, 1.908212716553939e-6, 9.539620338727962e-7, 4.769329867878064e-7,
  2.38450502727733e-7, 1.1921992596531106e-7, 5.960818905125948e-8, 2.980350351465228e-8,
  1.4901554828365043e-8, 7.45071178983543e-9, 3.725334024788457e-9, 1.862659723513049e-9,
];
/** Coefficients of 1/x, 1/x^3, ... in Stirling's series. */
const STIRLING: readonly number[] = [
  1 / 12,
  -1 / 360,
  1 / 1260,
  -1 / 1680,
  1 / 1188,
  -691 / 360360,
  1 / 156,
  -3617 / 122400,
];
/** From here on Stirling's series is exact to a double. */
const STIRLING_FROM = 12;
const EPSILON = Number.EPSILON / 4;
/** Far more terms than any argument a count can give needs: about six times its square root. */
const TERMS_MAX = 1_000_000;

/** ln Gamma(x) for x > 0 (Abramowitz and Stegun 6.1.33 near 1 and 2, 6.1.41 beyond 12). */
export function logGamma(x: number): number {
  assert(x > 0, "logGamma is for x > 0");
  if (x < 0.5) return logGamma(x + 1) - Math.log(x);
  if (x < 1.5) return aroundTwo(x - 1) - Math.log1p(x - 1);
  if (x >= STIRLING_FROM) {
    return (x - 0.5) * Math.log(x) - x + HALF_LOG_TWO_PI + stirlingSeries(x);
  }
  let product = 1;
  let rest = x;
  while (rest > 2.5) {
    rest -= 1;
    product *= rest;
  }
  return aroundTwo(rest - 2) + Math.log(product);
}

/**
 * What Stirling's formula lacks: ln Gamma(x + 1) - (x + 1/2) ln x + x - ln(2 pi) / 2, x > 0
 * (Loader 2000, "Fast and accurate computation of binomial probabilities").
 */
export function stirlingError(x: number): number {
  if (x >= STIRLING_FROM) return stirlingSeries(x);
  return logGamma(x + 1) - (x + 0.5) * Math.log(x) + x - HALF_LOG_TWO_PI;
}

/**
 * x ln(x / mean) + mean - x, never negative and without cancellation where x is near the mean
 * (Loader's deviance part). mean when x is 0; Infinity when the mean is 0 and x is not.
 */
export function deviance(x: number, mean: number): number {
  if (x === mean) return 0;
  if (x === 0) return mean;
  if (mean === 0) return Number.POSITIVE_INFINITY;
  const ratio = (x - mean) / (x + mean);
  if (Math.abs(ratio) > 0.1) return x * Math.log(x / mean) + mean - x;
  const square = ratio * ratio;
  let sum = (x - mean) * ratio;
  let power = 2 * x * ratio;
  for (let k = 3; ; k += 2) {
    power *= square;
    const next = sum + power / k;
    if (next === sum) return sum;
    sum = next;
  }
}

/** The regularised lower incomplete gamma function P(a, x); a > 0, x >= 0. */
export function gammaP(a: number, x: number): number {
  if (x <= 0) return 0;
  return x < a + 1 ? lowerSeries(a, x) : 1 - upperFraction(a, x);
}

/** The regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x); a > 0, x >= 0. */
export function gammaQ(a: number, x: number): number {
  if (x <= 0) return 1;
  if (x === Number.POSITIVE_INFINITY) return 0;
  return x < a + 1 ? 1 - lowerSeries(a, x) : upperFraction(a, x);
}

/** The complementary error function, by Q(1/2, x^2); for z-scores, erfc(|z| / sqrt 2). */
export function erfc(x: number): number {
  return x < 0 ? 1 + gammaP(0.5, x * x) : gammaQ(0.5, x * x);
}

/** P(X > statistic) for chi-square with these degrees of freedom; 1 for 0 degrees. */
export function chiSquareTail(statistic: number, degreesOfFreedom: number): number {
  return degreesOfFreedom === 0 ? 1 : gammaQ(degreesOfFreedom / 2, statistic / 2);
}

/** P(|Z| > |z|) for a standard normal Z. */
export function normalTwoSidedTail(z: number): number {
  return gammaQ(0.5, (z * z) / 2);
}

/** ln Gamma(2 + z) for |z| <= 1/2. */
function aroundTwo(z: number): number {
  let sum = 0;
  for (let k = ZETA_MINUS_ONE.length + 1; k >= 2; k -= 1) {
    sum = (ZETA_MINUS_ONE[k - 2] as number) / k - sum * z;
  }
  return z * (ONE_MINUS_EULER + z * sum);
}

function stirlingSeries(x: number): number {
  const square = x * x;
  let sum = 0;
  for (let i = STIRLING.length - 1; i >= 0; i -= 1) sum = (STIRLING[i] as number) + sum / square;
  return sum / x;
}

/** x^a e^-x / Gamma(a + 1): the probability of a under a Poisson law of mean x. */
function poissonMass(a: number, x: number): number {
  return Math.exp(-stirlingError(a) - deviance(a, x)) / Math.sqrt(2 * Math.PI * a);
}

/** P by its power series (Abramowitz and Stegun 6.5.29), for x < a + 1. */
function lowerSeries(a: number, x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; k < TERMS_MAX && term > sum * EPSILON; k += 1) {
    term *= x / (a + k);
    sum += term;
  }
  return Math.min(1, poissonMass(a, x) * sum);
}

/** Q by its continued fraction (6.5.31) after Lentz, for x >= a + 1. */
function upperFraction(a: number, x: number): number {
  let b = x + 1 - a;
  let c = Number.MAX_VALUE;
  let d = 1 / b;
  let fraction = d;
  for (let k = 1; k < TERMS_MAX; k += 1) {
    const numerator = -k * (k - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    const change = c * d;
    fraction *= change;
    if (Math.abs(change - 1) < Number.EPSILON) break;
  }
  return Math.min(1, poissonMass(a, x) * a * fraction);
}
