// Measures kept predictions against their labels, from the rows themselves: overall, by window and
// by segment. Nothing is added up from parts, so the area under a curve of a month is that of its
// rows.

import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { TaskType } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import {
  type PerformanceReport,
  PerformanceReportSchema,
  type PerformanceSlice,
} from "../../../gen/plinth/monitoring/v1/performance_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { inTurns } from "../../common/in-turns.ts";
import type { BaselineStore } from "../baselines/baseline-store.ts";
import type { MonitorStore } from "../monitors/monitor-store.ts";
import { type AskedRange, rangeMessage } from "../reports/time-range.ts";
import type { WindowSketch } from "../sketch/window-sketch.ts";
import type { Target } from "../target.ts";
import type { ChangedWindows } from "./changed-windows.ts";
import type { DeploymentKnowledge } from "./deployment-facts.ts";
import { type MeasuredRows, measuredRows, segmentOfAll } from "./measured-rows.ts";
import { CONFUSION_CLASSES_MAX } from "./metrics/classification.ts";
import { measureSlice } from "./performance-slice.ts";
import type { PredictionCollections } from "./prediction-collections.ts";
import { quartileEdges, type Segment, segmentsOf } from "./segments.ts";
import type { WindowSpan } from "./window-key.ts";
import type { WindowReader } from "./window-reader.ts";
import type { WindowRows } from "./window-rows.ts";
import { listWindows } from "./window-stamps.ts";

/** Of one report; about 100 MB of memory and some seconds. */
const ROWS_MAX = 5_000_000;
const WINDOWS_MAX = 2_000;
/** Of all confusion matrices of a report; the overall one is always there. */
const CONFUSION_CELLS_MAX = 200_000;

/** Windows that had labels, of which the newest that still has some is looked for. */
const LABELLED_MAX = 100;

/** What is measured: names of versions and of their classes. */
export type MeasuredTarget = Pick<Target, "_id" | "deployment" | "modelVersion" | "classLabels"> & {
  readonly modelVersionUid: string;
};

/** What the meter reads. */
export interface MeterParts {
  readonly collections: Pick<PredictionCollections, "windows">;
  readonly windows: WindowReader;
  readonly changed: ChangedWindows;
  readonly knowledge: DeploymentKnowledge;
  readonly monitors: Pick<MonitorStore, "get">;
  readonly baselines: Pick<BaselineStore, "ready">;
}

/**
 * The performance of a version in the windows that overlap the range. Without a range in all that
 * are kept, or as many of the newest as one report can have; its range says which.
 * @throws InvalidArgument where a range that was asked for holds more; DataLoss
 */
export async function performanceOf(
  parts: MeterParts,
  target: MeasuredTarget,
  range: AskedRange,
  signal?: AbortSignal,
): Promise<PerformanceReport> {
  const { task } = await parts.monitors.get(target.deployment);
  const windows = await readWindows(parts, target, range, signal);
  const measured = measuredRows(windows, { classLabels: target.classLabels, task });
  const names = { deployment: target.deployment, modelVersion: target.modelVersion };
  if (measured === undefined) {
    return create(PerformanceReportSchema, names);
  }
  const baseline = await baselineFor(parts, target, task.segmentColumns);
  const segments = task.segmentColumns.flatMap((name) => {
    const column = segmentOfAll(measured, name);
    return column === undefined ? [] : segmentsOf(column, quartileEdges(baseline, name));
  });
  const classes = measured.task === "classification" ? measured.model.classes : [];
  const isBinary = measured.task === "classification" && measured.model.positive !== undefined;
  const { overall, byWindow, bySegment } = await inTurns(slicing(measured, segments), signal);
  return create(PerformanceReportSchema, {
    ...names,
    range: rangeMessage(spanOf(windows)),
    task: measured.task === "classification" ? TaskType.CLASSIFICATION : TaskType.REGRESSION,
    classLabels: [...classes],
    positiveClass: isBinary ? (classes[measured.model.positive ?? 0] ?? "") : "",
    overall,
    windows: byWindow,
    segments: bySegment,
  });
}

/** One window, or what overlaps a time; undefined where no prediction is kept of it. */
export async function windowMetrics(
  parts: MeterParts,
  target: MeasuredTarget,
  window: WindowSpan,
): Promise<PerformanceSlice | undefined> {
  const { task } = await parts.monitors.get(target.deployment);
  const windows = await readWindows(parts, target, window);
  const measured = measuredRows(windows, { classLabels: target.classLabels, task });
  return measured && sliceOfAll(measured);
}

/** Windows of the range that have something, oldest first. */
async function readWindows(
  { collections, windows, changed, knowledge }: MeterParts,
  target: MeasuredTarget,
  range: AskedRange,
  signal?: AbortSignal,
): Promise<WindowRows[]> {
  const isAll = range.startUs === undefined && range.endUs === undefined;
  const limit = WINDOWS_MAX + 1;
  const lengths = (await knowledge.read(target.deployment))?.windowLengths ?? [];
  const listed = await listWindows(collections.windows, target._id, { ...range, lengths, limit });
  if (listed.length > WINDOWS_MAX && !isAll) {
    throw tooMuch(`more than ${WINDOWS_MAX} windows`);
  }
  const found: WindowRows[] = [];
  let rows = 0;
  for (const window of listed.slice(0, WINDOWS_MAX)) {
    const labelled = await changed.find(target._id, window);
    const read = await windows.read(window, signal);
    rows += read?.rows ?? 0;
    if (rows > ROWS_MAX && found.length > 0) {
      if (isAll) {
        break;
      }
      throw tooMuch(`more than ${ROWS_MAX} predictions`);
    }
    if (read !== undefined) {
      found.push(read);
      if (labelled !== undefined && labelled.labels !== read.labelled) {
        const { startUs, endUs, stamp } = labelled;
        await changed.counted({ targetId: target._id, startUs, endUs, stamp }, read.labelled);
      }
    }
  }
  return found.toReversed();
}

function tooMuch(what: string): InvalidArgument {
  const description = `holds ${what}; ask for a shorter time`;
  return new InvalidArgument(`range ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "range", description }],
  });
}

async function baselineFor(
  { baselines }: MeterParts,
  target: MeasuredTarget,
  segmentColumns: readonly string[],
): Promise<WindowSketch | undefined> {
  return segmentColumns.length === 0
    ? undefined
    : (await baselines.ready(target.modelVersionUid))?.baseline;
}

function sliceOfAll(measured: MeasuredRows): PerformanceSlice {
  const { count, windows } = measured;
  const notKept = windows.reduce((sum, { window }) => sum + window.notKept, 0);
  const range = spanOf(windows.map(({ window }) => window));
  return measureSlice(measured, { first: 0, count }, { range, notKept, hasConfusion: true });
}

interface Slices {
  readonly overall: PerformanceSlice;
  readonly byWindow: PerformanceSlice[];
  readonly bySegment: PerformanceSlice[];
}

/** One a step. */
function* slicing(
  measured: MeasuredRows,
  segments: readonly Segment[],
): Generator<undefined, Slices> {
  const classes = measured.task === "classification" ? measured.model.classes.length : 0;
  const parts = measured.windows.length + segments.length;
  const hasConfusion =
    classes <= CONFUSION_CLASSES_MAX && classes ** 2 * parts <= CONFUSION_CELLS_MAX;
  const overall = sliceOfAll(measured);
  const byWindow: PerformanceSlice[] = [];
  for (const { window, first } of measured.windows) {
    yield;
    const { startUs, endUs, rows: count, notKept } = window;
    const of = { range: { startUs, endUs }, notKept, hasConfusion };
    byWindow.push(measureSlice(measured, { first, count }, of));
  }
  const bySegment: PerformanceSlice[] = [];
  for (const { column, segment, rows } of segments) {
    yield;
    const of = { segmentColumn: column, segment, notKept: 0, hasConfusion };
    bySegment.push(measureSlice(measured, { rows }, of));
  }
  return { overall, byWindow, bySegment };
}

function spanOf(windows: readonly WindowSpan[]): WindowSpan {
  const startUs = Math.min(...windows.map((window) => window.startUs));
  const endUs = Math.max(...windows.map((window) => window.endUs));
  return { startUs, endUs };
}

/** The newest window of a target that has labels, else the newest that has predictions. */
export async function newestMeasurable(
  { changed, collections }: Pick<MeterParts, "changed" | "collections">,
  target: Pick<Target, "_id">,
): Promise<WindowSpan | undefined> {
  for await (const window of changed.list(target._id, { limit: LABELLED_MAX })) {
    if (window.labels > 0) {
      return window;
    }
  }
  const only = { lengths: [], limit: 1 };
  const [newest] = await listWindows(collections.windows, target._id, only);
  return newest;
}
