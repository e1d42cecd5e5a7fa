import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Comparison, Metric_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { PerformanceSliceSchema } from "../../../gen/plinth/monitoring/v1/performance_pb.js";
import { TARGET_ID } from "../windows/testing.ts";
import type { AlertRuleRecord } from "./alert-rule.ts";
import { FEW, type Setting, setting } from "./testing/evaluator.ts";
import { MINUTE_US, minute } from "./testing/windows.ts";

describe("evaluator with labels", () => {
  const ACCURACY: AlertRuleRecord = {
    ...FEW,
    metric: { kind: Metric_Kind.ACCURACY, column: "", q: 0, rowsMin: 10 },
    condition: { kind: "threshold", comparison: Comparison.LESS, value: 0.9 },
  };

  /** So many labels have come for a window, and the model was right in this share of them. */
  function label(s: Setting, n: number, labels: number, accuracy: number): void {
    const slice = create(PerformanceSliceSchema, {
      predictions: 100n,
      labelled: BigInt(labels),
      classification: { accuracy },
    });
    s.seen.slices.set(minute(n).startUs, slice);
    s.changes.push({ targetId: TARGET_ID, ...minute(n), stamp: `${s.changes.length}` });
  }

  it("looks again as labels come, and never back in time", async () => {
    const s = await setting([ACCURACY]);
    await s.seen.see(100, 100, 100);
    await s.closed(0, 1, 2);
    expect(await s.all()).toEqual([]);
    label(s, 1, 9, 0);
    await s.evaluator.lookAtLabels();
    expect(await s.all()).toEqual([]);
    expect(s.changes).toEqual([]);
    label(s, 1, 20, 0.5);
    await s.evaluator.lookAtLabels();
    expect(await s.all()).toMatchObject([{ phase: "FIRING", value: 0.5 }]);
    // More labels for the same window.
    label(s, 1, 30, 0.6);
    await s.evaluator.lookAtLabels();
    expect(await s.all()).toMatchObject([{ phase: "FIRING", value: 0.6, wrongUs: MINUTE_US }]);
    // Labels for an older one.
    label(s, 0, 50, 1);
    await s.evaluator.lookAtLabels();
    expect(await s.all()).toMatchObject([{ phase: "FIRING", value: 0.6 }]);
    label(s, 1, 90, 0.95);
    await s.evaluator.lookAtLabels();
    expect(await s.all()).toMatchObject([{ phase: "RESOLVED", value: 0.95 }]);
    label(s, 2, 10, 0.1);
    await s.evaluator.lookAtLabels();
    expect((await s.all()).map(({ phase }) => phase)).toEqual(["RESOLVED", "FIRING"]);
  });

  it("takes windows that got labels together in order", async () => {
    const s = await setting([{ ...ACCURACY, forMs: 120_000 }]);
    await s.seen.see(100, 100, 100);
    await s.closed(0, 1, 2);
    for (const n of [2, 0, 1]) {
      label(s, n, 20, 0.5);
    }
    await s.evaluator.lookAtLabels();
    expect(await s.all()).toMatchObject([
      { phase: "FIRING", wrongUs: 3 * MINUTE_US, windowEndUs: minute(2).endUs },
    ]);
  });

  it("uses labels that are there when the window closes", async () => {
    const s = await setting([ACCURACY]);
    await s.seen.see(100);
    label(s, 0, 20, 0.5);
    await s.closed(0);
    expect(await s.all()).toMatchObject([{ phase: "FIRING" }]);
    const revision = await s.alerts.revision();
    await s.evaluator.lookAtLabels();
    expect(await s.alerts.revision()).toBe(revision);
  });

  it("knows nothing of coverage before the first label", async () => {
    const metric = { kind: Metric_Kind.LABEL_COVERAGE, column: "", q: 0, rowsMin: 0 };
    const s = await setting([{ ...ACCURACY, metric }]);
    await s.seen.see(100);
    label(s, 0, 0, 0);
    await s.closed(0);
    expect(await s.all()).toEqual([]);
    label(s, 0, 50, 1);
    await s.evaluator.lookAtLabels();
    expect(await s.all()).toMatchObject([{ phase: "FIRING", value: 0.5 }]);
  });
});
