import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { FIELD_ORDER } from "../field.ts";
import { proofBytes, readProof } from "./proof-format.ts";
import { schemaHash } from "./read-schema.ts";
import { schemaOf } from "./testing/schemas.ts";
import { simulatedSetup } from "./testing/simulated-setup.ts";
import { vector } from "./testing/vectors.ts";
import type { InferenceProof } from "./verify-inference.ts";
import { keyOf, verifyInference } from "./verify-inference.ts";
import { readVerifyingKey, verifyingKeyBytes, verifyingKeyHash } from "./verifying-key.ts";

const three = vector(3);

function reasonOf(given: Partial<InferenceProof>): string | undefined {
  const verdict = verifyInference({ ...three, ...given });
  return verdict.valid ? undefined : verdict.reason;
}

describe("verify-inference", () => {
  it("says what snarkjs' proof of a linear model proves", () => {
    const verdict = verifyInference(three);
    // 3 * 24 - 5 * -32 + 7 * 4 + 2 * 64 - 1000 = -612, at 8 bits of scale
    expect(verdict).toEqual({
      valid: true,
      vkHash: verifyingKeyHash(readVerifyingKey(three.verifyingKey)),
      schemaHash: schemaHash(three.schema),
      modelCommitment: "03".repeat(32),
      inputs: {
        mode: "public",
        tensors: [
          {
            name: "features",
            shape: [4],
            integers: [24, -32, 4, 64],
            values: [1.5, -2, 0.25, 4],
          },
        ],
      },
      output: {
        mode: "values",
        name: "scores",
        shape: [1],
        integers: [-612n],
        values: [-2.390625],
      },
      context: 20251120n,
    });
  });

  it("says what proofs of private inputs and of many inputs prove", () => {
    expect(verifyInference(vector(1))).toMatchObject({
      valid: true,
      inputs: { mode: "private" },
      output: { mode: "threshold", reached: true, threshold: 0.5 },
    });
    const many = verifyInference(vector(36));
    if (!many.valid || many.inputs.mode !== "public" || many.output.mode !== "values") {
      throw new Error("not valid");
    }
    const values = many.inputs.tensors.map((tensor) => tensor.values[0]);
    expect(values).toEqual(Array.from({ length: 26 }, (_, i) => (i * 7) % 16));
    const scores = Array.from({ length: 10 }, (_, k) =>
      values.reduce<number>((sum, x, i) => sum + x! * ((i % 10) - k || 7), 10 * k),
    );
    expect(many.output.integers).toEqual(scores.map(BigInt));
    expect(many.output.predicted).toEqual({ index: 0, label: "digit 0" });
  });

  it("takes proof, key and values in each of their forms", () => {
    const proof = proofBytes(readProof(three.proof));
    const bytes = verifyingKeyBytes(readVerifyingKey(three.verifyingKey));
    const prepared = keyOf(three.verifyingKey);
    expect(keyOf(prepared)).toBe(prepared);
    expect(reasonOf({ proof })).toBeUndefined();
    expect(reasonOf({ verifyingKey: bytes })).toBeUndefined();
    expect(reasonOf({ verifyingKey: prepared })).toBeUndefined();
    expect(reasonOf({ publicValues: three.publicValues.map(BigInt) })).toBeUndefined();
    // What only looks like a prepared key is not taken for one.
    expect(reasonOf({ verifyingKey: { ...prepared } })).toBe("malformed");
  });

  it("holds the proof to what was expected", () => {
    const { key, hash } = keyOf(three.verifyingKey);
    const expected = {
      vkHash: hash,
      schemaHash: schemaHash(three.schema),
      modelCommitment: "03".repeat(32),
      context: 20251120n,
    };
    expect(reasonOf({ expected })).toBeUndefined();
    expect(verifyingKeyHash(key)).toBe(hash);
    const zeros = "0".repeat(64);
    expect(reasonOf({ expected: { vkHash: zeros } })).toBe("verifying-key-mismatch");
    expect(reasonOf({ expected: { vkHash: "" } })).toBe("verifying-key-mismatch");
    expect(reasonOf({ expected: { schemaHash: zeros } })).toBe("schema-hash-mismatch");
    expect(reasonOf({ expected: { modelCommitment: zeros } })).toBe("model-commitment-mismatch");
    expect(reasonOf({ expected: { context: 20251121n } })).toBe("context-mismatch");
    expect(reasonOf({ expected: { context: 20251120n + FIELD_ORDER } })).toBe("context-mismatch");
    expect(reasonOf({ expected: { inputCommitment: 0n } })).toBe("input-commitment-mismatch");
    // A circuit without a context cannot be held to one.
    expect(reasonOf({ ...vector(1), expected: { context: 0n } })).toBe("context-mismatch");
  });

  it("refuses another output, input, context and order", () => {
    for (let i = 0; i < 3; i += 1) {
      const changed = three.publicValues.with(i, String(BigInt(three.publicValues[i]!) ^ 1n));
      expect(reasonOf({ publicValues: changed })).toMatch(/^(proof-invalid|undecodable)$/);
    }
    // A context is any element, so nothing but the proof speaks against another one.
    const context = three.publicValues.with(2, "20251121");
    expect(reasonOf({ publicValues: context })).toBe("proof-invalid");
    const output = three.publicValues.with(0, "612");
    expect(reasonOf({ publicValues: output })).toBe("proof-invalid");
  });

  it("refuses aliases and wrong numbers of public values", () => {
    three.publicValues.forEach((value, i) => {
      const alias = three.publicValues.with(i, String(BigInt(value) + FIELD_ORDER));
      expect(reasonOf({ publicValues: alias })).toBe("public-value-out-of-range");
    });
    for (const publicValues of [[], three.publicValues.slice(1), [...three.publicValues, "0"]]) {
      expect(reasonOf({ publicValues })).toBe("wrong-number-of-public-values");
    }
    expect(reasonOf({ publicValues: { length: 3 } })).toBe("malformed");
  });

  it("refuses a schema of another circuit", () => {
    expect(reasonOf({ schema: vector(1).schema })).toBe("schema-mismatch");
    expect(reasonOf({ schema: vector(36).schema })).toBe("schema-mismatch");
    expect(reasonOf({ schema: { ...three.schema, version: 7 } })).toBe("schema-mismatch");
    // The same number of public values, said to be of another circuit.
    const { key, prove } = simulatedSetup(3, new SeededRandom(21));
    const schema = schemaOf({ inputMode: "private", inputs: [] });
    const proof = proofBytes(prove([1n, 2n, 3n]));
    const given = {
      proof,
      publicValues: [1n, 2n, 3n],
      schema,
      verifyingKey: verifyingKeyBytes(key),
    };
    expect(reasonOf(given)).toBeUndefined();
    expect(reasonOf({ ...given, schema: three.schema })).toBe("undecodable");
    const expected = { schemaHash: schemaHash(schema), vkHash: verifyingKeyHash(key) };
    expect(reasonOf({ ...given, expected })).toBeUndefined();
    const renamed = schemaOf({
      inputMode: "private",
      inputs: [],
      modelCommitment: "ff".repeat(32),
    });
    expect(reasonOf({ ...given, schema: renamed, expected })).toBe("schema-hash-mismatch");
  });

  it("refuses keys with which proofs are forged, and another circuit's", () => {
    const unfinished = vector("no-contribution");
    expect(reasonOf(unfinished)).toBe("unsound-key");
    expect(reasonOf({ verifyingKey: vector(36).verifyingKey })).toBe("schema-mismatch");
    const { key } = simulatedSetup(3, new SeededRandom(22));
    expect(reasonOf({ verifyingKey: verifyingKeyBytes(key) })).toBe("proof-invalid");
  });

  it("answers whatever it is given, and never throws", () => {
    const odd = [
      undefined,
      null,
      0,
      "",
      "x",
      [],
      {},
      [[]],
      new Uint8Array(3),
      () => 1,
      Symbol("x"),
    ];
    for (const field of ["proof", "publicValues", "verifyingKey", "schema"] as const) {
      for (const value of odd) {
        expect(reasonOf({ [field]: value }), field).toMatch(
          /^(malformed|schema-mismatch|wrong-number-of-public-values)$/,
        );
      }
    }
  });
});
