// Carries findings back to where people look for them: a version's health to the registry, a view's
// to the features service. Each report replaces the one before, so it may be sent again and a newer
// one makes it needless.

import { setTimeout as sleep } from "node:timers/promises";
import { FeatureRegistryService } from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { ModelService } from "../../../gen/plinth/registry/v1/model_service_pb.js";
import { FeedFollower } from "../../common/documents/follow-feed.ts";
import { NotFound } from "../../common/errors/domain-error.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { Client } from "../../common/rpc/context.ts";
import type { AlertStore } from "../alerts/alert-store.ts";
import type { MonitoringEvents } from "../events.ts";
import type { JudgedWindow } from "../reports/judge.ts";
import type { Target } from "../target.ts";
import type { WindowStore } from "../windows/window-store.ts";
import { type HealthFacts, modelHealth } from "./model-health.ts";
import { viewHealths } from "./view-health.ts";

/** Of one call. */
const CALL_TIMEOUT_MS = 5000;
/** Windows looked at for the newest one that has a verdict. */
const RECENT_MAX = 24;
/** Pauses between tries of what is told after an alert changed; then the next window tells. */
const RETRY_MS: readonly number[] = [1000, 5000, 30_000];

export interface FeedbackDeps {
  readonly windows: Pick<WindowStore, "target" | "list">;
  readonly alerts: Pick<AlertStore, "firing" | "revision" | "changes">;
  /** From labels, of the newest windows that have some: "accuracy", "rmse" ... */
  readonly predictions: {
    latestMetrics(target: Target): Promise<Readonly<Record<string, number>>>;
  };
  /** Absent: there is none to tell. */
  readonly registry: Channel | undefined;
  readonly features: Channel | undefined;
  readonly events: Pick<MonitoringEvents, "backgroundFailed">;
  /** Absent: after 1, 5 and 30 seconds. */
  readonly retryMs?: readonly number[];
}

/** Owns what is being told in the background. */
export class Feedback implements AsyncDisposable {
  readonly #deps: FeedbackDeps;
  readonly #models: Client<typeof ModelService> | undefined;
  readonly #views: Client<typeof FeatureRegistryService> | undefined;
  readonly #stop = new AbortController();
  #follower: AsyncDisposable | undefined;
  /** By target: whether it is to be told once more when what is under way has ended. */
  readonly #telling = new Map<string, { again: boolean; done: Promise<void> }>();

  constructor(deps: FeedbackDeps) {
    this.#deps = deps;
    this.#models = deps.registry && createClient(ModelService, deps.registry);
    this.#views = deps.features && createClient(FeatureRegistryService, deps.features);
  }

  /** Begins to follow the alerts: what they change of a version is told between windows too. */
  start(): void {
    this.#follower ??= this.#follow();
  }

  /**
   * Tells what was found in a window. Versions and views that are gone are no failure.
   * @throws where one of the services could not be told; all of it is to be sent again then.
   */
  async report(target: Target, window: JudgedWindow): Promise<void> {
    const { record, verdict, endUs, compared } = window;
    // A view has one entry a deployment, and that is what answers.
    const freshness = target.shadow ? [] : record.totals.freshness;
    const told = await Promise.allSettled([
      this.#tellRegistry(target, { endUs, rows: record.rows, verdict }),
      ...viewHealths({
        deployment: target.deployment,
        modelVersion: target.modelVersion,
        endUs,
        freshness,
        columns: compared?.columns ?? [],
      }).map(({ name, health }) => this.#tellFeatures(name, health)),
    ]);
    const failed = told.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) {
      throw failed.reason;
    }
  }

  /**
   * Has the registry told soon, because an alert of the target changed. Never throws; calls that
   * come while one is under way are one.
   */
  soon(targetId: string): void {
    const under = this.#telling.get(targetId);
    if (under !== undefined) {
      under.again = true;
    } else if (!this.#stop.signal.aborted) {
      const entry = { again: false, done: Promise.resolve() };
      this.#telling.set(targetId, entry);
      entry.done = this.#tellSoon(targetId, entry).finally(() => this.#telling.delete(targetId));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#follower?.[Symbol.asyncDispose]();
    await Promise.all(Array.from(this.#telling.values(), ({ done }) => done));
  }

  #follow(): AsyncDisposable {
    const { alerts, events } = this.#deps;
    const phases = new Map<string, string>();
    return FeedFollower.begin(alerts, {
      changed: (change) => {
        if (change.kind === "put") {
          const { _id, target, phase } = change.document;
          // Deliveries and actions are changes of an alert too.
          if (phases.get(_id) !== phase) {
            this.soon(target);
          }
          if (phase === "RESOLVED") {
            phases.delete(_id);
          } else {
            phases.set(_id, phase);
          }
        }
      },
      missed: () => phases.clear(),
      broke: (error) => events.backgroundFailed("feedback", "alerts", error),
    });
  }

  async #tellSoon(targetId: string, entry: { again: boolean }): Promise<void> {
    const pauses = this.#deps.retryMs ?? RETRY_MS;
    let failures = 0;
    do {
      entry.again = false;
      try {
        await this.#tellNewest(targetId);
        failures = 0;
      } catch (error) {
        this.#deps.events.backgroundFailed("feedback", targetId, error);
        const pauseMs = pauses[failures];
        failures += 1;
        entry.again = pauseMs !== undefined;
        await sleepUntil(pauseMs ?? 0, this.#stop.signal);
      }
    } while (entry.again && !this.#stop.signal.aborted);
  }

  async #tellNewest(targetId: string): Promise<void> {
    const { windows } = this.#deps;
    const target = await windows.target(targetId);
    if (target === undefined) {
      return;
    }
    const recent = await windows.list(targetId, {}, { limit: RECENT_MAX });
    for (const { closed, verdict, endUs, rows } of recent) {
      if (closed && verdict !== undefined) {
        await this.#tellRegistry(target, { endUs, rows, verdict });
        return;
      }
    }
  }

  async #tellRegistry(target: Target, window: HealthFacts["window"]): Promise<void> {
    const { alerts, predictions } = this.#deps;
    if (this.#models === undefined) {
      return;
    }
    const [firing, metrics] = await Promise.all([
      alerts.firing(target._id),
      predictions.latestMetrics(target),
    ]);
    const { deployment, modelVersion } = target;
    const health = modelHealth({ deployment, window, firing, metrics });
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal: this.#stop.signal };
    await unlessGone(this.#models.reportModelHealth({ name: modelVersion, health }, options));
  }

  async #tellFeatures(
    name: string,
    health: ReturnType<typeof viewHealths>[number]["health"],
  ): Promise<void> {
    if (this.#views !== undefined) {
      const options = { timeoutMs: CALL_TIMEOUT_MS, signal: this.#stop.signal };
      await unlessGone(this.#views.reportFeatureViewHealth({ name, health }, options));
    }
  }
}

/** Nobody looks at a version or view that was removed. */
async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof NotFound)) {
      throw error;
    }
  }
}

async function sleepUntil(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
}
