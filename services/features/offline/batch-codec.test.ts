import { describe, expect, it } from "vitest";
import type { Cell, RowBatch } from "../value.ts";
import { decodePart, encodeBatch } from "./batch-codec.ts";
import type { Shape } from "./engine-tasks.ts";

const SHAPE: Shape = {
  joinKeys: [{ name: "id", type: "INT64" }],
  features: [
    { name: "number", type: "DOUBLE" },
    { name: "text", type: "STRING" },
    { name: "bytes", type: "BYTES" },
    { name: "flag", type: "BOOL" },
  ],
};

function batch(rows: number, features: Record<string, (row: number) => Cell>): RowBatch {
  const places = Array.from({ length: rows }, (_, row) => row);
  return {
    rows,
    keys: { id: places.map((row) => (row === 1 ? 2n ** 62n : row)) },
    features: Object.fromEntries(
      Object.entries(features).map(([name, of]) => [name, places.map(of)]),
    ),
    eventUs: places.map((row) => 1_700_000_000_000_000 + row),
    createdUs: places.map((row) => -row),
  };
}

describe("batch-codec", () => {
  it("gives back every kind of cell as it was", () => {
    const numbers = [Number.NaN, -0, Number.POSITIVE_INFINITY, 5e-324, null, 0.1];
    const rows = batch(6, {
      number: (row) => numbers[row]!,
      text: (row) => (row === 2 ? null : `ü€😀"\n${row}`),
      bytes: (row) => (row === 3 ? null : Uint8Array.of(row, 255)),
      flag: (row) => [true, false, null][row % 3]!,
    });
    const parts = encodeBatch(SHAPE, rows);
    expect(parts).toHaveLength(1);
    const { shape, batch: back } = decodePart(parts[0]!);
    expect(shape).toEqual(SHAPE);
    expect(back).toEqual(rows);
    expect(Object.is(back.features.number![1], -0)).toBe(true);
  });

  it("keeps numbers small", () => {
    const rows = batch(500, { number: Math.sqrt });
    expect(encodeBatch(SHAPE, { ...rows, keys: { id: rows.eventUs } })[0]!.length).toBeLessThan(
      17_000,
    );
  });

  it("splits what is large, in order", () => {
    const rows = batch(300, { text: (row) => String(row).padStart(30_000) });
    const parts = encodeBatch(SHAPE, rows).map((part) => decodePart(part).batch);
    expect(parts.length).toBeGreaterThan(4);
    expect(parts.flatMap((part) => part.features.text)).toEqual(rows.features.text);
    expect(parts.flatMap((part) => part.eventUs)).toEqual(rows.eventUs);
    expect(parts.reduce((sum, part) => sum + part.rows, 0)).toBe(300);
  });
});
