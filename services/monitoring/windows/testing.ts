// For tests of windows: replicas over one real store whose writes can be made to fail at a chosen
// moment, and batches of drawn rows.

import { onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  Collection,
  CollectionSpec,
  Document,
  DocumentStore,
} from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import { createEvents, type MonitoringEvents, type NotCounted } from "../events.ts";
import { DEFAULT_SETTINGS, type MonitorSettings } from "../monitors/monitor-settings.ts";
import type { ColumnBatch } from "../sketch/column-batch.ts";
import { draftLayout, type WindowLayout } from "../sketch/column-layout.ts";
import { chooseLayout } from "../sketch/column-profile.ts";
import { addRows, newWindowSketch } from "../sketch/window-sketch.ts";
import { PartStore } from "./part-store.ts";
import { WindowStore } from "./window-store.ts";

export const MINUTE_US = 60_000_000;
/** 2026-01-01T00:00:00Z, where the fake clock begins. */
export const START_US = Date.UTC(2026, 0, 1) * 1000;

export const TARGET = {
  workspace: "w",
  deployment: "workspaces/w/deployments/d",
  deploymentUid: "du",
  modelVersion: "workspaces/w/models/m/versions/1",
  modelVersionUid: "vu",
};
export const TARGET_ID = "du/vu";

/** When a write of a faulty store fails: nothing of it is stored, or all but the answer is lost. */
export type Fault = "before" | "after";

/** A real store, of which writes can be made to fail; and that can be cut off for good. */
export class FaultyStore implements DocumentStore {
  readonly #store: DocumentStore;
  /** Asked before each write. */
  nextFault: () => Fault | undefined = () => undefined;
  isDead = false;
  writes = 0;

  constructor(store: DocumentStore) {
    this.#store = store;
  }

  async collection<T extends Document>(spec: CollectionSpec): Promise<Collection<T>> {
    const real = await this.#store.collection<T>(spec);
    const read = <A extends readonly unknown[], R>(call: (...args: A) => R) => {
      return (...args: A): R => {
        this.#checkAlive();
        return call(...args);
      };
    };
    const write = <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        this.#checkAlive();
        this.writes += 1;
        const fault = this.nextFault();
        if (fault === "before") {
          throw away();
        }
        const result = await call(...args);
        this.#checkAlive();
        if (fault === "after") {
          throw away();
        }
        return result;
      };
    };
    return {
      insertOne: write(real.insertOne.bind(real)),
      replaceOne: write(real.replaceOne.bind(real)),
      putOne: write(real.putOne.bind(real)),
      deleteOne: write(real.deleteOne.bind(real)),
      findOne: read(real.findOne.bind(real)),
      find: read(real.find.bind(real)),
      countDocuments: read(real.countDocuments.bind(real)),
      revision: read(real.revision.bind(real)),
      changes: read(real.changes.bind(real)),
    };
  }

  ping(): Promise<void> {
    return this.#store.ping();
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #checkAlive(): void {
    if (this.isDead) {
      throw away();
    }
  }
}

function away(): Unavailable {
  return new Unavailable("The store is away.", {
    reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    retryAfterMs: 1,
  });
}

/** What all replicas of a test share. */
export interface Shared {
  readonly documents: DocumentStore;
  readonly clock: FakeClock;
  settings: MonitorSettings;
  /** The newest is what batches are counted on. */
  readonly layouts: WindowLayout[];
}

/** A store, a clock, windows of a minute with ten seconds of lateness, and one layout. */
export async function useShared(settings: Partial<MonitorSettings> = {}): Promise<Shared> {
  const clock = new FakeClock();
  const documents = await useStore({ clock });
  return {
    documents,
    clock,
    settings: {
      ...DEFAULT_SETTINGS,
      windowUs: MINUTE_US,
      latenessUs: 10_000_000,
      ...settings,
    },
    layouts: [layoutOf(1)],
  };
}

/** One process. */
export interface Replica extends AsyncDisposable {
  readonly store: FaultyStore;
  readonly parts: PartStore;
  readonly windows: WindowStore;
  /** Rows that it did not count, with the reason, as the events had it. */
  readonly notCounted: (readonly [reason: NotCounted, rows: number])[];
  /** SIGKILL: nothing of it reaches the store any more. */
  kill(): void;
}

/** Starts a process over what is shared; it ends with the test. */
export async function useReplica(
  shared: Shared,
  config: { readonly memoryBytesMax?: number; readonly commitIntervalMs?: number } = {},
): Promise<Replica> {
  const { clock, layouts } = shared;
  const store = new FaultyStore(shared.documents);
  const notCounted: Replica["notCounted"] = [];
  const events: MonitoringEvents = {
    ...createEvents(createLogger({ service: "monitoring", level: "off" })),
    rowsNotCounted(_deployment, reason, rows) {
      if (rows > 0) {
        notCounted.push([reason, rows]);
      }
    },
  };
  const given = {
    documents: store,
    clock,
    events,
    config: {
      memoryBytesMax: 64 * 2 ** 20,
      commitIntervalMs: 1,
      clockSkewMs: 300_000,
      closeIntervalMs: 1000,
      ...config,
    },
  };
  const parts = await PartStore.open(given);
  const windows = await WindowStore.open({
    ...given,
    parts,
    monitors: { get: async () => shared.settings },
    learner: { placeFor: async () => ({ kind: "window", layout: layouts.at(-1)! }) },
    baselines: { layout: async (_uid, id) => layouts.find((layout) => layout.id === id) },
  });
  const dispose = async () => {
    await windows[Symbol.asyncDispose]();
    await parts[Symbol.asyncDispose]();
  };
  onTestFinished(dispose);
  const kill = () => {
    store.isDead = true;
  };
  return { store, parts, windows, notCounted, kill, [Symbol.asyncDispose]: dispose };
}

/** A layout with edges and a vocabulary, another one for each seed. */
export function layoutOf(seed: number): WindowLayout {
  const batch = drawBatch({ sequence: 1, seed, inferences: [{ eventUs: 0, rows: 500 }] });
  const kinds = Array.from(batch.columns, ([name, { kind }]) => ({ name, kind }));
  const draft = newWindowSketch(draftLayout(kinds));
  addRows(draft, batch);
  return chooseLayout(draft, { edges: "exact" });
}

/** A batch of drawn rows, the same for each seed. */
export function drawBatch(given: {
  readonly sequence: number;
  readonly inferences: readonly { readonly eventUs: number; readonly rows: number }[];
  readonly seed?: number;
  readonly sender?: string;
  readonly acknowledged?: number;
  readonly droppedRows?: number;
}): DecodedBatch {
  const random = new SeededRandom(given.seed ?? given.sequence);
  const rows = given.inferences.reduce((sum, inference) => sum + inference.rows, 0);
  const numbers = (draw: () => number) => Float64Array.from({ length: rows }, draw);
  const columns = new Map<string, ColumnBatch>([
    ["x", { kind: "numeric", values: numbers(() => random.below(10_000) / 7) }],
    [
      "y",
      {
        kind: "numeric",
        values: numbers(() => random.below(5) - 2),
        nulls: drawNulls(random, rows),
      },
    ],
    ["c", { kind: "category", values: Array.from({ length: rows }, () => `c${random.below(40)}`) }],
    ["b", { kind: "bool", values: Uint8Array.from({ length: rows }, () => random.below(2)) }],
    ["prediction.p", { kind: "numeric", values: numbers(() => random.below(1000) / 1000) }],
  ]);
  const { length } = given.inferences;
  return {
    sender: given.sender ?? "s1",
    sequence: given.sequence,
    acknowledged: given.acknowledged ?? 0,
    target: TARGET,
    shadow: false,
    classLabels: [],
    featureService: "",
    rows,
    inferences: {
      count: length,
      ids: new Array<string>(length).fill(""),
      rows: given.inferences.map((inference) => inference.rows),
      eventUs: given.inferences.map(({ eventUs }) => eventUs),
      queueMs: Array.from({ length }, () => random.below(1000) / 313),
      computeMs: Array.from({ length }, () => random.below(1000) / 77),
    },
    columns,
    statuses: [
      {
        feature: "f",
        featureView: "workspaces/w/featureViews/v",
        statuses: Uint8Array.from({ length: rows }, () => random.below(5)),
      },
    ],
    entityKeys: [],
    droppedRows: given.droppedRows ?? 0,
  };
}

function drawNulls(random: SeededRandom, rows: number): Uint8Array {
  return Uint8Array.from(
    { length: Math.ceil(rows / 8) },
    () => random.below(256) & random.below(256),
  );
}
