// What a job is and what came of it, for people: one paragraph or table a kind of work.

import {
  type Erasure,
  type Ingestion,
  type IngestionResult,
  type Job,
  type SkewCheck,
  Job_State as State,
  type TrainingSet,
} from "../../gen/plinth/features/v1/job_pb.js";
import { cellText, typeOfColumn } from "./features-cells.ts";
import { shortFeatureName } from "./features-names.ts";
import { exactTime } from "./features-times.ts";
import { formatTime } from "./format.ts";
import { stepsText } from "./job-bar.ts";
import { statusText } from "./prediction-features.ts";
import { counted, formatBytes, formatCount } from "./progress.ts";
import { type Column, factLines, tableLines } from "./table.ts";

/** What a job does, as `plinth features jobs` has it. */
export function workText(job: Job): string {
  const { work } = job;
  switch (work.case) {
    case "trainingSet":
      return `training set of ${shortFeatureName(work.value.featureService)}`;
    case "materialization":
      return `materialise ${shortFeatureName(work.value.featureView)}`;
    case "ingestion":
      return `ingest into ${shortFeatureName(work.value.featureView)}`;
    case "erasure":
      return `${work.value.dryRun ? "dry run: " : ""}erase of ${shortFeatureName(work.value.entity)}`;
    case "compaction":
      return `compact ${shortFeatureName(work.value.featureView)}`;
    case "skewCheck":
      return `check skew of ${shortFeatureName(work.value.featureService)}`;
    case undefined:
      return "";
  }
}

/** SUCCEEDED, RUNNING and how far, ... */
export function stateText(job: Job): string {
  return State[job.state];
}

/** "joining 43%", or "" where a job has not started or is over. */
export function progressText(job: Job): string {
  const { progress } = job;
  if (progress === undefined || job.state !== State.RUNNING) {
    return "";
  }
  const { phase, done, total, unit } = progress;
  return stepsText({ phase, done: Number(done), total: Number(total), unit });
}

/** Everything of a job. */
export function jobLines(job: Job): readonly string[] {
  const facts = factLines([
    ["job", job.name],
    ["work", workText(job)],
    ["state", stateText(job)],
    ["progress", progressText(job)],
    ["by", job.actor],
    ["created", formatTime(job.createTime)],
    ["started", formatTime(job.startTime)],
    ["ended", formatTime(job.endTime)],
    ["attempts", job.attempt > 1 ? String(job.attempt) : ""],
    ["error", job.error?.message],
  ]);
  const result = resultLines(job);
  return result.length === 0 ? facts : [...facts, "", ...result];
}

/** What came of the work; empty where nothing has yet. */
export function resultLines(job: Job): readonly string[] {
  const { work } = job;
  switch (work.case) {
    case "trainingSet":
      return trainingSetLines(work.value);
    case "materialization": {
      const { result, featureView } = work.value;
      return result === undefined
        ? []
        : [
            `${shortFeatureName(featureView)}: ${count(result.rowsRead)} rows read, ` +
              `${count(result.keysWritten)} keys written online, ` +
              `${count(result.keysUnchanged)} as new already.`,
          ];
    }
    case "ingestion":
      return ingestionLines(work.value);
    case "erasure":
      return erasureLines(work.value);
    case "compaction": {
      const { result, featureView } = work.value;
      return result === undefined
        ? []
        : [
            `${shortFeatureName(featureView)}: ${counted(result.filesBefore, "file")} with ` +
              `${counted(Number(result.rowsBefore), "row")} became ` +
              `${counted(result.filesAfter, "file")} with ${counted(Number(result.rowsAfter), "row")}.`,
          ];
    }
    case "skewCheck":
      return skewLines(work.value);
    case undefined:
      return [];
  }
}

function trainingSetLines({ result }: TrainingSet): readonly string[] {
  if (result === undefined) {
    return [];
  }
  const columns: Column[] = [
    { title: "FEATURE" },
    ...["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "COVERAGE"].map((title) => ({
      title,
      align: "right" as const,
    })),
  ];
  const rows = result.features.map((one) => [
    one.feature,
    ...[one.present, one.nullValue, one.notFound, one.outsideMaxAge].map(count),
    result.rows === 0n ? "" : `${((Number(one.present) / Number(result.rows)) * 100).toFixed(1)}%`,
  ]);
  const sources = result.sources.map(
    (one) =>
      `  from ${shortFeatureName(one.featureView)}, snapshot ${one.snapshot}: ${count(one.rows)} rows`,
  );
  return [
    ...tableLines(columns, rows),
    `${count(result.rows)} rows, ${result.columns.length} columns, ` +
      `${formatBytes(Number(result.sizeBytes))}, SHA-256 ${result.sha256}`,
    ...sources,
  ];
}

function ingestionLines({ result, featureView }: Ingestion): readonly string[] {
  if (result === undefined) {
    return [];
  }
  const refused = result.rowsRefused === 0n ? "" : `, ${count(result.rowsRefused)} refused`;
  return [
    `${shortFeatureName(featureView)}: ${count(result.rowsRead)} rows read, ` +
      `${count(result.rowsWritten)} stored, ${count(result.keysWritten)} keys written online${refused}.`,
    ...refusalLines(result).map((line) => `  ${line}`),
  ];
}

/** The rows that an ingestion refused, counted from 1 as people count. */
export function refusalLines({ refusals, rowsRefused }: IngestionResult): readonly string[] {
  const shown = refusals.map(
    ({ row, column, reason }) => `row ${row + 1n}: ${column === "" ? "" : `${column}: `}${reason}`,
  );
  const rest = Number(rowsRefused) - new Set(refusals.map(({ row }) => row)).size;
  return rest > 0 ? [...shown, `and ${counted(rest, "more row")}`] : shown;
}

function erasureLines({ result, dryRun }: Erasure): readonly string[] {
  if (result === undefined) {
    return [];
  }
  const columns: Column[] = [
    { title: "STORE" },
    { title: "ROWS", align: "right" },
    { title: "FILES", align: "right" },
  ];
  const rows = [
    ["online", count(result.onlineKeys), ""],
    ...result.views.map((view) => [
      shortFeatureName(view.featureView),
      count(view.rows),
      formatCount(view.files),
    ]),
  ];
  const trainingSets = result.trainingSets.map((name) => shortFeatureName(name)).join(", ");
  return [
    ...tableLines(columns, rows),
    dryRun ? "A dry run: nothing was removed." : `Looked again: ${count(result.remaining)} left.`,
    ...(trainingSets === ""
      ? []
      : [`Training sets that hold rows of the keys, and stay as they are: ${trainingSets}.`]),
  ];
}

function skewLines({ result, featureService }: SkewCheck): readonly string[] {
  if (result === undefined) {
    return [];
  }
  const { rowsChecked, rowsDiffering, differences } = result;
  const columns: Column[] = ["ENTITY", "READ", "FEATURE", "SERVED", "STATUS", "HISTORY"].map(
    (title) => ({ title }),
  );
  const rows = differences.map((one) => [
    one.entity.map((key) => `${key.name}=${cellText(key, typeOfColumn(key), 0)}`).join(" "),
    exactTime(one.readTime),
    one.feature,
    one.onlineValue,
    statusText(one.onlineStatus),
    one.offlineValue,
  ]);
  return [
    ...(rows.length === 0 ? [] : tableLines(columns, rows)),
    `${shortFeatureName(featureService)}: ${count(rowsChecked)} kept reads compared with history, ` +
      `${count(rowsDiffering)} differ.`,
  ];
}

function count(value: bigint): string {
  return formatCount(Number(value));
}
