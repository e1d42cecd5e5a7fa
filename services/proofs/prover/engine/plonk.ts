// PLONK for small models: a set-up without secrets of its own, at the price of a gate for every
// addition, which a network of some thousand weights still bears.

import { readFile, stat } from "node:fs/promises";
import { plonk, zKey } from "snarkjs";
import { ErrorReason } from "../../../../gen/plinth/common/v1/error_reason_pb.js";
import { Internal } from "../../../common/errors/domain-error.ts";
import { readCircuitSize } from "../circuit-size.ts";
import { assertSamePublicValues, checkWitness, type ProofFiles } from "../groth16-proof.ts";
import { type KeyRecord, refused } from "../key-record.ts";
import { loadCircuit } from "../loaded-circuit.ts";
import type { PlonkProofResult } from "../prover-tasks.ts";
import { assertPtauFits, ptauFault, readPtau } from "../ptau-file.ts";
import { fileDigest } from "../section-file.ts";
import { theCurve } from "./curve.ts";
import { SnarkjsLog } from "./snarkjs-log.ts";

type Progress = (phase: string) => void;

/**
 * Entries of the three matrices, each about a gate: a network of 64-32-10 has 7,500, a key of 28 MB
 * and takes 3 s to prove.
 */
const PLONK_ENTRIES_MAX = 8_192;

/** Each adds 1.3 MB to a key of 2^13 gates. */
const PLONK_PUBLIC_VALUES_MAX = 64;

/** Makes a PLONK key: the same bytes of the same circuit and powers of tau. */
export async function plonkSetup(
  files: { readonly r1cs: string; readonly ptau: string; readonly out: string },
  progress: Progress,
): Promise<KeyRecord> {
  const size = await readCircuitSize(files.r1cs);
  const publicValues = size.outputs + size.publicInputs;
  if (size.entries > PLONK_ENTRIES_MAX || publicValues > PLONK_PUBLIC_VALUES_MAX) {
    throw refused(
      "CIRCUIT_TOO_LARGE",
      `PLONK is for small models: the circuit has ${size.entries} entries and ${publicValues} ` +
        `public values, and ${PLONK_ENTRIES_MAX} and ${PLONK_PUBLIC_VALUES_MAX} are the limits. ` +
        "Use Groth16.",
    );
  }
  const ptau = await readPtau(files.ptau);
  // A lower bound; how many gates there are only snarkjs knows.
  assertPtauFits(ptau, Math.ceil(Math.log2(size.constraintCount + publicValues)));
  await theCurve();
  progress("making the key");
  const log = new SnarkjsLog();
  if ((await plonk.setup(files.r1cs, files.ptau, files.out, log)) === -1) {
    throw ptauFault(
      `it goes up to 2^${ptau.power} and is too small for the gates of this circuit ` +
        `(${log.lastError})`,
    );
  }
  return await recordOfPlonkKey(files.out, files);
}

/** Verifies a PLONK key by making it again. */
export async function verifyPlonkKey(
  files: {
    readonly r1cs: string;
    readonly ptau: string;
    readonly zkey: string;
    readonly scratch: string;
  },
  progress: Progress,
): Promise<KeyRecord> {
  const { r1cs, ptau, zkey, scratch } = files;
  const record = await plonkSetup({ r1cs, ptau, out: scratch }, progress);
  if (record.zkeyHash !== (await fileDigest(zkey))) {
    throw refused(
      "KEY_DOES_NOT_FOLLOW",
      "The key is not the one that this circuit and these powers of tau give.",
    );
  }
  return record;
}

/** Makes a proof and verifies it. */
export async function provePlonk(files: ProofFiles, progress: Progress): Promise<PlonkProofResult> {
  const start = performance.now();
  progress("checking the witness");
  const circuit = await loadCircuit(files.r1cs);
  const publicValues = checkWitness(circuit, await readFile(files.witness));
  await theCurve();
  const checked = performance.now();
  progress("proving");
  const { proof, publicSignals } = await plonk.prove(files.zkey, files.witness);
  const proved = performance.now();
  progress("verifying");
  assertSamePublicValues(publicValues, publicSignals);
  const verifyingKey = await plonkVerifyingKey(files.zkey);
  if ((await plonk.verify(verifyingKey, publicSignals, proof)) !== true) {
    throw new Internal(
      "The proof that was made does not verify, so it is not given out. The key is of another " +
        "circuit, its file is damaged, or the prover is at fault.",
      { reason: ErrorReason.UNSPECIFIED },
    );
  }
  const timings = {
    checkMs: checked - start,
    proveMs: proved - checked,
    verifyMs: performance.now() - proved,
  };
  return { proof, publicValues, verifyingKey, timings };
}

/** In snarkjs' form, which is JSON. */
export async function plonkVerifyingKey(zkey: string): Promise<Readonly<Record<string, unknown>>> {
  await theCurve();
  const key = await zKey.exportVerificationKey(zkey);
  return JSON.parse(JSON.stringify(key)) as Readonly<Record<string, unknown>>;
}

async function recordOfPlonkKey(
  zkey: string,
  from: { readonly r1cs: string; readonly ptau: string },
): Promise<KeyRecord> {
  return {
    version: 1,
    protocol: "plonk",
    setup: "universal",
    circuitHash: await fileDigest(from.r1cs),
    zkeyHash: await fileDigest(zkey),
    zkeyBytes: (await stat(zkey)).size,
    ptauHash: await fileDigest(from.ptau),
    verifyingKey: await plonkVerifyingKey(zkey),
    contributions: [],
  };
}
