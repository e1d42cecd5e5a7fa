// Proofs of the rows of one inference, as they are stored while they are made. What the circuit
// gives for the rows is known from the beginning: it was answered to the caller.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import type { JobDocument } from "../../common/jobs/job.ts";
import { JobStore } from "../../common/jobs/job-store.ts";
import type { Circuit } from "../circuits/circuit.ts";
import { compiledOf, keyOf } from "../circuits/circuit-files.ts";
import type { Part } from "./job-parts.ts";

/** The circuit and its key as they were when the rows were answered. */
export interface AnsweredBy {
  readonly circuitUid: string;
  /** Lower-case hex SHA-256 of the model in whole numbers, of the .r1cs and of the .zkey file. */
  readonly modelCommitment: string;
  readonly circuitHash: string;
  readonly zkey: string;
}

/** `_id` is the job's name. */
export interface ProofJob extends JobDocument {
  /** Name of the circuit, by id. */
  readonly circuit: string;
  /** What answered; whatever has its name by now proves nothing of it. */
  readonly answeredBy: AnsweredBy;
  readonly modelVersion: string;
  /** Name of the deployment that answered; empty: none. */
  readonly deployment: string;
  readonly inferenceId: string;
  readonly rowCount: number;
  readonly rowsDone: number;
  /** Ids of the proofs by row; null: not made yet. */
  readonly proofs: readonly (string | null)[];
  /** Whether the circuit's key is of a development set-up. */
  readonly development: boolean;
  /** Of the circuit; the schema is in the store of proofs. */
  readonly schemaHash: string;
  /** What is proved; null once the job has ended, as nobody needs it any more. */
  readonly inputs: Part | null;
  /** What was answered, and the salts. */
  readonly answers: Part;
}

/** What a held job does just now; stored as the phase of its progress. */
export type ProofPhase = "waiting" | "witness" | "proving" | "verifying";

/** Opens the jobs. One goes `ttlMs` after its end; its proofs stay. */
export function openProofJobs(
  documents: DocumentStore,
  { clock, ttlMs }: { readonly clock: Clock; readonly ttlMs: number },
): Promise<JobStore<ProofJob>> {
  return JobStore.open<ProofJob>(documents, {
    collection: "proof_jobs",
    clock,
    expireAfterMs: () => ttlMs,
    // Inputs may be private: they do not outlive the need for them.
    atEnd: () => ({ inputs: null }),
    indexes: [{ keys: { workspace: 1, inferenceId: 1, createTime: 1 } }],
  });
}

/** What answers with a circuit now. @throws FailedPrecondition where it has no key yet */
export function answeredBy(circuit: Circuit): AnsweredBy {
  const { model, constraints } = compiledOf(circuit);
  const { zkey } = keyOf(circuit);
  return { circuitUid: circuit.uid, modelCommitment: model, circuitHash: constraints, zkey };
}

/** Whether a job says all that its rows are proved with; one of another release need not. */
export function isProvable(job: Partial<ProofJob>): boolean {
  const { answeredBy, answers, proofs, rowCount, rowsDone } = job;
  return (
    typeof answeredBy?.circuitUid === "string" &&
    answers != null &&
    Array.isArray(proofs) &&
    Number.isSafeInteger(rowCount) &&
    Number.isSafeInteger(rowsDone)
  );
}

/** @throws FailedPrecondition where a job is not provable */
export function requireProvable(job: ProofJob): void {
  if (isProvable(job)) {
    return;
  }
  const description = "does not say all that its rows are proved with";
  throw new FailedPrecondition(
    `${job._id} ${description}: another release of the server stored it. Ask for the rows again.`,
    {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: job._id },
      violations: [{ type: "JOB", subject: job._id, description }],
    },
  );
}

/**
 * That the circuit which has the job's name of it by now is the one that answered.
 * @throws FailedPrecondition where it is another, or has another key
 */
export function requireSameCircuit(job: Pick<ProofJob, "circuit" | "answeredBy">, now: Circuit) {
  const then = job.answeredBy;
  const current = answeredBy(now);
  const isSame = (Object.keys(then) as (keyof AnsweredBy)[]).every((k) => then[k] === current[k]);
  if (isSame) {
    return;
  }
  const description =
    then.circuitUid === current.circuitUid
      ? "has another key or other constraints than when it answered"
      : "was removed, and another has its name now";
  throw new FailedPrecondition(
    `${job.circuit} ${description}: what was answered cannot be proved any more. Ask for the ` +
      "rows again, which the circuit of today answers.",
    {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: job.circuit },
      violations: [{ type: "CIRCUIT", subject: job.circuit, description }],
    },
  );
}

/** The blobs that a job refers to. */
export function digestsOfJob({ inputs, answers }: ProofJob): string[] {
  return [inputs, answers].flatMap((part) => (part?.digest === undefined ? [] : [part.digest]));
}
