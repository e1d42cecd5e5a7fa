// How classes are kept and compared.

import { categoryKey } from "../sketch/category-key.ts";

/** Longer classes are cut, with a digest of all of them. */
const CLASS_LENGTH_MAX = 256;

/**
 * A class as it is kept: its text, or where that is long, its beginning and a digest of all of it.
 */
export function classKey(text: string): string {
  const isShort = text.length <= CLASS_LENGTH_MAX;
  return isShort ? text.toWellFormed() : categoryKey(text);
}
