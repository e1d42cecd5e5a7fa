// `plinth proof jobs|job`: proofs that are being made.

import { create } from "@bufbuild/protobuf";
import {
  type ProofJob,
  ProofJobSchema,
  ProofJob_State as State,
} from "../../gen/plinth/proofs/v1/proof_pb.js";
import { ListProofJobsResponseSchema } from "../../gen/plinth/proofs/v1/proof_service_pb.js";
import { DEVELOPMENT_PROOF_WARNING } from "./circuits-words.ts";
import { UsageError } from "./exit-codes.ts";
import { formatTime, shortDigest } from "./format.ts";
import { stepsText } from "./job-bar.ts";
import { errorOfStatus } from "./predict-refused.ts";
import { outputText } from "./proof-lines.ts";
import { lastPart, proofJobReference, shortCircuit, shortJob } from "./proof-names.ts";
import { endedJob, hasEnded, jobSteps, provedJob } from "./proof-watch.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { factLines, tableLines } from "./table.ts";

interface JobOptions {
  readonly watch?: boolean;
  readonly cancel?: boolean;
}

/** Rows of a job that are shown; --json has all. */
const ROWS_SHOWN_MAX = 40;

/** `plinth proof jobs` */
export async function listJobs(
  session: Session,
  _args: readonly [],
  { limit }: { readonly limit: number },
): Promise<void> {
  const { output, parent } = session;
  const { items, more } = await listAll({
    limit,
    page: (page) => session.proofs.listProofJobs({ parent, ...page }, session.call),
    items: (response) => response.proofJobs,
  });
  if (output.json) {
    const all = create(ListProofJobsResponseSchema, { proofJobs: [...items] });
    return output.message(ListProofJobsResponseSchema, all);
  }
  output.table(
    ["JOB", "CIRCUIT", "STATE", "INFERENCE", "CREATED", "BY"].map((title) => ({ title })),
    items.map((job) => [
      shortJob(job.name),
      shortCircuit(job.circuit),
      State[job.state],
      job.inferenceId,
      formatTime(job.createTime),
      job.actor,
    ]),
    'No jobs. Start one with "plinth prove".',
  );
  noteMore(session, more);
}

/** `plinth proof job` */
export async function oneJob(
  session: Session,
  [text]: readonly [string],
  { watch = false, cancel = false }: JobOptions,
): Promise<void> {
  if (watch && cancel) {
    throw new UsageError("Give --watch or --cancel, not both.");
  }
  const name = proofJobReference(session, text);
  const job = cancel
    ? await session.proofs.cancelProofJob({ name }, session.call)
    : await session.proofs.getProofJob({ name }, session.call);
  if (watch) {
    return printJob(session, (await provedJob(session, job, async () => {})).job);
  }
  // A row that is being proved takes a moment to let go.
  return printJob(session, cancel && !hasEnded(job) ? (await endedJob(session, job)).job : job);
}

async function printJob({ output }: Session, job: ProofJob): Promise<void> {
  if (output.json) {
    return output.message(ProofJobSchema, job);
  }
  output.lines(jobLines(job));
  if (job.development) {
    output.warning(DEVELOPMENT_PROOF_WARNING);
  }
}

/** Everything of a job: its facts, then its rows. */
export function jobLines(job: ProofJob): readonly string[] {
  const { rows, error } = job;
  const facts = factLines([
    ["job", job.name],
    ["state", State[job.state]],
    ["error", error && errorOfStatus(error).message],
    ["rows", hasEnded(job) ? `${job.rowsDone} of ${rows.length} proved` : stepsText(jobSteps(job))],
    ["circuit", job.circuit],
    ["deployment", job.deployment],
    ["inference", job.inferenceId],
    ["priority", String(job.priority)],
    ["created", formatTime(job.createTime)],
    ["ended", formatTime(job.endTime)],
    ["by", job.actor],
  ]);
  const cells = rows
    .slice(0, ROWS_SHOWN_MAX)
    .map(({ output, proof, salt }, i) => [
      String(i + 1),
      output === undefined ? "" : outputText(output),
      proof === "" ? "" : shortDigest(lastPart(proof)),
      salt === "" ? "" : `${salt.slice(0, 16)}…`,
    ]);
  const hasSalts = rows.some(({ salt }) => salt !== "");
  const columns = [
    { title: "ROW", align: "right" as const },
    { title: "OUTPUT OF THE CIRCUIT" },
    { title: "PROOF" },
    { title: hasSalts ? "SALT" : "" },
  ];
  const rest = rows.length - ROWS_SHOWN_MAX;
  return [
    ...facts,
    "",
    ...tableLines(columns, cells),
    ...(rest > 0 ? [`and ${rest} more; --json shows all`] : []),
  ];
}
