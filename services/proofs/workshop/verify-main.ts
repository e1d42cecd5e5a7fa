// The main module of the process that verifies proofs: 20 ms of arithmetic each, which the thread
// that answers calls has no time for. Preparing a key takes longer than verifying with it, so
// prepared ones are kept.

import { serveTasks } from "../process/serve-tasks.ts";
import type { PreparedKey } from "../verifier/groth16.ts";
import { PROOF_BYTES } from "../verifier/proof-format.ts";
import { Refusal } from "../verifier/refusal.ts";
import {
  keyOf,
  type RefusedInference,
  type VerifiedInference,
  verifyInference,
} from "../verifier/verify-inference.ts";
import type { VerifyTask } from "./workshop-port.ts";
import type { VerifyTasks } from "./workshop-tasks.ts";

/** A prepared key of few public values has 100 kB, one of thousands some megabytes. */
const KEYS_MAX = 16;

/** By hash; the one that was used last is the last. */
const keys = new Map<string, PreparedKey>();

serveTasks<VerifyTasks>({ verify });

function verify(task: VerifyTask): VerifiedInference | RefusedInference {
  const { publicValues, schema, context } = task;
  return verifyInference({
    proof: proofOf(task.proof),
    publicValues,
    verifyingKey: preparedKey(task),
    schema,
    ...(context === undefined ? {} : { expected: { context } }),
  });
}

/** A key that is none is given on: the verifier says why. */
function preparedKey({ keyHash, verifyingKey }: VerifyTask): unknown {
  try {
    const key = keys.get(keyHash) ?? keyOf(verifyingKey);
    keys.delete(keyHash);
    keys.set(keyHash, key);
    const [oldest] = keys.keys();
    if (keys.size > KEYS_MAX && oldest !== undefined) {
      keys.delete(oldest);
    }
    return key;
  } catch (error) {
    if (error instanceof Refusal) return verifyingKey;
    throw error;
  }
}

/** What the verifier reads; bytes that are neither form are refused by it as malformed. */
function proofOf(bytes: Uint8Array): unknown {
  if (bytes.length === PROOF_BYTES) {
    return bytes;
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return bytes;
  }
}
