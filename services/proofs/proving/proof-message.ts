// Proofs and their jobs as the API shows them.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type ProofJobSchema,
  type ProofSchema,
  ProofJob_State as State,
} from "../../../gen/plinth/proofs/v1/proof_pb.js";
import { durationOf } from "../../common/duration.ts";
import { statusOf } from "../../common/jobs/job-error.ts";
import { priorityOf } from "../../common/jobs/job-store.ts";
import { proofName } from "../../common/names.ts";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { decodeSignals } from "../verifier/decode-signals.ts";
import type { AnsweredRow } from "./job-parts.ts";
import type { ProofJob, ProofPhase } from "./proof-job.ts";
import type { ProofDocument } from "./proof-store.ts";
import { decodeOutput, outputMessage, statementMessage } from "./statement-message.ts";

type JobMessage = MessageInitShape<typeof ProofJobSchema>;
type ProofMessage = MessageInitShape<typeof ProofSchema>;
type RowMessages = NonNullable<JobMessage["rows"]>;

const PHASES: Readonly<Record<ProofPhase, State>> = {
  waiting: State.QUEUED,
  witness: State.WITNESS,
  proving: State.PROVING,
  verifying: State.VERIFYING,
};

/** Where a job is: of one that is held, what its row at work is at. */
export function jobState({ state, progress }: Pick<ProofJob, "state" | "progress">): State {
  switch (state) {
    case "RUNNING":
      return PHASES[progress?.phase as ProofPhase] ?? State.QUEUED;
    case "QUEUED":
      return State.QUEUED;
    case "SUCCEEDED":
      return State.SUCCEEDED;
    case "FAILED":
      return State.FAILED;
    case "CANCELLED":
      return State.CANCELLED;
  }
}

/** A job, with rows as rowMessages gave them; absent: without its rows. */
export function toProofJob(job: ProofJob, rows: RowMessages = []): JobMessage {
  const { workspace, proofs, startTime, endTime, expireTime, error } = job;
  return {
    name: job._id,
    uid: job.uid,
    createTime: timestampFromDate(job.createTime),
    updateTime: timestampFromDate(job.updateTime),
    state: jobState(job),
    circuit: job.circuit,
    modelVersion: job.modelVersion,
    deployment: job.deployment,
    inferenceId: job.inferenceId,
    priority: priorityOf(job),
    rows: rows.map((row, index) => {
      const proof = proofs[index] ?? null;
      return { ...row, proof: proof === null ? "" : proofName.format({ workspace, proof }) };
    }),
    rowsDone: job.rowsDone,
    ...(error === null ? {} : { error: statusOf(error) }),
    ...(startTime === null ? {} : { startTime: timestampFromDate(startTime) }),
    ...(endTime === null ? {} : { endTime: timestampFromDate(endTime) }),
    ...(expireTime === null ? {} : { expireTime: timestampFromDate(expireTime) }),
    actor: job.actor,
    development: job.development,
  };
}

/** What was answered for the rows of a job; it never changes. */
export function rowMessages(schema: CircuitSchema, answers: readonly AnsweredRow[]): RowMessages {
  return answers.map(({ publicValues, salt }) => ({
    output: outputMessage(schema, decodeOutput(schema, publicValues)),
    salt: salt === undefined ? "" : String(salt),
  }));
}

/** A proof; absent schema: without its statement, as lists show it. */
export function toProof(proof: ProofDocument, schema?: CircuitSchema): ProofMessage {
  const { queueMs, witnessMs, checkMs, proveMs, verifyMs } = proof.timings;
  return {
    name: proof._id,
    createTime: timestampFromDate(proof.createTime),
    circuit: proof.circuit,
    modelVersion: proof.modelVersion,
    inferenceId: proof.inferenceId,
    row: proof.row,
    proof: proof.proof,
    publicValues: [...proof.publicValues],
    verifyingKeyHash: proof.verifyingKeyHash,
    schemaHash: proof.schemaHash,
    modelCommitment: proof.modelCommitment,
    development: proof.development,
    ...(schema === undefined
      ? {}
      : {
          statement: statementMessage(
            schema,
            decodeSignals(schema, proof.publicValues.map(BigInt)),
          ),
        }),
    timings: {
      queue: durationOf(queueMs),
      witness: durationOf(witnessMs),
      check: durationOf(checkMs),
      prove: durationOf(proveMs),
      verify: durationOf(verifyMs),
    },
  };
}
