// Rows to calibrate on: those that the owner of the model gives, or made-up ones that reach into the
// corners of what the inputs' encoding takes.

import { valueEncoding } from "../verifier/signal-encoding.ts";
import { powerOfTwo } from "./binary-scale.ts";
import type { FloatProgram } from "./float-program.ts";
import type { InputSpread } from "./input-encoding.ts";
import type { InputEncoding } from "./integer-graph.ts";
import { floatOfKey, KEY_MAX, KEY_MIN } from "./ordered-float.ts";
import { invalidOption } from "./unsupported.ts";

/** Data like that which the model will see. */
export interface CalibrationData {
  readonly rows: number;
  /** By name of the input: the values of its rows, one row after another. */
  readonly inputs: Readonly<Record<string, ArrayLike<number>>>;
  /** One a row: the index of the right class, or the right value of a regression. */
  readonly labels?: ArrayLike<number>;
}

export interface FloatRow {
  readonly floats: Float64Array;
  readonly label?: number;
}

const MADE_UP_ROWS = 64;
const SEED = 20_260_101;

/** Rows of the data, evenly spread where there are more than `rowsMax`. */
export function givenRows(
  program: FloatProgram,
  data: CalibrationData,
  rowsMax: number,
): FloatRow[] {
  const { rows, labels } = data;
  if (!Number.isSafeInteger(rows) || rows < 1 || (labels && labels.length !== rows)) {
    throw invalidOption("calibration", `${rows} rows with ${labels?.length ?? 0} labels`);
  }
  const lists = program.inputs.map(({ name, size }) => {
    const list = Object.hasOwn(data.inputs, name) ? data.inputs[name] : undefined;
    if (list?.length !== rows * size) {
      throw invalidOption(
        `calibration.inputs.${name}`,
        `${list?.length ?? 0} values; ${rows} rows of ${size} were expected`,
      );
    }
    return list;
  });
  const count = Math.min(rows, rowsMax);
  const total = program.inputs.reduce((sum, { size }) => sum + size, 0);
  return Array.from({ length: count }, (_, i) => {
    const row = Math.floor((i * rows) / count);
    const floats = new Float64Array(total);
    program.inputs.forEach(({ first, size }, input) => {
      for (let at = 0; at < size; at++) {
        floats[first + at] = lists[input]![row * size + at]!;
      }
    });
    return { floats, ...(labels && { label: labels[row]! }) };
  });
}

/** How one input's values lie in rows; values that are no numbers are left out. */
export function spreadOf(
  rows: readonly FloatRow[],
  input: { readonly first: number; readonly size: number },
): InputSpread {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  let areWhole = true;
  let smallestSpread = Number.POSITIVE_INFINITY;
  for (let at = input.first; at < input.first + input.size; at++) {
    const values = rows.map(({ floats }) => floats[at]!).filter(Number.isFinite);
    const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
    let strays = 0;
    for (const value of values) {
      least = Math.min(least, value);
      most = Math.max(most, value);
      areWhole &&= Number.isInteger(value);
      strays += Math.abs(value - mean);
    }
    if (strays > 0) {
      smallestSpread = Math.min(smallestSpread, strays / values.length);
    }
  }
  return {
    least: Math.min(least, most),
    most: Math.max(most, least),
    areWhole,
    smallestSpread: Number.isFinite(smallestSpread) ? smallestSpread : 1,
  };
}

/**
 * Rows for models without data: anywhere in the range, all at its ends, and for trees close to the
 * thresholds. The same on every machine.
 */
export function madeUpRows(program: FloatProgram, encodings: readonly InputEncoding[]): FloatRow[] {
  const random = generator(SEED);
  const thresholds = thresholdsOf(program);
  const total = program.inputs.reduce((sum, { size }) => sum + size, 0);
  return Array.from({ length: MADE_UP_ROWS }, (_, row) => {
    const floats = new Float64Array(total);
    program.inputs.forEach(({ first, size }, i) => {
      for (let at = first; at < first + size; at++) {
        const encoding = valueEncoding(encodings[i]!, at - first);
        floats[at] =
          encoding.kind === "fixed"
            ? inRange(encoding, row, random)
            : nearThreshold(thresholds.get(at) ?? [], random);
      }
    });
    return { floats };
  });
}

function inRange(
  encoding: { readonly scaleBits: number; readonly lo: number; readonly hi: number },
  row: number,
  random: () => number,
): number {
  const { lo, hi } = encoding;
  const ends = [lo, hi, Math.min(Math.max(0, lo), hi)];
  const whole = ends[row] ?? Math.min(hi, lo + Math.floor((random() / 2 ** 32) * (hi - lo + 1)));
  return whole * powerOfTwo(-encoding.scaleBits);
}

function nearThreshold(keys: readonly number[], random: () => number): number {
  const key = keys[random() % Math.max(keys.length, 1)] ?? 0x80000000;
  return floatOfKey(Math.min(KEY_MAX, Math.max(KEY_MIN, key + (random() % 3) - 1)));
}

/** By feature. */
function thresholdsOf(program: FloatProgram): ReadonlyMap<number, number[]> {
  const found = new Map<number, number[]>();
  for (const step of program.steps) {
    if (step.kind === "trees") {
      for (const { nodes } of step.trees) {
        for (const node of nodes) {
          if (node.kind === "split") {
            const feature = step.features[node.feature]!;
            const keys = found.get(feature) ?? [];
            keys.push(node.threshold);
            found.set(feature, keys);
          }
        }
      }
    }
  }
  return found;
}

/** Whole numbers of 32 bits, the same for the same seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
