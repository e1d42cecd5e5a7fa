import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  FeatureRegistryService,
  type ReportFeatureViewHealthRequest,
} from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import {
  ModelService,
  type ReportModelHealthRequest,
} from "../../../gen/plinth/registry/v1/model_service_pb.js";
import { ModelHealth_State } from "../../../gen/plinth/registry/v1/model_version_pb.js";
import { withoutStamps } from "../../common/documents/resource.ts";
import { NotFound, Unavailable } from "../../common/errors/domain-error.ts";
import { Channel } from "../../common/rpc/client.ts";
import { bindService } from "../../common/rpc/context.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { fire, ruleOf, useAlerts } from "../alerts/testing/alerts.ts";
import { lcg } from "../drift/testing.ts";
import { Judge } from "../reports/judge.ts";
import { HOUR_US, START_US, useStores, versionOf } from "../reports/testing-stores.ts";
import { timestampOf } from "../reports/time-range.ts";
import { targetId } from "../target.ts";
import { Feedback } from "./feedback.ts";

const CLOSED_MS = 3_600_000 + 300_000;
const V1 = versionOf(1);
const VIEW = "workspaces/w/featureViews/v";

const rows = (seed: number, size: number, shift = 0) => ({
  x: lcg(seed, size).map((u) => u + shift),
  "prediction.y": lcg(seed + 2000, size).map((u) => u * u),
});

/** A registry and a features service that take reports, or are away, or have nothing of the name. */
async function useReceivers() {
  const models: ReportModelHealthRequest[] = [];
  const views: ReportFeatureViewHealthRequest[] = [];
  const state: { answer: "takes" | "away" | "gone" } = { answer: "takes" };
  const check = () => {
    if (state.answer === "away") {
      throw new Unavailable("away", {
        reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
        retryAfterMs: 1,
      });
    }
    if (state.answer === "gone") {
      throw new NotFound("gone", { reason: ErrorReason.RESOURCE_NOT_FOUND });
    }
  };
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    authenticate: () => ({ id: "services/monitoring", workspace: "-", roles: [Role.SERVICE] }),
    bindings: [
      bindService(ModelService, {
        async reportModelHealth(request: ReportModelHealthRequest) {
          check();
          models.push(request);
          return {};
        },
      } as never),
      bindService(FeatureRegistryService, {
        async reportFeatureViewHealth(request: ReportFeatureViewHealthRequest) {
          check();
          views.push(request);
          return {};
        },
      } as never),
    ],
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  return { models, views, state, channel };
}

/** Notes which targets are to be told of. */
class HeardFeedback extends Feedback {
  readonly heard: string[] = [];

  override soon(target: string): void {
    this.heard.push(target);
    super.soon(target);
  }
}

async function useFeedback() {
  const stores = await useStores();
  const receivers = await useReceivers();
  const { alerts: store } = await useAlerts({ documents: stores.documents });
  const firing: string[] = [];
  const alerts = {
    firing: async () => firing,
    revision: () => store.revision(),
    changes: store.changes.bind(store),
  };
  const metrics: Record<string, number> = {};
  const feedback = new HeardFeedback({
    ...stores,
    alerts,
    predictions: { latestMetrics: async () => metrics },
    registry: receivers.channel,
    features: receivers.channel,
    retryMs: [5, 5],
  });
  const judge = new Judge({ ...stores, alerts: { windowClosed: async () => {} }, feedback });
  onTestFinished(async () => {
    await judge[Symbol.asyncDispose]();
    await feedback[Symbol.asyncDispose]();
  });
  return { ...stores, ...receivers, feedback, judge, alerts, store, firing, metrics };
}

type Parts = Awaited<ReturnType<typeof useFeedback>>;

/** A window of 800 rows with this shift that has closed; a tenth of x was too old. */
async function closeWindow(
  { count, closeAfter }: Pick<Parts, "count" | "closeAfter">,
  hour: number,
  options: { readonly shift?: number; readonly shadow?: boolean } = {},
): Promise<void> {
  const { shift = 0, shadow = false } = options;
  const statuses = Uint8Array.from({ length: 800 }, (_, i) =>
    i < 80 ? FieldStatus.OUTSIDE_MAX_AGE : i < 120 ? FieldStatus.NULL_VALUE : FieldStatus.PRESENT,
  );
  const ok = new Uint8Array(800).fill(FieldStatus.PRESENT);
  await count({
    version: V1,
    columns: rows(hour + 2, 800, shift),
    eventUs: START_US + hour * HOUR_US,
    shadow,
    statuses: [
      { feature: "x", featureView: VIEW, statuses },
      { feature: "other", featureView: VIEW, statuses: ok },
      { feature: "computed", featureView: "", statuses: ok },
    ],
  });
  await closeAfter(CLOSED_MS);
}

describe("feedback", () => {
  it("tells the registry of the version and the features service of its views", async () => {
    const { judge, models, views, metrics, ...parts } = await useFeedback();
    await parts.baseline(V1, rows(1, 2000));
    Object.assign(metrics, { accuracy: 0.75, log_loss: Number.NaN });
    await closeWindow(parts, 0, { shift: 0.5 });
    expect(await judge.judgeDue()).toBe(1);
    expect(models).toMatchObject([
      {
        name: V1.modelVersion,
        health: {
          deployment: V1.deployment,
          state: ModelHealth_State.DRIFTED,
          windowEndTime: timestampOf(START_US + HOUR_US),
          rows: 800n,
          featureDriftShare: 1,
          predictionDriftShare: 0,
          driftedColumns: ["x"],
          liveMetrics: { accuracy: 0.75 },
          firingAlerts: [],
        },
      },
    ]);
    expect(models[0]?.health?.liveMetrics).not.toHaveProperty("log_loss");
    expect(views).toMatchObject([
      {
        name: VIEW,
        health: {
          deployment: V1.deployment,
          modelVersion: V1.modelVersion,
          windowEndTime: timestampOf(START_US + HOUR_US),
          rows: 800n,
          features: [
            { feature: "other", missingRate: 0, outsideMaxAgeRate: 0 },
            { feature: "x", outsideMaxAgeRate: 0.1, drifted: true },
          ],
        },
      },
    ]);
    expect(views[0]?.health?.features[1]?.missingRate).toBeCloseTo(0.15, 12);
    expect(views[0]?.health?.features[0]?.drifted).toBeUndefined();
  });

  it("calls a version healthy, alerting or unknown", async () => {
    const { judge, models, views, firing, ...parts } = await useFeedback();
    await parts.baseline(V1, rows(1, 2000));
    await closeWindow(parts, 0, { shadow: true });
    await judge.judgeDue();
    expect(models.at(-1)?.health).toMatchObject({
      state: ModelHealth_State.HEALTHY,
      featureDriftShare: 0,
      driftedColumns: [],
    });
    // What a shadow reads is not what the deployment answers from.
    expect(views).toEqual([]);
    firing.push(...Array.from({ length: 30 }, (_, i) => `workspaces/w/alerts/a${i}`));
    await closeWindow(parts, 1);
    await judge.judgeDue();
    expect(models.at(-1)?.health?.state).toBe(ModelHealth_State.ALERTING);
    expect(models.at(-1)?.health?.firingAlerts).toHaveLength(20);
    firing.length = 0;
    await parts.count({ version: V1, columns: rows(9, 20), eventUs: START_US + 2 * HOUR_US });
    await parts.closeAfter(CLOSED_MS);
    await judge.judgeDue();
    expect(models.at(-1)?.health?.state).toBe(ModelHealth_State.UNKNOWN);
    expect(models.at(-1)?.health?.featureDriftShare).toBeUndefined();
  });

  it("is repeated while a service is away, and not for what is gone", async () => {
    const { judge, models, views, state, clock, ...parts } = await useFeedback();
    await parts.baseline(V1, rows(1, 2000));
    state.answer = "away";
    await closeWindow(parts, 0);
    expect(await judge.judgeDue()).toBe(0);
    expect(parts.failures).toEqual([expect.stringMatching(/^feedback /)]);
    state.answer = "takes";
    clock.advance(2000);
    expect(await judge.judgeDue()).toBe(1);
    expect([models.length, views.length]).toEqual([1, 1]);
    state.answer = "gone";
    await closeWindow(parts, 1);
    expect(await judge.judgeDue()).toBe(1);
    expect(await parts.windows.unjudged(10)).toEqual([]);
  });

  it("tells the registry again when an alert changes", async () => {
    const { judge, feedback, models, views, firing, state, ...parts } = await useFeedback();
    await parts.baseline(V1, rows(1, 2000));
    feedback.soon(targetId(V1));
    await closeWindow(parts, 0);
    await judge.judgeDue();
    await parts.count({ version: V1, columns: rows(5, 10), eventUs: START_US + HOUR_US });
    expect(models).toHaveLength(1);
    firing.push("workspaces/w/alerts/a");
    state.answer = "away";
    feedback.soon(targetId(V1));
    feedback.soon(targetId(V1));
    await expect.poll(() => parts.failures.length).toBeGreaterThan(0);
    state.answer = "takes";
    feedback.soon(targetId(V1));
    await expect.poll(() => models.length).toBeGreaterThan(1);
    expect(models.at(-1)?.health).toMatchObject({
      state: ModelHealth_State.ALERTING,
      windowEndTime: timestampOf(START_US + HOUR_US),
      rows: 800n,
    });
    expect(views).toHaveLength(1);
  });

  it("tells the registry when an alert changes, and not when it is delivered", async () => {
    const { feedback, judge, store, models, firing, ...parts } = await useFeedback();
    await parts.baseline(V1, rows(1, 2000));
    await closeWindow(parts, 0);
    await judge.judgeDue();
    expect(models.at(-1)?.health?.state).toBe(ModelHealth_State.HEALTHY);
    feedback.start();
    const like = await fire({ alerts: store }, ruleOf());
    const alert = { ...withoutStamps(like), _id: `${like._id}-2`, series: "s", activeSeries: "s" };
    firing.push(alert._id);
    // The feed is followed from some moment on: what was before it is told with the next window.
    await expect
      .poll(async () => {
        await store
          .change(alert._id, (current) => ({ ...current, summary: "again" }))
          .catch(() => store.begin({ ...alert, target: targetId(V1) }));
        return models.at(-1)?.health?.state;
      })
      .toBe(ModelHealth_State.ALERTING);
    const told = models.length;
    await store.change(alert._id, (current) => ({ ...current, summary: "a delivery" }));
    await store.change(alert._id, (current) => ({ ...current, phase: "RESOLVED" }));
    await expect.poll(() => models.length).toBeGreaterThan(told);
    await store.begin({ ...alert, _id: `${like._id}-3`, activeSeries: "t", target: "other" });
    await expect.poll(() => feedback.heard.at(-1)).toBe("other");
    const heard = feedback.heard.filter((target) => target !== like.target);
    expect(heard).toEqual([targetId(V1), targetId(V1), "other"]);
  });

  it("tells nobody where nobody is known", async () => {
    const { judge: _judge, feedback: _feedback, models, ...parts } = await useFeedback();
    const feedback = new Feedback({
      ...parts,
      predictions: { latestMetrics: async () => ({}) },
      registry: undefined,
      features: undefined,
    });
    const judge = new Judge({ ...parts, alerts: { windowClosed: async () => {} }, feedback });
    await parts.baseline(V1, rows(1, 2000));
    await closeWindow(parts, 0);
    expect(await judge.judgeDue()).toBe(1);
    expect(models).toEqual([]);
  });
});
