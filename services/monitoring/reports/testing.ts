// For the tests of reports: sketches of columns that a test names, and draws that every accuracy
// test shares.

import type { NumericDistribution } from "../drift/distribution.ts";
import { lcg } from "../drift/testing.ts";
import type { ColumnBatch, RowsBatch } from "../sketch/column-batch.ts";
import { draftLayout, type WindowLayout } from "../sketch/column-layout.ts";
import { type BaselineProfile, chooseLayout, profileOfDraft } from "../sketch/column-profile.ts";
import type { NumericSketch } from "../sketch/numeric-sketch.ts";
import { normal, type Random } from "../sketch/testing.ts";
import { addRows, newWindowSketch, type WindowSketch } from "../sketch/window-sketch.ts";

/** Columns by name: numbers, texts (null: missing) or truth values. */
export type Columns = Readonly<
  Record<string, Float64Array | readonly (string | null)[] | readonly boolean[]>
>;

/** The rows of these columns. */
export function rowsOf(columns: Columns): RowsBatch {
  const batches = Object.entries(columns).map(([name, values]) => [name, batchOf(values)] as const);
  return { rows: Object.values(columns)[0]?.length ?? 0, columns: new Map(batches) };
}

/**
 * A baseline of these rows, learned in one pass from served rows or in two from a file.
 */
export function baselineOf(columns: Columns, passes: 1 | 2 = 2): BaselineProfile {
  const batch = rowsOf(columns);
  const kinds = [...batch.columns].map(([name, { kind }]) => ({ name, kind }));
  const draft = windowOf(draftLayout(kinds), columns);
  if (passes === 1) {
    return profileOfDraft(draft);
  }
  const layout = chooseLayout(draft, { edges: "exact" });
  return { layout, baseline: windowOf(layout, columns) };
}

/** A window of these rows. */
export function windowOf(layout: WindowLayout, columns: Columns): WindowSketch {
  const window = newWindowSketch(layout);
  addRows(window, rowsOf(columns));
  return window;
}

/** The sketch of a column of numbers. */
export function numbersIn(window: WindowSketch, name = "x"): NumericSketch {
  const sketch = window.columns[window.layout.places.get(name) ?? -1];
  if (sketch === undefined || !("numbers" in sketch)) {
    throw new Error(`${name} is no column of numbers`);
  }
  return sketch.numbers;
}

/** Of a histogram; NaN for rows. */
export function binsOf(distribution: NumericDistribution): number {
  return distribution.form === "histogram" ? distribution.counts.length : Number.NaN;
}

/** Sums of four even draws, nearly normal, from -2 to 2; any language can make them again. */
export function sums(seed: number, size: number, shift: number): Float64Array {
  const u = lcg(seed, 4 * size);
  return Float64Array.from(
    { length: size },
    (_, i) => u[4 * i]! + u[4 * i + 1]! + u[4 * i + 2]! + u[4 * i + 3]! - 2 + shift,
  );
}

/** A value of a column that has drifted by `t`; 0: not at all. */
export type Drifting = (random: Random, t: number) => number;

/** Columns as models have them, by name. */
export const DRIFTING: Readonly<Record<string, Drifting>> = {
  normal: (r, t) => normal(r) * (1 + 0.1 * t) + 0.3 * t,
  uniform: (r, t) => r() ** (1 + 0.5 * t),
  logNormal: (r, t) => Math.exp(normal(r) * (1 + 0.1 * t) + 0.2 * t),
  exponential: (r, t) => -Math.log(r()) * (1 + 0.3 * t),
  farFromZero: (r, t) => 290 + 5 * normal(r) + 2 * t,
  hours: (r, t) => Math.floor(24 * r() ** (1 + 0.3 * t)),
  whole: (r, t) => Math.floor(5000 * r() ** (1 + 0.3 * t)),
  delays: (r, t) => Math.round(-10 - 30 * Math.log(r()) * (1 + 0.2 * t) + 8 * normal(r)),
  decimals: (r, t) => Math.round((50 + 12 * normal(r) + 4 * t) * 10) / 10,
  money: (r, t) => Math.round(Math.exp(3 + normal(r) + 0.2 * t) * 100) / 100,
  few: (r, t) => [0, 1, 2, 10][Math.min(3, Math.floor(4 * r() ** (1 + 0.5 * t)))]!,
  mostlyZero: (r, t) => (r() < 0.75 - 0.1 * t ? 0 : Math.exp(normal(r))),
  zeroOrSigned: (r, t) => (r() < 0.75 - 0.1 * t ? 0 : normal(r)),
  spike: (r, t) => (r() < 0.3 + 0.1 * t ? 37.1234 : 30 + 10 * normal(r)),
  capped: (r, t) => Math.min(50, Math.max(0, 30 + 15 * normal(r) + 5 * t)),
  bimodal: (r, t) => (r() < 0.5 + 0.1 * t ? normal(r) : 20 + normal(r)),
  cauchy: (r, t) => Math.tan(Math.PI * (r() - 0.5)) + 0.3 * t,
  times: (r, t) => Math.round(1e15 + 1e11 * r() ** (1 + 0.2 * t)),
  scores: (r, t) => 1 / (1 + Math.exp(-3 * normal(r) - 0.3 * t)),
  single: (r, t) => Math.fround(normal(r) * 0.01 + 0.003 * t),
};

function batchOf(values: Columns[string]): ColumnBatch {
  if (values instanceof Float64Array) {
    return { kind: "numeric", values };
  }
  const flags = Uint8Array.from(Array.from<unknown>(values), (value) => (value === true ? 1 : 0));
  const isFlags = typeof values[0] === "boolean";
  const nulls = new Uint8Array(Math.ceil(values.length / 8));
  values.forEach((value, row) => {
    if (value === null) {
      nulls[row >>> 3]! |= 1 << (row & 7);
    }
  });
  return isFlags
    ? { kind: "bool", values: flags }
    : { kind: "category", values: values.map((value) => String(value ?? "")), nulls };
}
