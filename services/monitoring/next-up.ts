// The neighbour of a double: a bin that has its right edge ends there.

const number = new Float64Array(1);
const bits = new BigInt64Array(number.buffer);

/** The next double above a finite one; Infinity above the largest. */
export function nextUp(value: number): number {
  if (value === 0) {
    return Number.MIN_VALUE;
  }
  number[0] = value;
  bits[0] = bits[0]! + (value > 0 ? 1n : -1n);
  return number[0]! + 0;
}
