import { describe, expect, it } from "vitest";
import { TaskType } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import type { ReadyBaseline } from "../baselines/baseline-store.ts";
import { DEFAULT_SETTINGS, type TaskSettings } from "../monitors/monitor-settings.ts";
import type { ColumnBatch } from "../sketch/column-batch.ts";
import { draftLayout } from "../sketch/column-layout.ts";
import { profileOfDraft } from "../sketch/column-profile.ts";
import { addRows, newWindowSketch } from "../sketch/window-sketch.ts";
import {
  batchOf,
  DEPLOYMENT,
  HOUR_US,
  labelOf,
  measuredTarget,
  START_US,
  type UsedPredictions,
  usePredictions,
} from "./testing.ts";

/** 0, 1 ... 99 as ages of a baseline, ten times: its quartiles are 24, 49 and 74. */
function baselineOfAges(): ReadyBaseline {
  const draft = newWindowSketch(draftLayout([{ name: "age", kind: "numeric" }]));
  const values = Float64Array.from({ length: 1000 }, (_, row) => row % 100);
  addRows(draft, { rows: 1000, columns: new Map([["age", { kind: "numeric", values }]]) });
  return profileOfDraft(draft) as ReadyBaseline;
}

function withTask(task: Partial<TaskSettings>) {
  return { ...DEFAULT_SETTINGS, task: { ...DEFAULT_SETTINGS.task, ...task } };
}

/** Inferences i0, i1 ... of one row each, all labelled so. */
async function fill(
  { predictions }: UsedPredictions,
  rows: readonly {
    readonly score: number;
    readonly label?: string | number;
    readonly hour?: number;
  }[],
  options: {
    readonly columns?: Readonly<Record<string, ColumnBatch>>;
    readonly numbers?: boolean;
  } = {},
) {
  const inferences = rows.map(({ score, hour = 0 }, at) => {
    return { id: `i${at}`, rows: [score], eventUs: START_US + hour * HOUR_US };
  });
  await predictions.keep(batchOf({ inferences, ...options }));
  const labels = rows.flatMap(({ label }, at) => {
    return label === undefined ? [] : [labelOf(`i${at}`, label)];
  });
  if (labels.length > 0) {
    await predictions.recordLabels(DEPLOYMENT, labels);
  }
}

describe("performanceOf", () => {
  it("measures all rows together, and each window by itself", async () => {
    const used = await usePredictions();
    await fill(used, [
      { score: 0.9, label: "yes", hour: -1 },
      { score: 0.6, label: "no", hour: -1 },
      { score: 0.7, label: "yes", hour: 0 },
      { score: 0.1, label: "no", hour: 0 },
      { score: 0.2, hour: 0 },
    ]);
    const report = await used.predictions.performanceOf(measuredTarget(), {});
    expect(report).toMatchObject({
      deployment: DEPLOYMENT,
      modelVersion: "workspaces/w/models/m/versions/1",
      task: TaskType.CLASSIFICATION,
      classLabels: ["no", "yes"],
      positiveClass: "yes",
    });
    expect(report.overall).toMatchObject({ predictions: 5n, labelled: 4n, coverage: 0.8 });
    expect(report.overall?.classification).toMatchObject({
      accuracy: 0.75,
      precision: 2 / 3,
      recall: 1,
      rocAuc: 1,
      confusion: [1n, 1n, 0n, 2n],
    });
    const [first, second] = report.windows;
    expect(first?.classification).toMatchObject({ accuracy: 0.5, rocAuc: 1 });
    expect(second?.classification).toMatchObject({ accuracy: 1, confusion: [1n, 0n, 0n, 1n] });
    expect(second).toMatchObject({ predictions: 3n, labelled: 2n });
    expect(report.overall?.estimated?.accuracy?.value).toBeCloseTo(3.9 / 5, 6);
    expect(report.overall?.estimated?.accuracyOfLabelled?.value).toBeCloseTo(3.1 / 4, 6);
    expect(report.overall?.estimated?.confirmed).toBe(true);
  });

  it("says where the truth is outside of what the scores promised", async () => {
    const used = await usePredictions();
    const rows = Array.from({ length: 50 }, () => ({ score: 0.95, label: "no" }));
    await fill(used, rows);
    const { overall } = await used.predictions.performanceOf(measuredTarget(), {});
    expect(overall?.estimated?.confirmed).toBe(false);
    expect(overall?.classification?.accuracy).toBe(0);
  });

  it("follows the monitor's positive class and threshold, also for what is kept", async () => {
    const used = await usePredictions();
    const rows = [
      { score: 0.9, label: "yes" },
      { score: 0.6, label: "no" },
      { score: 0.3, label: "no" },
    ];
    await fill(used, rows);
    used.settings = withTask({ scoreThreshold: 0.7 });
    const strict = await used.predictions.performanceOf(measuredTarget(), {});
    expect(strict.overall?.classification).toMatchObject({ accuracy: 1, precision: 1 });
    used.settings = withTask({ positiveClass: "no" });
    const other = await used.predictions.performanceOf(measuredTarget(), {});
    expect(other.positiveClass).toBe("no");
    expect(other.overall?.classification).toMatchObject({ precision: 1, recall: 0.5, rocAuc: 1 });
  });

  it("finds the classes out where the version names none", async () => {
    const used = await usePredictions();
    const values = ["cat", "dog", "cat", "eel"];
    const batch = batchOf({ inferences: values.map((_, at) => ({ id: `i${at}`, rows: [0] })) });
    const columns = new Map([["prediction.animal", { kind: "category", values } as const]]);
    await used.predictions.keep({ ...batch, classLabels: [], columns });
    const labels = ["cat", "dog", "ant", "eel"].map((label, at) => labelOf(`i${at}`, label));
    await used.predictions.recordLabels(DEPLOYMENT, labels);
    const report = await used.predictions.performanceOf(measuredTarget(1, []), {});
    expect(report.classLabels).toEqual(["ant", "cat", "dog", "eel"]);
    expect(report.positiveClass).toBe("");
    expect(report.overall?.classification).toMatchObject({ accuracy: 0.75, unknownLabels: 0n });
    expect(report.overall?.estimated).toBeUndefined();
  });

  it("measures segments: categories, and numbers between the baseline's quartiles", async () => {
    const used = await usePredictions({
      settings: withTask({ segmentColumns: ["plan", "age", "isNew", "lost"] }),
    });
    used.baseline = baselineOfAges();
    const plans = ["free", "paid", "free", "free"];
    await fill(
      used,
      [
        { score: 0.9, label: "yes" },
        { score: 0.9, label: "no" },
        { score: 0.1, label: "yes" },
        { score: 0.8 },
      ],
      {
        columns: {
          plan: { kind: "category", values: plans },
          age: { kind: "numeric", values: Float64Array.of(10, 30, 23.9, Number.NaN) },
          isNew: { kind: "bool", values: Uint8Array.of(1, 0, 0, 0), nulls: Uint8Array.of(2) },
        },
      },
    );
    const { segments } = await used.predictions.performanceOf(measuredTarget(), {});
    const shown = segments.map(({ segmentColumn, segment, predictions, classification }) => {
      return [segmentColumn, segment, Number(predictions), classification?.accuracy];
    });
    expect(shown).toEqual([
      ["plan", "free", 3, 0.5],
      ["plan", "paid", 1, 0],
      ["age", "(-inf, 24)", 2, 0.5],
      ["age", "[24, 49)", 1, 0],
      ["isNew", "false", 2, 0],
      ["isNew", "true", 1, 1],
    ]);
    used.baseline = undefined;
    const without = await used.predictions.performanceOf(measuredTarget(), {});
    expect(without.segments.map(({ segmentColumn }) => segmentColumn)).not.toContain("age");
  });

  it("measures errors of numbers", async () => {
    const used = await usePredictions();
    const rows = [{ score: 1, label: 2 }, { score: 5, label: 4 }, { score: 3 }];
    await fill(used, rows, { numbers: true });
    const report = await used.predictions.performanceOf(measuredTarget(1, []), {});
    expect(report.task).toBe(TaskType.REGRESSION);
    expect(report.overall?.regression).toMatchObject({ mae: 1, mse: 1, rmse: 1, r2: 0 });
    expect(report.overall?.classification).toBeUndefined();
    expect(await used.predictions.latestMetrics(measuredTarget(1, []))).toEqual({
      mae: 1,
      rmse: 1,
      r2: 0,
      label_coverage: 2 / 3,
    });
  });

  it("reads a window again when it has changed, and only then", async () => {
    const used = await usePredictions();
    await fill(used, [{ score: 0.9, label: "yes" }]);
    const { predictions } = used;
    const { chunks } = predictions.collections;
    const accuracy = async () => {
      const slice = await predictions.windowMetrics(measuredTarget(), {
        startUs: START_US,
        endUs: START_US + HOUR_US,
      });
      return slice?.classification?.accuracy;
    };
    expect(await accuracy()).toBe(1);
    const [id] = await Array.fromAsync(chunks.find({}), ({ _id }) => _id);
    const chunk = await chunks.findOne({ _id: id! });
    await chunks.deleteOne(id!);
    expect(await accuracy()).toBe(1);
    await chunks.insertOne(chunk!);
    await predictions.recordLabels(DEPLOYMENT, [labelOf("i0", "no")]);
    expect(await accuracy()).toBe(0);
  });

  it("has nothing to say of what is not there", async () => {
    const { predictions } = await usePredictions();
    const report = await predictions.performanceOf(measuredTarget(), {});
    expect(report.overall).toBeUndefined();
    const window = { startUs: START_US, endUs: START_US + HOUR_US };
    expect(await predictions.windowMetrics(measuredTarget(), window)).toBeUndefined();
    expect(await predictions.latestMetrics(measuredTarget())).toEqual({});
    expect(await predictions.labelCounts("du/v1", [window, window])).toEqual([0, 0]);
    expect(await predictions.labelCounts("du/v1", [])).toEqual([]);
  });
});

describe("latestMetrics and labelCounts", () => {
  it("are of the newest window that has labels", async () => {
    const used = await usePredictions();
    await fill(used, [
      { score: 0.9, label: "yes", hour: -2 },
      { score: 0.9, label: "no", hour: -1 },
      { score: 0.9, hour: 0 },
    ]);
    const metrics = await used.predictions.latestMetrics(measuredTarget());
    expect(metrics).toMatchObject({ accuracy: 0, label_coverage: 1 });
    expect(metrics.estimated_accuracy).toBeCloseTo(0.9, 6);
    const hour = (at: number) => {
      return { startUs: START_US + at * HOUR_US, endUs: START_US + (at + 1) * HOUR_US };
    };
    const day = { startUs: START_US - 24 * HOUR_US, endUs: START_US };
    const counts = await used.predictions.labelCounts("du/v1", [hour(0), hour(-1), hour(-2), day]);
    expect(counts).toEqual([0, 1, 1, 2]);
  });

  it("falls back to what the scores promise", async () => {
    const used = await usePredictions();
    await fill(used, [{ score: 0.75 }]);
    expect(await used.predictions.latestMetrics(measuredTarget())).toEqual({
      label_coverage: 0,
      estimated_accuracy: 0.75,
    });
  });
});

describe("changed windows", () => {
  it("stay on the list until they were seen as they are", async () => {
    const used = await usePredictions();
    const { predictions, clock } = used;
    await fill(used, [
      { score: 0.9, label: "yes", hour: -1 },
      { score: 0.9, hour: 0 },
    ]);
    const first = await predictions.takeChanged(10);
    expect(first).toMatchObject([{ targetId: "du/v1", startUs: START_US - HOUR_US }]);
    clock.advance(10);
    await predictions.recordLabels(DEPLOYMENT, [labelOf("i0", "no"), labelOf("i1", "no")]);
    await predictions.seen(first[0]!);
    const second = await predictions.takeChanged(10);
    expect(second.map(({ startUs }) => startUs).sort()).toEqual([START_US - HOUR_US, START_US]);
    expect(await predictions.takeChanged(1)).toHaveLength(1);
    for (const change of second) {
      await predictions.seen(change);
      await predictions.seen(change);
    }
    expect(await predictions.takeChanged(10)).toEqual([]);
    expect(await predictions.labelCounts("du/v1", [{ startUs: 0, endUs: 2 * START_US }])).toEqual([
      2,
    ]);
  });

  it("have a count that measuring corrects", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await fill(used, [{ score: 0.9, label: "yes" }]);
    const window = { startUs: START_US, endUs: START_US + HOUR_US };
    const [change] = await predictions.takeChanged(1);
    await predictions.changed.counted(change!, 17);
    expect(await predictions.labelCounts("du/v1", [window])).toEqual([17]);
    await predictions.windowMetrics(measuredTarget(), window);
    expect(await predictions.labelCounts("du/v1", [window])).toEqual([1]);
    expect(await predictions.takeChanged(1)).toEqual([change]);
  });
});
