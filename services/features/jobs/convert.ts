// Jobs and tables as callers see them. Pure and total.

import {
  create,
  type DescMessage,
  fromJson,
  type JsonObject,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  CompactionSchema,
  ErasureSchema,
  IngestionSchema,
  Job_State,
  type JobSchema,
  MaterializationSchema,
  SkewCheckSchema,
  TrainingSetSchema,
} from "../../../gen/plinth/features/v1/job_pb.js";
import {
  TableFormat as Format,
  type TableSchema,
} from "../../../gen/plinth/features/v1/table_pb.js";
import { statusOf } from "../../common/jobs/job-error.ts";
import type { TableFormat } from "../offline/engine-tasks.ts";
import type { Job } from "./job.ts";
import type { Table } from "./table-store.ts";

const STATES = {
  QUEUED: Job_State.QUEUED,
  RUNNING: Job_State.RUNNING,
  SUCCEEDED: Job_State.SUCCEEDED,
  FAILED: Job_State.FAILED,
  CANCELLED: Job_State.CANCELLED,
} as const;

const FORMATS: Readonly<Record<TableFormat, Format>> = {
  parquet: Format.PARQUET,
  csv: Format.CSV,
  ndjson: Format.NDJSON,
};

/** A job as callers see it. */
export function toJob(job: Job): MessageInitShape<typeof JobSchema> {
  const { progress, error, startTime, endTime, expireTime } = job;
  return {
    name: job._id,
    uid: job.uid,
    createTime: timestampFromDate(job.createTime),
    updateTime: timestampFromDate(job.updateTime),
    state: STATES[job.state],
    ...(progress === null
      ? {}
      : {
          progress: {
            phase: progress.phase,
            done: BigInt(Math.round(progress.done)),
            total: BigInt(Math.round(progress.total)),
            unit: progress.unit,
          },
        }),
    ...(error === null ? {} : { error: statusOf(error) }),
    ...(startTime === null ? {} : { startTime: timestampFromDate(startTime) }),
    ...(endTime === null ? {} : { endTime: timestampFromDate(endTime) }),
    ...(expireTime === null ? {} : { expireTime: timestampFromDate(expireTime) }),
    attempt: job.attempt,
    actor: job.actor,
    work: toWork(job),
  };
}

/** A table as callers see it. */
export function toTable(table: Table): MessageInitShape<typeof TableSchema> {
  const { content } = table;
  return {
    name: table._id,
    createTime: timestampFromDate(table.createTime),
    expireTime: timestampFromDate(table.expireTime),
    sizeBytes: BigInt(table.sizeBytes),
    format: content === null ? Format.UNSPECIFIED : FORMATS[content.format],
    rows: BigInt(content?.rows ?? 0),
    columns: (content?.columns ?? []).map((column) => ({ ...column })),
  };
}

/** The format that a caller names; undefined: it is to be found out. */
export function formatOf(format: Format): TableFormat | undefined {
  return (Object.keys(FORMATS) as TableFormat[]).find((name) => FORMATS[name] === format);
}

/** What a job is to do and what came of it, as its message. */
export function workOf<S extends DescMessage>(
  schema: S,
  job: { readonly work: JsonObject },
): MessageShape<S> {
  return fromJson(schema, job.work, { ignoreUnknownFields: true });
}

/** The way back; `more` (a result) takes the place of what the message has. */
export function storedWork<S extends DescMessage>(
  schema: S,
  work: MessageInitShape<S>,
  more?: MessageInitShape<S>,
): JsonObject {
  const stored = toJson(schema, create(schema, work)) as JsonObject;
  return more === undefined
    ? stored
    : { ...stored, ...(toJson(schema, create(schema, more)) as JsonObject) };
}

function toWork(job: Job): NonNullable<MessageInitShape<typeof JobSchema>["work"]> {
  switch (job.kind) {
    case "training_set":
      return { case: "trainingSet", value: workOf(TrainingSetSchema, job) };
    case "materialization":
      return { case: "materialization", value: workOf(MaterializationSchema, job) };
    case "ingestion":
      return { case: "ingestion", value: workOf(IngestionSchema, job) };
    case "erasure":
      return { case: "erasure", value: workOf(ErasureSchema, job) };
    case "compaction":
      return { case: "compaction", value: workOf(CompactionSchema, job) };
    case "skew_check":
      return { case: "skewCheck", value: workOf(SkewCheckSchema, job) };
  }
}
