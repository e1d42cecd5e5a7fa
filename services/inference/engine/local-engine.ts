// The engine of one server: follows the deployments, keeps the servables they want loaded, routes
// and runs requests. Decisions are in version-policy and routing; what is here carries them out.

import { ROOT_CONTEXT } from "@opentelemetry/api";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { VersionServingStatus_State } from "../../../gen/plinth/registry/v1/deployment_pb.js";
import type { DeploymentService } from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { DomainError, NotFound } from "../../common/errors/domain-error.ts";
import type { Client } from "../../common/rpc/context.ts";
import type {
  DeploymentStatus,
  Engine,
  InferRequest,
  InferResult,
  ModelRef,
  Servable,
  VersionStatistics,
} from "../engine.ts";
import type { DeploymentState } from "./deployment-state.ts";
import { DeploymentWatch } from "./deployment-watch.ts";
import { LoadedServable } from "./servable.ts";
import { ServableKeeper, type ServableKeeperDeps } from "./servable-keeper.ts";
import { createInferenceMeter, type InferenceMeter } from "./servable-meter.ts";
import { type DeploymentServingInit, ServingReporter } from "./serving-reporter.ts";
import type { ServableKey } from "./version-policy.ts";

/** How often hung runs, expired requests and due retries are looked for. */
const TICK_MS = 100;

/** Copies to shadows under way at once; more are not made. */
const SHADOWS_IN_FLIGHT_MAX = 64;

const SHADOW_PRIORITY = 9;

export interface EngineDeps extends ServableKeeperDeps {
  /**
   * The same after a restart, so that the server's new reports replace those of its former life.
   */
  readonly serverId: string;
  readonly deployments: Pick<
    Client<typeof DeploymentService>,
    "watchDeployments" | "reportServing"
  >;
}

/** Makes the engine of a server. It serves nothing before `start`. */
export function createEngine(deps: EngineDeps): LocalEngine {
  return new LocalEngine(deps);
}

/** See createEngine. */
export class LocalEngine implements Engine, AsyncDisposable {
  readonly #deps: EngineDeps;
  readonly #meter: InferenceMeter;
  readonly #keeper: ServableKeeper;
  #watch: DeploymentWatch | undefined;
  #reporter: ServingReporter | undefined;
  #tick: NodeJS.Timeout | undefined;
  #synced = false;
  #ready = false;
  #shadowsInFlight = 0;

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    this.#meter = createInferenceMeter();
    this.#keeper = new ServableKeeper(deps, {
      meter: this.#meter,
      onChange: () => this.#reporter?.changed(),
    });
  }

  /** Begins to follow the registry. */
  start(): void {
    const { deployments, random, log } = this.#deps;
    this.#reporter = new ServingReporter({
      client: deployments,
      serverId: this.#deps.serverId,
      read: () => this.#report(),
    });
    this.#watch = new DeploymentWatch({
      client: deployments,
      random,
      onDeployment: (deployment) => this.#keeper.want(deployment),
      onDeleted: (name) => this.#keeper.forget(name),
      onSynced: () => {
        this.#synced = true;
      },
      onTrouble: (error) => {
        // A registry that stops in order says so; it or its successor will be back.
        const stopping = error instanceof DomainError && error.reason === ErrorReason.DRAINING;
        const say = stopping ? log.debug : log.warn;
        say("The registry cannot be followed; serving goes on", { error });
      },
    });
    this.#tick = setInterval(() => this.#keeper.tick(), TICK_MS);
    this.#tick.unref();
  }

  /** Stops following the registry and says so; resolves when no request waits or runs. */
  async drain(): Promise<void> {
    await this.#watch?.[Symbol.asyncDispose]();
    await this.#reporter?.leave();
    await Promise.all(Array.from(this.#keeper.loaded(), (servable) => servable.idle()));
  }

  /** Resolves when nothing of deployments with receipts waits or runs; requests go on to be taken. */
  async receiptsSettled(): Promise<void> {
    const servables = [...this.#keeper.loaded()].filter(({ proofs }) => proofs.receipts);
    await Promise.all(servables.map((servable) => servable.idle()));
  }

  /** Ends what still runs and frees everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#tick);
    await this.#watch?.[Symbol.asyncDispose]();
    await this.#reporter?.[Symbol.asyncDispose]();
    await this.#keeper[Symbol.asyncDispose]();
    this.#meter[Symbol.dispose]();
  }

  route(ref: ModelRef, routingKey: string | undefined): Servable {
    const state = this.#find(ref.workspace, ref.deployment);
    return state.route(ref.version, routingKey, this.#deps.random);
  }

  infer(request: InferRequest): Promise<InferResult> {
    const { servable } = request;
    if (!(servable instanceof LoadedServable)) {
      throw new TypeError("The servable is not one that this engine gave.");
    }
    if (servable.shadows.length === 0) {
      return servable.infer(request);
    }
    // Its copies are captured when it is, also where it has no id to be chosen by.
    const drawn = request.id === "" ? { ...request, captureDraw: this.#deps.random() } : request;
    const result = servable.infer(drawn);
    this.#copyToShadows(servable, drawn);
    return result;
  }

  deployments(workspace: string): readonly DeploymentStatus[] {
    return [...this.#keeper.deployments(workspace)]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map((state) => state.status());
  }

  deployment(workspace: string, deployment: string): DeploymentStatus {
    return this.#find(workspace, deployment).status();
  }

  statistics(workspace: string, deployment: string, version: string): VersionStatistics {
    const state = this.#find(workspace, deployment);
    for (const servable of state.loaded()) {
      if (servable.version === version) {
        return servable.statistics();
      }
    }
    throw new NotFound(`Version "${version}" of deployment "${deployment}" is not loaded here.`, {
      reason: ErrorReason.RESOURCE_NOT_FOUND,
    });
  }

  ready(): boolean {
    this.#ready ||=
      this.#synced &&
      [...this.#keeper.deployments()].every((state) =>
        keysWanted(state).every((key) => {
          const kind = state.servables.get(key)?.state.kind;
          return kind === "ready" || kind === "failed";
        }),
      );
    return this.#ready;
  }

  #find(workspace: string, deployment: string): DeploymentState {
    const state = this.#keeper.find(workspace, deployment);
    if (state === undefined) {
      throw new NotFound(
        `Deployment "${deployment}" does not exist in workspace "${workspace}". ` +
          "Model names of the inference protocol are deployment ids.",
        { reason: ErrorReason.RESOURCE_NOT_FOUND },
      );
    }
    return state;
  }

  #copyToShadows(live: LoadedServable, request: InferRequest): void {
    for (const { servable, sampleRate } of live.shadows) {
      if (this.#shadowsInFlight >= SHADOWS_IN_FLIGHT_MAX || this.#deps.random() >= sampleRate) {
        continue;
      }
      this.#shadowsInFlight += 1;
      const { signal: _, ...rest } = request;
      const copy = {
        ...rest,
        servable,
        priority: SHADOW_PRIORITY,
        trace: ROOT_CONTEXT,
        shadow: true,
      };
      servable
        .infer(copy)
        .catch(() => servable.meter.shadowFailed())
        .finally(() => {
          this.#shadowsInFlight -= 1;
        });
    }
  }

  #report(): DeploymentServingInit[] {
    return [...this.#keeper.deployments()].map((state) => ({
      name: state.name,
      revision: state.desired!.plan.revision,
      versions: state.versions().map(({ modelVersion, reason, state: versionState }) => ({
        modelVersion,
        reason,
        state: VersionServingStatus_State[versionState],
      })),
    }));
  }
}

function keysWanted({ desired }: DeploymentState): readonly ServableKey[] {
  return desired === undefined
    ? []
    : [...desired.plan.targets.map((target) => target.key), ...desired.plan.shadows];
}
