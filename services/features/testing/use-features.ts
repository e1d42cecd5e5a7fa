// For tests: the features service called over a real connection, in this process or in one of its
// own that can be killed.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { FeatureRegistryService } from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { FeatureStoreService } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type Job, Job_State } from "../../../gen/plinth/features/v1/job_pb.js";
import { JobService } from "../../../gen/plinth/features/v1/job_service_pb.js";
import type { TableFormat } from "../../../gen/plinth/features/v1/table_pb.js";
import { Channel, createClient } from "../../common/rpc/client.ts";
import type { Client } from "../../common/rpc/context.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { type StartedFeatures, type StartOptions, startFeatures } from "./start-features.ts";

export interface FeaturesClients {
  readonly registry: Client<typeof FeatureRegistryService>;
  readonly store: Client<typeof FeatureStoreService>;
  readonly jobs: Client<typeof JobService>;
}

export interface TestFeatures extends FeaturesClients, StartedFeatures {
  readonly folder: string;
}

/** The service in this process, ended with the test. */
export async function useFeatures(
  options: Omit<StartOptions, "folder"> & { readonly folder?: string } = {},
): Promise<TestFeatures> {
  const folder = options.folder ?? useFolder();
  const features = await startFeatures({ ...options, folder });
  onTestFinished(async () => {
    await features[Symbol.asyncDispose]();
  });
  return { ...features, folder, ...useClients(features.address) };
}

/** The service in a process of its own. */
export interface ServedFeatures extends FeaturesClients {
  /** SIGKILL, to its engine as well; resolves once it is gone. */
  kill(): Promise<void>;
}

const MAIN = fileURLToPath(new URL("./features-server.ts", import.meta.url));

/** Starts the service over a folder, maybe one that another left behind. */
export async function serveFeatures(folder: string): Promise<ServedFeatures> {
  // A group of its own, so that engines go with it.
  const child = spawn(process.execPath, ["--no-warnings", MAIN, folder], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const kill = () => killed(child);
  onTestFinished(kill);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const address = (await lines.next()).value ?? "";
  return { ...useClients(address), kill };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    process.kill(-(child.pid ?? 0), "SIGKILL");
    await gone;
  }
}

function useClients(address: string): FeaturesClients {
  const channel = new Channel({ address, timeoutMs: 60_000 });
  onTestFinished(() => channel[Symbol.dispose]());
  return {
    registry: createClient(FeatureRegistryService, channel),
    store: createClient(FeatureStoreService, channel),
    jobs: createClient(JobService, channel),
  };
}

/** Uploads a file; the table's name. */
export async function uploadTable(
  { jobs }: FeaturesClients,
  file: string | Uint8Array,
  options: { readonly format?: TableFormat; readonly parent?: string } = {},
): Promise<string> {
  const parent = options.parent ?? "workspaces/default";
  const bytes = typeof file === "string" ? Buffer.from(file) : file;
  const start = { parent, ...(options.format === undefined ? {} : { format: options.format }) };
  return (await jobs.uploadTable(tableMessages(start, bytes))).name;
}

/** The messages of an upload stream. */
export async function* tableMessages(
  start: { readonly parent: string; readonly format?: TableFormat },
  bytes: Uint8Array,
) {
  yield { payload: { case: "start" as const, value: start } };
  for (let at = 0; at < bytes.length; at += 2 ** 20) {
    const value = bytes.subarray(at, at + 2 ** 20);
    yield { payload: { case: "chunk" as const, value } };
  }
}

/** The job once it has ended. */
export async function jobEnded({ jobs }: FeaturesClients, name: string): Promise<Job> {
  let last: Job | undefined;
  for await (const { job } of jobs.watchJob({ name }, { timeoutMs: 60_000 })) {
    last = job;
  }
  if (last === undefined || last.endTime === undefined) {
    throw new Error(`${name} did not end`);
  }
  return last;
}

/** The job once it has succeeded. */
export async function jobDone(features: FeaturesClients, name: string): Promise<Job> {
  const job = await jobEnded(features, name);
  if (job.state !== Job_State.SUCCEEDED) {
    throw new Error(`${name} is ${Job_State[job.state]}: ${job.error?.message}`);
  }
  return job;
}

/** The file of a training set. */
export async function downloaded({ jobs }: FeaturesClients, name: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const { chunk } of jobs.downloadTrainingSet({ name })) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Lower-case hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
