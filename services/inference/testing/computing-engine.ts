// An engine for the tests of the protocols: it really computes, on the thread that asks, and can be
// held so that tests decide when and in which order requests finish.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  Cancelled,
  DeadlineExceeded,
  NotFound,
  ResourceExhausted,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import type {
  DeploymentStatus,
  Duration,
  Engine,
  InferRequest,
  InferResult,
  ModelRef,
  ProofSettings,
  Servable,
  VersionState,
  VersionStatistics,
} from "../engine.ts";
import type { Signature, Tensor } from "../tensor.ts";

export interface TestModel {
  readonly deployment: string;
  readonly version: string;
  readonly signature: Signature;
  readonly batched: boolean;
  readonly columns?: readonly string[];
  readonly classLabels?: readonly string[];
  readonly featureService?: string;
  readonly proofs?: Partial<ProofSettings>;
  readonly state?: VersionState;
  /** All outputs of the signature, in its order. */
  compute(inputs: readonly Tensor[]): readonly Tensor[];
}

interface Held {
  readonly request: InferRequest;
  run(): void;
}

interface Loaded {
  readonly servable: Servable;
  readonly model: TestModel;
}

export class ComputingEngine implements Engine {
  readonly workspace: string;
  /** Requests that wait while the engine is held, oldest first. */
  readonly waiting: Held[] = [];
  /** Every request that reached the engine. */
  readonly seen: InferRequest[] = [];
  readonly routingKeys: (string | undefined)[] = [];
  queueMax = 1000;
  cancelled = 0;
  held = false;
  readonly #loaded: Loaded[];

  constructor(models: readonly TestModel[], workspace = "default") {
    this.workspace = workspace;
    this.#loaded = models.map((model) => ({ model, servable: servableOf(model, workspace) }));
  }

  route(ref: ModelRef, routingKey: string | undefined): Servable {
    this.routingKeys.push(routingKey);
    const found = this.#of(ref.workspace, ref.deployment).filter(
      ({ model }) => ref.version === undefined || model.version === ref.version,
    );
    if (found.length === 0) {
      throw notFound(`${ref.deployment} ${ref.version ?? ""}`);
    }
    const ready = found.find(({ model }) => (model.state ?? "READY") === "READY");
    if (ready === undefined) {
      throw new Unavailable(`"${ref.deployment}" is not loaded yet.`, {
        reason: ErrorReason.MODEL_NOT_READY,
        retryAfterMs: 500,
      });
    }
    return ready.servable;
  }

  infer(request: InferRequest): Promise<InferResult> {
    this.seen.push(request);
    if (!this.held) {
      return Promise.resolve().then(() => this.#compute(request));
    }
    if (this.waiting.length >= this.queueMax) {
      return Promise.reject(
        new ResourceExhausted("The queue is full.", {
          reason: ErrorReason.OVERLOADED,
          retryAfterMs: 10,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const held = { request, run: () => resolve(this.#compute(request)) };
      this.waiting.push(held);
      request.signal?.addEventListener("abort", () => {
        this.cancelled += 1;
        const place = this.waiting.indexOf(held);
        if (place >= 0) {
          this.waiting.splice(place, 1);
        }
        reject(new Cancelled("The caller left.", { reason: ErrorReason.CANCELLED }));
      });
    });
  }

  /** Runs the waiting request of that place in the queue. */
  release(place = 0): void {
    this.waiting.splice(place, 1)[0]?.run();
  }

  deployments(workspace: string): readonly DeploymentStatus[] {
    const ids = new Set(
      workspace === this.workspace ? this.#loaded.map((l) => l.model.deployment) : [],
    );
    return [...ids].sort().map((id) => this.deployment(workspace, id));
  }

  deployment(workspace: string, deployment: string): DeploymentStatus {
    return {
      workspace,
      deployment,
      revision: 1n,
      batching: {
        maxBatchRows: 64,
        maxQueueDelayMs: 2,
        maxQueueRequests: 1024,
        queueTimeoutMs: 30_000,
      },
      instances: { count: 2, intraOpThreads: 1 },
      versions: this.#of(workspace, deployment).map(({ model, servable }) => {
        const state = model.state ?? "READY";
        const reason = state === "FAILED" ? "the file is damaged" : "";
        const { version } = model;
        return state === "READY"
          ? { version, modelVersion: servable.modelVersion, state, reason, servable }
          : { version, modelVersion: servable.modelVersion, state, reason };
      }),
    };
  }

  statistics(workspace: string, deployment: string, version: string): VersionStatistics {
    const servable = this.route({ workspace, deployment, version }, undefined);
    const mine = this.seen.filter((request) => request.servable === servable);
    const each: Duration = { count: mine.length, ns: mine.length * 1000 };
    const none: Duration = { count: 0, ns: 0 };
    return {
      lastInferenceMs: 1_767_225_600_000,
      inferenceCount: mine.reduce((rows, request) => rows + request.rows, 0),
      executionCount: mine.length,
      success: each,
      fail: none,
      queue: each,
      computeInput: each,
      computeInfer: each,
      computeOutput: each,
      batches: [{ rows: 1, computeInput: each, computeInfer: each, computeOutput: each }],
    };
  }

  ready(): boolean {
    return this.#loaded.every(({ model }) => model.state !== "LOADING");
  }

  #of(workspace: string, deployment: string): Loaded[] {
    const found = this.#loaded.filter(
      ({ model }) => workspace === this.workspace && model.deployment === deployment,
    );
    if (found.length === 0) {
      throw notFound(deployment);
    }
    return found;
  }

  #compute(request: InferRequest): InferResult {
    if (request.deadlineMs <= Date.now()) {
      throw new DeadlineExceeded("The deadline passed in the queue.", {
        reason: ErrorReason.DEADLINE_EXCEEDED,
      });
    }
    const { model } = this.#loaded.find(({ servable }) => servable === request.servable)!;
    const all = model.compute(request.inputs);
    return {
      outputs: request.outputs.map((index) => all[index]!),
      queueMs: 1,
      computeMs: 2,
      batchRows: request.rows,
    };
  }
}

function servableOf(model: TestModel, workspace: string): Servable {
  return {
    modelVersion: `workspaces/${workspace}/models/${model.deployment}/versions/${model.version}`,
    version: model.version,
    modelDigest: "0".repeat(64),
    signature: model.signature,
    batched: model.batched,
    maxBatchRows: 64,
    columns: model.columns ?? [],
    classLabels: model.classLabels ?? [],
    featureService: model.featureService,
    proofs: { verifiable: false, receipts: false, ...model.proofs },
  };
}

function notFound(what: string): NotFound {
  return new NotFound(`There is no ${what}.`, { reason: ErrorReason.RESOURCE_NOT_FOUND });
}
