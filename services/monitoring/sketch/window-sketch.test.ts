import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { DomainError } from "../../common/errors/domain-error.ts";
import { draftLayout } from "./column-layout.ts";
import { chooseLayout } from "./column-profile.ts";
import { COLUMNS, drawBatch, mergeInAnyOrder, seeded, shuffled, sketchOf } from "./testing.ts";
import {
  addRows,
  columnOf,
  decodeWindow,
  encodeWindow,
  encodeWindowInTurns,
  mergeWindows,
  newWindowSketch,
  sealed,
  unsealed,
} from "./window-sketch.ts";

const draft = draftLayout(COLUMNS);
const layout = chooseLayout(sketchOf(draft, [drawBatch(seeded(21), 5000)]), { edges: "exact" });

function fault(bytes: Uint8Array): string {
  try {
    decodeWindow(bytes, layout);
    return "none";
  } catch (error) {
    return error instanceof DomainError ? error.kind : `not ours: ${error}`;
  }
}

describe("window-sketch", () => {
  for (const [name, over] of Object.entries({ draft, layout })) {
    it(`is equal to the last bit in one pass and in any order of merges, on a ${name}`, () => {
      for (let seed = 1; seed <= 8; seed++) {
        const random = seeded(seed);
        const batches = Array.from({ length: 6 }, () =>
          drawBatch(random, Math.floor(700 * random())),
        );
        const whole = encodeWindow(sketchOf(over, batches));
        const parts = batches.map((batch) => sketchOf(over, [batch]));
        const before = parts.map(encodeWindow);
        expect(encodeWindow(mergeInAnyOrder(random, parts))).toEqual(whole);
        expect(parts.map(encodeWindow)).toEqual(before);
        expect(encodeWindow(sketchOf(over, shuffled(random, batches)))).toEqual(whole);
        const read = before.map((bytes) => decodeWindow(bytes, over));
        expect(encodeWindow(mergeInAnyOrder(random, read))).toEqual(whole);
        expect(encodeWindow(decodeWindow(whole, over))).toEqual(whole);
      }
    });
  }

  it("has the same bytes in turns, and lets others have theirs", async () => {
    for (const over of [draft, layout]) {
      for (const rows of [0, 3, 20_000]) {
        const window = sketchOf(over, rows === 0 ? [] : [drawBatch(seeded(rows), rows)]);
        expect(await encodeWindowInTurns(window)).toEqual(encodeWindow(window));
      }
    }
    const columns = Array.from({ length: 500 }, (_, i) => ({ ...COLUMNS[0]!, name: `c${i}` }));
    const wide = newWindowSketch(draftLayout(columns));
    const values = Float64Array.from({ length: 4000 }, seeded(3));
    const numbers = columns.map(({ name }) => [name, { kind: "numeric", values }] as const);
    addRows(wide, { rows: 4000, columns: new Map(numbers) });
    let turns = 0;
    const others = setInterval(() => {
      turns += 1;
    }, 0);
    await encodeWindowInTurns(wide);
    clearInterval(others);
    expect(turns).toBeGreaterThan(1);
  });

  it("has an empty window as its neutral element", () => {
    const window = sketchOf(layout, [drawBatch(seeded(31), 900)]);
    const empty = newWindowSketch(layout);
    expect(encodeWindow(mergeWindows(window, empty))).toEqual(encodeWindow(window));
    expect(encodeWindow(mergeWindows(empty, window))).toEqual(encodeWindow(window));
  });

  it("reads back all that it holds", () => {
    const window = sketchOf(layout, [drawBatch(seeded(32), 2000)]);
    const read = decodeWindow(encodeWindow(window), layout);
    const plain = (sketch: typeof window) =>
      sketch.columns.map((column) => {
        return "numbers" in column
          ? { ...column.numbers, moments: undefined, buckets: undefined }
          : column;
      });
    expect(plain(read)).toEqual(plain(window));
  });

  it("takes all of a batch or nothing, and says why", () => {
    const window = newWindowSketch(layout);
    const batch = drawBatch(seeded(33), 40);
    const columns = new Map(batch.columns).set("flag", {
      kind: "bool",
      values: new Uint8Array(39),
    });
    const empty = encodeWindow(window);
    expect(() => addRows(window, { rows: 40, columns })).toThrow('"flag" has 39');
    const bits = { kind: "bool", values: new Uint8Array(40), nulls: new Uint8Array(4) } as const;
    expect(() => addRows(window, { rows: 40, columns: new Map([["flag", bits]]) })).toThrow(
      "are 32 bits",
    );
    const wide = new Map(
      Array.from({ length: 10_000 }, (_, i) => [`c${i}`, { kind: "counted", rows: 1 } as const]),
    );
    expect(() => addRows(window, { rows: 1, columns: wide })).toThrow(
      "10000 columns; at most 2000",
    );
    expect(encodeWindow(window)).toEqual(empty);
  });

  it("counts columns of another type, without a baseline, and not sent", () => {
    const window = newWindowSketch(layout);
    const texts = { kind: "category", values: ["1", "2", "x"], nulls: Uint8Array.of(2) } as const;
    addRows(window, {
      rows: 3,
      columns: new Map([
        ["normal", texts],
        ["unknown", texts],
      ]),
    });
    expect(window).toMatchObject({ rows: 3, strayValues: 3 });
    expect(columnOf(window, "normal")).toMatchObject({
      numbers: { rows: 3, nulls: 1, mistyped: 2 },
    });
    expect(columnOf(window, "flag")).toMatchObject({ categories: { rows: 0 } });
    expect(columnOf(window, "unknown")).toBe(undefined);
    expect(encodeWindow(decodeWindow(encodeWindow(window), layout))).toEqual(encodeWindow(window));
  });

  it("refuses windows of another baseline", () => {
    const window = newWindowSketch(layout);
    expect(() => mergeWindows(window, newWindowSketch(draft))).toThrow("different baselines");
    expect(() => decodeWindow(encodeWindow(window), draft)).toThrow("different baselines");
  });

  it("answers damaged bytes with DataLoss, each cut and each flipped bit", () => {
    const bytes = encodeWindow(sketchOf(layout, [drawBatch(seeded(41), 60)]));
    for (let length = 0; length < bytes.length; length += 7) {
      expect(fault(bytes.subarray(0, length))).toBe("DataLoss");
    }
    for (let at = 0; at < bytes.length; at += 5) {
      const flipped = bytes.slice();
      flipped[at]! ^= 1 << (at % 8);
      expect(fault(flipped)).toBe("DataLoss");
    }
  });

  it("bounds what bytes with a right checksum can do", () => {
    const body = unsealed(encodeWindow(sketchOf(layout, [drawBatch(seeded(42), 300)])));
    const random = seeded(43);
    const seen = new Set<string>();
    for (let round = 0; round < 3000; round++) {
      const hostile = body.slice(0, random() < 0.3 ? body.length * random() : body.length);
      for (let flips = 1 + Math.floor(4 * random()); flips > 0 && hostile.length > 0; flips--) {
        hostile[Math.floor(hostile.length * random())] = Math.floor(256 * random());
      }
      seen.add(fault(sealed(hostile)));
    }
    expect([...seen].sort()).toEqual(["DataLoss", "FailedPrecondition", "none"]);
    const whole = Buffer.from(sealed(body));
    expect(crc32(whole.subarray(0, -4))).toBe(whole.subarray(-4).readUInt32LE());
    // A right checksum around what is not compressed bytes.
    whole
      .fill(7, 0, whole.length - 4)
      .writeUInt32LE(crc32(whole.subarray(0, -4)), whole.length - 4);
    expect(fault(whole)).toBe("DataLoss");
  });

  it("keeps 30 columns of 100,000 rows under 40 kB", () => {
    const names = ["normal", "logNormal", "farFromZero", "times", "hours", "mostlyZero"];
    const kinds = Array.from({ length: 30 }, (_, i) => ({
      name: `${i}`,
      kind: "numeric" as const,
    }));
    const random = seeded(51);
    const batch = drawBatch(random, 100_000);
    const columns = new Map(
      kinds.map(({ name }, i) => [name, batch.columns.get(names[i % names.length]!)!] as const),
    );
    const first = sketchOf(draftLayout(kinds), [{ rows: batch.rows, columns }]);
    const window = sketchOf(chooseLayout(first, { edges: "exact" }), [
      { rows: batch.rows, columns },
    ]);
    const bytes = encodeWindow(window).length;
    expect(bytes).toBeLessThan(40_000);
    const tenfold = Array.from({ length: 9 }).reduce((sum: typeof window) => {
      return mergeWindows(sum, window);
    }, window);
    expect(tenfold.rows).toBe(1_000_000);
    expect(encodeWindow(tenfold).length).toBeLessThan(40_000);
  });
});
