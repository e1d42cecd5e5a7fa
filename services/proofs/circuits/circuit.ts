// A circuit as it is stored. The document is a job too: whoever holds its lease makes the circuit,
// and what was made so far stands in it, so that a restart goes on where the work stopped.

import type { JsonObject } from "@bufbuild/protobuf";
import type { JobDocument } from "../../common/jobs/job.ts";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import type { KeyRecord } from "../prover/key-record.ts";

/** `_id` is the circuit's name; state SUCCEEDED means that its first key was made. */
export interface Circuit extends JobDocument {
  /** Name of the model version, by number. */
  readonly modelVersion: string;
  readonly modelVersionUid: string;
  /** Lower-case hex SHA-256 of the ONNX file, in the registry's blobs. */
  readonly modelDigest: string;
  /** plinth.proofs.v1.CircuitOptions as protobuf JSON, with the defaults filled in. */
  readonly options: JsonObject;
  /** Blob: plinth.proofs.v1.CalibrationData in protobuf's binary form; null: none was given. */
  readonly calibrationData: string | null;
  /**
   * As stored it follows what the version's document says (active-circuits.ts); what CircuitStore
   * gives out says what holds.
   */
  readonly active: boolean;
  /** Null until compiled. */
  readonly compiled: CompiledDocument | null;
  /** Null until there is a key. */
  readonly key: KeyDocument | null;
  /**
   * Milliseconds of the newest proofs, at most 100. Kept apart, so that a proof is no change of its
   * circuit; empty as stored, filled in by CircuitStore.
   */
  readonly proveMs: readonly number[];
}

/** What compiling gave. */
export interface CompiledDocument {
  /** Blobs by what is in them, as lower-case hex SHA-256. The digest of the model is its commitment. */
  readonly constraints: string;
  readonly model: string;
  readonly constraintsBytes: number;
  readonly schema: CircuitSchema;
  readonly schemaHash: string;
  /** plinth.proofs.v1.CalibrationReport as protobuf JSON. */
  readonly calibration: JsonObject;
  /** plinth.proofs.v1.CircuitReport as protobuf JSON, without what comes of the key. */
  readonly report: JsonObject;
}

/** The current key. */
export interface KeyDocument {
  /** Blob of the .zkey file. */
  readonly zkey: string;
  /** In full: hashes, the verifying key, the transcript. */
  readonly record: KeyRecord;
  /** When each contribution was taken, in the order of the transcript. */
  readonly contributionTimes: readonly Date[];
  readonly setupMs: number;
  /** Whether a ceremony was verified from its beginning and is closed. */
  readonly verified: boolean;
}

/** The blobs that a circuit refers to; some may come twice. */
export function digestsOf({ compiled, key, calibrationData }: Circuit): string[] {
  return [calibrationData, compiled?.constraints, compiled?.model, key?.zkey].filter(
    (digest): digest is string => typeof digest === "string",
  );
}

/** Whether proofs are made with it: a ceremony's key is not to be used before it is closed. */
export function isReady({ state, key }: Circuit): boolean {
  return state === "SUCCEEDED" && key !== null && (key.record.setup !== "ceremony" || key.verified);
}

/** Whether one party made the key alone. */
export function isDevelopment({ key }: Circuit): boolean {
  return key?.record.setup === "dev-single-party";
}
