// Does this proof show that this model gave this answer? For the service, the command line and a
// browser: it needs what it is given and nothing else.
//
// What a proof says: whoever made it knew inputs (these, those of the commitment, or some) for
// which the circuit of this verifying key gives this output, in this context. That the key is of
// the model of the schema's commitment is what whoever compiled and set up the circuit says: pin
// vkHash, and compile the model again to check it.

import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { FIELD_ORDER } from "../field.ts";
import type { DecodedSignals } from "./decode-signals.ts";
import { decodeSignals } from "./decode-signals.ts";
import type { PreparedKey } from "./groth16.ts";
import { prepareKey, readPublicValues, verifyProof } from "./groth16.ts";
import { readProof } from "./proof-format.ts";
import { readSchema, schemaHash, signalCounts } from "./read-schema.ts";
import type { RefusalReason } from "./refusal.ts";
import { Refusal } from "./refusal.ts";
import { publicValueCount, readVerifyingKey } from "./verifying-key.ts";

/** What is given need not be trusted, but for `expected` and, without it, key and schema. */
export interface InferenceProof {
  /** 256 bytes, or the object that snarkjs writes. */
  readonly proof: unknown;
  /** A list of bigints or decimal digits. */
  readonly publicValues: unknown;
  /** What prepareKey or keyOf gave (better for many proofs), snarkjs' object, or bytes. */
  readonly verifyingKey: unknown;
  /** Of the circuit. */
  readonly schema: unknown;
  /** What must hold beside that the proof verifies; absent: shown and not compared. */
  readonly expected?: {
    /** Lower-case hex. */
    readonly vkHash?: string;
    /** Lower-case hex. */
    readonly schemaHash?: string;
    /** Lower-case hex. */
    readonly modelCommitment?: string;
    /** What the proof was asked for with; refused too where the circuit has no context. */
    readonly context?: bigint;
    /** What the owner of the inputs made of them and a salt. */
    readonly inputCommitment?: bigint;
  };
}

export interface VerifiedInference extends DecodedSignals {
  readonly valid: true;
  readonly vkHash: string;
  readonly schemaHash: string;
  readonly modelCommitment: string;
}

export interface RefusedInference {
  readonly valid: false;
  readonly reason: RefusalReason;
  /** For people. */
  readonly message: string;
}

const prepared = new WeakSet<object>();

/**
 * A key for many proofs.
 *
 * @throws Refusal where it is malformed or proofs can be forged with it.
 */
export function keyOf(source: unknown): PreparedKey {
  if (typeof source === "object" && source !== null && prepared.has(source)) {
    return source as PreparedKey;
  }
  const key = prepareKey(readVerifyingKey(source));
  prepared.add(key);
  return key;
}

/** Verifies a proof and says what it proves. Never throws for what it is given. */
export function verifyInference(given: InferenceProof): VerifiedInference | RefusedInference {
  try {
    return verified(given);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { valid: false, reason: error.reason, message: error.message };
  }
}

function verified({ expected = {}, ...given }: InferenceProof): VerifiedInference {
  const key = keyOf(given.verifyingKey);
  const schema = readSchema(given.schema);
  checkFit(schema, publicValueCount(key.key));
  const names = {
    vkHash: key.hash,
    schemaHash: schemaHash(schema),
    modelCommitment: schema.modelCommitment,
  };
  compare("verifying-key-mismatch", "verifying key", names.vkHash, expected.vkHash);
  compare("schema-hash-mismatch", "schema", names.schemaHash, expected.schemaHash);
  compare("model-commitment-mismatch", "model", names.modelCommitment, expected.modelCommitment);
  const publicValues = readPublicValues(given.publicValues, publicValueCount(key.key));
  const signals = decodeSignals(schema, publicValues);
  compareNumber("context-mismatch", "context", signals.context, expected.context);
  const { inputs } = signals;
  const commitment = inputs.mode === "committed" ? inputs.commitment : undefined;
  compareNumber(
    "input-commitment-mismatch",
    "commitment to the inputs",
    commitment,
    expected.inputCommitment,
  );
  if (!verifyProof(key, readProof(given.proof), publicValues)) {
    throw new Refusal(
      "proof-invalid",
      "the proof does not prove these public values under this verifying key",
    );
  }
  return { valid: true, ...names, ...signals };
}

function checkFit(schema: CircuitSchema, count: number): void {
  const { total } = signalCounts(schema);
  if (total !== count) {
    throw new Refusal(
      "schema-mismatch",
      `the schema describes ${total} public values, the verifying key is for ${count}`,
    );
  }
}

function compare(
  reason: RefusalReason,
  name: string,
  actual: string,
  expected: string | undefined,
): void {
  if (expected !== undefined && expected !== actual) {
    throw new Refusal(reason, `the ${name} is ${actual}; ${expected} was expected`);
  }
}

function compareNumber(
  reason: RefusalReason,
  name: string,
  actual: bigint | undefined,
  expected: bigint | undefined,
): void {
  if (expected === undefined || expected === actual) return;
  const found = actual === undefined ? "the circuit has none" : `it is ${actual}`;
  const hint = expected >= FIELD_ORDER ? ` (which is ${FIELD_ORDER} or more, so never)` : "";
  throw new Refusal(reason, `${name} ${expected}${hint} was expected; ${found}`);
}
