// The handlers of JobService.

import { randomUUID } from "node:crypto";
import { type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { type JobSchema, TrainingSetSchema } from "../../../gen/plinth/features/v1/job_pb.js";
import {
  CheckSkewRequestSchema,
  CompactFeatureViewRequestSchema,
  CreateTrainingSetRequestSchema,
  type DownloadTrainingSetResponseSchema,
  EraseEntityRequestSchema,
  IngestFeaturesRequestSchema,
  type JobService,
  MaterializeFeaturesRequestSchema,
} from "../../../gen/plinth/features/v1/job_service_pb.js";
import { TableFormat } from "../../../gen/plinth/features/v1/table_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { requestStamp } from "../../common/documents/request-stamp.ts";
import { FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";
import { watchJob } from "../../common/jobs/watch-job.ts";
import { jobName, workspaceName } from "../../common/names.ts";
import { RESOURCE_ID, RequestFaults } from "../../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../../common/rpc/context.ts";
import type { FeaturesDeps } from "../deps.ts";
import { formatOf, toJob, toTable, workOf } from "./convert.ts";
import type { Job, JobKind } from "./job.ts";
import {
  type JobStart,
  newCompaction,
  newErasure,
  newIngestion,
  newMaterialization,
  newSkewCheck,
  newTrainingSet,
} from "./new-jobs.ts";
import { uploadTable } from "./upload-table.ts";

type Handlers = ServiceHandlers<typeof JobService>;

export type JobHandlersDeps = Pick<
  FeaturesDeps,
  "blobs" | "clock" | "config" | "definitions" | "engine" | "jobs" | "offline" | "tables"
>;

/** Handlers over the jobs' store. `stopping` ends the watches. */
export function jobHandlers(deps: JobHandlersDeps, stopping: AbortSignal): Handlers {
  const { jobs } = deps;
  return {
    uploadTable: (requests, context) => upload(deps, requests, context),

    createTrainingSet: (request, context) =>
      createJob(deps, context, {
        kind: "training_set",
        schema: CreateTrainingSetRequestSchema,
        request,
        asked: request.trainingSet,
        start: newTrainingSet,
      }),

    materializeFeatures: (request, context) =>
      createJob(deps, context, {
        kind: "materialization",
        schema: MaterializeFeaturesRequestSchema,
        request,
        asked: request.materialization,
        start: newMaterialization,
      }),

    ingestFeatures: (request, context) =>
      createJob(deps, context, {
        kind: "ingestion",
        schema: IngestFeaturesRequestSchema,
        request,
        asked: request.ingestion,
        start: newIngestion,
      }),

    eraseEntity: (request, context) =>
      createJob(deps, context, {
        kind: "erasure",
        schema: EraseEntityRequestSchema,
        request,
        asked: request.erasure,
        start: newErasure,
      }),

    compactFeatureView: (request, context) =>
      createJob(deps, context, {
        kind: "compaction",
        schema: CompactFeatureViewRequestSchema,
        request,
        asked: request.compaction,
        start: newCompaction,
      }),

    checkSkew: (request, context) =>
      createJob(deps, context, {
        kind: "skew_check",
        schema: CheckSkewRequestSchema,
        request,
        asked: request.skewCheck,
        start: newSkewCheck,
      }),

    async getJob({ name }, context) {
      authorize(name, context);
      return toJob(await jobs.get(name));
    },

    async listJobs({ parent, pageSize, pageToken }, context) {
      const { workspace } = workspaceName.parse(parent, "parent");
      requireWorkspace(context.principal, workspace);
      const { signal } = context;
      const page = await jobs.list({
        call: ["ListJobs", workspace],
        where: { workspace },
        pageSize,
        pageToken,
        signal,
      });
      return { jobs: page.items.map(toJob), nextPageToken: page.nextPageToken };
    },

    async *watchJob({ name }, context) {
      authorize(name, context);
      const signal = AbortSignal.any([context.signal, stopping]);
      for await (const job of watchJob(jobs, name, signal)) {
        yield { job: toJob(job) };
      }
    },

    async cancelJob({ name }, context) {
      authorize(name, context);
      return toJob(await jobs.cancel(name));
    },

    async deleteJob({ name }, context) {
      authorize(name, context);
      await jobs.delete(name);
      return {};
    },

    downloadTrainingSet: (request, context) => download(deps, request, context),
  };
}

interface CreateRequest {
  readonly parent: string;
  readonly jobId: string;
  readonly requestId: string;
}

interface Creation<W> {
  readonly kind: JobKind;
  readonly schema: DescMessage;
  readonly request: CreateRequest;
  readonly asked: W | undefined;
  readonly start: (deps: JobHandlersDeps, workspace: string, asked: W) => Promise<JobStart>;
}

async function createJob<W>(
  deps: JobHandlersDeps,
  context: CallContext,
  creation: Creation<W>,
): Promise<MessageInitShape<typeof JobSchema>> {
  const { kind, schema, request, asked } = creation;
  const { parent, jobId, requestId } = request;
  const { workspace } = workspaceName.parse(parent, "parent");
  requireWorkspace(context.principal, workspace);
  const faults = new RequestFaults();
  faults.check(workspace !== "-", "parent", "must name one workspace");
  if (jobId !== "") {
    faults.id("job_id", jobId, RESOURCE_ID);
  }
  faults.requestId(requestId);
  faults.check(asked !== undefined, kind, "must say what to do");
  faults.done();
  const stamp = requestStamp({
    method: schema.typeName,
    parent,
    requestId,
    bytes: toBinary(schema, request as never),
  });
  const replayed = await deps.jobs.findReplayed(stamp);
  if (replayed !== undefined) {
    return toJob(replayed);
  }
  const start = await creation.start(deps, workspace, asked as W);
  const uid = randomUUID();
  const job = jobId === "" ? `${kind.replaceAll("_", "-")}-${uid.slice(0, 13)}` : jobId;
  const stored = await deps.jobs.create({
    name: jobName.format({ workspace, job }),
    uid,
    workspace,
    kind,
    actor: context.principal.id,
    stamp,
    ...start,
  });
  return toJob(stored);
}

async function upload(
  deps: JobHandlersDeps,
  requests: Parameters<Handlers["uploadTable"]>[0],
  context: CallContext,
): ReturnType<Handlers["uploadTable"]> {
  const stream = requests[Symbol.asyncIterator]();
  const first = await stream.next();
  const payload = first.done === true ? undefined : first.value.payload;
  if (payload?.case !== "start") {
    throw new InvalidArgument("The first message of UploadTable must hold `start`.", {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: "start", description: "must stand in the first message" }],
    });
  }
  const { workspace } = workspaceName.parse(payload.value.parent, "start.parent");
  requireWorkspace(context.principal, workspace);
  const faults = new RequestFaults();
  faults.known("start.format", payload.value.format, TableFormat);
  faults.done();
  const table = await uploadTable(deps, {
    workspace,
    format: formatOf(payload.value.format),
    chunks: { [Symbol.asyncIterator]: () => stream },
    signal: context.signal,
  });
  return toTable(table);
}

async function* download(
  deps: JobHandlersDeps,
  request: Parameters<Handlers["downloadTrainingSet"]>[0],
  context: CallContext,
): AsyncGenerator<MessageInitShape<typeof DownloadTrainingSetResponseSchema>> {
  const { name } = request;
  authorize(name, context);
  const { sha256, sizeBytes } = resultOf(await deps.jobs.get(name));
  const offset = Number(request.offset);
  const faults = new RequestFaults();
  const isInside = offset >= 0 && offset <= Number(sizeBytes);
  faults.check(isInside, "offset", `must be from 0 to ${sizeBytes}`);
  faults.done();
  if (offset < Number(sizeBytes)) {
    for await (const chunk of deps.blobs.read(sha256, offset)) {
      yield { chunk };
    }
  }
}

function resultOf(job: Job) {
  const result =
    job.kind === "training_set" && job.state === "SUCCEEDED"
      ? workOf(TrainingSetSchema, job).result
      : undefined;
  if (result === undefined) {
    const description =
      job.kind === "training_set"
        ? `is ${job.state}; its file is there once it is SUCCEEDED`
        : "is no training set and has no file";
    throw new FailedPrecondition(`${job._id} ${description}.`, {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: job._id },
      violations: [{ type: "STATE", subject: job._id, description }],
    });
  }
  return result;
}

function authorize(name: string, context: CallContext): void {
  requireWorkspace(context.principal, jobName.parse(name, "name").workspace);
}
