// Reading what others wrote as JSON: fields of objects, lists of a length, numbers in decimal; and
// writing JSON that is the same for everybody.

import { Refusal } from "./refusal.ts";

/** Digits of the largest number that has 256 bits. */
const DIGITS_MAX = 78;

/** An object with any fields. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** @throws Refusal where it is not an object. */
export function objectOf(name: string, value: unknown): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal("malformed", `${name} is not an object`);
  }
  return value as JsonObject;
}

/** @throws Refusal where it is not a list, or not of this length. */
export function listOf(name: string, value: unknown, length?: number): readonly unknown[] {
  if (!Array.isArray(value) || (length !== undefined && value.length !== length)) {
    const expected = length === undefined ? "a list" : `a list of ${length}`;
    throw new Refusal("malformed", `${name} is not ${expected}`);
  }
  return value;
}

/**
 * A number that is not negative, as a bigint or as decimal digits without sign, space or leading
 * zero: there is one way to write it. (BigInt itself would read "" as 0.)
 *
 * @throws Refusal where it is anything else.
 */
export function bigintOf(name: string, value: unknown): bigint {
  if (typeof value === "bigint" && value >= 0n) return value;
  if (
    typeof value === "string" &&
    value.length <= DIGITS_MAX &&
    /^(?:0|[1-9][0-9]*)$/.test(value)
  ) {
    return BigInt(value);
  }
  throw new Refusal("malformed", `${name} is not a number in decimal digits`);
}

/** JSON with sorted fields and without spaces: the same text for the same value. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(value));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
