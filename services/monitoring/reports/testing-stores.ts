// For the tests of reports: the real stores of a monitoring service, and batches of columns that a
// test names.

import { onTestFinished } from "vitest";
import { openBlobStore } from "../../common/blobs/open.ts";
import { useStore } from "../../common/documents/testing.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { BaselineStore } from "../baselines/baseline-store.ts";
import { BaselineLearner } from "../baselines/learn-baseline.ts";
import type { DecodedBatch, DecodedStatuses } from "../capture/decoded-batch.ts";
import { createEvents } from "../events.ts";
import { MonitorStore } from "../monitors/monitor-store.ts";
import { type Target, targetId } from "../target.ts";
import { PartStore } from "../windows/part-store.ts";
import { WindowStore } from "../windows/window-store.ts";
import { baselineOf, type Columns, rowsOf } from "./testing.ts";

export const HOUR_US = 3_600_000_000;
/** 2026-01-01T00:00:00Z, where the fake clock begins. */
export const START_US = Date.UTC(2026, 0, 1) * 1000;
export const DEPLOYMENT = "workspaces/w/deployments/d";

/** The names and uids of a version of the model `m`. */
export function versionOf(version: number, deployment = "d") {
  return {
    workspace: "w",
    deployment: `workspaces/w/deployments/${deployment}`,
    deploymentUid: `uid-of-${deployment}`,
    modelVersion: `workspaces/w/models/m/versions/${version}`,
    modelVersionUid: `uid-of-${version}`,
  };
}

export type Version = ReturnType<typeof versionOf>;

/** What a test says of a batch. */
export interface TestBatch {
  readonly version: Version;
  readonly columns: Columns;
  /** Of its one inference. */
  readonly eventUs: number;
  readonly shadow?: boolean;
  readonly statuses?: readonly DecodedStatuses[];
}

/** Stores that end with the test. Windows of an hour close five minutes late, when they are told. */
export async function useStores() {
  const clock = new FakeClock();
  const documents = await useStore({ clock });
  const blobs = await openBlobStore(`file:${useFolder()}`);
  const failures: string[] = [];
  const events = {
    ...createEvents(createLogger({ service: "monitoring", level: "off" })),
    backgroundFailed(work: string, subject: string) {
      failures.push(`${work} ${subject}`);
    },
  };
  const config = {
    memoryBytesMax: 64 * 2 ** 20,
    commitIntervalMs: 1,
    clockSkewMs: 300_000,
    closeIntervalMs: 20,
    watchIntervalMs: 20,
  };
  const base = { documents, blobs, clock, events, config };
  const stack = new AsyncDisposableStack();
  const monitors = stack.use(await MonitorStore.open(documents, clock));
  const parts = stack.use(await PartStore.open(base));
  const baselines = stack.use(await BaselineStore.open(base));
  const learner = stack.use(new BaselineLearner({ ...base, parts, baselines, monitors }));
  const all = { ...base, monitors, parts, baselines, learner };
  const windows = stack.use(await WindowStore.open(all));
  onTestFinished(async () => {
    await stack.disposeAsync();
    await blobs[Symbol.asyncDispose]();
  });
  let sequence = 0;
  return {
    ...all,
    windows,
    failures,
    /** Makes the rows the version's baseline. */
    baseline: (version: Version, columns: Columns) =>
      baselines.put({
        ...version,
        profile: baselineOf(columns),
        source: "dataset" as const,
        fileName: "",
      }),
    count: (batch: TestBatch) => windows.count(decodedBatch(batch, ++sequence)),
    /** Lets the time of all targets pass, and closes what is due. */
    closeAfter: async (ms: number) => {
      clock.advance(ms);
      return windows.closeDue();
    },
    targetOf: async (version: Version): Promise<Target> => {
      const target = await windows.target(targetId(version));
      if (target === undefined) {
        throw new Error(`${version.modelVersion} was not seen`);
      }
      return target;
    },
  };
}

export type Stores = Awaited<ReturnType<typeof useStores>>;

function decodedBatch(given: TestBatch, sequence: number): DecodedBatch {
  const { version, eventUs, shadow = false, statuses = [] } = given;
  const { rows, columns } = rowsOf(given.columns);
  return {
    sender: "s1",
    sequence,
    acknowledged: 0,
    target: version,
    shadow,
    classLabels: [],
    featureService: "",
    rows,
    inferences: {
      count: 1,
      ids: [""],
      rows: [rows],
      eventUs: [eventUs],
      queueMs: [2],
      computeMs: [5],
    },
    columns,
    statuses,
    entityKeys: [],
    droppedRows: 0,
  };
}
