// A registry in memory for the engine's tests: deployments that change while they are watched,
// model versions with real files, connections that break, reports that are kept.

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type Deployment,
  type DeploymentConfigSchema,
  DeploymentSchema,
} from "../../../gen/plinth/registry/v1/deployment_pb.js";
import {
  type ReportServingRequest,
  ReportServingRequestSchema,
  ReportServingResponseSchema,
  type WatchDeploymentsResponse,
  WatchDeploymentsResponseSchema,
} from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import {
  type ModelVersion,
  ModelVersion_State,
  ModelVersionSchema,
} from "../../../gen/plinth/registry/v1/model_version_pb.js";
import { FailedPrecondition, NotFound, Unavailable } from "../../common/errors/domain-error.ts";
import type { CallOptions } from "../../common/rpc/context.ts";
import { encodeModel, type Graph } from "../../common/testing/onnx-writer.ts";
import type { EngineDeps } from "../engine/local-engine.ts";
import { signatureOf, temporaryModel } from "./test-servable.ts";

type Event = WatchDeploymentsResponse["event"];

export class TestRegistry {
  /** Requests of WatchDeployments: the resume tokens they came with. */
  readonly watches: string[] = [];
  readonly reports: ReportServingRequest[] = [];
  /** Of each version that is asked for. */
  featureService = "";
  columns: string[] = [];
  classLabels: string[] = [];
  /** While true every call fails with Unavailable. */
  away = false;
  readonly #deployments = new Map<string, Deployment>();
  readonly #versions = new Map<string, ModelVersion>();
  /** By digest of the bytes. */
  readonly #paths = new Map<string, string>();
  /** Every change so far; a resume token is an index. */
  readonly #changes: Event[] = [];
  #oldestToken = 0;
  #connections = new AbortController();

  /** Registers a version of the model `m`: a graph, or bytes that are not one. */
  async addVersion(number: number, model: Graph | Uint8Array, signature?: Graph): Promise<string> {
    const name = `workspaces/w/models/m/versions/${number}`;
    const isGraph = !(model instanceof Uint8Array);
    const { inputs, outputs } = signatureOf(isGraph ? model : signature!);
    const specs = (list: typeof inputs) =>
      list.map((spec) => ({ ...spec, shape: spec.shape.map(BigInt) }));
    const bytes = isGraph ? encodeModel(model) : model;
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    this.#paths.set(sha256, await temporaryModel(bytes));
    const init = {
      name,
      uid: `uid-m-${number}`,
      version: BigInt(number),
      state: ModelVersion_State.READY,
      signature: { inputs: specs(inputs), outputs: specs(outputs), batchable: true },
      artifact: { sha256, sizeBytes: 1n },
    };
    this.#versions.set(name, create(ModelVersionSchema, init));
    return name;
  }

  /** Creates or changes a deployment of `workspaces/w`. */
  deploy(id: string, config: MessageInitShape<typeof DeploymentConfigSchema>): void {
    const name = `workspaces/w/deployments/${id}`;
    const revision = (this.#deployments.get(name)?.revision ?? 0n) + 1n;
    const value = create(DeploymentSchema, { name, uid: `uid-${id}`, revision, config });
    this.#deployments.set(name, value);
    this.#changes.push({ case: "deployment", value });
  }

  delete(id: string): void {
    const value = `workspaces/w/deployments/${id}`;
    this.#deployments.delete(value);
    this.#changes.push({ case: "deleted", value });
  }

  /** Ends every watch with an error. */
  breakConnections(): void {
    this.#connections.abort();
    this.#connections = new AbortController();
  }

  /** Tokens given so far are no longer known. */
  expireTokens(): void {
    this.#oldestToken = this.#changes.length + 1;
  }

  /** The clients and the blob store that an engine needs. */
  get clients(): Pick<EngineDeps, "deployments" | "models" | "blobs"> {
    return {
      deployments: {
        watchDeployments: (request, options) => this.#watch(request.resumeToken ?? "", options),
        reportServing: async (request) => {
          this.#check();
          this.reports.push(create(ReportServingRequestSchema, request));
          return create(ReportServingResponseSchema);
        },
      },
      models: {
        getModelVersion: async ({ name = "" }) => {
          this.#check();
          const version = this.#versions.get(name);
          if (version === undefined) {
            throw new NotFound(`No ${name}.`, { reason: ErrorReason.RESOURCE_NOT_FOUND });
          }
          const { featureService, columns, classLabels } = this;
          return { ...version, featureService, columns, classLabels };
        },
      },
      blobs: {
        localPath: async (digest) => this.#paths.get(digest)!,
      },
    };
  }

  async *#watch(
    resumeToken: string,
    options: CallOptions = {},
  ): AsyncIterable<WatchDeploymentsResponse> {
    this.watches.push(resumeToken);
    this.#check();
    const connection = this.#connections.signal;
    let next = Number(resumeToken);
    if (resumeToken !== "" && next < this.#oldestToken) {
      throw new FailedPrecondition("Too old.", { reason: ErrorReason.RESUME_TOKEN_EXPIRED });
    }
    if (resumeToken === "") {
      next = this.#changes.length;
      for (const value of this.#deployments.values()) {
        yield response({ case: "deployment", value }, "");
      }
      yield response({ case: "synced", value: {} as never }, String(next));
    }
    while (!options.signal?.aborted) {
      if (connection.aborted) {
        throw new Unavailable("Broken.", {
          reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
          retryAfterMs: 1,
        });
      }
      const change = this.#changes[next];
      if (change === undefined) {
        await sleep(2);
      } else {
        next += 1;
        yield response(change, String(next));
      }
    }
  }

  #check(): void {
    if (this.away) {
      throw new Unavailable("The registry is away.", {
        reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
        retryAfterMs: 1,
      });
    }
  }
}

function response(event: Event, resumeToken: string): WatchDeploymentsResponse {
  const init =
    event.case === "synced"
      ? { event: { case: "synced" as const, value: {} }, resumeToken }
      : { event, resumeToken };
  return create(WatchDeploymentsResponseSchema, init);
}
