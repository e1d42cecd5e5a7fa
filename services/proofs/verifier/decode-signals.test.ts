import { describe, expect, it } from "vitest";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { toField } from "../field.ts";
import { decodeSignals } from "./decode-signals.ts";
import { Refusal } from "./refusal.ts";
import { encodeFloat, packValues } from "./signal-encoding.ts";
import { BYTES, COLUMNS, ORDERED, SIGNED, schemaOf } from "./testing/schemas.ts";

function refusalOf(schema: CircuitSchema, values: readonly bigint[]): Refusal {
  try {
    decodeSignals(schema, values);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const PRIVATE = { inputMode: "private", inputs: [] } as const;

describe("decode-signals: inputs", () => {
  it("reads several tensors, each from a signal of its own", () => {
    const schema = schemaOf({ inputs: [BYTES, SIGNED, ORDERED], hasContext: true });
    const pixels = Array.from({ length: 40 }, (_, i) => 6 * i);
    const signed = [-25, 0.25, 22.5];
    const ordered = [0, -1.5, 3.25, 1e-45, -1e30, 7, 8, 9].map(Math.fround);
    const lanes = signed.map((x) => encodeFloat(SIGNED.encoding, x) + 100);
    const keys = ordered.map((x) => encodeFloat(ORDERED.encoding, x));
    const values = [
      ...[0n, 0n, 0n],
      ...packValues(pixels, 8),
      ...packValues(lanes, 16),
      ...packValues(keys, 32),
      77n,
    ];
    const { inputs, context } = decodeSignals(schema, values);
    expect(context).toBe(77n);
    expect(inputs).toEqual({
      mode: "public",
      tensors: [
        { name: "pixels", shape: [2, 20], integers: pixels, values: pixels.map((x) => x / 256) },
        { name: "signed", shape: [3], integers: [-100, 1, 90], values: signed },
        { name: "ordered", shape: [8], integers: keys, values: ordered },
      ],
    });
  });

  it("refuses values outside of the declared range, which the circuit's bits allow", () => {
    const schema = schemaOf({ inputs: [SIGNED] });
    const read = (lane: number) => [0n, 0n, 0n, ...packValues([lane, 0, 0], 16)];
    expect(decodeSignals(schema, read(190)).inputs.mode).toBe("public");
    const refusal = refusalOf(schema, read(191));
    expect(refusal.reason).toBe("undecodable");
    expect(refusal.message).toBe("input signed[0]: 91 is not a whole number from -100 to 90");
  });

  it("reads values with scales and ranges of their own, and holds each to its range", () => {
    const schema = schemaOf({ inputs: [COLUMNS] });
    const read = (lanes: readonly number[]) => [0n, 0n, 0n, ...packValues(lanes, 16)];
    const lanes = [65_535, 255, 0, 190, 2];
    const { inputs } = decodeSignals(schema, read(lanes));
    expect(inputs).toMatchObject({
      tensors: [
        {
          integers: [65_535, 255, -32_768, 90, 9],
          values: [65_535 / 4096, 255, -262_144, 5.625, 4.5],
        },
      ],
    });
    for (const [at, lane, message] of [
      [1, 256, "input columns[1]: 256 is not a whole number from 0 to 255"],
      [3, 191, "input columns[3]: 91 is not a whole number from -100 to 90"],
      [4, 3, "input columns[4]: 10 is not a whole number from 7 to 9"],
    ] as const) {
      const refusal = refusalOf(schema, read(lanes.with(at, lane)));
      expect([refusal.reason, refusal.message]).toEqual(["undecodable", message]);
    }
  });

  it("refuses -0, which would be below 0, and what is no number", () => {
    const schema = schemaOf({ inputs: [{ ...ORDERED, shape: [1] }] });
    for (const key of [0x7fff_ffff, 0xff80_0000, 0x007f_ffff, 0]) {
      const refusal = refusalOf(schema, [0n, 0n, 0n, ...packValues([key], 32)]);
      expect(refusal.reason, key.toString(16)).toBe("undecodable");
    }
  });

  it("refuses bits beside the values", () => {
    const schema = schemaOf({ inputs: [{ ...BYTES, shape: [1] }] });
    const one = packValues([1], 8)[0]!;
    for (const signal of [one + 1n, one | (1n << 248n), toField(-1n)]) {
      expect(refusalOf(schema, [0n, 0n, 0n, signal]).reason).toBe("undecodable");
    }
  });

  it("shows a commitment, or nothing", () => {
    const committed = schemaOf({ inputMode: "committed", hasContext: true });
    expect(decodeSignals(committed, [1n, 2n, 3n, 99n, 5n])).toMatchObject({
      inputs: { mode: "committed", commitment: 99n },
      context: 5n,
    });
    const hidden = decodeSignals(schemaOf(PRIVATE), [1n, 2n, 3n]);
    expect(hidden.inputs).toEqual({ mode: "private" });
    expect("context" in hidden).toBe(false);
  });
});

describe("decode-signals: output", () => {
  it("reads values, negative ones too, and the label of the first largest", () => {
    const schema = schemaOf({ ...PRIVATE, output: { classLabels: ["a", "b", "c"] } });
    const { output } = decodeSignals(schema, [toField(-8n), 24n, 24n]);
    expect(output).toEqual({
      mode: "values",
      name: "scores",
      shape: [3],
      integers: [-8n, 24n, 24n],
      values: [-0.5, 1.5, 1.5],
      predicted: { index: 1, label: "b" },
    });
  });

  it("applies the last function to what is proved, without overflow", () => {
    const of = (after: "sigmoid" | "softmax" | "tanh", values: readonly bigint[]) => {
      const { output } = decodeSignals(schemaOf({ ...PRIVATE, output: { after } }), values);
      return output.mode === "values" ? output.after : undefined;
    };
    expect(of("sigmoid", [0n, 16n, toField(-16n)])).toEqual([
      0.5,
      expect.closeTo(0.7310585786300049, 15),
      expect.closeTo(0.2689414213699951, 15),
    ]);
    expect(of("tanh", [0n, 0n, 16n])![2]).toBeCloseTo(0.7615941559557649, 15);
    expect(of("softmax", [0n, 0n, 0n])).toEqual([1 / 3, 1 / 3, 1 / 3]);
    expect(of("softmax", [1n << 20n, 0n, toField(-(1n << 20n))])).toEqual([1, 0, 0]);
    const rows = schemaOf({ ...PRIVATE, output: { after: "softmax", shape: [2, 2] } });
    const { output } = decodeSignals(rows, [0n, 0n, 5n, 5n]);
    expect(output).toMatchObject({ after: [0.5, 0.5, 0.5, 0.5] });
  });

  it("reads packed values", () => {
    const schema = schemaOf({
      ...PRIVATE,
      outputMode: "packed",
      output: { bits: 100, offset: "1000000" },
    });
    const lanes = [-1_000_000n, 5n, (1n << 100n) - 1n - 1_000_000n].map((x) => x + 1_000_000n);
    const { output } = decodeSignals(schema, packValues(lanes, 100));
    expect(output).toMatchObject({
      mode: "packed",
      integers: [-1_000_000n, 5n, (1n << 100n) - 1_000_001n],
      values: [-62500, 0.3125, Number((1n << 100n) - 1_000_001n) / 16],
    });
    expect(refusalOf(schema, [1n << 248n, 0n]).reason).toBe("undecodable");
  });

  it("reads a class, and refuses one that there is not", () => {
    const labelled = schemaOf({
      ...PRIVATE,
      outputMode: "argmax",
      output: { shape: [1], classLabels: ["cat", "dog"] },
    });
    expect(decodeSignals(labelled, [1n]).output).toEqual({
      mode: "argmax",
      name: "scores",
      index: 1,
      label: "dog",
    });
    expect(refusalOf(labelled, [2n]).reason).toBe("undecodable");
    const unlabelled = schemaOf({ ...PRIVATE, outputMode: "argmax" });
    expect(decodeSignals(unlabelled, [2n]).output).toEqual({
      mode: "argmax",
      name: "scores",
      index: 2,
    });
    expect(refusalOf(unlabelled, [3n]).reason).toBe("undecodable");
    expect(refusalOf(unlabelled, [toField(-1n)]).reason).toBe("undecodable");
  });

  it("reads whether a threshold is reached", () => {
    const schema = schemaOf({ ...PRIVATE, outputMode: "threshold", output: { threshold: "-24" } });
    const expected = { mode: "threshold", name: "scores", threshold: -1.5 };
    expect(decodeSignals(schema, [1n]).output).toEqual({ ...expected, reached: true });
    expect(decodeSignals(schema, [0n]).output).toEqual({ ...expected, reached: false });
    expect(refusalOf(schema, [2n]).reason).toBe("undecodable");
  });

  it("refuses another number of public values", () => {
    for (const values of [[], [1n, 2n], [1n, 2n, 3n, 4n]]) {
      expect(refusalOf(schemaOf(PRIVATE), values).reason).toBe("schema-mismatch");
    }
  });
});
