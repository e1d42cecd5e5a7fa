// What proving is to the rest of the service: keys and proofs, from files and to files. Drivers:
// processes of ours, and a rapidsnark binary of the operator's for the Groth16 proofs alone.

import type { KeyRecord } from "./key-record.ts";
import type { PlonkProofResult, ProofResult, PtauRecord } from "./prover-tasks.ts";

/** How one task is run. */
export interface RunOptions {
  /** Aborting it stops the task, also in the middle. */
  readonly signal?: AbortSignal;
  /** Default: the prover's own limit for this kind of task. Counted from its start. */
  readonly timeoutMs?: number;
  /** Words of what is being done, when it begins. */
  readonly onProgress?: (phase: string) => void;
}

/** The circuit. */
export interface CircuitFile {
  /** Path of its .r1cs file. */
  readonly r1cs: string;
}

/** Hash of a file, as whoever publishes it names it. */
export interface FileDigest {
  /** b2sum's BLAKE2b-512 is what the lists of public powers of tau give. */
  readonly algorithm: "sha256" | "blake2b512";
  /** Lower-case hex. */
  readonly hex: string;
}

/** The current key of a ceremony, to hand to the next contributor. */
export interface ContributionChallenge {
  /** Lower-case hex SHA-256 of the file. */
  readonly hash: string;
  readonly bytes: number;
  /** How many have contributed so far. */
  readonly contributions: number;
}

/**
 * Makes keys and proofs. Proofs are made one at a time in the order in which they are asked for. All
 * that is of keys (set-ups, ceremonies, powers of tau) has a queue of its own, so that no proof waits
 * for it; its tasks too are done one at a time, in order.
 *
 * Every file is named by its path. A file that a task makes (`zkey` of the set-ups, `to`) appears
 * whole or not at all and replaces what was there. The record of a key is the caller's to keep.
 *
 * All methods throw: InvalidArgument where a file is damaged or not what it should be;
 * FailedPrecondition where the files do not go together, the key is not to be used, or the circuit
 * is beyond the limits; Cancelled, DeadlineExceeded, ResourceExhausted (memory, or too many tasks
 * wait); Unavailable where the process was lost or the prover stops; Internal where a constraint
 * does not hold or a proof that was made does not verify.
 */
export interface Prover extends AsyncDisposable {
  /**
   * A Groth16 key that one process made, fit for development only; marked "dev-single-party" in its
   * record and in the file. The process that knew its secrets is gone when this resolves.
   */
  devSetup(
    files: CircuitFile & { readonly zkey: string },
    options?: RunOptions,
  ): Promise<KeyRecord>;

  /**
   * Checks powers of tau that were downloaded: the hash first, then that every power and
   * contribution follows. For 2^14 some ten seconds.
   *
   * @throws InvalidArgument (DIGEST_MISMATCH) where the file has another hash.
   */
  importPtau(
    files: { readonly ptau: string; readonly digest: FileDigest },
    options?: RunOptions,
  ): Promise<PtauRecord>;

  /** The first key of a ceremony. No proof is made with it until a party has contributed. */
  newPhase2(
    files: CircuitFile & { readonly ptau: string; readonly zkey: string },
    options?: RunOptions,
  ): Promise<KeyRecord>;

  /** Copies the current key for a contributor. */
  exportContributionChallenge(files: {
    readonly zkey: string;
    readonly to: string;
  }): Promise<ContributionChallenge>;

  /** What the contributor does, on a machine of its own. Gives the hash to publish. */
  contribute(
    files: { readonly challenge: string; readonly to: string; readonly name: string },
    options?: RunOptions,
  ): Promise<{ readonly hash: string }>;

  /**
   * Takes a contributed key in the place of the current one (`to` may be the same path), once it is
   * shown to follow from the circuit, the powers of tau and the current key.
   */
  importContribution(
    files: CircuitFile & {
      readonly ptau: string;
      readonly zkey: string;
      readonly contributed: string;
      readonly to: string;
    },
    options?: RunOptions,
  ): Promise<KeyRecord>;

  /** Closes a ceremony: a public random number, hashed 2^iterations times (10 to 20). */
  beacon(
    files: CircuitFile & {
      readonly ptau: string;
      readonly zkey: string;
      readonly to: string;
      readonly name: string;
      /** Lower-case hex, 1 to 255 bytes. */
      readonly beaconHash: string;
      readonly iterations: number;
    },
    options?: RunOptions,
  ): Promise<KeyRecord>;

  /**
   * Verifies a key of a ceremony from its circuit and powers of tau on, and that it is fit for
   * production: at least one party contributed, gamma is not delta. A PLONK key is made again and
   * compared.
   */
  verifyZkey(
    files: CircuitFile & { readonly ptau: string; readonly zkey: string },
    options?: RunOptions,
  ): Promise<KeyRecord>;

  /** The verifying key of a key file, and who contributed to it. */
  verifyingKey(
    zkey: string,
    options?: RunOptions,
  ): Promise<Pick<KeyRecord, "verifyingKey" | "verifyingKeyHash" | "contributions">>;

  /**
   * A Groth16 proof. The witness is checked against every constraint before and the proof is
   * verified after with our own verifier. The witness file is the caller's to remove.
   */
  prove(
    files: CircuitFile & { readonly zkey: string; readonly witness: string },
    options?: RunOptions,
  ): Promise<ProofResult>;

  /** A PLONK key; for circuits of up to 8,192 entries and 64 public values. */
  plonkSetup(
    files: CircuitFile & { readonly ptau: string; readonly zkey: string },
    options?: RunOptions,
  ): Promise<KeyRecord>;

  /** A PLONK proof, verified by snarkjs. */
  plonkProve(
    files: CircuitFile & { readonly zkey: string; readonly witness: string },
    options?: RunOptions,
  ): Promise<PlonkProofResult>;
}
