import { describe, expect, it } from "vitest";
import { Comparison, Metric_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { TARGET_ID } from "../windows/testing.ts";
import { EVERY_COLUMN } from "./alert-rule.ts";
import { webhooks } from "./testing/alerts.ts";
import { FEW, setting } from "./testing/evaluator.ts";
import { StandInRegistry } from "./testing/registry.ts";

describe("finish-gone", () => {
  it("raises nothing for a version that no longer serves, and ends what it raised", async () => {
    const registry = new StandInRegistry();
    registry.uid = "du";
    const modelVersion = "workspaces/w/models/m/versions/1";
    const serving = { targets: [{ modelVersion, weight: 1 }], shadows: [] };
    registry.deploy(serving);
    const channel = await registry.channel();
    const hooks = webhooks("http://127.0.0.1:1");
    const s = await setting([{ ...FEW, webhooks: hooks }], { registry: channel });
    await s.seen.see(50, 50, 200, 50);
    await s.closed(0);
    await s.evaluator.lookForGone();
    expect(await s.all()).toMatchObject([{ phase: "FIRING" }]);
    registry.isAway = true;
    await s.evaluator.lookForGone();
    expect(await s.all()).toMatchObject([{ phase: "FIRING" }]);
    registry.isAway = false;
    registry.deploy({ targets: [{ ...serving.targets[0]!, modelVersion: `${modelVersion}0` }] });
    await s.closed(1);
    expect(await s.all()).toMatchObject([{ phase: "FIRING" }]);
    await s.evaluator.lookForGone();
    const [ended] = await s.all();
    expect(ended).toMatchObject({ phase: "RESOLVED" });
    expect(ended?.deliveries.map(({ event }) => event)).toEqual(["alert.firing", "alert.resolved"]);
    await s.closed(2, 3);
    expect(await s.all()).toHaveLength(1);
  });

  it("ends the alerts of columns that a changed rule no longer looks at", async () => {
    const condition = {
      kind: "threshold",
      comparison: Comparison.GREATER,
      value: 0.2,
    } as const;
    const metric = { kind: Metric_Kind.MEAN, column: EVERY_COLUMN, q: 0, rowsMin: 0 };
    const rule = { ...FEW, metric, condition };
    const s = await setting([rule]);
    await s.seen.see(500);
    await s.closed(0);
    await s.evaluator.lookForGone();
    expect(await s.alerts.active(TARGET_ID)).toBe(2);
    await s.alerts.rules.putOne({ ...rule, metric: { ...metric, column: "x" } });
    await s.evaluator.lookForGone();
    const left = (await s.all()).filter(({ phase }) => phase === "FIRING");
    expect(left.map(({ column }) => column)).toEqual(["x"]);
  });

  it("ends the alerts of a rule that is gone", async () => {
    const s = await setting([FEW]);
    await s.seen.see(50);
    await s.closed(0);
    await s.alerts.rules.deleteOne(FEW._id);
    await s.alerts.rules.insertOne({ ...FEW, uid: "made anew" });
    await s.evaluator.lookForGone();
    expect(await s.all()).toMatchObject([{ phase: "RESOLVED", summary: "The rule was removed." }]);
  });
});
