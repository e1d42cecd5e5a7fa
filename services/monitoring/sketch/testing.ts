// Seeded rows for the property tests of sketches: every law is checked on columns that are smooth,
// skewed, lumpy, far from zero, hostile, or empty, cut into batches and merged in drawn orders.

import type { ColumnBatch, ColumnKind, RowsBatch } from "./column-batch.ts";
import type { WindowLayout } from "./column-layout.ts";
import { addRows, mergeWindows, newWindowSketch, type WindowSketch } from "./window-sketch.ts";

/** Evenly spread numbers in (0, 1), the same for each seed. */
export type Random = () => number;

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
}

/** One value of a column of numbers. */
export type Draw = (random: Random) => number;

export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
}

/** By name, so that a failing law says on which column. */
export const DRAWS: Readonly<Record<string, Draw>> = {
  normal,
  logNormal: (random) => Math.exp(2 * normal(random)),
  farFromZero: (random) => 290 + 10 * normal(random),
  times: (random) => Math.round(1e15 + 1e11 * random()),
  hours: (random) => Math.floor(24 * random()),
  mostlyZero: (random) => (random() < 0.8 ? 0 : -Math.exp(normal(random))),
  negativeWhole: (random) => -Math.floor(20_000 * random()),
  constant: () => -7.25,
  anyBits: (random) => {
    const words = Uint32Array.of(random() * 2 ** 32, random() * 2 ** 32);
    return new Float64Array(words.buffer)[0]!;
  },
  onlyNaN: () => Number.NaN,
  wild: (random) => [0, -0, Infinity, -Infinity, NaN, 5e-324, -1.7e308][Math.floor(7 * random())]!,
};

export const COLUMNS: readonly { readonly name: string; readonly kind: ColumnKind }[] = [
  ...Object.keys(DRAWS).map((name) => ({ name, kind: "numeric" as const })),
  { name: "few", kind: "category" },
  { name: "many", kind: "category" },
  { name: "flag", kind: "bool" },
  { name: "list", kind: "counted" },
];

/** Rows of all COLUMNS; some are null. */
export function drawBatch(random: Random, rows: number): RowsBatch {
  const nulls = () => Uint8Array.from({ length: Math.ceil(rows / 8) }, () => bits(random));
  const columns = new Map<string, ColumnBatch>();
  for (const [name, draw] of Object.entries(DRAWS)) {
    const values = Float64Array.from({ length: rows }, () => draw(random));
    columns.set(name, { kind: "numeric", values, nulls: nulls() });
  }
  columns.set("few", { kind: "category", values: texts(random, rows, 8), nulls: nulls() });
  columns.set("many", { kind: "category", values: texts(random, rows, 5000) });
  const flags = Uint8Array.from({ length: rows }, () => Math.round(random()));
  columns.set("flag", { kind: "bool", values: flags, nulls: nulls() });
  columns.set("list", { kind: "counted", rows, nulls: nulls() });
  return { rows, columns };
}

export function sketchOf(layout: WindowLayout, batches: readonly RowsBatch[]): WindowSketch {
  const window = newWindowSketch(layout);
  for (const batch of batches) {
    addRows(window, batch);
  }
  return window;
}

/** Merges two drawn neighbours, swapped or not, until one is left. */
export function mergeInAnyOrder(random: Random, windows: readonly WindowSketch[]): WindowSketch {
  const rest = [...windows];
  while (rest.length > 1) {
    const [a] = rest.splice(Math.floor(random() * rest.length), 1);
    const [b] = rest.splice(Math.floor(random() * rest.length), 1);
    rest.push(mergeWindows(a!, b!));
  }
  return rest[0]!;
}

export function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const keyed = list.map((item) => ({ item, key: random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

function bits(random: Random): number {
  return Math.floor(256 * random()) & Math.floor(256 * random()) & Math.floor(256 * random());
}

function texts(random: Random, rows: number, different: number): string[] {
  return Array.from({ length: rows }, () => `kind ${Math.floor(different * random() ** 2)}`);
}
