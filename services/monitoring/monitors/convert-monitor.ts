// Monitors between messages, settings and what is stored. Pure; what is wrong with a request is
// found all at once.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Monitor as MonitorMessage,
  type MonitorSchema,
  type TaskOptions,
  TaskType,
} from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { durationOf } from "../../common/duration.ts";
import { etagOf } from "../../common/etag.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import { checkColumnName, driftMessage, driftSettings } from "./drift-options.ts";
import {
  DEFAULT_SETTINGS,
  type LearningSettings,
  type MonitorSettings,
  type RetentionSettings,
  type TaskSettings,
} from "./monitor-settings.ts";
import type { MonitorRecord } from "./monitor-store.ts";

const SECOND_US = 1_000_000;
const DAY_US = 86_400 * SECOND_US;
const WINDOW_US_MAX = 31 * DAY_US;
const LATENESS_US_MAX = 7 * DAY_US;
/** Ten years: what is kept longer is no monitoring. */
const RETENTION_MS_MAX = (3650 * DAY_US) / 1000;
const LEARNING_ROWS_MIN = 30;
const LEARNING_ROWS_MAX = 10_000_000;
const SEGMENT_COLUMNS_MAX = 8;
/** As of class labels in the registry. */
const TEXT_LENGTH_MAX = 1000;

/** What an update may change, as its mask names it. */
export const MONITOR_PATHS = [
  "window",
  "allowed_lateness",
  "baseline_learning",
  "drift",
  "task",
  "retention",
] as const;

export type MonitorPath = (typeof MONITOR_PATHS)[number];

/**
 * `current` with what the message says of these paths; what the message leaves out there is the
 * default.
 * @throws InvalidArgument that names every fault, also of what the change makes of the rest.
 */
export function changeSettings(
  current: MonitorSettings,
  message: MonitorMessage,
  paths: ReadonlySet<MonitorPath>,
): MonitorSettings {
  const faults = new RequestFaults();
  const next: MonitorSettings = {
    windowUs: paths.has("window") ? windowOf(message.window, faults) : current.windowUs,
    latenessUs: paths.has("allowed_lateness")
      ? latenessOf(message.allowedLateness, faults)
      : current.latenessUs,
    learning: paths.has("baseline_learning")
      ? learningOf(message.baselineLearning, faults)
      : current.learning,
    drift: paths.has("drift")
      ? driftSettings(message.drift, "monitor.drift", faults)
      : current.drift,
    task: paths.has("task") ? taskOf(message.task, faults) : current.task,
    retention: paths.has("retention") ? retentionOf(message.retention, faults) : current.retention,
  };
  checkTogether(next, faults);
  faults.done();
  return next;
}

/** A monitor as callers see it; without a document: the defaults. */
export function monitorMessage(
  name: string,
  record: Stored<MonitorRecord> | undefined,
): MessageInitShape<typeof MonitorSchema> {
  const settings = record?.settings ?? DEFAULT_SETTINGS;
  const { task, retention } = settings;
  return {
    name,
    ...(record === undefined
      ? {}
      : {
          createTime: timestampFromDate(record.createTime),
          updateTime: timestampFromDate(record.updateTime),
          etag: etagOf(record.uid, record.version),
        }),
    window: durationOf(settings.windowUs / 1000),
    allowedLateness: durationOf(settings.latenessUs / 1000),
    baselineLearning: {
      rows: BigInt(settings.learning.rows),
      disabled: settings.learning.disabled,
    },
    drift: driftMessage(settings.drift),
    task: {
      type:
        task.type === undefined
          ? TaskType.UNSPECIFIED
          : task.type === "classification"
            ? TaskType.CLASSIFICATION
            : TaskType.REGRESSION,
      positiveClass: task.positiveClass,
      output: task.output,
      scoreThreshold: task.scoreThreshold,
      segmentColumns: [...task.segmentColumns],
    },
    retention: {
      windows: durationOf(retention.windowsMs),
      days: durationOf(retention.daysMs),
      predictions: durationOf(retention.predictionsMs),
    },
  };
}

function windowOf(message: Duration | undefined, faults: RequestFaults): number {
  const micros = message === undefined ? DEFAULT_SETTINGS.windowUs : microsOf(message);
  const fits = micros !== undefined && micros >= SECOND_US && micros <= WINDOW_US_MAX;
  faults.check(fits, "monitor.window", "must be 1 s to 31 days in whole microseconds");
  return micros ?? DEFAULT_SETTINGS.windowUs;
}

function latenessOf(message: Duration | undefined, faults: RequestFaults): number {
  const micros = message === undefined ? DEFAULT_SETTINGS.latenessUs : microsOf(message);
  const fits = micros !== undefined && micros >= 0 && micros <= LATENESS_US_MAX;
  faults.check(fits, "monitor.allowed_lateness", "must be 0 to 7 days in whole microseconds");
  return micros ?? DEFAULT_SETTINGS.latenessUs;
}

function learningOf(
  message: MonitorMessage["baselineLearning"],
  faults: RequestFaults,
): LearningSettings {
  const asked = message?.rows ?? 0n;
  const fits =
    asked === 0n || (asked >= BigInt(LEARNING_ROWS_MIN) && asked <= BigInt(LEARNING_ROWS_MAX));
  faults.check(
    fits,
    "monitor.baseline_learning.rows",
    `is ${asked}; 0 for the default, or ${LEARNING_ROWS_MIN} to ${LEARNING_ROWS_MAX}`,
  );
  const rows = asked === 0n ? DEFAULT_SETTINGS.learning.rows : Number(asked);
  return { rows, disabled: message?.disabled ?? false };
}

function taskOf(message: TaskOptions | undefined, faults: RequestFaults): TaskSettings {
  if (message === undefined) {
    return DEFAULT_SETTINGS.task;
  }
  const { type, positiveClass, output, scoreThreshold, segmentColumns } = message;
  const field = "monitor.task";
  faults.known(`${field}.type`, type, TaskType);
  faults.text(`${field}.positive_class`, positiveClass, TEXT_LENGTH_MAX);
  faults.text(`${field}.output`, output, TEXT_LENGTH_MAX);
  faults.check(
    scoreThreshold >= 0 && scoreThreshold <= 1,
    `${field}.score_threshold`,
    `is ${scoreThreshold}; a score of 0 to 1, 0 for the default`,
  );
  checkSegments(segmentColumns, `${field}.segment_columns`, faults);
  return {
    ...(type === TaskType.CLASSIFICATION ? { type: "classification" } : {}),
    ...(type === TaskType.REGRESSION ? { type: "regression" } : {}),
    positiveClass,
    output,
    scoreThreshold: scoreThreshold === 0 ? DEFAULT_SETTINGS.task.scoreThreshold : scoreThreshold,
    segmentColumns: [...segmentColumns],
  };
}

function checkSegments(columns: readonly string[], field: string, faults: RequestFaults): void {
  const { length } = columns;
  faults.check(length <= SEGMENT_COLUMNS_MAX, field, `has ${length}; at most 8`);
  for (const [i, column] of columns.slice(0, SEGMENT_COLUMNS_MAX).entries()) {
    checkColumnName(column, `${field}[${i}]`, faults);
    const shown = JSON.stringify(column.slice(0, 80));
    faults.check(columns.indexOf(column) === i, `${field}[${i}]`, `names ${shown} again`);
  }
}

function retentionOf(
  message: MonitorMessage["retention"],
  faults: RequestFaults,
): RetentionSettings {
  const defaults = DEFAULT_SETTINGS.retention;
  const read = (part: "windows" | "days" | "predictions", otherwise: number): number => {
    const duration = message?.[part];
    const micros = duration === undefined ? otherwise * 1000 : microsOf(duration);
    const ms = micros === undefined ? undefined : micros / 1000;
    const fits = Number.isSafeInteger(ms) && ms! > 0 && ms! <= RETENTION_MS_MAX;
    faults.check(
      fits,
      `monitor.retention.${part}`,
      "must be 1 ms to 3650 days, whole milliseconds",
    );
    return fits ? ms! : otherwise;
  };
  return {
    windowsMs: read("windows", defaults.windowsMs),
    daysMs: read("days", defaults.daysMs),
    predictionsMs: read("predictions", defaults.predictionsMs),
  };
}

/** Nothing may be gone before its window has closed. */
function checkTogether({ windowUs, retention }: MonitorSettings, faults: RequestFaults): void {
  const windowMs = windowUs / 1000;
  for (const part of ["windows", "days", "predictions"] as const) {
    const kept = retention[`${part}Ms`];
    faults.check(
      kept >= windowMs,
      `monitor.retention.${part}`,
      `is ${kept / 1000} s, shorter than a window of ${windowMs / 1000} s`,
    );
  }
}

/** Undefined where they are not whole, or too many to be held. */
function microsOf({ seconds, nanos }: Duration): number | undefined {
  const micros = Number(seconds) * SECOND_US + nanos / 1000;
  const isSound = Math.abs(nanos) < 1e9 && Number(seconds) * nanos >= 0;
  return isSound && Number.isSafeInteger(micros) ? micros : undefined;
}
