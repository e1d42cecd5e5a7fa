// The features of the examples: their definitions, and files of rows that are brought into both
// stores by the jobs that anyone uses. After a start that was cut short all of it is asked for
// again: applying twice is applying once, and a job asked for again is the same job.

import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type ApplyDefinitionsRequestSchema,
  FeatureRegistryService,
} from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { type Job, Job_State } from "../../gen/plinth/features/v1/job_pb.js";
import {
  JobService,
  type UploadTableRequestSchema,
} from "../../gen/plinth/features/v1/job_service_pb.js";
import { DEFAULT_WORKSPACE } from "../common/auth/principal.ts";
import { Internal } from "../common/errors/domain-error.ts";
import {
  featureServiceName,
  featureServiceVersionName,
  featureViewName,
  workspaceName,
} from "../common/names.ts";
import { type Channel, createClient } from "../common/rpc/client.ts";
import type { Client } from "../common/rpc/context.ts";

/** What an example.json says of features. */
export interface ExampleFeatures {
  /** The file of definitions. */
  readonly definitions: string;
  /** Files of rows, by the view they are of. */
  readonly ingest: readonly { readonly view: string; readonly file: string }[];
}

/** The definitions in a file, by kind. */
export type Definitions = Pick<
  MessageInitShape<typeof ApplyDefinitionsRequestSchema>,
  "entities" | "featureViews" | "onDemandFeatureViews" | "featureServices"
>;

/** Reads a file of definitions; whoever starts the mesh knows how they are written. */
export type ReadDefinitions = (path: string) => Promise<Definitions>;

/** The clients of the features service. */
export interface FeatureClients {
  readonly registry: Client<typeof FeatureRegistryService>;
  readonly jobs: Client<typeof JobService>;
}

const PARENT = workspaceName.format({ workspace: DEFAULT_WORKSPACE });

const CHUNK_BYTES = 256 * 1024;

/** Clients on a channel. */
export function featureClients(channel: Channel): FeatureClients {
  return {
    registry: createClient(FeatureRegistryService, channel),
    jobs: createClient(JobService, channel),
  };
}

/** Makes the definitions so. */
export async function applyDefinitions(
  { registry }: FeatureClients,
  definitions: Definitions,
): Promise<void> {
  await registry.applyDefinitions({ parent: PARENT, ...definitions });
}

/**
 * Brings files of the folder into their views; resolves when the rows are in both stores.
 * @throws Internal when a job did not end well; asked again, it is done anew.
 */
export async function ingestFiles(
  clients: FeatureClients,
  folder: string,
  files: ExampleFeatures["ingest"],
): Promise<void> {
  for (const { view, file } of files) {
    await ingestFile(clients, view, join(folder, file));
  }
}

async function ingestFile({ jobs }: FeatureClients, view: string, path: string): Promise<void> {
  const table = await jobs.uploadTable(upload(path));
  const featureView = featureViewName.format({ workspace: DEFAULT_WORKSPACE, view });
  const { name } = await jobs.ingestFeatures({
    parent: PARENT,
    // The digest of the file: a job of a start that was cut short is this one, and goes on.
    requestId: table.name.split("/").at(-1) ?? "",
    ingestion: { featureView, table: table.name },
  });
  let last: Job | undefined;
  for await (const { job } of jobs.watchJob({ name })) {
    last = job;
  }
  if (last?.state !== Job_State.SUCCEEDED) {
    await jobs.deleteJob({ name });
    const why = last?.error?.message ?? "no reason given";
    throw new Internal(`The features of an example were not taken in, ${featureView}: ${why}`, {
      reason: ErrorReason.STATE_FORBIDS,
    });
  }
}

/** The full name of the newest version of a feature service. */
export async function newestFeatureService(
  { registry }: FeatureClients,
  service: string,
): Promise<string> {
  const workspace = DEFAULT_WORKSPACE;
  const name = featureServiceName.format({ workspace, service });
  const { version } = await registry.getFeatureService({ name });
  return featureServiceVersionName.format({ workspace, service, version: String(version) });
}

async function* upload(
  path: string,
): AsyncGenerator<MessageInitShape<typeof UploadTableRequestSchema>> {
  yield { payload: { case: "start", value: { parent: PARENT } } };
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) {
    yield { payload: { case: "chunk", value: chunk as Buffer } };
  }
}
