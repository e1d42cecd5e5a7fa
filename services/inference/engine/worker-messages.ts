// What the serving thread and an instance's worker thread say to each other.

import type { TensorSpec } from "../tensor.ts";

/** Staging memory above this is freed after its batch instead of kept for the next. */
export const STAGING_KEPT_BYTES_MAX = 8 * 1024 * 1024;

/** Given to the worker at its start. */
export interface WorkerSettings {
  readonly modelPath: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly intraOpThreads: number;
  /** STAGING_KEPT_BYTES_MAX. */
  readonly stagingKeptBytesMax: number;
  /**
   * One Int32, 1 once the session is given up: batches that have not begun are not run any more.
   */
  readonly closing: SharedArrayBuffer;
}

/**
 * One input of a batch: where its elements lie in the staging memory, or the strings themselves.
 */
export interface StagedInput {
  readonly dims: readonly number[];
  /** Multiple of 64. */
  readonly byteOffset: number;
  /** Number of elements. */
  readonly length: number;
  /** BYTES only. */
  readonly strings?: readonly string[];
}

/** Run one batch. Batches are run and answered in the order sent. */
export interface RunCommand {
  readonly kind: "run";
  /** Which staging memory holds the inputs. */
  readonly slot: number;
  /** Present when the slot's memory is new. */
  readonly memory?: SharedArrayBuffer;
  readonly inputs: readonly StagedInput[];
  /** Indices into the signature's outputs. */
  readonly outputs: readonly number[];
}

/** Frees the session and ends the thread. */
export interface ReleaseCommand {
  readonly kind: "release";
}

export type WorkerCommand = RunCommand | ReleaseCommand;

/** One output of a batch: bytes that belong to the receiver, or strings. */
export interface BatchOutput {
  readonly dims: readonly number[];
  readonly data: Uint8Array | readonly string[];
}

export interface RunDone {
  readonly kind: "done";
  /** In the order of the command's outputs. */
  readonly outputs: readonly BatchOutput[];
  /** Milliseconds of making tensors of the staged bytes, of the run, and of taking its results. */
  readonly inputMs: number;
  readonly inferMs: number;
  readonly outputMs: number;
}

export interface RunFailed {
  readonly kind: "failed";
  /** onnxruntime's own text; describeRunError makes it fit for the caller. */
  readonly error: string;
}

export type WorkerReply =
  | { readonly kind: "loaded" }
  | { readonly kind: "loadFailed"; readonly error: string }
  | RunDone
  | RunFailed;
