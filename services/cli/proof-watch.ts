// Follows a job of proofs to its end. The job lives on the server: leaving the watch does not stop
// it, and the command says so, and how to come back.

import {
  type Proof,
  type ProofJob,
  ProofJobSchema,
  ProofJob_State as State,
} from "../../gen/plinth/proofs/v1/proof_pb.js";
import { DeadlineExceeded, DomainError } from "../common/errors/domain-error.ts";
import { CommandError, ExitCode, Interrupted } from "./exit-codes.ts";
import { jobBar, type Steps } from "./job-bar.ts";
import { endedWith } from "./proof-failure.ts";
import { shortJob } from "./proof-names.ts";
import { reopened } from "./reopened.ts";
import type { Session } from "./session.ts";

const ENDED: readonly State[] = [State.SUCCEEDED, State.FAILED, State.CANCELLED];

const PHASES: Readonly<Partial<Record<State, string>>> = {
  [State.QUEUED]: "waiting for the prover",
  [State.WITNESS]: "computing the witness",
  [State.PROVING]: "proving",
  [State.VERIFYING]: "verifying",
};

/** What came of a job. */
export interface ProvedJob {
  readonly job: ProofJob;
  /** By row. */
  readonly proofs: readonly Proof[];
}

/** Whether nothing more happens to the job. */
export function hasEnded({ state }: ProofJob): boolean {
  return ENDED.includes(state);
}

/** How to come back to a job that goes on. */
export function wayBack(name: string): string {
  const job = shortJob(name);
  return `Follow it with "plinth proof job ${job} --watch", stop it with "plinth proof job ${job} --cancel".`;
}

/** "proving [===---] 1 of 3 rows" */
export function jobSteps({ state, rowsDone, rows }: ProofJob): Steps {
  const phase = rowsDone === rows.length ? "finishing" : (PHASES[state] ?? "");
  return { phase, done: rowsDone, total: rows.length, unit: "rows" };
}

/**
 * Waits until every row is proved. `onProof` is awaited with each proof, once.
 * @throws CommandError with the job's own error where it FAILED or was CANCELLED; Interrupted with
 *   the way back at Ctrl-C.
 */
export async function provedJob(
  session: Session,
  started: ProofJob,
  onProof: (proof: Proof) => Promise<void>,
): Promise<ProvedJob> {
  const ended = await endedJob(session, started, onProof);
  const { job } = ended;
  if (job.state === State.SUCCEEDED) {
    return ended;
  }
  if (session.output.json) {
    await session.output.message(ProofJobSchema, job);
  }
  throw failureOf(job);
}

/** The job once it has ended, however. */
export async function endedJob(
  session: Session,
  started: ProofJob,
  onProof: (proof: Proof) => Promise<void> = async () => {},
): Promise<ProvedJob> {
  const { name } = started;
  const proofs = new Map<string, Proof>();
  let job = started;
  using bar = await jobBar({ show: session.output.showsProgress, title: "Proofs" });
  try {
    const open = () => session.proofs.watchProof({ name }, session.call);
    for await (const message of reopened(session, open, { tells: false })) {
      job = withRows(message.proofJob ?? job, job);
      for (const proof of message.proofs) {
        proofs.set(proof.name, proof);
        await onProof(proof);
      }
      if (hasEnded(job)) {
        return { job, proofs: [...proofs.values()].sort((a, b) => a.row - b.row) };
      }
      bar.update(jobSteps(job));
    }
  } catch (error) {
    bar[Symbol.dispose]();
    throw left(name, error);
  }
  throw gone(name, "cannot be watched any more");
}

/** A message between the first and the last has no rows; how many there are is known. */
function withRows(job: ProofJob, before: ProofJob): ProofJob {
  return job.rows.length > 0 ? job : { ...job, rows: before.rows };
}

function failureOf(job: ProofJob): CommandError {
  const { message, exitCode, advice } = endedWith(shortJob(job.name), job.error);
  const { rowsDone, rows } = job;
  const kept = `${rowsDone} of ${rows.length} rows were proved before; their proofs stay.`;
  return new CommandError(message, {
    exitCode,
    advice: [...advice, ...(rowsDone > 0 ? [kept] : [])],
  });
}

/** What is thrown when the watch ends before the job does. */
function left(name: string, error: unknown): unknown {
  if (error instanceof Interrupted) {
    return new Interrupted(error.signal, `${shortJob(name)} goes on by itself.\n${wayBack(name)}`);
  }
  if (error instanceof DeadlineExceeded) {
    return gone(name, "has not ended yet");
  }
  return error instanceof DomainError && error.kind === "Unavailable"
    ? gone(name, "cannot be watched any more")
    : error;
}

function gone(name: string, why: string): CommandError {
  return new CommandError(`${shortJob(name)} ${why}; it goes on by itself.`, {
    exitCode: ExitCode.unavailable,
    advice: [wayBack(name)],
  });
}
