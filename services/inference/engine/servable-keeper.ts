// Carries out the version policy: loads what deployments want, lets it answer, drains and frees
// what they no longer want. Owns every servable of the server. Decides nothing itself; see
// version-policy.

import { setTimeout as sleep } from "node:timers/promises";
import type { Deployment } from "../../../gen/plinth/registry/v1/deployment_pb.js";
import type { ModelService } from "../../../gen/plinth/registry/v1/model_service_pb.js";
import type { BlobStore } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import { DomainError, Unavailable } from "../../common/errors/domain-error.ts";
import { deploymentName } from "../../common/names.ts";
import type { Client } from "../../common/rpc/context.ts";
import type { Logger } from "../../common/telemetry/log.ts";
import type { Capture } from "../capture/capture.ts";
import type { Receipts } from "../receipts/receipts.ts";
import { toDeploymentSettings } from "./deployment-settings.ts";
import { DeploymentState, type HeldServable, versionOf } from "./deployment-state.ts";
import type { EngineConfig } from "./engine-settings.ts";
import { LoadError } from "./instance.ts";
import { toModelFacts } from "./model-facts.ts";
import { LoadedServable } from "./servable.ts";
import type { InferenceMeter } from "./servable-meter.ts";
import { type Action, nextAction, type ServableKey } from "./version-policy.ts";

/**
 * A version that lost its traffic is held this long for requests that were routed to it just
 * before.
 */
const DRAIN_GRACE_MS = 2_000;

/** A load that failed is tried again, later and later. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 300_000;

const REGISTRY_TIMEOUT_MS = 10_000;

export interface ServableKeeperDeps {
  readonly models: Pick<Client<typeof ModelService>, "getModelVersion">;
  readonly blobs: Pick<BlobStore, "localPath">;
  readonly config: EngineConfig;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** Absent: nothing is captured. */
  readonly capture?: Capture | undefined;
  /** Absent: where receipts are wanted, nothing is run. */
  readonly receipts?: Receipts | undefined;
}

export interface ServableKeeperOptions {
  readonly meter: InferenceMeter;
  /** Something that reports would show has changed. */
  readonly onChange: () => void;
}

/** Every deployment and servable of one server. */
export class ServableKeeper implements AsyncDisposable {
  readonly #deps: ServableKeeperDeps;
  readonly #options: ServableKeeperOptions;
  /** By workspace, then by id: no text is put together to find one. */
  readonly #workspaces = new Map<string, Map<string, DeploymentState>>();
  readonly #stop = new AbortController();
  readonly #work = new Set<Promise<void>>();
  #loading = false;

  constructor(deps: ServableKeeperDeps, options: ServableKeeperOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** The deployment, unless it is unknown or deleted. */
  find(workspace: string, deployment: string): DeploymentState | undefined {
    const state = this.#workspaces.get(workspace)?.get(deployment);
    return state?.desired === undefined ? undefined : state;
  }

  /** Deployments that are not deleted, of one workspace or of all. */
  *deployments(workspace?: string): Iterable<DeploymentState> {
    for (const state of this.#states()) {
      const isMeant = workspace === undefined || state.workspace === workspace;
      if (isMeant && state.desired !== undefined) {
        yield state;
      }
    }
  }

  /** Every servable that is loaded, those that drain too. */
  *loaded(): Iterable<LoadedServable> {
    for (const state of this.#states()) {
      yield* state.loaded();
    }
  }

  /** The registry wants this. */
  want(deployment: Deployment): void {
    const names = deploymentName.match(deployment.name);
    if (names === undefined) {
      this.#deps.log.error("A deployment has a name that is not one", { name: deployment.name });
      return;
    }
    let workspace = this.#workspaces.get(names.workspace);
    if (workspace === undefined) {
      workspace = new Map();
      this.#workspaces.set(names.workspace, workspace);
    }
    let state = workspace.get(names.deployment);
    if (state === undefined) {
      state = new DeploymentState(deployment.name, names.workspace, names.deployment);
      workspace.set(names.deployment, state);
    }
    const settings = toDeploymentSettings(deployment.config, this.#deps.config.intraOpThreads);
    const { count, intraOpThreads, runTimeoutMs } = settings.instances;
    const keyOf = ({ modelVersion }: { readonly modelVersion: string }): ServableKey =>
      `${deployment.uid} ${modelVersion} ${count} ${intraOpThreads} ${runTimeoutMs}`;
    state.desired = {
      settings,
      plan: {
        uid: deployment.uid,
        revision: deployment.revision,
        targets: settings.targets.map((target) => ({ key: keyOf(target), weight: target.weight })),
        shadows: settings.shadows.map(keyOf),
      },
    };
    state.configureUse();
    this.step();
    this.#options.onChange();
  }

  /** The registry has deleted this deployment; nothing of it answers from now on. */
  forget(name: string): void {
    for (const state of this.#states()) {
      if (state.name === name) {
        state.desired = undefined;
        state.active = undefined;
        state.refresh();
        this.#removeIfEmpty(state);
      }
    }
    this.step();
    this.#options.onChange();
  }

  /** To be called several times a second: expiries, hung instances, retries that are due. */
  tick(): void {
    for (const servable of this.loaded()) {
      servable.tick();
    }
    this.step();
  }

  /** Ends what still runs and frees everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(Array.from(this.loaded(), (servable) => servable[Symbol.asyncDispose]()));
    await Promise.all(this.#work);
  }

  /** Carries out what the policy says until it has nothing more to say. */
  step(): void {
    while (!this.#stop.signal.aborted) {
      const states = [...this.#states()];
      const action = nextAction({
        deployments: states.map((state) => state.plan),
        nowMs: this.#deps.clock.monotonicMs(),
        held: countHeld(states),
        maxHeld: this.#deps.config.loadedVersionsMax,
        loading: this.#loading,
      });
      if (action === undefined) {
        return;
      }
      this.#perform(action, states.find((state) => state.name === action.deployment)!);
      this.#options.onChange();
    }
  }

  #perform(action: Action, state: DeploymentState): void {
    switch (action.kind) {
      case "activate": {
        state.activate();
        const { revision } = state.active!.plan;
        this.#deps.log.info("A revision serves", { deployment: state.name, revision });
        return;
      }
      case "drain":
        this.#spawn(this.#drain(state, action.key));
        return;
      case "load":
        this.#spawn(this.#load(state, action.key));
        return;
      case "refuse": {
        const { loadedVersionsMax } = this.#deps.config;
        const reason =
          `This server holds ${loadedVersionsMax} versions, as many as it may. Raise ` +
          "PLINTH_INFERENCE_LOADED_VERSIONS_MAX or remove deployments.";
        this.#markFailed(this.#holdNew(state, action.key), reason, RETRY_MS_MIN);
        return;
      }
    }
  }

  async #load(state: DeploymentState, key: ServableKey): Promise<void> {
    const held = this.#holdNew(state, key);
    const { settings, plan } = state.desired!;
    const { clock, random, log, config, models, blobs, capture, receipts } = this.#deps;
    const fields = { deployment: state.name, model_version: held.modelVersion };
    this.#loading = true;
    held.state = { kind: "loading" };
    const startedMs = clock.monotonicMs();
    try {
      const signal = this.#stop.signal;
      const options = { timeoutMs: REGISTRY_TIMEOUT_MS, signal };
      const facts = toModelFacts(
        await models.getModelVersion({ name: held.modelVersion }, options),
      );
      held.servable = await LoadedServable.load({
        deployment: state.name,
        deploymentUid: plan.uid,
        facts,
        modelPath: await blobs.localPath(facts.digest),
        batching: settings.batching,
        instances: settings.instances,
        maxQueueBytes: config.queueBytesMax,
        meter: this.#options.meter,
        clock,
        capture,
        receipts,
        random,
        onTrouble: (text) => log.warn(`Instances: ${text}`, fields),
      });
      held.state = { kind: "ready" };
      held.reason = "";
      held.failures = 0;
      log.info("A version is loaded", { ...fields, ms: clock.monotonicMs() - startedMs });
    } catch (error) {
      const waitMs = Math.min(RETRY_MS_MIN * 4 ** held.failures, RETRY_MS_MAX);
      held.failures += 1;
      this.#markFailed(held, describeLoadError(error), waitMs);
      if (!this.#stop.signal.aborted) {
        log.error("A version could not be loaded", { ...fields, error });
      }
    }
    this.#loading = false;
    state.refresh();
    if (this.#stop.signal.aborted) {
      await held.servable?.[Symbol.asyncDispose]();
    }
    this.step();
    this.#options.onChange();
  }

  #holdNew(state: DeploymentState, key: ServableKey): HeldServable {
    let held = state.servables.get(key);
    if (held === undefined) {
      const modelVersion = modelVersionOf(state, key);
      held = {
        key,
        modelVersion,
        version: versionOf(modelVersion),
        state: { kind: "loading" },
        reason: "",
        failures: 0,
        servable: undefined,
      };
      state.servables.set(key, held);
    }
    return held;
  }

  #markFailed(held: HeldServable, reason: string, waitMs: number): void {
    held.state = { kind: "failed", retryAtMs: this.#deps.clock.monotonicMs() + waitMs };
    held.reason = reason;
  }

  async #drain(state: DeploymentState, key: ServableKey): Promise<void> {
    const held = state.servables.get(key)!;
    state.servables.delete(key);
    state.refresh();
    if (held.servable !== undefined) {
      state.draining.add(held);
      await sleep(DRAIN_GRACE_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      await held.servable.idle();
      await held.servable[Symbol.asyncDispose]();
      state.draining.delete(held);
      const fields = { deployment: state.name, model_version: held.modelVersion };
      this.#deps.log.info("A version is unloaded", fields);
    }
    this.#removeIfEmpty(state);
    this.step();
    this.#options.onChange();
  }

  #removeIfEmpty(state: DeploymentState): void {
    const isEmpty = state.servables.size === 0 && state.draining.size === 0;
    if (state.desired === undefined && isEmpty) {
      this.#workspaces.get(state.workspace)?.delete(state.id);
    }
  }

  #spawn(work: Promise<void>): void {
    const tracked = work.finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }

  *#states(): Iterable<DeploymentState> {
    for (const workspace of this.#workspaces.values()) {
      yield* workspace.values();
    }
  }
}

function modelVersionOf({ desired }: DeploymentState, key: ServableKey): string {
  const { plan, settings } = desired!;
  const target = plan.targets.findIndex((one) => one.key === key);
  return target >= 0
    ? settings.targets[target]!.modelVersion
    : settings.shadows[plan.shadows.indexOf(key)]!.modelVersion;
}

function countHeld(states: readonly DeploymentState[]): number {
  let held = 0;
  for (const state of states) {
    for (const { state: one } of state.servables.values()) {
      held += one.kind === "failed" ? 0 : 1;
    }
    held += state.draining.size;
  }
  return held;
}

/** A text for the registry's status page: ours or onnxruntime's cleaned one, never a driver's. */
function describeLoadError(error: unknown): string {
  if (error instanceof Unavailable) {
    return `The registry or the blob store cannot be reached: ${error.message}`;
  }
  return error instanceof DomainError || error instanceof LoadError
    ? error.message
    : "The version could not be loaded; the log of the inference server says why.";
}
