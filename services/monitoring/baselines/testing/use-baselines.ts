// For tests: the stores of baselines as the service has them, several replicas on one database, and
// batches as capture brings them.

import { join } from "node:path";
import { onTestFinished } from "vitest";
import { openBlobStore } from "../../../common/blobs/open.ts";
import type { BlobStore } from "../../../common/blobs/port.ts";
import type { Clock } from "../../../common/clock.ts";
import type { DocumentStore } from "../../../common/documents/port.ts";
import { useStore } from "../../../common/documents/testing.ts";
import { createLogger } from "../../../common/telemetry/log.ts";
import { FakeClock } from "../../../common/testing/fake-clock.ts";
import { useFolder } from "../../../common/testing/use-folder.ts";
import type { DecodedBatch } from "../../capture/decoded-batch.ts";
import { createEvents } from "../../events.ts";
import { MonitorStore } from "../../monitors/monitor-store.ts";
import type { ColumnBatch } from "../../sketch/column-batch.ts";
import type { TargetIdentity } from "../../target.ts";
import { PartStore } from "../../windows/part-store.ts";
import { BaselineStore } from "../baseline-store.ts";
import { BaselineLearner } from "../learn-baseline.ts";

export const TARGET: TargetIdentity = {
  workspace: "default",
  deployment: "workspaces/default/deployments/flights",
  deploymentUid: "d-1",
  modelVersion: "workspaces/default/models/flights/versions/1",
  modelVersionUid: "v-1",
};
export const VERSION = { modelVersion: TARGET.modelVersion, modelVersionUid: "v-1" };

/** What replicas share. */
export interface Shared {
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly clock: FakeClock;
  readonly folder: string;
}

export interface Replica {
  readonly baselines: BaselineStore;
  readonly monitors: MonitorStore;
  readonly parts: PartStore;
  readonly learner: BaselineLearner;
}

export async function useShared(): Promise<Shared> {
  const folder = useFolder();
  const clock = new FakeClock();
  const blobs = await openBlobStore(`file:${join(folder, "blobs")}`);
  onTestFinished(() => blobs[Symbol.asyncDispose]());
  return { documents: await useStore({ clock }), blobs, clock, folder };
}

/** One server over what is shared, with its own memory. */
export async function useReplica(
  shared: Shared,
  on: { readonly documents?: DocumentStore; readonly blobs?: BlobStore } = {},
): Promise<Replica> {
  const clock: Clock = shared.clock;
  const documents = on.documents ?? shared.documents;
  const blobs = on.blobs ?? shared.blobs;
  const events = createEvents(createLogger({ service: "monitoring", level: "off" }));
  const config = { memoryBytesMax: 64 * 1024 * 1024, commitIntervalMs: 0 };
  const deps = { documents, blobs, config, clock, events };
  const monitors = await MonitorStore.open(documents, clock);
  const baselines = await BaselineStore.open(deps);
  const parts = await PartStore.open(deps);
  const learner = new BaselineLearner({ parts, baselines, monitors, clock, events });
  onTestFinished(async () => {
    await learner[Symbol.asyncDispose]();
    await parts[Symbol.asyncDispose]().catch(() => undefined);
    await baselines[Symbol.asyncDispose]();
    await monitors[Symbol.asyncDispose]();
  });
  return { baselines, monitors, parts, learner };
}

/** Makes the deployment learn from this many rows. */
export async function learnFrom(
  { monitors }: Pick<Replica, "monitors">,
  learning: { readonly rows?: number; readonly disabled?: boolean },
): Promise<void> {
  const { deployment } = TARGET;
  await monitors.update({ deployment, name: `${deployment}/monitor`, etag: "" }, (current) => ({
    ...current,
    learning: { ...current.learning, ...learning },
  }));
}

/** A batch of rows with the numbers from `first` on in column x; each number is in one row alone. */
export function batchOf(
  key: { readonly sender: string; readonly sequence: number; readonly acknowledged?: number },
  rows: { readonly first: number; readonly count: number },
  more: ReadonlyMap<string, ColumnBatch> = new Map(),
): DecodedBatch {
  const values = Float64Array.from({ length: rows.count }, (_, i) => rows.first + i);
  return {
    acknowledged: 0,
    ...key,
    target: TARGET,
    shadow: false,
    classLabels: [],
    featureService: "",
    rows: rows.count,
    inferences: { count: 0, ids: [], rows: [], eventUs: [], queueMs: [], computeMs: [] },
    columns: new Map<string, ColumnBatch>([["x", { kind: "numeric", values }], ...more]),
    statuses: [],
    entityKeys: [],
    droppedRows: 0,
  };
}
