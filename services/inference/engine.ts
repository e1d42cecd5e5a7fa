// The seam of the inference service: protocols above (protocol handlers, Predict, REST through the
// gateway), queues, batches and sessions below. Everything a protocol needs of the engine is here.

import type { Context } from "@opentelemetry/api";
import type { Signature, Tensor } from "./tensor.ts";

/** Which model is meant. */
export interface ModelRef {
  readonly workspace: string;
  /** Deployment id. */
  readonly deployment: string;
  /** Version number as text. Absent: chosen by the traffic weights. */
  readonly version?: string;
}

export interface InferRequest {
  readonly id: string;
  readonly servable: Servable;
  /** In the order of the signature, already checked against it. */
  readonly inputs: readonly Tensor[];
  /** Indices into signature.outputs, in the order wanted. */
  readonly outputs: readonly number[];
  /** Size of the batch dimension; 1 where the model is not batched. */
  readonly rows: number;
  /** 0 (first) to 9. */
  readonly priority: number;
  /** Milliseconds since the epoch. */
  readonly deadlineMs: number;
  /** Absent where the caller cannot leave. */
  readonly signal?: AbortSignal;
  /** For spans of queue, batch and run. */
  readonly trace: Context;
  /** For monitoring. Absent: none. */
  readonly routingKey?: string | undefined;
  /** When what is predicted happens, microseconds since 1970. Absent: on arrival. */
  readonly eventUs?: number | undefined;
  /** What the rows were made of. Absent: the caller sent them. */
  readonly features?: ReadFeatures | undefined;
  /** The caller's own bytes, for its receipt. Absent: none. */
  readonly context?: Uint8Array | undefined;
  /** Names of the outputs that the answer shows, for its receipt. Absent: all of `outputs`. */
  readonly shown?: ReadonlySet<string> | undefined;
  /** Set by the engine: a copy whose answer goes to nobody. */
  readonly shadow?: boolean;
  /**
   * In [0, 1), set by the engine: decides whether an inference without an id is captured, the same
   * for all copies.
   */
  readonly captureDraw?: number;
}

/** The features that the rows of a request were made of. */
export interface ReadFeatures {
  /** The same object for all requests that read the same features. */
  readonly names: FeatureNames;
  /** By feature, then by row of the tensors: plinth.features.v1.FieldStatus. */
  readonly statuses: readonly (readonly number[])[];
  /** By join key, then by row of the tensors: the key as text. Made when asked for. */
  keys(): readonly (readonly string[])[];
}

/** What is read, and by what. */
export interface FeatureNames {
  readonly features: readonly {
    readonly name: string;
    /** `workspaces/w/featureViews/v`; empty where it was computed on demand. */
    readonly view: string;
  }[];
  readonly joinKeys: readonly string[];
}

export interface InferResult {
  /** In the order of `request.outputs`; data are views that live as long as they are held. */
  readonly outputs: readonly Tensor[];
  readonly queueMs: number;
  readonly computeMs: number;
  readonly batchRows: number;
}

/** One loaded version, as protocols see it. */
export interface Servable {
  /** `workspaces/w/models/m/versions/3` */
  readonly modelVersion: string;
  /** "3" */
  readonly version: string;
  /** Lower-case hex SHA-256 of its file. */
  readonly modelDigest: string;
  readonly signature: Signature;
  /** Whether dimension 0 of every input and output is the batch dimension. */
  readonly batched: boolean;
  readonly maxBatchRows: number;
  readonly columns: readonly string[];
  readonly classLabels: readonly string[];
  /** `workspaces/w/featureServices/f/versions/2`, where it reads features. Never changes. */
  readonly featureService: string | undefined;
  /** As its deployment wants it now. */
  readonly proofs: ProofSettings;
}

/** What shows that an answer is the model's. */
export interface ProofSettings {
  /** Predict takes `verifiable: true`. */
  readonly verifiable: boolean;
  /** Every inference of a live target gets a receipt. */
  readonly receipts: boolean;
}

export type VersionState = "LOADING" | "READY" | "DRAINING" | "FAILED";

/** A version of a deployment on this server, loaded or not. */
export interface VersionStatus {
  readonly version: string;
  readonly modelVersion: string;
  readonly state: VersionState;
  /** Why FAILED; empty otherwise. */
  readonly reason: string;
  /** Present once loaded. */
  readonly servable?: Servable;
}

export interface DeploymentStatus {
  readonly workspace: string;
  readonly deployment: string;
  readonly revision: bigint;
  readonly batching: {
    readonly maxBatchRows: number;
    readonly maxQueueDelayMs: number;
    readonly maxQueueRequests: number;
    readonly queueTimeoutMs: number;
  };
  readonly instances: { readonly count: number; readonly intraOpThreads: number };
  /** Live targets and shadows. */
  readonly versions: readonly VersionStatus[];
}

/** Nanoseconds and how often. */
export interface Duration {
  readonly count: number;
  readonly ns: number;
}

/** Triton's statistics of one version since it was loaded. */
export interface VersionStatistics {
  readonly lastInferenceMs: number;
  /** Rows. */
  readonly inferenceCount: number;
  /** Batches. */
  readonly executionCount: number;
  readonly success: Duration;
  readonly fail: Duration;
  readonly queue: Duration;
  readonly computeInput: Duration;
  readonly computeInfer: Duration;
  readonly computeOutput: Duration;
  readonly batches: readonly {
    readonly rows: number;
    readonly computeInput: Duration;
    readonly computeInfer: Duration;
    readonly computeOutput: Duration;
  }[];
}

export interface Engine {
  /**
   * The version that shall answer. Synchronous: it is on the path of every request.
   * @throws NotFound for an unknown deployment or version; Unavailable (MODEL_NOT_READY) for one
   *   that is not loaded.
   */
  route(ref: ModelRef, routingKey: string | undefined): Servable;

  /**
   * Queues and runs. Also sends copies to the deployment's shadows (never in the way of the
   * answer).
   * @throws ResourceExhausted (OVERLOADED) at once when the queue is full; DeadlineExceeded;
   *   Cancelled; Unavailable (INSTANCE_LOST); Internal (MODEL_RUN_FAILED) when the model refuses
   *   the input.
   */
  infer(request: InferRequest): Promise<InferResult>;

  /** The deployments of a workspace, by id. */
  deployments(workspace: string): readonly DeploymentStatus[];

  /** @throws NotFound */
  deployment(workspace: string, deployment: string): DeploymentStatus;

  /** @throws NotFound when the version is not of the deployment or was never loaded. */
  statistics(workspace: string, deployment: string, version: string): VersionStatistics;

  /** True once every deployment known at start is loaded or has failed to. */
  ready(): boolean;
}
