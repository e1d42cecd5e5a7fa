// What each kind of job must be before it is stored: everything that can be known to be wrong is
// said to the caller at once, not to who looks at the job later. What the job pins is pinned here.

import type { JsonObject } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { BadRows, PushTarget } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import {
  type Compaction,
  CompactionSchema,
  type Erasure,
  ErasureSchema,
  type Ingestion,
  IngestionSchema,
  type Materialization,
  MaterializationSchema,
  type SkewCheck,
  SkewCheckSchema,
  type TrainingSet,
  TrainingSetSchema,
} from "../../../gen/plinth/features/v1/job_pb.js";
import { TableFormat as Format } from "../../../gen/plinth/features/v1/table_pb.js";
import type { Value } from "../../common/documents/port.ts";
import { notFound } from "../../common/documents/resource.ts";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import { entityName, featureViewName, tableName } from "../../common/names.ts";
import { nearestName } from "../../common/nearest-name.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import { cellsOf, microsOf, rowCountOf } from "../columns.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import { entryOf, noSuch } from "../definitions/lookup.ts";
import type { ReadPlan } from "../definitions/read-plan.ts";
import { planFeatureService, viewOf } from "../definitions/resolve.ts";
import type { FeaturesDeps } from "../deps.ts";
import { storedWork } from "./convert.ts";
import { type IngestionStart, targetsOf } from "./ingest-table.ts";
import type { Table, TableContent } from "./table-store.ts";
import { EVENT_COLUMN_DEFAULT, type TrainingSetStart } from "./training-set.ts";

const ERASED_KEYS_MAX = 1000;
const OUT_OF_RANGE = "must be in the years 1685 to 2254";

export type NewJobDeps = Pick<FeaturesDeps, "clock" | "config" | "definitions" | "tables">;

/** What a job begins with. */
export interface JobStart {
  readonly work: JsonObject;
  readonly digests: readonly string[];
  readonly checkpoint: Value;
}

/** Pins the version of the feature service; the table must have its columns. */
export async function newTrainingSet(
  deps: NewJobDeps,
  workspace: string,
  asked: TrainingSet,
): Promise<JobStart> {
  const plan = await planOf(deps, workspace, asked.featureService);
  const { table, content } = await heldTable(deps, workspace, asked.table);
  const eventTimestampColumn = asked.eventTimestampColumn || EVENT_COLUMN_DEFAULT;
  const faults = new RequestFaults();
  const names = new Set(content.columns.map(({ name }) => name));
  for (const { name } of plan.requestColumns) {
    faults.check(names.has(name), "table", lacking(name, names));
  }
  const field = "event_timestamp_column";
  faults.check(
    names.has(eventTimestampColumn),
    field,
    `"${eventTimestampColumn}" is no column of the table, which has ${[...names].join(", ")}`,
  );
  faults.known("format", asked.format, Format);
  const canWrite = asked.format !== Format.NDJSON;
  faults.check(canWrite, "format", "must be Parquet or CSV; a training set is not made as NDJSON");
  faults.done();
  const start: TrainingSetStart = { format: content.format };
  const featureService = plan.featureService ?? "";
  const work = { ...asked, featureService, eventTimestampColumn, result: undefined };
  const format = asked.format || Format.PARQUET;
  return {
    work: storedWork(TrainingSetSchema, withoutResult({ ...work, format })),
    digests: [table.digest],
    checkpoint: { ...start },
  };
}

/** Needs a view that is kept in both stores. */
export async function newMaterialization(
  deps: NewJobDeps,
  workspace: string,
  asked: Materialization,
): Promise<JobStart> {
  const { version } = await viewNamed(deps, workspace, asked.featureView);
  const faults = new RequestFaults();
  const { startTime, endTime } = asked;
  const both = (startTime === undefined) === (endTime === undefined);
  faults.check(both, "end_time", "and start_time must both be given, or neither");
  if (startTime !== undefined && endTime !== undefined) {
    const [startUs, endUs] = [microsOf(startTime), microsOf(endTime)];
    faults.check(startUs !== undefined, "start_time", OUT_OF_RANGE);
    faults.check(endUs !== undefined, "end_time", OUT_OF_RANGE);
    faults.check((startUs ?? 0) < (endUs ?? 1), "end_time", "must be after start_time");
  }
  const rate = asked.keysPerSecondMax;
  faults.check(rate >= 0, "keys_per_second_max", `is ${rate}; 0 (no limit) or more`);
  faults.done();
  requireStore(asked.featureView, { has: version.online, store: "online" });
  requireStore(asked.featureView, { has: version.offline, store: "offline" });
  return start(storedWork(MaterializationSchema, withoutResult(asked)));
}

/** The table must have the join keys and the time. */
export async function newIngestion(
  deps: NewJobDeps,
  workspace: string,
  asked: Ingestion,
): Promise<JobStart> {
  const view = await viewNamed(deps, workspace, asked.featureView);
  const faults = new RequestFaults();
  faults.known("target", asked.target, PushTarget);
  faults.known("bad_rows", asked.badRows, BadRows);
  faults.done();
  targetsOf(asked.featureView, view.version, asked.target);
  const { table, content } = await heldTable(deps, workspace, asked.table);
  checkIngestColumns(view, content);
  const begin: IngestionStart = { format: content.format, createdUs: deps.clock.now() * 1000 };
  return {
    work: storedWork(IngestionSchema, withoutResult(asked)),
    digests: [table.digest],
    checkpoint: { ...begin },
  };
}

/** The keys must be whole and of the entity's types. */
export async function newErasure(
  deps: NewJobDeps,
  workspace: string,
  asked: Erasure,
): Promise<JobStart> {
  const parsed = entityName.parse(asked.entity, "entity");
  requireSame(workspace, parsed.workspace, "entity");
  const { entities } = await deps.definitions.fresh(workspace);
  const entity = entryOf(entities, parsed.entity);
  if (entity === undefined) {
    throw noSuch("entity", { workspace, id: parsed.entity, known: Object.keys(entities) });
  }
  const rows = rowCountOf(asked.keys, "keys");
  const faults = new RequestFaults();
  const isCount = rows >= 1 && rows <= ERASED_KEYS_MAX;
  faults.check(isCount, "keys", `have ${rows} rows; 1 to ${ERASED_KEYS_MAX} are possible`);
  const columns = new Map(asked.keys.map((column) => [column.name, column]));
  const names = entity.joinKeys.map(({ name }) => name);
  for (const name of columns.keys()) {
    const hint = `has ${names.join(", ")}`;
    faults.check(names.includes(name), "keys", `"${name}" is no join key; the entity ${hint}`);
  }
  for (const field of isCount ? entity.joinKeys : []) {
    const column = columns.get(field.name);
    faults.check(column !== undefined, "keys", `lack the join key "${field.name}"`);
    const { cells, faults: bad } = cellsOf(column, field, rows);
    for (const { row, reason } of bad) {
      faults.check(false, `keys.${field.name}[${row}]`, reason);
    }
    const isFaulty = column === undefined || bad.length > 0;
    const isWhole = isFaulty || cells.every((cell) => cell !== null);
    faults.check(isWhole, `keys.${field.name}`, "must have a value in every row");
  }
  faults.done();
  return start(storedWork(ErasureSchema, withoutResult(asked)));
}

/** Needs a view with offline files. */
export async function newCompaction(
  deps: NewJobDeps,
  workspace: string,
  asked: Compaction,
): Promise<JobStart> {
  const { version } = await viewNamed(deps, workspace, asked.featureView);
  requireStore(asked.featureView, { has: version.offline, store: "offline" });
  return start(storedWork(CompactionSchema, withoutResult(asked)));
}

/** Pins the version of the feature service. */
export async function newSkewCheck(
  deps: NewJobDeps,
  workspace: string,
  asked: SkewCheck,
): Promise<JobStart> {
  const plan = await planOf(deps, workspace, asked.featureService);
  const { startTime, endTime } = asked;
  const startUs = startTime === undefined ? -Infinity : microsOf(startTime);
  const endUs = endTime === undefined ? Infinity : microsOf(endTime);
  const faults = new RequestFaults();
  faults.check(startUs !== undefined, "start_time", OUT_OF_RANGE);
  faults.check(endUs !== undefined, "end_time", OUT_OF_RANGE);
  const isOrdered = startUs === undefined || endUs === undefined || startUs < endUs;
  faults.check(isOrdered, "end_time", "must be after start_time");
  faults.done();
  const featureService = plan.featureService ?? "";
  return start(storedWork(SkewCheckSchema, withoutResult({ ...asked, featureService })));
}

function start(work: JsonObject): JobStart {
  return { work, digests: [], checkpoint: null };
}

/** What the server sets is not taken from callers. */
function withoutResult<T extends { readonly result?: unknown }>(asked: T): Omit<T, "result"> {
  const { result: _, ...rest } = asked;
  return rest;
}

async function planOf(deps: NewJobDeps, workspace: string, name: string): Promise<ReadPlan> {
  return planFeatureService(await deps.definitions.fresh(workspace), { workspace, name });
}

async function viewNamed(deps: NewJobDeps, workspace: string, name: string): Promise<ViewVersion> {
  const parsed = featureViewName.parse(name, "feature_view");
  requireSame(workspace, parsed.workspace, "feature_view");
  const { view } = parsed;
  return viewOf(await deps.definitions.fresh(workspace), { workspace, view });
}

/** The table, which stays until long after the job was stored: the job then refers to its bytes. */
async function heldTable(
  deps: NewJobDeps,
  workspace: string,
  name: string,
): Promise<{ readonly table: Table; readonly content: TableContent }> {
  requireSame(workspace, tableName.parse(name, "table").workspace, "table");
  await deps.tables.keep(name, deps.config.tableTtlMs);
  const table = await deps.tables.find(name);
  if (table === undefined || table.content === null) {
    throw notFound(
      name,
      "Upload the file with UploadTable; a table goes some time after its last use.",
    );
  }
  return { table, content: table.content };
}

function checkIngestColumns({ version }: ViewVersion, { columns }: TableContent): void {
  const names = new Set(columns.map(({ name }) => name));
  const { eventTimestampColumn, fieldMapping } = version.source;
  const columnOf = (name: string) => fieldMapping.find(([, to]) => to === name)?.[0] ?? name;
  const faults = new RequestFaults();
  for (const column of [
    ...version.joinKeys.map(({ name }) => columnOf(name)),
    eventTimestampColumn || EVENT_COLUMN_DEFAULT,
  ]) {
    const advice = "rename it, or map it in the view's source";
    faults.check(names.has(column), "table", `${lacking(column, names)}: ${advice}`);
  }
  faults.done();
}

function lacking(column: string, names: ReadonlySet<string>): string {
  const near = nearestName(column, [...names]);
  const meant = near === undefined ? "" : ` (is "${near}" meant?)`;
  return `lacks the column "${column}"${meant}; it has ${[...names].join(", ")}`;
}

function requireSame(workspace: string, other: string, field: string): void {
  const faults = new RequestFaults();
  const description = `is of workspace "${other}", and the call of "${workspace}"`;
  faults.check(workspace === other, field, description);
  faults.done();
}

function requireStore(
  name: string,
  need: { readonly has: boolean; readonly store: "online" | "offline" },
): void {
  if (!need.has) {
    const description = `keeps no rows ${need.store}; apply it with ${need.store}: true first`;
    throw new FailedPrecondition(`${name} ${description}.`, {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: name },
      violations: [{ type: "STORE", subject: name, description }],
    });
  }
}
