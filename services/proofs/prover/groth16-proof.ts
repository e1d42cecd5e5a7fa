// One proof: the witness is checked against every constraint before, and the proof is verified with
// our own verifier after. What makes the proof does neither: of a wrong witness it makes one that
// fails elsewhere, or, worse, hides a bug of the circuit.

import { readFile } from "node:fs/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, Internal } from "../../common/errors/domain-error.ts";
import { firstViolation } from "../circuit/check-witness.ts";
import type { ConstraintSystem } from "../circuit/constraint-system.ts";
import { publicValuesOf } from "../circuit/constraint-system.ts";
import { readWitness } from "../circuit/witness-file.ts";
import { FIELD_BYTES, toField } from "../field.ts";
import { verifyProof } from "../verifier/groth16.ts";
import { type ProofJson, proofJson, readProof } from "../verifier/proof-format.ts";
import { Refusal } from "../verifier/refusal.ts";
import { domainPower } from "./circuit-size.ts";
import { prove } from "./groth16/prove.ts";
import type { ProveThreads } from "./groth16/prove-threads.ts";
import { type LoadedKey, loadCircuit, loadKey } from "./loaded-circuit.ts";
import type { ProofResult } from "./prover-tasks.ts";
import type { ZkeyInfo } from "./zkey-file.ts";

/** Files of a proof. */
export interface ProofFiles {
  readonly r1cs: string;
  readonly zkey: string;
  readonly witness: string;
}

/** Makes a proof that counts. */
export async function proveGroth16(
  threads: ProveThreads,
  files: ProofFiles,
  progress: (phase: string) => void,
): Promise<ProofResult> {
  const start = performance.now();
  progress("checking the witness");
  // While the files are read; what is wrong with the threads is said when they are asked.
  threads.start().catch(() => undefined);
  const { key, publicValues, witness } = await checkProofFiles(files);
  const checked = performance.now();
  progress("proving");
  const made = await prove(threads, key.description, sharedValues(witness, key.info.wires));
  const proved = performance.now();
  progress("verifying");
  const proof = verifiedProof(key, proofJson(made), publicValues);
  const timings = {
    checkMs: checked - start,
    proveMs: proved - checked,
    verifyMs: performance.now() - proved,
  };
  return { proof, publicValues, verifyingKeyHash: key.prepared.hash, timings };
}

/** The values of all wires, which end a witness file that was checked, where the threads find them. */
function sharedValues(file: Uint8Array, wires: number): SharedArrayBuffer {
  const values = file.subarray(file.length - FIELD_BYTES * wires);
  const shared = new SharedArrayBuffer(values.length);
  new Uint8Array(shared).set(values);
  return shared;
}

/**
 * Checks that key and witness are of the circuit and that every constraint holds; gives the public
 * values of the witness, and its file as it was checked.
 *
 * @throws Internal where a constraint does not hold: the circuit or what filled its wires is wrong.
 */
export async function checkProofFiles(files: ProofFiles): Promise<{
  readonly key: LoadedKey;
  readonly publicValues: readonly string[];
  readonly witness: Uint8Array;
}> {
  const [system, key, witness] = await Promise.all([
    loadCircuit(files.r1cs),
    loadKey(files.zkey),
    readFile(files.witness),
  ]);
  assertOfCircuit(key.info, system);
  return { key, publicValues: checkWitness(system, witness), witness };
}

/** The public values of a witness file that satisfies the circuit, in decimal. */
export function checkWitness(system: ConstraintSystem, file: Uint8Array): readonly string[] {
  let violated: number | undefined;
  try {
    const witness = readWitness(file);
    violated = firstViolation(system, witness);
    if (violated === undefined) {
      return publicValuesOf(system, witness).map((value) => String(toField(BigInt(value))));
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw internal(`The witness is not one of this circuit: ${error.message}.`, error);
  }
  throw internal(
    `The witness breaks constraint ${violated} of the circuit, so no proof was made. This is a ` +
      "fault of the circuit or of what filled its wires, not of the input: report it.",
  );
}

/**
 * The proof in the verifier's own form, once it verifies.
 *
 * @throws Internal where it does not.
 */
export function verifiedProof(
  key: LoadedKey,
  made: unknown,
  publicValues: readonly string[],
): ProofJson {
  try {
    const proof = readProof(made);
    if (verifyProof(key.prepared, proof, publicValues.map(BigInt))) return proofJson(proof);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw internal(`The prover made something that is no proof: ${error.message}.`, error);
  }
  throw internal(
    "The proof that was made does not verify, so it is not given out. The key is of another " +
      "circuit, its file is damaged, or the prover is at fault.",
  );
}

/** @throws Internal where the prover proved other public values than the witness has. */
export function assertSamePublicValues(
  expected: readonly string[],
  given: readonly unknown[],
): void {
  if (given.length !== expected.length || expected.some((value, i) => given[i] !== value)) {
    throw internal("The prover proved other public values than those of the witness.");
  }
}

function assertOfCircuit(key: ZkeyInfo, system: ConstraintSystem): void {
  const publicValues = system.outputs + system.publicInputs;
  const domain = 2 ** domainPower(system);
  if (key.wires === system.wires && key.publicValues === publicValues && key.domain === domain) {
    return;
  }
  const description =
    `The key is of another circuit: it has ${key.wires} wires, ${key.publicValues} of them ` +
    `public, and a domain of ${key.domain}; the circuit has ${system.wires}, ${publicValues} and ` +
    `${domain}. Give the key that was made of this circuit.`;
  throw new FailedPrecondition(description, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type: "KEY_OF_ANOTHER_CIRCUIT", subject: "zkey", description }],
  });
}

function internal(message: string, cause?: unknown): Internal {
  return new Internal(message, {
    reason: ErrorReason.UNSPECIFIED,
    ...(cause === undefined ? {} : { cause }),
  });
}
