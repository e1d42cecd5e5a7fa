// Does the jobs: row after row, each durable before the next. A worker that takes a job over makes
// no proof again that is there already.

import { join } from "node:path";
import type { Clock } from "../../common/clock.ts";
import { HAND_BACK, type RunJob, type RunningJob } from "../../common/jobs/job.ts";
import { priorityOf } from "../../common/jobs/job-store.ts";
import { type CircuitFiles, keyOf } from "../circuits/circuit-files.ts";
import type { CircuitStore } from "../circuits/circuit-store.ts";
import type { ProofsEvents } from "../events.ts";
import type { Prover } from "../prover/prover-port.ts";
import type { Workshop } from "../workshop/workshop-port.ts";
import { type AnsweredRow, answersOf, inputsOf, readPart, rowInputs } from "./job-parts.ts";
import { PROOF_FILE_KIND, type ProofFile } from "./proof-file.ts";
import {
  type ProofJob,
  type ProofPhase,
  requireProvable,
  requireSameCircuit,
} from "./proof-job.ts";
import type { ProofQueue } from "./proof-queue.ts";
import type { ProofDocument, ProofStore } from "./proof-store.ts";
import { type ProvedRow, type ProvingFiles, proveRow } from "./prove-row.ts";
import { type ProverTurns, ROWS_MAX } from "./prover-turns.ts";

/** Jobs held at once; their rows take turns. */
export const HELD_MAX = 8;

/** A job gives way to those of workspaces that have none at work after so long. */
const HOLD_MS = 30_000;

export interface ProveRowsDeps {
  readonly clock: Clock;
  readonly events: Pick<ProofsEvents, "proofMade" | "backgroundFailed">;
  readonly circuits: Pick<CircuitStore, "get" | "addProveMs">;
  readonly files: CircuitFiles;
  readonly workshop: Workshop;
  readonly prover: Prover;
  readonly proofs: ProofStore;
  readonly queue: ProofQueue;
  readonly turns: ProverTurns;
}

/** What a job needs besides itself. */
interface Batch {
  readonly files: ProvingFiles;
  readonly request: ReturnType<typeof inputsOf>;
  readonly answers: readonly AnsweredRow[];
  readonly folder: string;
}

/** Proves the rows of jobs. */
export function proveRows(deps: ProveRowsDeps): RunJob<ProofJob> {
  /** Jobs under way here, by workspace. */
  const held = new Map<string, number>();
  return async (job) => {
    const { workspace } = job.job;
    held.set(workspace, (held.get(workspace) ?? 0) + 1);
    try {
      return await proveJob(deps, job, held);
    } finally {
      held.set(workspace, (held.get(workspace) ?? 1) - 1);
    }
  };
}

async function proveJob(
  deps: ProveRowsDeps,
  job: RunningJob<ProofJob>,
  held: ReadonlyMap<string, number>,
): Promise<Partial<ProofJob> | typeof HAND_BACK> {
  const { clock, files, queue } = deps;
  const startMs = clock.monotonicMs();
  requireProvable(job.job);
  showPhase(job, "waiting");
  await using scratch = await files.scratch("prove");
  const batch = await openBatch(deps, job.job, scratch.path);
  const proofs = [...job.job.proofs];
  const left = proofs.flatMap((id, row) => (id === null ? [row] : []));
  let isLeaving = false;
  const lane = async () => {
    for (let row = left.shift(); row !== undefined; row = isLeaving ? undefined : left.shift()) {
      proofs[row] = await proveInTurn(deps, job, { batch, row });
      const rowsDone = proofs.filter((id) => id !== null).length;
      await job.checkpoint({ proofs: [...proofs], rowsDone });
      showPhase(job, "waiting");
      // Only now: whoever takes a job gets it on by one row.
      isLeaving ||= mustGiveWay(queue, job.job, { held, heldMs: clock.monotonicMs() - startMs });
    }
  };
  // A row that failed ends the job, and the others are done to their end before.
  const stop = () => {
    isLeaving = true;
  };
  const lanes = Array.from({ length: ROWS_MAX }, () => lane().finally(stop));
  for (const result of await Promise.allSettled(lanes)) {
    if (result.status === "rejected") {
      throw result.reason;
    }
  }
  return left.length > 0 ? HAND_BACK : {};
}

/** Waits for the row's turn; gives the id of its proof. */
async function proveInTurn(
  deps: ProveRowsDeps,
  job: RunningJob<ProofJob>,
  at: { readonly batch: Batch; readonly row: number },
): Promise<string> {
  const { queue, turns } = deps;
  const { workspace } = job.job;
  const of = { workspace, priority: priorityOf(job.job) };
  using _turn = await turns.take(of, job.signal);
  queue.hadTurn(workspace);
  const { _id } = await proofOfRow(deps, job, at);
  return _id.slice(_id.lastIndexOf("/") + 1);
}

async function openBatch(
  { circuits, files, proofs }: ProveRowsDeps,
  job: ProofJob,
  folder: string,
): Promise<Batch> {
  const circuit = await circuits.get(job.circuit);
  requireSameCircuit(job, circuit);
  const schema = await proofs.schema(job.schemaHash);
  const { record } = keyOf(circuit);
  // Inputs go with the end alone, and a job that has ended is not run.
  const inputs = job.inputs === null ? new Uint8Array() : await readPart(files, job.inputs);
  return {
    files: {
      ...(await files.proving(circuit)),
      source: await files.source(circuit),
      schema,
      key: record,
    },
    request: inputsOf(inputs),
    answers: answersOf(schema, await readPart(files, job.answers)),
    folder,
  };
}

/** The proof that an earlier worker made and could not tell of, or a new one. */
async function proofOfRow(
  deps: ProveRowsDeps,
  job: RunningJob<ProofJob>,
  at: { readonly batch: Batch; readonly row: number },
): Promise<ProofDocument> {
  const { clock, events, circuits, proofs } = deps;
  const { batch, row } = at;
  const { uid, workspace, createTime } = job.job;
  const there = await proofs.ofRow(uid, row);
  if (there !== undefined) {
    return there;
  }
  const { publicValues, salt } = batch.answers[row]!;
  const queueMs = Math.max(0, clock.now() - createTime.getTime());
  const proved = await proveRow(deps, batch.files, {
    row: {
      row,
      inputs: rowInputs(batch.files.schema, batch.request, { row, salt }),
      publicValues,
      witness: join(batch.folder, `row-${row}.wtns`),
    },
    signal: job.signal,
    onPhase: (phase) => showPhase(job, phase),
  });
  const { checkMs, proveMs, verifyMs } = proved.timings;
  const timings = { queueMs, witnessMs: proved.witnessMs, checkMs, proveMs, verifyMs };
  const now = new Date(clock.now());
  const file = fileOf(job.job, { batch, row, proved, createTime: now });
  const { circuitUid } = job.job.answeredBy;
  const made = { workspace, jobUid: uid, circuitUid, createTime: now, file, timings };
  const stored = await proofs.add(made);
  const durationMs = timings.witnessMs + checkMs + proveMs + verifyMs;
  events.proofMade(job.job.circuit, durationMs);
  // Nobody waits for it, and nothing depends on it.
  void circuits.addProveMs(circuitUid, durationMs).catch((error) => {
    events.backgroundFailed("proof times", job.job.circuit, error);
  });
  return stored;
}

function fileOf(
  job: ProofJob,
  made: {
    readonly batch: Batch;
    readonly row: number;
    readonly proved: ProvedRow;
    readonly createTime: Date;
  },
): ProofFile {
  const { batch, row, proved, createTime } = made;
  const { modelCommitment, circuitHash } = job.answeredBy;
  return {
    version: 1,
    kind: PROOF_FILE_KIND,
    protocol: batch.files.key.protocol,
    circuit: job.circuit,
    modelVersion: job.modelVersion,
    inferenceId: job.inferenceId,
    row,
    proof: proved.proof,
    publicValues: proved.publicValues,
    verifyingKeyHash: proved.verifyingKeyHash,
    schemaHash: job.schemaHash,
    modelCommitment,
    circuitHash,
    development: job.development,
    createTime: createTime.toISOString(),
  };
}

/**
 * Whether another job that waits is to have this one's place: one of a better priority, or of a
 * workspace that has none at work while this one's has several or has had its place for long.
 */
export function mustGiveWay(
  queue: Pick<ProofQueue, "best">,
  job: Pick<ProofJob, "workspace" | "priority">,
  { held, heldMs }: { readonly held: ReadonlyMap<string, number>; readonly heldMs: number },
): boolean {
  const all = [...held.values()].reduce((sum, count) => sum + count, 0);
  const best = all < HELD_MAX ? undefined : queue.best();
  if (best === undefined || best.priority > priorityOf(job)) {
    return false;
  }
  if (best.priority < priorityOf(job)) {
    return true;
  }
  const hasNone = (held.get(best.workspace) ?? 0) === 0;
  const isSpare = (held.get(job.workspace) ?? 0) > 1 || heldMs >= HOLD_MS;
  return best.workspace !== job.workspace && hasNone && isSpare;
}

function showPhase(job: RunningJob<ProofJob>, phase: ProofPhase): void {
  const { rowsDone, rowCount } = job.job;
  job.progress({ phase, done: rowsDone, total: rowCount, unit: "rows" });
}
