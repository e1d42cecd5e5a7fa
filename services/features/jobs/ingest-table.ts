// A file into a view. Its rows are checked and written as files of the view, which are added to the
// history under the job's uid, so that a run after a restart adds nothing twice; then the newest
// row of each key goes online. A restart checks the file again: it gives the same rows, as a
// creation time that the file lacks was fixed when the job was made.

import { link } from "node:fs/promises";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { BadRows, PushTarget } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type Ingestion, IngestionSchema } from "../../../gen/plinth/features/v1/job_pb.js";
import type { Value } from "../../common/documents/port.ts";
import { FailedPrecondition, InvalidArgument, NotFound } from "../../common/errors/domain-error.ts";
import { tableName } from "../../common/names.ts";
import type { FeatureView, ViewVersion } from "../definitions/definitions.ts";
import type {
  EngineTasks,
  Refusal,
  SourceFile,
  TableFormat,
  WrittenFile,
} from "../offline/engine-tasks.ts";
import type { History } from "../offline/history.ts";
import { historyOf, shapeOf } from "../offline/view-history.ts";
import type { Field } from "../value.ts";
import { storedWork, workOf } from "./convert.ts";
import type { RunJob, RunningJob } from "./job.ts";
import { currentView, type JobDeps, withScratch, withViewLease } from "./job-deps.ts";
import { keyOf, storedKey } from "./key-position.ts";
import {
  NOTHING_WRITTEN,
  type OnlineCopy,
  type OnlineProgress,
  writeOnline,
} from "./write-online.ts";

/** Refusals that an error names; the result has the first 100. */
const REFUSALS_SHOWN = 20;

/** Fixed when the job is made: a table may be gone from the store before its job is done. */
export interface IngestionStart {
  readonly format: TableFormat;
  readonly createdUs: number;
  /** Once its files are offline: as OfflineStore.add said, and of which view. */
  readonly added?: {
    readonly uid: string;
    readonly snapshot: number;
    readonly isCaughtUp: boolean;
    readonly isNew: boolean;
  };
  /** How far the online pass is. */
  readonly afterKey?: Value;
  readonly keysWritten?: number;
}

/** The stores an ingestion writes to. @throws FailedPrecondition when the view has none of them */
export function targetsOf(
  name: string,
  view: FeatureView,
  target: PushTarget,
): { readonly online: boolean; readonly offline: boolean } {
  const online = view.online && target !== PushTarget.OFFLINE;
  const offline = view.offline && target !== PushTarget.ONLINE;
  if (!online && !offline) {
    const kept = view.online ? "online only" : "offline only";
    const description = `keeps rows ${kept}; choose that target, or apply the view with both`;
    throw new FailedPrecondition(`${name} ${description}.`, {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: name },
      violations: [{ type: "STORE", subject: name, description }],
    });
  }
  return { online, offline };
}

type Checked = EngineTasks["ingest-table"]["output"];

/** Runs ingestions. */
export function ingestTable(deps: JobDeps): RunJob {
  return (job) =>
    withScratch(deps, async (folder) => {
      const work = workOf(IngestionSchema, job);
      const view = await currentView(deps, job, work.featureView);
      const targets = targetsOf(work.featureView, view.version, work.target);
      const checked = await check(deps, job, { work, view, folder });
      const result = resultOf(checked, targets);
      if (checked.rowsRefused > 0 && work.badRows !== BadRows.SKIP) {
        const none = { ...result, rowsWritten: 0n };
        const refused = storedWork(IngestionSchema, work, { result: none });
        await job.checkpointAt(job.checkpoint, { work: refused });
        throw badRows(checked);
      }
      const rows = { work, view, targets, folder, result, files: checked.files };
      if (!targets.online) {
        await storeOffline(deps, job, rows);
        return storedWork(IngestionSchema, work, { result });
      }
      const history = historyOf(job.workspace, view);
      // An erasure comes before the files are stored or after their rows are online: in between it
      // would miss what is still to be written.
      return await withViewLease(deps, job, {
        history,
        work: (signal) => storeOnline(deps, job, { ...rows, signal }),
      });
    });
}

/** Rows that were found good. */
interface GoodRows {
  readonly work: Ingestion;
  readonly view: ViewVersion;
  readonly targets: ReturnType<typeof targetsOf>;
  readonly folder: string;
  readonly result: ReturnType<typeof resultOf>;
  readonly files: readonly WrittenFile[];
}

function resultOf(checked: Checked, targets: { readonly offline: boolean }) {
  const rows = checked.files.reduce((sum, file) => sum + file.rows, 0);
  return {
    rowsRead: BigInt(checked.rowsRead),
    rowsWritten: targets.offline ? BigInt(rows) : 0n,
    keysWritten: 0n,
    rowsRefused: BigInt(checked.rowsRefused),
    refusals: checked.refusals.map(toRefusal),
  };
}

/** Stores the files; undefined where an earlier attempt did, else the checkpoint to go on from. */
async function storeOffline(
  deps: JobDeps,
  job: RunningJob,
  { view, files }: Pick<GoodRows, "view" | "files">,
): Promise<IngestionStart | undefined> {
  const start = job.checkpoint as unknown as IngestionStart;
  job.signal.throwIfAborted();
  job.progress({ phase: "storing offline", done: 0, total: files.length, unit: "files" });
  const columns = columnsOf(view);
  const once = job.uid;
  const added = await deps.offline.add(historyOf(job.workspace, view), files, columns, { once });
  return added.isNew ? { ...start, added: { uid: view.uid, ...added } } : undefined;
}

/** Stores the rows where they are wanted, and online last. */
async function storeOnline(
  deps: JobDeps,
  job: RunningJob,
  rows: GoodRows & { readonly signal: AbortSignal },
): Promise<JsonObject> {
  const { work, view, targets, result } = rows;
  const history = historyOf(job.workspace, view);
  const own = await linked(rows);
  const fresh = targets.offline ? await storeOffline(deps, job, rows) : undefined;
  const isResumed = targets.offline && fresh === undefined;
  const start = fresh ?? (job.checkpoint as unknown as IngestionStart);
  // From here a cancelled job says what stays.
  const stored = storedWork(IngestionSchema, work, { result });
  await job.checkpointAt({ ...start }, { work: stored });
  const added = start.added?.uid === view.uid ? start.added : undefined;
  const done = await copyOnline(deps, job, {
    ...rows,
    start,
    // Rows may have been erased between an earlier attempt and this one: then history knows.
    files: async () => (isResumed ? await storedSince(deps, history, added?.snapshot ?? 0) : own),
  });
  rows.signal.throwIfAborted();
  if (added?.isCaughtUp === true) {
    await deps.offline.markMaterialized(history, added.snapshot);
  }
  const all = { ...result, keysWritten: BigInt(done.keysWritten) };
  return storedWork(IngestionSchema, work, { result: all });
}

/** Storing files takes them away; a second name keeps them for the online pass. */
async function linked({ view, folder, files }: GoodRows): Promise<readonly SourceFile[]> {
  const sources: SourceFile[] = [];
  for (const [index, file] of files.entries()) {
    const path = join(folder, `online-${index}.parquet`);
    await link(file.path, path);
    sources.push({ path, columns: columnsOf(view) });
  }
  return sources;
}

/** The files with what came in a snapshot or later. */
async function storedSince(
  deps: JobDeps,
  history: History,
  snapshot: number,
): Promise<readonly SourceFile[]> {
  const { files, sources } = await deps.offline.read(history);
  return sources.filter((_, index) => (files[index]?.addedSnapshot ?? 0) >= snapshot);
}

function columnsOf(view: ViewVersion): readonly Field[] {
  const { joinKeys, features } = shapeOf(view);
  return [...joinKeys, ...features];
}

async function check(
  deps: JobDeps,
  job: RunningJob,
  parts: { readonly work: Ingestion; readonly view: ViewVersion; readonly folder: string },
): Promise<Checked> {
  const { work, view, folder } = parts;
  const start = job.checkpoint as unknown as IngestionStart;
  const { source } = view.version;
  return await deps.engine.run(
    "ingest-table",
    {
      table: { path: await tablePath(deps, work.table), format: start.format },
      shape: shapeOf(view),
      eventTimestampColumn: source.eventTimestampColumn,
      createdTimestampColumn: source.createdTimestampColumn,
      defaultCreatedUs: start.createdUs,
      fieldMapping: source.fieldMapping,
      skipBadRows: work.badRows === BadRows.SKIP,
      outDir: folder,
    },
    { signal: job.signal, onProgress: (progress) => job.progress(progress) },
  );
}

async function copyOnline(
  deps: JobDeps,
  job: RunningJob,
  parts: Pick<OnlineCopy, "view" | "files" | "signal"> & { readonly start: IngestionStart },
): Promise<OnlineProgress> {
  const { start, view, files, signal } = parts;
  return await writeOnline(deps, job, {
    view,
    files,
    keysPerSecondMax: 0,
    from: {
      ...NOTHING_WRITTEN,
      afterKey: keyOf(start.afterKey ?? null),
      keysWritten: Number(start.keysWritten ?? 0),
    },
    signal,
    checkpoint: ({ afterKey, keysWritten }) =>
      job.checkpointAt({ ...start, afterKey: storedKey(afterKey), keysWritten }),
  });
}

/** The file of a table on this machine. @throws NotFound when it is gone */
export async function tablePath(deps: Pick<JobDeps, "blobs">, name: string): Promise<string> {
  const { table } = tableName.parse(name, "table");
  try {
    return await deps.blobs.localPath(table);
  } catch (error) {
    if (!(error instanceof NotFound)) {
      throw error;
    }
    throw new NotFound(`The file of ${name} is gone. Upload it again with UploadTable.`, {
      reason: ErrorReason.RESOURCE_NOT_FOUND,
      metadata: { resource: name },
      cause: error,
    });
  }
}

function toRefusal({ row, column, reason }: Refusal) {
  return { row: BigInt(row), column, reason };
}

function badRows({ rowsRead, rowsRefused, refusals }: Checked): InvalidArgument {
  const shown = refusals.slice(0, REFUSALS_SHOWN);
  const violations = shown.map(({ row, column, reason }) => ({
    field: column === "" ? `rows[${row}]` : `rows[${row}].${column}`,
    description: reason,
  }));
  const [first] = violations;
  const firstText = first === undefined ? "" : ` The first: ${first.field} ${first.description}.`;
  return new InvalidArgument(
    `${rowsRefused} of ${rowsRead} rows are bad, and nothing was stored.${firstText} Correct ` +
      "them, or set bad_rows to BAD_ROWS_SKIP to store the others.",
    { reason: ErrorReason.INVALID_FIELD, violations },
  );
}
