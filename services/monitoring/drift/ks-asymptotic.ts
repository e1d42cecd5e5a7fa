// The law of the one-sample two-sided Kolmogorov-Smirnov statistic for finite n ("kstwo"), which
// stands in for the two-sample law where samples are large. It is not the limit law ("kstwobign"),
// whose p-value is some percent off for thousands of rows.

import { deviance, logGamma, stirlingError } from "./special-functions.ts";

/** Up to here the matrix formula is used wherever the one-sided tail is not exact enough. */
const SMALL_N = 140;
/** Terms the one-sided sum is thinned to; they are smooth, so thinning costs no digit. */
const SMIRNOV_TERMS = 2048;
/** Below this n d^2 the distribution function is under 1e-25, so the tail is 1. */
const SURE_BELOW = 0.02;
/** Keeps matrix entries within a double's range. */
const SCALE = 1e140;
/** Terms of the theta series on either side; the last is under 1e-17 for any z used here. */
const THETA_TERMS = 12;

/**
 * P(D_n > d) for n >= 1 whole and d in [0, 1], choosing among formulas as Simard and L'Ecuyer 2011
 * ("Computing the two-sided Kolmogorov-Smirnov distribution", J. Stat. Softw. 39(11)): closed forms
 * at both ends, Durbin's matrix (Marsaglia, Tsang and Wang 2003), twice the one-sided tail where
 * the two sides hardly meet (Miller 1956), Pelz and Good's series (1976) between. scipy's kstwo.sf
 * chooses alike. The two-sided law is only approximated, to a few 1e-6 relative, where n > 140.
 */
export function kolmogorovTail(n: number, d: number): number {
  const t = n * d;
  if (t <= 0.5) return 1;
  if (d >= 1) return 0;
  // Ruben and Gambino: n! (2d - 1/n)^n is the distribution function here.
  if (t <= 1) return 1 - Math.exp(logGamma(n + 1) + n * Math.log(2 * d - 1 / n));
  if (t >= n - 1) return 2 * (1 - d) ** n;
  const squared = t * d;
  if (d >= 0.5) return 2 * smirnovTail(n, d);
  if (n <= SMALL_N) {
    return squared < 4 ? 1 - durbinMatrix(n, d) : Math.min(1, 2 * smirnovTail(n, d));
  }
  if (squared >= 370) return 0;
  if (squared >= 2.2) return 2 * smirnovTail(n, d);
  if (squared <= SURE_BELOW) return 1;
  const below = n <= 100_000 && n * d ** 1.5 <= 1.4 ? durbinMatrix(n, d) : pelzGood(n, d);
  return Math.min(1, Math.max(0, 1 - below));
}

/**
 * P(D_n^+ > d), one-sided and exact: d sum_j Binomial(j; n, d + j/n) / (d + j/n) over j < n (1 - d)
 * (Smirnov 1944, Birnbaum and Tingey 1951). All terms are positive; 0 < d < 1. For large n every
 * k-th term is taken k times: terms are a smooth function of j that dies away at both ends, for
 * which the trapezoid rule converges faster than any power.
 */
export function smirnovTail(n: number, d: number): number {
  const t = n * d;
  const stride = n > 2 * SMIRNOV_TERMS ? Math.ceil(n / SMIRNOV_TERMS) : 1;
  let sum = 0;
  for (let j = 0; j < n - t; j += stride) {
    const mean = j + t;
    sum += binomialMass(j, { n, mean }) / (mean / n);
  }
  return Math.min(1, d * stride * sum);
}

/** Binomial(j; n, mean / n), j < n, by Loader's deviances. */
function binomialMass(j: number, { n, mean }: { n: number; mean: number }): number {
  if (j === 0) return Math.exp(n * Math.log1p(-mean / n));
  const exponent =
    stirlingError(n) -
    stirlingError(j) -
    stirlingError(n - j) -
    deviance(j, mean) -
    deviance(n - j, n - mean);
  return Math.exp(exponent) * Math.sqrt(n / (2 * Math.PI * j * (n - j)));
}

/** P(D_n <= d) exactly: n! / n^n times the middle entry of the n-th power of Durbin's matrix. */
function durbinMatrix(n: number, d: number): number {
  const k = Math.floor(n * d) + 1;
  const size = 2 * k - 1;
  const { entries, exponent } = matrixPower(durbinEntries(k, k - n * d), size, n);
  let result = entries[(k - 1) * size + k - 1] as number;
  let scales = exponent;
  for (let i = 1; i <= n; i += 1) {
    result *= i / n;
    if (result < 1 / SCALE) {
      result *= SCALE;
      scales -= 1;
    }
  }
  return result * SCALE ** scales;
}

/** H of Marsaglia, Tsang and Wang: d = (k - h) / n with 0 <= h < 1; row-major, 2k - 1 wide. */
function durbinEntries(k: number, h: number): Float64Array {
  const size = 2 * k - 1;
  const matrix = new Float64Array(size * size);
  const at = (row: number, column: number) => row * size + column;
  for (let row = 0; row < size; row += 1) {
    const columns = Math.min(size - 1, row + 1);
    for (let column = 0; column <= columns; column += 1) matrix[at(row, column)] = 1;
  }
  for (let i = 0; i < size; i += 1) {
    (matrix[at(i, 0)] as number) -= h ** (i + 1);
    (matrix[at(size - 1, i)] as number) -= h ** (size - i);
  }
  if (h > 0.5) (matrix[at(size - 1, 0)] as number) += (2 * h - 1) ** size;
  for (let row = 0; row < size; row += 1) {
    let factorial = 1;
    for (let column = row; column >= 0; column -= 1) {
      factorial *= row - column + 1;
      (matrix[at(row, column)] as number) /= factorial;
    }
  }
  return matrix;
}

interface ScaledMatrix {
  readonly entries: Float64Array;
  /** Entries are to be multiplied by SCALE to this power. */
  readonly exponent: number;
}

function matrixPower(matrix: Float64Array, size: number, power: number): ScaledMatrix {
  let square: ScaledMatrix = { entries: matrix, exponent: 0 };
  let result: ScaledMatrix | undefined;
  for (let bits = power; ; square = product(square, square, size)) {
    if (bits % 2 === 1) result = result === undefined ? square : product(result, square, size);
    bits = Math.floor(bits / 2);
    if (bits === 0) return result as ScaledMatrix;
  }
}

function product(a: ScaledMatrix, b: ScaledMatrix, size: number): ScaledMatrix {
  const entries = new Float64Array(size * size);
  for (let row = 0; row < size; row += 1) {
    for (let inner = 0; inner < size; inner += 1) {
      const factor = a.entries[row * size + inner] as number;
      for (let column = 0; column < size; column += 1) {
        (entries[row * size + column] as number) +=
          factor * (b.entries[inner * size + column] as number);
      }
    }
  }
  const exponent = a.exponent + b.exponent;
  const middle = entries[((size - 1) / 2) * (size + 1)] as number;
  if (middle < SCALE) return { entries, exponent };
  return { entries: entries.map((entry) => entry / SCALE), exponent: exponent + 1 };
}

/**
 * P(D_n <= d) by Pelz and Good 1976: K0(z) + K1(z)/sqrt n + K2(z)/n + K3(z)/n^1.5 with z = d sqrt
 * n, as Simard and L'Ecuyer 2011 write it (equation 5).
 */
function pelzGood(n: number, d: number): number {
  const root = Math.sqrt(n);
  const z = d * root;
  const [z2, z4, z6] = [z ** 2, z ** 4, z ** 6];
  let [k0, k1, k2, k3] = [0, 0, 0, 0];
  for (let k = 0; k < THETA_TERMS; k += 1) {
    // u is pi^2 (k + 1/2)^2: the odd series; w is pi^2 (k + 1)^2: the even one.
    const u = (Math.PI * (k + 0.5)) ** 2;
    const w = (Math.PI * (k + 1)) ** 2;
    const odd = Math.exp(-u / (2 * z2));
    const even = Math.exp(-w / (2 * z2));
    k0 += odd;
    k1 += odd * (u - z2);
    k2 += odd * (6 * z6 + 2 * z4 + u * (2 * z4 - 5 * z2) + u * u * (1 - 2 * z2));
    k2 -= even * 2 * z4 * w;
    k3 +=
      odd *
      (u ** 3 * (5 - 30 * z2) +
        u * u * (212 * z4 - 60 * z2) +
        u * (135 * z4 - 96 * z6) -
        (30 * z6 + 90 * z4 * z4));
    k3 += even * 30 * z4 * (3 * w * z2 - w * w);
  }
  const terms = [k0 / z, k1 / (6 * z4), k2 / (72 * z6 * z), k3 / (6480 * z6 * z4)];
  const series = terms.reduceRight((sum, term) => term + sum / root, 0);
  // Every series runs over all whole k; these are the halves with k >= 0.
  return 2 * Math.sqrt(Math.PI / 2) * series;
}
