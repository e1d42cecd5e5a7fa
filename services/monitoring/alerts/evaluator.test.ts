import { describe, expect, it } from "vitest";
import { AlertScope, Comparison, Metric_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { collect } from "../../common/documents/resource.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { FaultyStore, TARGET_ID } from "../windows/testing.ts";
import { type AlertRuleRecord, EVERY_COLUMN } from "./alert-rule.ts";
import { type SeriesState, step } from "./alert-state.ts";
import type { AlertEvaluator } from "./evaluator.ts";
import { webhooks } from "./testing/alerts.ts";
import { FEW, setting } from "./testing/evaluator.ts";
import { MINUTE_US, minute } from "./testing/windows.ts";

describe("evaluator", () => {
  it("fires, goes on and resolves as windows close", async () => {
    const s = await setting([FEW]);
    await s.seen.see(200, 50, 40, 300);
    await s.closed(0);
    expect(await s.all()).toEqual([]);
    await s.closed(1);
    const [alert] = await s.all();
    expect(alert).toMatchObject({
      phase: "FIRING",
      rule: FEW._id,
      target: TARGET_ID,
      column: "",
      value: 50,
      bound: 100,
      windowEndUs: minute(1).endUs,
    });
    expect(alert?.summary).toBe(
      "rows is 50 < 100, in the window 2026-01-01T00:01:00Z to 2026-01-01T00:02:00Z",
    );
    expect(await s.alerts.firing(TARGET_ID)).toEqual([alert?._id]);
    expect(await s.alerts.active(TARGET_ID)).toBe(1);
    await s.closed(2);
    expect(await s.all()).toMatchObject([{ phase: "FIRING", value: 40 }]);
    await s.closed(3);
    expect(await s.all()).toMatchObject([{ phase: "RESOLVED", value: 300 }]);
    expect(await s.alerts.active(TARGET_ID)).toBe(0);
  });

  it("changes nothing when told of a window again, or of an older one", async () => {
    const s = await setting([FEW]);
    await s.seen.see(50, 200, 50);
    await s.closed(0, 1, 2);
    const before = await s.all();
    const revision = await s.alerts.revision();
    await s.closed(2, 1, 0, 2);
    expect(await s.all()).toEqual(before);
    expect(await s.alerts.revision()).toBe(revision);
    expect(before.map(({ phase }) => phase)).toEqual(["RESOLVED", "FIRING"]);
  });

  it("looks at the windows that it was not told of, in order", async () => {
    const s = await setting([{ ...FEW, forMs: 180_000 }]);
    await s.seen.see(50, 50, 50, 200, 50);
    await s.closed(0, 2);
    expect(await s.all()).toMatchObject([{ phase: "FIRING", wrongUs: 3 * MINUTE_US }]);
    await s.closed(4);
    const phases = (await s.all()).map(({ phase }) => phase);
    expect(phases).toEqual(["RESOLVED", "PENDING"]);
  });

  it("drops what went right before it fired without telling anybody", async () => {
    const rule = { ...FEW, forMs: 180_000, webhooks: webhooks("http://127.0.0.1:1") };
    const s = await setting([rule]);
    await s.seen.see(50, 50, 200);
    await s.closed(0, 1, 2);
    const [alert] = await s.all();
    expect(alert).toMatchObject({ phase: "RESOLVED", fireTime: null, deliveries: [] });
    expect(alert?.expireTime?.getTime()).toBe(s.alerts.now().getTime() + 3_600_000);
  });

  it("tells when it fires and when it is over", async () => {
    const rule = { ...FEW, webhooks: webhooks("http://127.0.0.1:1", "http://127.0.0.1:2") };
    const s = await setting([rule]);
    await s.seen.see(50, 40, 200);
    await s.closed(0, 1, 2);
    const [alert] = await s.all();
    expect(alert?.deliveries.map(({ event, url }) => `${event} ${url}`)).toEqual([
      "alert.firing http://127.0.0.1:1",
      "alert.firing http://127.0.0.1:2",
      "alert.resolved http://127.0.0.1:1",
      "alert.resolved http://127.0.0.1:2",
    ]);
    const states = alert?.bodies.map(({ body }) => JSON.parse(body).data.state);
    expect(states).toEqual(["STATE_FIRING", "STATE_RESOLVED"]);
  });

  it("looks at no rule that is disabled, of another deployment, or of another scope", async () => {
    const rules = [
      { ...FEW, _id: "workspaces/w/alertRules/a", disabled: true },
      { ...FEW, _id: "workspaces/w/alertRules/b", deployment: "workspaces/w/deployments/x" },
      { ...FEW, _id: "workspaces/w/alertRules/c", scope: AlertScope.SHADOW },
      { ...FEW, _id: "workspaces/w/alertRules/d", scope: AlertScope.ALL },
    ].map((rule) => ({ ...rule, uid: rule._id }));
    const live = await setting(rules);
    await live.seen.see(50);
    await live.closed(0);
    expect((await live.all()).map(({ rule }) => rule.at(-1))).toEqual(["d"]);
    const shadow = await setting([...rules, FEW], { shadow: true });
    await shadow.seen.see(50);
    await shadow.closed(0);
    expect((await shadow.all()).map(({ rule }) => rule.at(-1)).sort()).toEqual(["c", "d"]);
  });

  it("knows nothing of windows with too few rows", async () => {
    const metric = { kind: Metric_Kind.MEAN, column: "x", q: 0, rowsMin: 100 };
    const condition = {
      kind: "threshold",
      comparison: Comparison.GREATER,
      value: -1,
    } as const;
    const s = await setting([{ ...FEW, metric, condition }]);
    await s.seen.see(99, 100, 99, 0, 99);
    await s.closed(0);
    expect(await s.all()).toEqual([]);
    await s.closed(1, 2, 4);
    expect(await s.all()).toMatchObject([{ phase: "FIRING", windowEndUs: minute(1).endUs }]);
  });

  it("has an alert for each column where the rule says so", async () => {
    const metric = { kind: Metric_Kind.MEAN, column: EVERY_COLUMN, q: 0, rowsMin: 0 };
    const condition = {
      kind: "threshold",
      comparison: Comparison.GREATER,
      value: 0.2,
    } as const;
    const s = await setting([{ ...FEW, metric, condition }]);
    await s.seen.see(500, 500);
    await s.closed(0, 1);
    const alerts = await s.all();
    expect(alerts.map(({ column }) => column).sort()).toEqual(["prediction.p", "x"]);
    expect(alerts.map(({ summary }) => summary.split(" is ")[0]).sort()).toEqual([
      "mean of prediction.p",
      "mean of x",
    ]);
  });

  it("compares with the baseline", async () => {
    const metric = { kind: Metric_Kind.QUANTILE, column: "x", q: 0.5, rowsMin: 0 };
    const condition = (factor: number): AlertRuleRecord["condition"] => ({
      kind: "baseline",
      comparison: Comparison.GREATER,
      factor,
      offset: 0,
    });
    const s = await setting([
      { ...FEW, metric, condition: condition(0.5) },
      { ...FEW, _id: "workspaces/w/alertRules/s", uid: "s", metric, condition: condition(2) },
    ]);
    await s.seen.see(500);
    await s.closed(0);
    expect((await s.all()).map(({ rule }) => rule)).toEqual([FEW._id]);
  });

  it("compares with the windows before", async () => {
    const sigma = { kind: "sigma", k: 3, windows: 5, comparison: Comparison.UNSPECIFIED } as const;
    const s = await setting([{ ...FEW, condition: sigma }]);
    // Of 100, 110, 90 the deviation is 8.16: 124.5 is the bound; then of five.
    await s.seen.see(1000, 1000, 100, 110, 90, 124, 100, 110, 90, 300);
    await s.closed(0, 1, 2);
    expect(await s.all()).toEqual([]);
    await s.closed(3, 4, 5, 6, 7, 8);
    expect(await s.all()).toEqual([]);
    await s.closed(9);
    expect(await s.all()).toMatchObject([{ phase: "FIRING", value: 300 }]);
  });

  it("looks at columns that drifted, and at the share of them", async () => {
    const drift = (kind: Metric_Kind, column: string): AlertRuleRecord => ({
      ...FEW,
      _id: `workspaces/w/alertRules/${Metric_Kind[kind]}`,
      uid: Metric_Kind[kind],
      metric: { kind, column, q: 0, rowsMin: 0 },
      condition: { kind: "threshold", comparison: Comparison.GREATER_OR_EQUAL, value: 0 },
    });
    const s = await setting([
      drift(Metric_Kind.COLUMN_DRIFT, "x"),
      drift(Metric_Kind.COLUMN_DRIFTED, EVERY_COLUMN),
      drift(Metric_Kind.FEATURE_DRIFT_SHARE, ""),
      drift(Metric_Kind.PREDICTION_DRIFT_SHARE, ""),
      drift(Metric_Kind.UNSEEN_RATE, EVERY_COLUMN),
      drift(Metric_Kind.OUTSIDE_MAX_AGE_RATE, EVERY_COLUMN),
      drift(Metric_Kind.QUEUE_MS, ""),
    ]);
    await s.seen.see(500);
    await s.closed(0);
    const found = (await s.all()).map(({ rule, column }) => `${rule.split("/").at(-1)} ${column}`);
    expect(found.sort()).toEqual([
      "COLUMN_DRIFT x",
      "COLUMN_DRIFTED b",
      "COLUMN_DRIFTED c",
      "COLUMN_DRIFTED prediction.p",
      // And not y, which has too few values for its method.
      "COLUMN_DRIFTED x",
      "FEATURE_DRIFT_SHARE ",
      "OUTSIDE_MAX_AGE_RATE f",
      "PREDICTION_DRIFT_SHARE ",
      "QUEUE_MS ",
      "UNSEEN_RATE b",
      "UNSEEN_RATE c",
    ]);
  });

  it("does not look back at what closed while it was disabled", async () => {
    const s = await setting([FEW]);
    await s.seen.see(200, 50, 50, 200, 50);
    await s.closed(0);
    await s.alerts.rules.putOne({ ...FEW, disabled: true });
    await s.closed(1, 2);
    await s.alerts.rules.putOne(FEW);
    await s.closed(3);
    expect(await s.all()).toEqual([]);
    await s.closed(4);
    expect(await s.all()).toMatchObject([{ phase: "FIRING", windowEndUs: minute(4).endUs }]);
  });

  it("ends with the same alerts with many replicas, crashes and repeats", async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = new SeededRandom(seed);
      const rows = Array.from({ length: 14 }, () => random.pick([50, 60, 200, 0]));
      const rule = {
        ...FEW,
        forMs: 60_000 * random.below(3),
        coolDownMs: 60_000 * random.below(6),
      };
      const s = await setting([rule]);
      await s.seen.see(...rows);
      const store = new FaultyStore(s.documents);
      store.nextFault = () => random.pick([undefined, undefined, "before", "after"] as const);
      const steady = new FaultyStore(s.documents);
      const replicas = [await s.replica(store), await s.replica(store), await s.replica(steady)];
      for (const [n, count] of rows.entries()) {
        const target = await s.seen.target();
        const tell = (replica: AlertEvaluator) => replica.windowClosed(target, minute(n));
        if (count > 0) {
          await Promise.allSettled(replicas.slice(0, 2).map(tell));
          // The judge tries until it succeeds.
          await tell(replicas[2]!);
        }
      }
      const found = (await s.all()).map(({ phase, windowEndUs, wrongUs, firedEndUs }) => ({
        phase,
        windowEndUs,
        wrongUs,
        firedEndUs,
      }));
      expect(found, `seed ${seed}`).toEqual(expected(rows, rule));
      expect(await collect(s.alerts.allActive({}))).toHaveLength(
        found.filter(({ phase }) => phase !== "RESOLVED").length,
      );
    }
  });
});

/** What one evaluator that never fails makes of it, by the states alone. */
function expected(rows: readonly number[], rule: AlertRuleRecord): SeriesState[] {
  const states: SeriesState[] = [];
  for (const [n, count] of rows.entries()) {
    const finding = count === 0 ? "unknown" : count < 100 ? "wrong" : "right";
    const patience = {
      forUs: rule.forMs * 1000,
      coolDownUs: rule.coolDownMs * 1000,
      isRevisable: false,
    };
    const next = step(states.at(-1), { ...minute(n), finding }, patience);
    if (next.kind === "begin") {
      states.push(next.state);
    } else if (next.kind === "go-on") {
      states[states.length - 1] = next.state;
    }
  }
  return states;
}
