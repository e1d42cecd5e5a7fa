// Powers of two and exponents of floats from their bits. What decides integers of a circuit must
// come out the same on every machine, which Math.log2 and Math.pow do not promise.

const view = new DataView(new ArrayBuffer(8));
const EXPONENT_BIAS = 1023;
const FRACTION_BITS = 52;

/** All that are normal numbers, from 2^-1022 on. */
const POWERS = Float64Array.from({ length: 2 * EXPONENT_BIAS }, (_, i) => {
  view.setBigUint64(0, BigInt(i + 1) << BigInt(FRACTION_BITS));
  return view.getFloat64(0);
});

/** 2^exponent, for -1022 to 1023. */
export function powerOfTwo(exponent: number): number {
  const power = POWERS[exponent + EXPONENT_BIAS - 1];
  if (power === undefined) {
    throw new RangeError(`2^${exponent} is not a normal number.`);
  }
  return power;
}

/** The smallest exponent whose power of two is at least |value|; -1022 for what is smaller still. */
export function exponentAbove(value: number): number {
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const exponent = Number(bits >> BigInt(FRACTION_BITS)) - EXPONENT_BIAS;
  const hasFraction = BigInt.asUintN(FRACTION_BITS, bits) !== 0n;
  return Math.max(-1022, exponent + (hasFraction ? 1 : 0));
}

/** k where value is 2^-k; undefined where it is no power of two. */
export function halvings(value: number): number | undefined {
  const exponent = exponentAbove(value);
  return value > 0 && powerOfTwo(exponent) === value ? -exponent + 0 : undefined;
}
