// For tests: files of proofs and verifying keys, made from a key whose secret is known, so that there
// is a proof of whatever a test wants; without a circuit and without a server.

import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../common/testing/seeded-random.ts";
import type { CircuitSchema } from "../proofs/circuit/circuit-schema.ts";
import { verifyingFileText } from "../proofs/circuits/verifying-file.ts";
import { toField } from "../proofs/field.ts";
import { PROOF_FILE_KIND, type ProofFile, proofFileBytes } from "../proofs/proving/proof-file.ts";
import { proofJson } from "../proofs/verifier/proof-format.ts";
import { schemaHash, signalCounts } from "../proofs/verifier/read-schema.ts";
import { schemaOf } from "../proofs/verifier/testing/schemas.ts";
import { simulatedSetup } from "../proofs/verifier/testing/simulated-setup.ts";
import { verifyingKeyHash, verifyingKeyJson } from "../proofs/verifier/verifying-key.ts";

export const VERSION = "workspaces/default/models/risk/versions/3";
const CIRCUIT_HASH = "c1".repeat(32);

/** Two scores of three bytes, with a context. */
export const RISK: CircuitSchema = schemaOf({
  hasContext: true,
  inputs: [
    {
      name: "x",
      shape: [3],
      encoding: { kind: "fixed", scaleBits: 1, lo: 0, hi: 255 },
      bits: 8,
      offset: 0,
    },
  ],
  output: { shape: [2], after: "softmax", classLabels: ["low", "high"] },
});

/** A key with its file, and proofs under it. */
export interface ProofFixture {
  /** Path of the file with the verifying key. */
  readonly key: string;
  readonly vkHash: string;
  readonly schemaHash: string;
  /** Writes a proof of these public values; `changes` are made to its file. Gives the path. */
  proof(values: readonly bigint[], changes?: Partial<ProofFile>): string;
}

/** A key for a schema; another seed is another key. */
export function proofFixture(
  folder: string,
  schema: CircuitSchema,
  { seed = 1, setup = "ceremony" }: { seed?: number; setup?: "ceremony" | "dev-single-party" } = {},
): ProofFixture {
  const { key, prove } = simulatedSetup(signalCounts(schema).total, new SeededRandom(seed));
  const verifyingKey = verifyingKeyJson(key);
  const vkHash = verifyingKeyHash(key);
  const hash = schemaHash(schema);
  const keyPath = join(folder, `key-${randomUUID()}.json`);
  writeFileSync(
    keyPath,
    verifyingFileText({ verifyingKey, schema, circuitHash: CIRCUIT_HASH, setup }),
  );
  return {
    key: keyPath,
    vkHash,
    schemaHash: hash,
    proof(values, changes = {}) {
      const path = join(folder, `proof-${randomUUID()}.json`);
      const file: ProofFile = {
        version: 1,
        kind: PROOF_FILE_KIND,
        protocol: "groth16",
        circuit: `${VERSION}/circuits/exact`,
        modelVersion: VERSION,
        inferenceId: "order-7",
        row: 0,
        proof: { ...proofJson(prove(values.map(toField))) },
        publicValues: values.map((value) => String(toField(value))),
        verifyingKeyHash: vkHash,
        schemaHash: hash,
        modelCommitment: schema.modelCommitment,
        circuitHash: CIRCUIT_HASH,
        development: setup === "dev-single-party",
        createTime: "2026-01-31T12:00:00.000Z",
        ...changes,
      };
      writeFileSync(path, proofFileBytes(file));
      return path;
    },
  };
}
