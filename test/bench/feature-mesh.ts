// A mesh with a feature store for the bench: five views of ten features of one entity, rows for it,
// and a model that is served once by columns and once by entity key.

import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { sizeDelimitedEncode } from "@bufbuild/protobuf/wire";
import { FeatureRegistryService } from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import {
  FeatureStoreService,
  GetOnlineFeaturesRequestSchema,
  PushTarget,
  StreamPushFeaturesRequestSchema,
} from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type Job, Job_State } from "../../gen/plinth/features/v1/job_pb.js";
import { JobService } from "../../gen/plinth/features/v1/job_service_pb.js";
import { type ColumnSchema, ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { PredictRequestSchema } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { Deployment_State } from "../../gen/plinth/registry/v1/deployment_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { Channel, createClient } from "../../services/common/rpc/client.ts";
import type { Client } from "../../services/common/rpc/context.ts";
import { uploadArtifact } from "../../services/common/upload-artifact.ts";
import type { Target } from "./contenders.ts";
import { SMALL } from "./models.ts";
import { startMesh } from "./plinth.ts";

/** Drivers that have rows, in all views. */
const DRIVERS = 10_000;
const VIEWS = 5;
const FEATURES_A_VIEW = 10;
const PARENT = "workspaces/default";
const PUSH_ROWS = 1000;
/** Requests differ in their keys; the load generator goes through this many. */
const REQUESTS = 1000;
/** Rows of one push stream, and how many of a batch. */
const STREAM_ROWS = 100_000;
export const STREAM_BATCH_ROWS = 500;
/** Keys of one materialisation. */
const MATERIALIZED_KEYS = 300_000;
const READY_WITHIN_MS = 20_000;

type Column = MessageInitShape<typeof ColumnSchema>;

/** Files of encoded requests, for the load generator's -payloads. */
export interface Payloads {
  online(keys: number): Promise<string>;
  push(): Promise<string>;
  predict(by: "columns" | "keys"): Promise<string>;
}

export interface FeatureMesh extends Target, Payloads, AsyncDisposable {
  /** Brings 300,000 new offline rows online; keys a second by the job's own times. */
  materialize(): Promise<number>;
}

/** Starts a mesh and fills it. */
export async function startFeatureMesh(models: ReadonlyMap<string, string>): Promise<FeatureMesh> {
  await using stack = new AsyncDisposableStack();
  const mesh = stack.use(await startMesh({ examples: false }));
  const folder = await mkdtemp(join(tmpdir(), "plinth-bench-features-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const channel = stack.use(new Channel({ address: mesh.address }));
  await define(channel);
  const store = createClient(FeatureStoreService, channel);
  for (let view = 0; view < VIEWS; view++) {
    for (let first = 0; first < DRIVERS; first += PUSH_ROWS) {
      const columns = rowsOf(view, { first, count: PUSH_ROWS, second: 0 });
      const target = PushTarget.ONLINE;
      await store.pushFeatures({ featureView: viewName(view), columns, target });
    }
  }
  await serveModel(channel, models.get(SMALL.name)!);
  const jobs = createClient(JobService, channel);
  let round = 0;
  const owned = stack.move();
  return {
    pid: mesh.pid,
    address: mesh.address,
    checked: false,
    ...payloadFiles(folder, () => ++round),
    async materialize() {
      const second = ++round;
      for (let first = 0; first < MATERIALIZED_KEYS; first += 10_000) {
        const columns = rowsOf(0, { first, count: 10_000, second });
        const target = PushTarget.OFFLINE;
        await store.pushFeatures({ featureView: viewName(0), columns, target });
      }
      // The rows go from the log into files here, so that the next job only materialises.
      await ended(jobs, jobs.compactFeatureView, { compaction: { featureView: viewName(0) } });
      const featureView = viewName(0);
      const job = await ended(jobs, jobs.materializeFeatures, { materialization: { featureView } });
      const keys = job.work.case === "materialization" ? job.work.value.result?.keysWritten : 0n;
      return Number(keys) / (seconds(job.endTime) - seconds(job.startTime));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts a job and waits for its end. */
async function ended<R>(
  jobs: Client<typeof JobService>,
  start: (request: R) => Promise<Job>,
  work: object,
): Promise<Job> {
  const { name } = await start({ parent: PARENT, ...work } as R);
  for await (const { job } of jobs.watchJob({ name }, { timeoutMs: 300_000 })) {
    if (job!.state === Job_State.SUCCEEDED) {
      return job!;
    }
    if (job!.state === Job_State.FAILED) {
      throw new Error(`${name} failed: ${job!.error?.message}`);
    }
  }
  throw new Error(`${name} did not end`);
}

async function define(channel: Channel): Promise<void> {
  const views = Array.from({ length: VIEWS }, (_, view) => view);
  const projections = views.map((view) => ({ featureView: `view_${view}` }));
  await createClient(FeatureRegistryService, channel).applyDefinitions({
    parent: PARENT,
    entities: [{ name: "driver", joinKeys: [{ name: "driver", valueType: ValueType.INT64 }] }],
    featureViews: views.map((view) => ({
      name: `view_${view}`,
      entities: ["driver"],
      features: featureNames(view).map((name) => ({ name, valueType: ValueType.DOUBLE })),
      ttl: { seconds: 86_400n },
    })),
    featureServices: [
      { name: "fifty", projections },
      { name: "thirty", projections: projections.slice(0, 3) },
    ],
  });
}

async function serveModel(channel: Channel, path: string): Promise<void> {
  const models = createClient(ModelService, channel);
  const deployments = createClient(DeploymentService, channel);
  const parent = `${PARENT}/models/by-key`;
  await models.createRegisteredModel({ parent: PARENT, modelId: "by-key" });
  const upload = await uploadArtifact({ client: models, parent: PARENT, path });
  const { name } = await models.createModelVersion({
    parent,
    upload: upload.name,
    modelVersion: {
      columns: [0, 1, 2].flatMap(featureNames),
      featureService: `${PARENT}/featureServices/thirty/versions/1`,
    },
  });
  for await (const _ of models.watchModelVersion({ name })) {
    // Until it is validated.
  }
  await models.approveModelVersion({ name });
  const target = { modelVersion: name, weight: 100 };
  await deployments.createDeployment({
    parent: PARENT,
    deploymentId: "by-key",
    deployment: { config: { targets: [target] } },
  });
  const deadline = performance.now() + READY_WITHIN_MS;
  const deployment = { name: `${PARENT}/deployments/by-key` };
  while ((await deployments.getDeployment(deployment)).state !== Deployment_State.READY) {
    if (performance.now() > deadline) {
      throw new Error("The model of the bench is not served.");
    }
    await sleep(50);
  }
}

function payloadFiles(folder: string, nextSecond: () => number): Payloads {
  return {
    online: (keys) =>
      writePayloads(join(folder, `online-${keys}`), GetOnlineFeaturesRequestSchema, (i) => ({
        parent: PARENT,
        featureService: "fifty",
        entities: [{ name: "driver", ints: drivers(i * keys, keys) }],
      })),
    // Newer than all before, or there would be nothing to write.
    push() {
      const second = nextSecond();
      const count = STREAM_ROWS / STREAM_BATCH_ROWS;
      const batch = (i: number) => ({
        featureView: viewName(4),
        columns: rowsOf(4, { first: i * STREAM_BATCH_ROWS, count: STREAM_BATCH_ROWS, second }),
      });
      const path = join(folder, `push-${second}`);
      return writePayloads(
        path,
        StreamPushFeaturesRequestSchema,
        (i) => ({ batch: batch(i) }),
        count,
      );
    },
    predict: (by) =>
      writePayloads(join(folder, `predict-${by}`), PredictRequestSchema, (i) =>
        by === "keys"
          ? { deployment: "by-key", entities: [{ driver: i % DRIVERS }] }
          : { deployment: "by-key", rows: [valuesOf(i % DRIVERS)] },
      ),
  };
}

/** Writes requests for the load generator's -payloads; gives the path. */
export async function writePayloads<D extends DescMessage>(
  path: string,
  schema: D,
  request: (index: number) => MessageInitShape<D>,
  count = REQUESTS,
): Promise<string> {
  const messages = Array.from({ length: count }, (_, i) =>
    sizeDelimitedEncode(schema, create(schema, request(i)) as MessageShape<D>),
  );
  await writeFile(path, Buffer.concat(messages));
  return path;
}

/** Rows of drivers `first` onwards, as of `second` seconds after the start of the hour before. */
function rowsOf(
  view: number,
  rows: { readonly first: number; readonly count: number; readonly second: number },
): Column[] {
  const ids = Array.from({ length: rows.count }, (_, i) => rows.first + i);
  const hour = BigInt(Math.floor(Date.now() / 3_600_000) * 3600 - 3600);
  const time = { seconds: hour + BigInt(rows.second), nanos: 0 };
  return [
    { name: "driver", ints: ids.map(BigInt) },
    { name: "event_timestamp", timestamps: ids.map(() => time) },
    ...featureNames(view).map((name, i) => ({
      name,
      doubles: ids.map((id) => value(id, view, i)),
    })),
  ];
}

function valuesOf(driver: number): Record<string, number> {
  return Object.fromEntries(
    [0, 1, 2].flatMap((view) =>
      featureNames(view).map((name, i) => [name, value(driver, view, i)]),
    ),
  );
}

/** Some value with all its digits. */
function value(driver: number, view: number, feature: number): number {
  return Math.sin(driver * 50 + view * FEATURES_A_VIEW + feature);
}

function drivers(first: number, count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => BigInt((first + i * 7) % DRIVERS));
}

function featureNames(view: number): string[] {
  return Array.from({ length: FEATURES_A_VIEW }, (_, i) => `f${view}_${i}`);
}

function viewName(view: number): string {
  return `${PARENT}/featureViews/view_${view}`;
}

function seconds(time: { readonly seconds: bigint; readonly nanos: number } | undefined): number {
  return Number(time?.seconds ?? 0n) + (time?.nanos ?? 0) / 1e9;
}
