// What the prover's process can be asked to do. Everything large is a file, named by its path.

import type { ProofJson } from "../verifier/proof-format.ts";
import type { KeyRecord } from "./key-record.ts";

/** A proof that has been verified, with what it is of. */
export interface ProofResult {
  readonly proof: ProofJson;
  /** In decimal: outputs, then public inputs. */
  readonly publicValues: readonly string[];
  /** Hash of the verifying key that it was verified with. */
  readonly verifyingKeyHash: string;
  readonly timings: ProofTimings;
}

/** Milliseconds. */
export interface ProofTimings {
  /** Reading the circuit, the key and the witness, and checking every constraint. */
  readonly checkMs: number;
  readonly proveMs: number;
  readonly verifyMs: number;
}

/** A PLONK proof, verified by snarkjs: we have no verifier of our own for it. */
export interface PlonkProofResult {
  readonly proof: Readonly<Record<string, unknown>>;
  readonly publicValues: readonly string[];
  readonly verifyingKey: Readonly<Record<string, unknown>>;
  readonly timings: ProofTimings;
}

/** Phase 1, verified. */
export interface PtauRecord {
  readonly power: number;
  readonly bytes: number;
  /** Lower-case hex SHA-256. */
  readonly hash: string;
}

interface Circuit {
  readonly r1cs: string;
}

/** Inputs and outputs by kind of task. Paths named `out` do not exist before. */
export interface ProverTasks {
  "dev-setup": { readonly input: Circuit & { readonly out: string }; readonly output: KeyRecord };
  "verify-ptau": {
    readonly input: { readonly ptau: string };
    readonly output: PtauRecord;
  };
  "new-key": {
    readonly input: Circuit & { readonly ptau: string; readonly out: string };
    readonly output: KeyRecord;
  };
  contribute: {
    readonly input: { readonly zkey: string; readonly out: string; readonly name: string };
    readonly output: { readonly hash: string };
  };
  "accept-contribution": {
    readonly input: Circuit & {
      readonly ptau: string;
      readonly zkey: string;
      /** A copy that nobody else writes. */
      readonly contributed: string;
    };
    readonly output: KeyRecord;
  };
  beacon: {
    readonly input: Circuit & {
      readonly ptau: string;
      readonly zkey: string;
      readonly out: string;
      readonly name: string;
      readonly beaconHash: string;
      readonly iterations: number;
    };
    readonly output: KeyRecord;
  };
  "verify-key": {
    readonly input: Circuit & {
      readonly ptau: string;
      readonly zkey: string;
      /** For a PLONK key: where to make it again. */
      readonly scratch: string;
    };
    readonly output: KeyRecord;
  };
  "describe-key": {
    readonly input: { readonly zkey: string };
    readonly output: Pick<KeyRecord, "verifyingKey" | "verifyingKeyHash" | "contributions">;
  };
  prove: {
    readonly input: Circuit & { readonly zkey: string; readonly witness: string };
    readonly output: ProofResult;
  };
  /** The parts of `prove` around another program that proves. */
  "check-witness": {
    readonly input: Circuit & { readonly zkey: string; readonly witness: string };
    readonly output: { readonly publicValues: readonly string[] };
  };
  "verify-proof": {
    readonly input: {
      readonly zkey: string;
      readonly proof: unknown;
      readonly publicValues: readonly string[];
    };
    readonly output: Pick<ProofResult, "proof" | "verifyingKeyHash">;
  };
  "plonk-setup": {
    readonly input: Circuit & { readonly ptau: string; readonly out: string };
    readonly output: KeyRecord;
  };
  "plonk-prove": {
    readonly input: Circuit & { readonly zkey: string; readonly witness: string };
    readonly output: PlonkProofResult;
  };
}

export type TaskKind = keyof ProverTasks;
