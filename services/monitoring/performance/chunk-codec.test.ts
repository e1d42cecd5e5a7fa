import { describe, expect, it } from "vitest";
import { DataLoss } from "../../common/errors/domain-error.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { decodeLabels, decodeRows, encodeLabels, encodeRows } from "./chunk-codec.ts";
import { type ChunkLabels, type ChunkRows, NONE } from "./chunk-rows.ts";

const CLASSES: ChunkRows = {
  rows: 3,
  inferenceRows: [2, 1],
  predicted: {
    task: "classification",
    classes: ["no", "yes", "漢😀"],
    codes: Uint16Array.of(1, NONE, 2),
    scored: 2,
    scores: Float32Array.of(0.25, 0.75, Number.NaN, Number.NaN, 1, 0),
  },
  segments: [
    { kind: "numbers", name: "age", values: Float64Array.of(1.5, Number.NaN, -0) },
    { kind: "texts", name: "plan", texts: ["", "a"], codes: Uint16Array.of(0, 1, NONE) },
  ],
  keys: [{ kind: "texts", name: "user", texts: ["u"], codes: Uint16Array.of(0, 0, NONE) }],
};
const NUMBERS: ChunkRows = {
  rows: 2,
  inferenceRows: [1, 1],
  predicted: { task: "regression", values: Float64Array.of(1e300, Number.NEGATIVE_INFINITY) },
  segments: [],
  keys: [],
  erased: Uint8Array.of(0, 1),
};
const EMPTY: ChunkRows = {
  ...NUMBERS,
  rows: 0,
  inferenceRows: [],
  erased: undefined,
  predicted: { task: "regression", values: new Float64Array(0) },
};

describe("chunk-codec", () => {
  it("reads what it wrote", () => {
    for (const chunk of [CLASSES, NUMBERS, EMPTY]) {
      const { erased: _, ...rest } = chunk;
      expect(decodeRows(encodeRows(chunk))).toEqual(chunk.erased === undefined ? rest : chunk);
    }
    const labels: ChunkLabels[] = [
      { task: "classification", others: ["maybe"], codes: Uint16Array.of(0, 3, NONE) },
      { task: "regression", values: Float64Array.of(1, Number.NaN, 3) },
    ];
    for (const some of labels) {
      expect(decodeLabels(encodeLabels(some), { rows: 3, classes: 3 })).toEqual(some);
    }
  });

  it("has arrays of its own", () => {
    const bytes = encodeRows(CLASSES);
    const chunk = decodeRows(Buffer.from(bytes));
    bytes.fill(0);
    expect(chunk).toEqual(decodeRows(encodeRows(CLASSES)));
  });

  it("refuses every damaged byte and every cut", () => {
    for (const bytes of [encodeRows(CLASSES), encodeRows(NUMBERS)]) {
      for (let at = 0; at < bytes.length; at++) {
        const damaged = bytes.slice();
        damaged[at]! ^= 0x40;
        expect(() => decodeRows(damaged)).toThrow(DataLoss);
        expect(() => decodeRows(bytes.subarray(0, at))).toThrow(DataLoss);
      }
    }
  });

  it("refuses what it did not write, without believing its lengths", () => {
    const random = new SeededRandom(3);
    for (let round = 0; round < 200; round++) {
      const noise = random.bytes(random.below(200));
      expect(() => decodeRows(noise)).toThrow(DataLoss);
      expect(() => decodeLabels(noise, { rows: 3, classes: 3 })).toThrow(DataLoss);
    }
    const labels = encodeLabels({ task: "regression", values: Float64Array.of(1) });
    expect(() => decodeLabels(labels, { rows: 2, classes: 0 })).toThrow(DataLoss);
    const codes = encodeLabels({ task: "classification", others: [], codes: Uint16Array.of(7) });
    expect(() => decodeLabels(codes, { rows: 1, classes: 3 })).toThrow(DataLoss);
    expect(() => decodeRows(encodeRows({ ...CLASSES, inferenceRows: [1, 1] }))).toThrow(DataLoss);
  });
});
