import { describe, expect, it } from "vitest";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { decodeSignals } from "../verifier/decode-signals.ts";
import { SIGNED, schemaOf } from "../verifier/testing/schemas.ts";
import { answersBytes, answersOf, outputsOf } from "./job-parts.ts";
import {
  bytesOfNumber,
  decodeOutput,
  numberOfBytes,
  outputMessage,
  statementMessage,
} from "./statement-message.ts";

const FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;
/** 3 values of 16 bits, the first in the highest bits, with 100 added. */
const SIGNED_SIGNAL = [101n, 60n, 190n].reduce(
  (sum, lane, i) => sum | (lane << BigInt(224 - 16 * i)),
  0n,
);

function statement(schema: CircuitSchema, values: readonly bigint[]) {
  return statementMessage(schema, decodeSignals(schema, values));
}

describe("statement-message", () => {
  it("says values, what follows them and the class", () => {
    const output = { after: "softmax", classLabels: ["x", "y", "z"] } as const;
    const schema = schemaOf({ inputs: [SIGNED], output, hasContext: true });
    const said = statement(schema, [16n, FIELD - 8n, 32n, SIGNED_SIGNAL, 258n]);
    const { valuesAfter, ...rest } = said.output!;
    expect(rest).toEqual({
      name: "scores",
      shape: [3n],
      integers: ["16", "-8", "32"],
      scaleBits: 4,
      values: [1, -0.5, 2],
      after: "softmax",
      classIndex: 2n,
      classLabel: "z",
    });
    expect(valuesAfter!.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
    expect(said.inputs).toEqual([{ name: "signed", shape: [3n], values: [0.25, -10, 22.5] }]);
    expect(said.context).toEqual(Uint8Array.of(1, 2));
    expect(said.inputCommitment).toBeUndefined();
  });

  it("says a class alone, and whether a threshold is reached", () => {
    const argmax = schemaOf({
      inputMode: "committed",
      outputMode: "argmax",
      output: { classLabels: ["no", "yes", "maybe"] },
    });
    expect(statement(argmax, [1n, 77n])).toEqual({
      output: { name: "scores", classIndex: 1n, classLabel: "yes" },
      inputCommitment: "77",
    });
    const threshold = schemaOf({
      inputMode: "private",
      outputMode: "threshold",
      output: { shape: [1], threshold: "-24" },
    });
    expect(statement(threshold, [0n])).toEqual({
      output: { name: "scores", scaleBits: 4, reached: false, threshold: -1.5 },
    });
  });

  it("reads the output without the inputs", () => {
    const schema = schemaOf({ inputs: [SIGNED], hasContext: true });
    const values = [1n, 2n, 3n, SIGNED_SIGNAL, 0n];
    const all = decodeSignals(schema, values).output;
    expect(decodeOutput(schema, values)).toEqual(all);
    expect(decodeOutput(schema, values.slice(0, 3))).toEqual(all);
    expect(outputMessage(schema, all)).toMatchObject({ integers: ["1", "2", "3"], after: "" });
  });

  it("writes numbers without leading zeros", () => {
    expect(bytesOfNumber(0n)).toHaveLength(0);
    expect([...bytesOfNumber(256n)]).toEqual([1, 0]);
    expect([...bytesOfNumber(4095n)]).toEqual([15, 255]);
    expect(numberOfBytes(Uint8Array.of(0, 0, 1, 0))).toBe(256n);
    expect(numberOfBytes(new Uint8Array())).toBe(0n);
  });
});

describe("job-parts", () => {
  it("keeps what was answered, and reads the outputs alone", () => {
    const schema = schemaOf({ inputMode: "committed", output: { shape: [2] } });
    const rows = [
      { publicValues: [1n, FIELD - 1n, 5n], salt: 7n },
      { publicValues: [0n, 2n ** 200n, 6n], salt: 0n },
    ];
    const bytes = answersBytes(rows);
    expect(bytes).toHaveLength(2 * 4 * 32);
    expect(answersOf(schema, bytes)).toEqual(rows);
    expect(outputsOf(schema, bytes)).toEqual(
      rows.map(({ publicValues, salt }) => ({ publicValues: publicValues.slice(0, 2), salt })),
    );
  });
});
