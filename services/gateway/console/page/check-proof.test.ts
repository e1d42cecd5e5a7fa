import { describe, expect, it } from "vitest";
import { readVerifyingFile, verifyingFileText } from "../../../proofs/circuits/verifying-file.ts";
import type { ProofFile } from "../../../proofs/proving/proof-file.ts";
import { vector } from "../../../proofs/verifier/testing/vectors.ts";
import { checkProof } from "./check-proof.ts";
import type { Expected } from "./expected-values.ts";

const OTHER = "00".repeat(32);
const three = vector(3);
const key = readVerifyingFile(
  verifyingFileText({ ...three, circuitHash: "c1".repeat(32), setup: "ceremony" }),
);
const proof: ProofFile = {
  version: 1,
  kind: "plinth.proof/1",
  protocol: "groth16",
  circuit: "workspaces/default/models/risk/versions/3/circuits/exact",
  modelVersion: "workspaces/default/models/risk/versions/3",
  inferenceId: "",
  row: 0,
  proof: { ...three.proof },
  publicValues: three.publicValues,
  verifyingKeyHash: key.verifyingKeyHash,
  schemaHash: key.schemaHash,
  modelCommitment: key.modelCommitment,
  circuitHash: key.circuitHash,
  development: false,
};
const forged = { ...proof, publicValues: three.publicValues.with(0, "612") };

function refusalOf(given: ProofFile, expected?: Expected): string | undefined {
  return checkProof({ proof: given, key }, expected).refusal?.reason;
}

describe("check-proof", () => {
  it("gives what is proved, and what was found of each value", () => {
    const checked = checkProof({ proof, key });
    expect(checked).toMatchObject({
      valid: true,
      development: false,
      proved: { output: { name: "scores", values: [-2.390625] }, context: 20251120n },
    });
    expect(checked.comparisons).toEqual({
      modelCommitment: { found: "03".repeat(32), same: undefined },
      vkHash: { found: key.verifyingKeyHash, same: undefined },
      schemaHash: { found: key.schemaHash, same: undefined },
      circuitHash: { found: "c1".repeat(32), same: undefined },
      context: { found: "013501f0", same: undefined },
    });
    expect(checked.id).toMatch(/^[0-9a-f]{64}$/);
  });

  it("is valid with what was expected, and with nothing else", () => {
    const right: Required<Expected> = {
      modelCommitment: key.modelCommitment,
      vkHash: key.verifyingKeyHash,
      schemaHash: key.schemaHash,
      circuitHash: key.circuitHash,
      context: 20251120n,
    };
    expect(refusalOf(proof, right)).toBeUndefined();
    expect(refusalOf(proof, { ...right, modelCommitment: OTHER })).toBe(
      "model-commitment-mismatch",
    );
    expect(refusalOf(proof, { ...right, vkHash: OTHER })).toBe("verifying-key-mismatch");
    expect(refusalOf(proof, { ...right, schemaHash: OTHER })).toBe("schema-hash-mismatch");
    expect(refusalOf(proof, { ...right, circuitHash: OTHER })).toBe("circuit-mismatch");
    const context = checkProof({ proof, key }, { ...right, context: 1n });
    expect(context.refusal).toEqual({
      reason: "context-mismatch",
      message: "Context 01 was expected; it is 013501f0.",
    });
    expect(context.comparisons.context?.same).toBe(false);
    expect(context.proved).toBeDefined();
  });

  it("tells first that the key is another, and of a context only where the proof holds", () => {
    expect(refusalOf(forged)).toBe("proof-invalid");
    expect(refusalOf(forged, { vkHash: OTHER })).toBe("verifying-key-mismatch");
    expect(refusalOf(forged, { context: 1n })).toBe("proof-invalid");
    expect(refusalOf({ ...forged, circuitHash: OTHER })).toBe("circuit-mismatch");
    const { proved, comparisons } = checkProof({ proof: forged, key }, { context: 1n });
    expect([proved, comparisons.context]).toEqual([undefined, undefined]);
  });

  it.each([
    ["verifyingKeyHash", "verifying-key-mismatch"],
    ["schemaHash", "schema-hash-mismatch"],
    ["modelCommitment", "model-commitment-mismatch"],
    ["circuitHash", "circuit-mismatch"],
  ] as const)("refuses a proof that says another %s than the key's", (field, reason) => {
    expect(refusalOf({ ...proof, [field]: OTHER })).toBe(reason);
  });

  it("says of either file that its set-up is for development", () => {
    expect(checkProof({ proof: { ...proof, development: true }, key }).development).toBe(true);
    const made = { ...key, development: true, setup: "dev-single-party" } as const;
    expect(checkProof({ proof, key: made }).development).toBe(true);
  });
});
