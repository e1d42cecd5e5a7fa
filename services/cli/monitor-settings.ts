// `plinth monitor settings`: how a deployment is monitored, shown or changed. What is not named
// stays.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type BaselineLearning,
  type ColumnDriftOptions,
  ColumnDriftOptionsSchema,
  type DriftOptions,
  type Monitor,
  MonitorSchema,
  type TaskOptions,
  TaskType,
} from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import { durationOf } from "../common/duration.ts";
import { UsageError } from "./exit-codes.ts";
import { refused } from "./features-load.ts";
import type { Fault } from "./features-tree.ts";
import { formatTime } from "./format.ts";
import { type MonitorPart, settingsOf } from "./monitor-settings-shape.ts";
import { measureText, methodOption, methodWord, percentText, spanText } from "./monitor-words.ts";
import { yamlFile } from "./monitor-yaml.ts";
import { formatCount } from "./progress.ts";
import type { Session } from "./session.ts";
import { factLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

export interface SettingsOptions {
  readonly setFrom?: string;
  readonly window?: number;
  readonly lateness?: number;
  readonly method?: string;
  readonly datasetShare?: number;
  readonly ignore?: readonly string[];
  readonly include?: readonly string[];
  /** False: --no-segment. */
  readonly segment?: readonly string[] | false;
  readonly positiveClass?: string;
  readonly learnRows?: number;
  /** False: --no-learning. */
  readonly learning: boolean;
}

/** `plinth monitor settings` */
export async function monitorSettings(
  session: Session,
  [id]: readonly [string],
  options: SettingsOptions,
): Promise<void> {
  const { output } = session;
  const name = `${session.deploymentName(id)}/monitor`;
  const given = options.setFrom === undefined ? {} : await readSettings(options.setFrom);
  const before = await session.monitoring.getMonitor({ name }, session.call);
  const part = { ...given, ...changesOf({ ...before, ...given } as Monitor, options) };
  const paths = PATHS.filter(([key]) => key in part).map(([, path]) => path);
  const monitor =
    paths.length === 0
      ? before
      : await session.monitoring.updateMonitor(
          { monitor: { name, etag: before.etag, ...part }, updateMask: { paths } },
          session.call,
        );
  if (output.json) {
    return output.message(MonitorSchema, monitor);
  }
  output.lines(settingsLines(monitor));
}

const PATHS = [
  ["window", "window"],
  ["allowedLateness", "allowed_lateness"],
  ["baselineLearning", "baseline_learning"],
  ["drift", "drift"],
  ["task", "task"],
  ["retention", "retention"],
] as const satisfies readonly (readonly [keyof MonitorPart, string])[];

/** @throws CommandError with every fault of the file by line and column. */
async function readSettings(path: string): Promise<MonitorPart> {
  const faults: Fault[] = [];
  const trees = await yamlFile(path, faults);
  const [first, second] = trees;
  if (second !== undefined) {
    faults.push({ at: second.at, text: "a file of settings is one document" });
  }
  const part = first === undefined ? {} : settingsOf(first, faults);
  if (faults.length > 0) {
    throw refused(faults, "settings");
  }
  return part;
}

/** What the flags say, on top of what there is. */
function changesOf(before: Monitor, options: SettingsOptions): MonitorPart {
  const { window, lateness } = options;
  const learning = learningOf(before.baselineLearning, options);
  const drift = driftOf(before.drift, options);
  const task = taskOf(before.task, options);
  return {
    ...(window === undefined ? {} : { window: durationOf(window) }),
    ...(lateness === undefined ? {} : { allowedLateness: durationOf(lateness) }),
    ...(learning === undefined ? {} : { baselineLearning: learning }),
    ...(drift === undefined ? {} : { drift }),
    ...(task === undefined ? {} : { task }),
  };
}

function learningOf(
  before: Partial<BaselineLearning> | undefined,
  { learnRows, learning }: SettingsOptions,
): MonitorPart["baselineLearning"] {
  if (learnRows !== undefined && !learning) {
    throw new UsageError("Give --learn-rows or --no-learning, not both.");
  }
  if (!learning) {
    return { rows: before?.rows ?? 0n, disabled: true };
  }
  return learnRows === undefined ? undefined : { rows: BigInt(learnRows), disabled: false };
}

function driftOf(
  before: Partial<DriftOptions> | undefined,
  { method, ignore = [], include = [], datasetShare }: SettingsOptions,
): MonitorPart["drift"] {
  const both = ignore.find((column) => include.includes(column));
  if (both !== undefined) {
    throw new UsageError(`--ignore and --include both name "${both}".`);
  }
  if (method === undefined && datasetShare === undefined && ignore.length + include.length === 0) {
    return undefined;
  }
  const columns = new Map((before?.columns ?? []).map((column) => [column.column, column]));
  for (const column of [...ignore, ...include]) {
    const known = columns.get(column) ?? create(ColumnDriftOptionsSchema, { column });
    columns.set(column, { ...known, ignored: ignore.includes(column) });
  }
  return {
    method: method === undefined ? (before?.method ?? 0) : methodOption(method),
    datasetShare: datasetShare ?? before?.datasetShare ?? 0,
    columns: [...columns.values()].filter(saysSomething),
  };
}

/** Whether an entry differs from none. */
function saysSomething(column: ColumnDriftOptions): boolean {
  const { ignored, method, threshold, sizeMin } = column;
  return ignored || method !== 0 || threshold !== undefined || sizeMin !== undefined;
}

function taskOf(
  before: Partial<TaskOptions> | undefined,
  { segment, positiveClass }: SettingsOptions,
): MonitorPart["task"] {
  if (segment === undefined && positiveClass === undefined) {
    return undefined;
  }
  const task: MessageInitShape<typeof MonitorSchema>["task"] = {
    type: before?.type ?? TaskType.UNSPECIFIED,
    output: before?.output ?? "",
    scoreThreshold: before?.scoreThreshold ?? 0,
    positiveClass: positiveClass ?? before?.positiveClass ?? "",
    segmentColumns: [...(segment === false ? [] : (segment ?? before?.segmentColumns ?? []))],
  };
  return task;
}

/** 0 is a lateness like any other; only where there is none it is the default. */
function latenessText(lateness: Monitor["allowedLateness"]): string {
  const span = lateness === undefined ? "5m" : spanText(lateness);
  return span === "" ? "not taken" : `taken up to ${span} after a window`;
}

function settingsLines(monitor: Monitor): readonly string[] {
  const { drift, task, retention, baselineLearning: learning } = monitor;
  const columns = drift?.columns ?? [];
  const ignored = columns.filter((column) => column.ignored).map(({ column }) => column);
  const special = columns.filter((column) => !column.ignored).map(columnText);
  const kept = [
    ["windows", spanText(retention?.windows) || "35d"],
    ["days", spanText(retention?.days) || "400d"],
    ["predictions and labels", spanText(retention?.predictions) || "35d"],
  ];
  return factLines([
    ["deployment", shortName(monitor.name.replace(/\/monitor$/, ""))],
    ["set", formatTime(monitor.updateTime) || "never; these are the defaults"],
    ["windows", spanText(monitor.window) || "1h"],
    ["late rows", latenessText(monitor.allowedLateness)],
    [
      "baseline",
      learning?.disabled === true
        ? "only from a file"
        : `from a file, else the first ${formatCount(Number(learning?.rows || 5000n))} rows`,
    ],
    ["method", methodWord(drift?.method ?? 0) || "chosen for each column, as Evidently does"],
    ["columns", special.join("\n")],
    ["ignored", ignored.join(", ")],
    ["data set drifts", `from ${percentText(drift?.datasetShare || 0.5)} of its columns on`],
    [
      "task",
      task === undefined || task.type === TaskType.UNSPECIFIED
        ? "found out"
        : (TaskType[task.type] ?? "").toLowerCase(),
    ],
    ["positive class", task?.positiveClass],
    ["output", task?.output],
    ["score threshold", task?.scoreThreshold ? measureText(task.scoreThreshold) : ""],
    ["segments", task?.segmentColumns.join(", ")],
    ["kept", kept.map(([what, how]) => `${what} ${how}`).join(", ")],
  ]);
}

/** "distance: psi, threshold 0.2, at least 100 values" */
function columnText({ column, method, threshold, sizeMin }: ColumnDriftOptions): string {
  const parts = [
    methodWord(method),
    threshold === undefined ? "" : `threshold ${measureText(threshold)}`,
    sizeMin === undefined ? "" : `at least ${formatCount(Number(sizeMin))} values`,
  ];
  return `${column}: ${parts.filter((part) => part !== "").join(", ")}`;
}
