// One deployment on this server: what the registry wants, what answers, and every servable held for
// it. Answers the routing questions of the request path; the engine decides when it changes.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { NotFound, Unavailable } from "../../common/errors/domain-error.ts";
import type { DeploymentStatus, VersionState, VersionStatus } from "../engine.ts";
import type { DeploymentSettings } from "./deployment-settings.ts";
import { chooseTarget, type RoutingTarget, targetSeed } from "./routing.ts";
import type { LoadedServable } from "./servable.ts";
import type { DeploymentPlan, RevisionPlan, ServableKey, ServableState } from "./version-policy.ts";

/** When it is worth asking again for a version that is being loaded. */
const NOT_READY_RETRY_MS = 1_000;

/** One servable of a deployment in whatever state it is. */
export interface HeldServable {
  readonly key: ServableKey;
  readonly modelVersion: string;
  readonly version: string;
  state: ServableState;
  /** Why the last load failed; empty otherwise. */
  reason: string;
  /** Loads that failed one after another. */
  failures: number;
  /** Present once loaded. */
  servable: LoadedServable | undefined;
}

/** A configuration of the deployment. */
export interface Revision {
  readonly plan: RevisionPlan;
  readonly settings: DeploymentSettings;
}

/** A target as routing sees it; readiness is read at each request. */
class Target implements RoutingTarget {
  readonly weight: number;
  readonly seed: number;
  readonly held: HeldServable | undefined;

  constructor(weight: number, seed: number, held: HeldServable | undefined) {
    this.weight = weight;
    this.seed = seed;
    this.held = held;
  }

  get ready(): boolean {
    return this.held?.state.kind === "ready";
  }
}

/** Mutable; owned by the engine. */
export class DeploymentState {
  readonly name: string;
  readonly workspace: string;
  readonly id: string;
  readonly servables = new Map<ServableKey, HeldServable>();
  readonly draining = new Set<HeldServable>();
  /** Absent once deleted. */
  desired: Revision | undefined;
  active: Revision | undefined;
  #targets: readonly Target[] = [];

  constructor(name: string, workspace: string, id: string) {
    this.name = name;
    this.workspace = workspace;
    this.id = id;
  }

  get plan(): DeploymentPlan {
    const servables = new Map<ServableKey, ServableState>();
    for (const [key, held] of this.servables) {
      servables.set(key, held.state);
    }
    return {
      name: this.name,
      servables,
      ...(this.desired === undefined ? {} : { desired: this.desired.plan }),
      ...(this.active === undefined ? {} : { active: this.active.plan }),
    };
  }

  /**
   * Makes the active revision's targets, shadows and batching hold; after any change of servables.
   */
  refresh(): void {
    const { active } = this;
    this.#targets = (active?.plan.targets ?? []).map(
      ({ key, weight }, index) =>
        new Target(
          weight,
          targetSeed(this.name, active!.settings.targets[index]!.modelVersion),
          this.servables.get(key),
        ),
    );
    const shadows = (active?.plan.shadows ?? []).flatMap((key, index) => {
      const servable = this.servables.get(key)?.servable;
      const { sampleRate } = active!.settings.shadows[index]!;
      return servable === undefined ? [] : [{ servable, sampleRate }];
    });
    for (const { servable } of this.servables.values()) {
      if (active !== undefined) {
        servable?.configure(active.settings.batching);
      }
    }
    for (const { held } of this.#targets) {
      if (held?.servable !== undefined) {
        held.servable.shadows = shadows.filter(({ servable }) => servable !== held.servable);
      }
    }
    this.configureUse();
  }

  /**
   * Makes what the desired revision says of captures and proofs hold, whatever answers: a mask or a
   * receipt must not wait until a new version is loaded.
   */
  configureUse(): void {
    const settings = (this.desired ?? this.active)?.settings;
    if (settings !== undefined) {
      for (const servable of this.loaded()) {
        servable.captureAs(settings.capture);
        servable.proofs = settings.proofs;
      }
    }
  }

  /** Makes the desired revision the one that answers. */
  activate(): void {
    this.active = this.desired;
    this.refresh();
  }

  /**
   * The servable that answers.
   * @throws NotFound for a version the deployment has not; Unavailable (MODEL_NOT_READY).
   */
  route(
    version: string | undefined,
    routingKey: string | undefined,
    random: () => number,
  ): LoadedServable {
    if (version !== undefined) {
      return this.#routeToVersion(version);
    }
    const target = this.#targets[chooseTarget(this.#targets, routingKey, random)];
    const servable = target?.held?.servable;
    if (servable === undefined) {
      throw this.#notReady(`No version of deployment "${this.id}" is`);
    }
    return servable;
  }

  status(): DeploymentStatus {
    const { settings, plan } = (this.desired ?? this.active)!;
    return {
      workspace: this.workspace,
      deployment: this.id,
      revision: plan.revision,
      batching: settings.batching,
      instances: settings.instances,
      versions: this.versions(),
    };
  }

  /** One entry a version: wanted ones in the order of the configuration, then those that go. */
  versions(): readonly VersionStatus[] {
    const statuses = new Map<string, VersionStatus>();
    for (const [plan, settings] of this.#revisions()) {
      const keys = [...plan.targets.map((target) => target.key), ...plan.shadows];
      const wanted = [...settings.targets, ...settings.shadows];
      for (const [index, { modelVersion }] of wanted.entries()) {
        const held = this.servables.get(keys[index]!);
        const known = statuses.get(modelVersion);
        if (known === undefined || (known.state !== "READY" && held?.state.kind === "ready")) {
          statuses.set(modelVersion, statusOf(modelVersion, held));
        }
      }
    }
    for (const held of this.draining) {
      if (!statuses.has(held.modelVersion)) {
        statuses.set(held.modelVersion, {
          ...statusOf(held.modelVersion, held),
          state: "DRAINING",
        });
      }
    }
    return [...statuses.values()];
  }

  /** Every servable that is loaded, those that drain too. */
  *loaded(): Iterable<LoadedServable> {
    for (const held of [...this.servables.values(), ...this.draining]) {
      if (held.servable !== undefined) {
        yield held.servable;
      }
    }
  }

  *#revisions(): Iterable<readonly [RevisionPlan, DeploymentSettings]> {
    for (const revision of [this.desired, this.active]) {
      if (revision !== undefined) {
        yield [revision.plan, revision.settings];
      }
    }
  }

  #routeToVersion(version: string): LoadedServable {
    let known = false;
    for (const { held } of this.#targets) {
      if (held?.version === version && held.servable !== undefined) {
        return held.servable;
      }
    }
    for (const held of this.servables.values()) {
      if (held.version === version) {
        known = true;
        if (held.servable !== undefined) {
          return held.servable;
        }
      }
    }
    const wanted = this.versions().map((status) => versionOf(status.modelVersion));
    if (known || wanted.includes(version)) {
      throw this.#notReady(`Version ${version} of deployment "${this.id}" is`);
    }
    throw new NotFound(
      `Deployment "${this.id}" has no version "${version}"; it has ${wanted.join(", ")}.`,
      { reason: ErrorReason.RESOURCE_NOT_FOUND, metadata: { deployment: this.name } },
    );
  }

  #notReady(subject: string): Unavailable {
    const failures = [...this.servables.values()]
      .filter((held) => held.reason !== "")
      .map((held) => ` Version ${held.version}: ${held.reason}`);
    return new Unavailable(`${subject} not ready on this server.${failures.join("")}`, {
      reason: ErrorReason.MODEL_NOT_READY,
      retryAfterMs: NOT_READY_RETRY_MS,
      metadata: { deployment: this.name },
    });
  }
}

/** "3" of `workspaces/w/models/m/versions/3`. */
export function versionOf(modelVersion: string): string {
  return modelVersion.slice(modelVersion.lastIndexOf("/") + 1);
}

const STATES = {
  loading: "LOADING",
  ready: "READY",
  failed: "FAILED",
} as const satisfies Record<ServableState["kind"], VersionState>;

function statusOf(modelVersion: string, held: HeldServable | undefined): VersionStatus {
  return {
    modelVersion,
    version: versionOf(modelVersion),
    state: held === undefined ? "LOADING" : STATES[held.state.kind],
    reason: held?.state.kind === "failed" ? held.reason : "",
    ...(held?.servable === undefined ? {} : { servable: held.servable }),
  };
}
