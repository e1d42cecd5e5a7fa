// Whether a proof holds under a key and is what was expected: the verifier's verdict, and beside it
// what there is to compare. The same as `plinth proof verify`, for a page.

import type { VerifyingFile } from "../../../proofs/circuits/verifying-file.ts";
import { falseClaim, isOtherKey, toldRefusal } from "../../../proofs/proving/proof-claims.ts";
import { type ProofFile, proofFileId } from "../../../proofs/proving/proof-file.ts";
import type { PreparedKey } from "../../../proofs/verifier/groth16.ts";
import {
  keyOf,
  type RefusedInference,
  type VerifiedInference,
  verifyInference,
} from "../../../proofs/verifier/verify-inference.ts";
import { contextText, type Expectation, type Expected } from "./expected-values.ts";

/** Something that was found, and whether it is what was expected. */
export interface Comparison {
  /** Hexadecimal; undefined where the circuit has none: no context. */
  readonly found: string | undefined;
  /** Undefined: nothing was expected. */
  readonly same: boolean | undefined;
}

export interface CheckedProof {
  readonly valid: boolean;
  /** Why it is not valid, for people; with a word for programs. */
  readonly refusal?: { readonly reason: string; readonly message: string };
  /** SHA-256 of the proof's file in canonical form. */
  readonly id: string;
  /** Whoever made the key could have forged the proof. */
  readonly development: boolean;
  /** The context is absent where nothing is proved. */
  readonly comparisons: Readonly<Partial<Record<Expectation, Comparison>>>;
  /** What the proof proves; absent where it proves nothing under this key. */
  readonly proved?: VerifiedInference;
}

/** Preparing a key takes longer than verifying with it. */
const preparedKeys = new WeakMap<VerifyingFile, PreparedKey>();

/** Verifies a proof. Never throws for what stands in the files. */
export function checkProof(
  files: { readonly proof: ProofFile; readonly key: VerifyingFile },
  expected: Expected = {},
): CheckedProof {
  const { proof, key } = files;
  const given = {
    proof: proof.proof,
    publicValues: proof.publicValues,
    verifyingKey: preparedKey(key),
    schema: key.schema,
  };
  const { circuitHash, ...pinned } = expected;
  const held = verifyInference({ ...given, expected: pinned });
  // What is proved is shown also where something else was expected.
  const result = held.valid ? held : verifyInference(given);
  const refusal =
    (isOtherKey(held) ? told(held) : undefined) ??
    otherCircuit(key, circuitHash) ??
    falseClaimOf(proof, key) ??
    told(result) ??
    told(held);
  const proved = result.valid ? result : undefined;
  return {
    valid: refusal === undefined,
    ...(refusal === undefined ? {} : { refusal }),
    id: proofFileId(proof),
    development: proof.development || key.development,
    comparisons: comparisonsOf(key, proved, expected),
    ...(proved === undefined ? {} : { proved }),
  };
}

function preparedKey(key: VerifyingFile): PreparedKey {
  const prepared = preparedKeys.get(key) ?? keyOf(key.verifyingKey);
  preparedKeys.set(key, prepared);
  return prepared;
}

type Refused = NonNullable<CheckedProof["refusal"]>;

function comparisonsOf(
  key: VerifyingFile,
  proved: VerifiedInference | undefined,
  expected: Expected,
): CheckedProof["comparisons"] {
  const hash = (found: string, wanted: string | undefined): Comparison => ({
    found,
    same: wanted === undefined ? undefined : wanted === found,
  });
  return {
    modelCommitment: hash(key.modelCommitment, expected.modelCommitment),
    vkHash: hash(key.verifyingKeyHash, expected.vkHash),
    schemaHash: hash(key.schemaHash, expected.schemaHash),
    circuitHash: hash(key.circuitHash, expected.circuitHash),
    ...(proved === undefined ? {} : { context: contextOf(proved, expected) }),
  };
}

function contextOf({ context }: VerifiedInference, expected: Expected): Comparison {
  return {
    found: context === undefined ? undefined : contextText(context),
    same: expected.context === undefined ? undefined : expected.context === context,
  };
}

function told(result: VerifiedInference | RefusedInference): Refused | undefined {
  return result.valid
    ? undefined
    : { reason: result.reason, message: sentence(toldRefusal(result)) };
}

function falseClaimOf(proof: ProofFile, key: VerifyingFile): Refused | undefined {
  const claim = falseClaim(proof, key);
  return claim && { reason: claim.reason, message: sentence(claim.message) };
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

function otherCircuit({ circuitHash }: VerifyingFile, expected?: string): Refused | undefined {
  if (expected === undefined || expected === circuitHash) return undefined;
  const message = `The circuit is ${circuitHash}; ${expected} was expected.`;
  return { reason: "circuit-mismatch", message };
}
