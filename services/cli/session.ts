// One run of a command: who is asked (address, key, workspace), how long it may take, how it can be
// stopped and where its words go. The clients are made from it and share one connection.

import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { GRPCInferenceService } from "../../gen/inference/grpc_service_pb.js";
import { FeatureRegistryService } from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { FeatureStoreService } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { JobService } from "../../gen/plinth/features/v1/job_service_pb.js";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { AlertService } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { MonitoringService } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { CircuitService } from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { ProofService } from "../../gen/plinth/proofs/v1/proof_service_pb.js";
import { ReceiptService } from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { ApiKeyService } from "../../gen/plinth/registry/v1/api_key_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { WorkspaceService } from "../../gen/plinth/registry/v1/workspace_service_pb.js";
import { Channel, createClient } from "../common/rpc/client.ts";
import type { CallOptions, Client } from "../common/rpc/context.ts";
import type { Output } from "./output.ts";

export interface SessionOptions {
  readonly address: string;
  readonly apiKey: string | undefined;
  /** PEM of the authority to trust, or the system's; absent: plain text. */
  readonly tlsCa: Buffer | "system" | undefined;
  readonly workspace: string;
  /** As given by --timeout; absent: 30 s for single calls, no limit for streams. */
  readonly timeoutMs: number | undefined;
  readonly output: Output;
  /** Aborts with Interrupted at Ctrl-C. */
  readonly signal: AbortSignal;
  /** The words of the command line, for advice on how to go on. */
  readonly words: readonly string[];
}

export class Session implements Disposable {
  readonly address: string;
  readonly workspace: string;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly words: readonly string[];
  /** For every call, single or stream: Ctrl-C cancels it, --timeout bounds it. */
  readonly call: CallOptions;
  readonly workspaces: Client<typeof WorkspaceService>;
  readonly models: Client<typeof ModelService>;
  readonly deployments: Client<typeof DeploymentService>;
  readonly keys: Client<typeof ApiKeyService>;
  readonly inference: Client<typeof InferenceService>;
  readonly protocol: Client<typeof GRPCInferenceService>;
  readonly features: Client<typeof FeatureRegistryService>;
  readonly featureStore: Client<typeof FeatureStoreService>;
  readonly jobs: Client<typeof JobService>;
  readonly monitoring: Client<typeof MonitoringService>;
  readonly alerts: Client<typeof AlertService>;
  readonly circuits: Client<typeof CircuitService>;
  readonly proofs: Client<typeof ProofService>;
  readonly receipts: Client<typeof ReceiptService>;
  readonly health: Client<typeof Health>;
  readonly #channel: Channel;

  constructor(options: SessionOptions) {
    this.address = options.address;
    this.workspace = options.workspace;
    this.output = options.output;
    this.signal = options.signal;
    this.words = options.words;
    this.call = {
      signal: options.signal,
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    };
    this.#channel = new Channel({
      address: options.address,
      ...(options.apiKey === undefined ? {} : { token: options.apiKey }),
      ...(options.tlsCa === undefined ? {} : { tlsCa: options.tlsCa }),
    });
    this.workspaces = createClient(WorkspaceService, this.#channel);
    this.models = createClient(ModelService, this.#channel);
    this.deployments = createClient(DeploymentService, this.#channel);
    this.keys = createClient(ApiKeyService, this.#channel);
    this.inference = createClient(InferenceService, this.#channel);
    this.protocol = createClient(GRPCInferenceService, this.#channel);
    this.features = createClient(FeatureRegistryService, this.#channel);
    this.featureStore = createClient(FeatureStoreService, this.#channel);
    this.jobs = createClient(JobService, this.#channel);
    this.monitoring = createClient(MonitoringService, this.#channel);
    this.alerts = createClient(AlertService, this.#channel);
    this.circuits = createClient(CircuitService, this.#channel);
    this.proofs = createClient(ProofService, this.#channel);
    this.receipts = createClient(ReceiptService, this.#channel);
    this.health = createClient(Health, this.#channel);
  }

  /** `workspaces/default` */
  get parent(): string {
    return `workspaces/${this.workspace}`;
  }

  /** `workspaces/default/deployments/churn`; a full name is taken as it is. */
  deploymentName(id: string): string {
    return id.startsWith("workspaces/") ? id : `${this.parent}/deployments/${id}`;
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]();
  }
}

const PAGE_SIZE_MAX = 1000;

/** The items of all pages up to a limit; `more` when there are others. */
export async function listAll<R extends { readonly nextPageToken: string }, T>(options: {
  readonly limit: number;
  readonly page: (request: { pageSize: number; pageToken: string }) => Promise<R>;
  readonly items: (response: R) => readonly T[];
}): Promise<{ readonly items: readonly T[]; readonly more: boolean }> {
  const items: T[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(PAGE_SIZE_MAX, options.limit - items.length);
    const response = await options.page({ pageSize, pageToken });
    items.push(...options.items(response));
    pageToken = response.nextPageToken;
  } while (pageToken !== "" && items.length < options.limit);
  return { items, more: pageToken !== "" };
}

/** Says that a list was cut at its limit. */
export function noteMore(session: Session, more: boolean): void {
  if (more) {
    session.output.note("There are more; raise --limit to see them.");
  }
}
