// Jobs with their rows, as the API shows them.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ProofJobSchema } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { notFound } from "../../common/documents/resource.ts";
import type { JobStore } from "../../common/jobs/job-store.ts";
import { outputsOf, type PartFiles, readPart } from "./job-parts.ts";
import type { ProofJob } from "./proof-job.ts";
import { rowMessages, toProofJob } from "./proof-message.ts";
import type { ProofStore } from "./proof-store.ts";

type JobMessage = MessageInitShape<typeof ProofJobSchema>;
type Rows = ReturnType<typeof rowMessages>;

export interface JobViewDeps {
  readonly jobs: JobStore<ProofJob>;
  readonly proofs: ProofStore;
  readonly files: PartFiles;
}

/** The job with its rows. */
export async function shownJob(deps: JobViewDeps, job: ProofJob): Promise<JobMessage> {
  return toProofJob(job, await rowsOf(deps, job));
}

/** The newest job of an inference. @throws NotFound */
export async function newestJob(
  { jobs }: Pick<JobViewDeps, "jobs">,
  of: { readonly workspace: string; readonly inferenceId: string; readonly signal: AbortSignal },
): Promise<Stored<ProofJob>> {
  const { workspace, inferenceId, signal } = of;
  const options = { sort: { createTime: -1 }, limit: 1, signal } as const;
  const found = jobs.collection.find({ workspace, inferenceId }, options);
  const [job] = await Array.fromAsync(found);
  if (job === undefined) {
    throw notFound(
      `proof job of the inference ${JSON.stringify(inferenceId)} in workspace "${workspace}"`,
      "Ask for proofs with the inference, or list what is there with ListProofJobs.",
    );
  }
  return job;
}

/** What was answered for the rows of a job. */
export async function rowsOf({ proofs, files }: JobViewDeps, job: ProofJob): Promise<Rows> {
  const schema = await proofs.schema(job.schemaHash);
  return rowMessages(schema, outputsOf(schema, await readPart(files, job.answers)));
}
