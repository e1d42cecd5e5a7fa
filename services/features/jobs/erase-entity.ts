// Removes entities from everywhere: in rounds, each of which erases what it finds and then looks
// again, because pushes and reads go on meanwhile. The job succeeds when a look finds nothing.

import { setTimeout as sleep } from "node:timers/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { type Erasure, ErasureSchema } from "../../../gen/plinth/features/v1/job_pb.js";
import { Aborted } from "../../common/errors/domain-error.ts";
import { entityName } from "../../common/names.ts";
import { cellsOf } from "../columns.ts";
import type { Entity } from "../definitions/definitions.ts";
import { entryOf, noSuch } from "../definitions/lookup.ts";
import { storedWork, workOf } from "./convert.ts";
import { countRows, eraseRows } from "./erase-rows.ts";
import { type ErasureTarget, erasureTargets, type KeySet } from "./erase-targets.ts";
import { type ErasureState, erasureStateOf, storedErasure, withErased } from "./erasure-state.ts";
import { trainingSetsWith } from "./find-training-sets.ts";
import type { RunJob, RunningJob } from "./job.ts";
import { type JobDeps, withScratch } from "./job-deps.ts";

const ROUNDS_MAX = 5;

/** Kept reads wait up to a second in the memory of the replica that served them. */
const KEPT_READS_SETTLE_MS = 2_000;

/** Everything one run works with. */
export interface ErasureRun {
  readonly deps: JobDeps;
  readonly job: RunningJob;
  readonly folder: string;
  readonly keySet: KeySet;
  readonly targets: readonly ErasureTarget[];
}

/** Runs erasures. */
export function eraseEntity(deps: JobDeps): RunJob {
  return (job) =>
    withScratch(deps, async (folder) => {
      const work = workOf(ErasureSchema, job);
      const definitions = await deps.definitions.fresh(job.workspace);
      const { entity } = entityName.parse(work.entity, "entity");
      const definition = entryOf(definitions.entities, entity);
      if (definition === undefined) {
        const known = Object.keys(definitions.entities);
        throw noSuch("entity", { workspace: job.workspace, id: entity, known });
      }
      const keySet = keySetOf(work, definition);
      const targets = erasureTargets(definitions, job.workspace, keySet);
      const run = { deps, job, folder, keySet, targets };
      return work.dryRun ? await dryRun(run, work) : await erase(run, work);
    });
}

/** The keys of an erasure; they were checked when the job was made. */
function keySetOf(work: Erasure, { joinKeys }: Entity): KeySet {
  const byName = new Map(work.keys.map((column) => [column.name, column]));
  const rows = rowsOfKeys(work);
  const keys = joinKeys.map((field) => {
    return [field.name, cellsOf(byName.get(field.name), field, rows).cells] as const;
  });
  return { keyFields: joinKeys, keys: Object.fromEntries(keys) };
}

function rowsOfKeys({ keys }: Erasure): number {
  const lengths = keys.map(({ ints, strings, timestamps }) => {
    return Math.max(ints.length, strings.length, timestamps.length);
  });
  return Math.max(0, ...lengths);
}

async function dryRun(run: ErasureRun, work: Erasure): Promise<JsonObject> {
  const { deps, job, keySet } = run;
  let state = erasureStateOf(null);
  let reads = 0;
  for (const [done, target] of run.targets.entries()) {
    job.progress({
      phase: "counting offline rows",
      done,
      total: run.targets.length,
      unit: "views",
    });
    const found = await countRows(run, target);
    const viewName = target.viewName ?? "";
    reads += viewName === "" ? found.rows : 0;
    state = withErased(state, { ...found, viewName });
  }
  job.progress({ phase: "counting online", done: 0, total: 0, unit: "keys" });
  const onlineKeys = await deps.online.eraseKeys(job.workspace, { ...keySet, countOnly: true });
  state = { ...state, onlineKeys };
  const rows = Object.values(state.views).reduce((sum, view) => sum + view.rows, 0);
  return await withResult(run, { work, state, remaining: onlineKeys + rows + reads });
}

async function erase(run: ErasureRun, work: Erasure): Promise<JsonObject> {
  const { job } = run;
  let state = erasureStateOf(job.checkpoint);
  while (true) {
    state = await eraseRound(run, state);
    const remaining = await lookAgain(run);
    if (remaining === 0) {
      return await withResult(run, { work, state, remaining });
    }
    if (state.round === ROUNDS_MAX) {
      const result = await withResult(run, { work, state, remaining });
      await job.checkpointAt(storedErasure(state), { work: result });
      throw new Aborted(
        `${remaining} rows of the keys were there again after each of ${ROUNDS_MAX} rounds: they ` +
          "are still being pushed, ingested or read. Stop that, then erase again.",
        { reason: ErrorReason.RESOURCE_IN_USE, metadata: { remaining: String(remaining) } },
      );
    }
    state = { ...state, round: state.round + 1 };
    await job.checkpointAt(storedErasure(state));
  }
}

/** Offline first: what is gone there cannot be materialised again. Kept reads last. */
async function eraseRound(run: ErasureRun, from: ErasureState): Promise<ErasureState> {
  const views = run.targets.filter(({ viewName }) => viewName !== undefined);
  const reads = run.targets.filter(({ viewName }) => viewName === undefined);
  let state = from;
  for (const [done, target] of views.entries()) {
    const phase = `erasing rows of ${target.history.view}`;
    run.job.progress({ phase, done, total: run.targets.length, unit: "views" });
    state = await eraseRows(run, target, state);
  }
  state = await eraseOnline(run, state);
  if (reads.some(({ isSampled }) => isSampled)) {
    await sleep(KEPT_READS_SETTLE_MS, undefined, { signal: run.job.signal });
  }
  for (const [index, target] of reads.entries()) {
    const done = views.length + index;
    const phase = "erasing kept reads";
    run.job.progress({ phase, done, total: run.targets.length, unit: "views" });
    state = await eraseRows(run, target, state);
  }
  return state;
}

/** They are counted, and the count kept, before they go: a worker that dies knows it afterwards. */
async function eraseOnline(run: ErasureRun, from: ErasureState): Promise<ErasureState> {
  const { deps, job, keySet } = run;
  job.progress({ phase: "erasing online", done: 0, total: 0, unit: "keys" });
  let state = from;
  if (state.onlineRound < state.round) {
    const found = await deps.online.eraseKeys(job.workspace, { ...keySet, countOnly: true });
    state = { ...state, onlineKeys: state.onlineKeys + found, onlineRound: state.round };
    await job.checkpointAt(storedErasure(state));
  }
  job.signal.throwIfAborted();
  await deps.online.eraseKeys(job.workspace, { ...keySet, countOnly: false });
  return state;
}

async function lookAgain(run: ErasureRun): Promise<number> {
  const { deps, job, keySet } = run;
  let remaining = 0;
  for (const [done, target] of run.targets.entries()) {
    job.progress({ phase: "looking again", done, total: run.targets.length, unit: "views" });
    remaining += (await countRows(run, target)).rows;
  }
  return remaining + (await deps.online.eraseKeys(job.workspace, { ...keySet, countOnly: true }));
}

async function withResult(
  run: ErasureRun,
  parts: {
    readonly work: Erasure;
    readonly state: ErasureState;
    readonly remaining: number;
  },
): Promise<JsonObject> {
  const { work, state, remaining } = parts;
  const views = Object.entries(state.views).filter(([, { rows }]) => rows > 0);
  const result = {
    onlineKeys: BigInt(state.onlineKeys),
    views: views.map(([featureView, { rows, files }]) => ({
      featureView,
      rows: BigInt(rows),
      files,
    })),
    remaining: BigInt(remaining),
    trainingSets: [...(await trainingSetsWith(run))],
  };
  return storedWork(ErasureSchema, work, { result });
}
