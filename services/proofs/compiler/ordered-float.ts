// Float32 numbers as whole numbers in the same order, so that a comparison of floats becomes one of
// whole numbers, exactly.

const view = new DataView(new ArrayBuffer(4));

/** The largest key of a finite number. */
export const KEY_MAX = orderedKey(3.4028234663852886e38);
/** The smallest key of a finite number. */
export const KEY_MIN = orderedKey(-3.4028234663852886e38);

/**
 * 0 to 2^32 - 1, in the order of the value rounded to float32; -0 is taken as 0. Infinities have
 * keys outside of KEY_MIN to KEY_MAX. NaN has no place in the order and must not come here.
 */
export function orderedKey(value: number): number {
  // Adding 0 makes a negative zero a plain one.
  view.setFloat32(0, value + 0);
  const bits = view.getUint32(0);
  return bits >= 0x80000000 ? ~bits >>> 0 : (bits | 0x80000000) >>> 0;
}

/** The float32 that has this key. */
export function floatOfKey(key: number): number {
  view.setUint32(0, key >= 0x80000000 ? key - 0x80000000 : ~key >>> 0);
  return view.getFloat32(0);
}
