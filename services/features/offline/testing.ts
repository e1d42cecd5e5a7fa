// For tests of what stands on the history: a real store over real parts that end with the test.

import { join } from "node:path";
import { onTestFinished } from "vitest";
import { openBlobStore } from "../../common/blobs/open.ts";
import type { BlobStore } from "../../common/blobs/port.ts";
import { type Clock, systemClock } from "../../common/clock.ts";
import { parseSettings } from "../../common/config.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { type FeaturesConfig, featuresSettings } from "../config.ts";
import { createEvents, type FeaturesEvents } from "../events.ts";
import type { Cells, RowBatch } from "../value.ts";
import { openOfflineEngine } from "./engine.ts";
import type { OfflineEngine, Shape } from "./engine-tasks.ts";
import type { History, Snapshot } from "./history.ts";
import { OfflineStore } from "./offline-store.ts";

/** Events that go nowhere. */
export const silent: FeaturesEvents = createEvents(
  createLogger({ service: "features", level: "off" }),
);

export interface TestHistoryOptions {
  readonly documents?: DocumentStore;
  readonly blobs?: BlobStore;
  readonly engine?: OfflineEngine;
  readonly clock?: Clock;
  readonly events?: FeaturesEvents;
  readonly config?: Partial<FeaturesConfig>;
}

export interface TestHistory {
  readonly offline: OfflineStore;
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly engine: OfflineEngine;
  readonly folder: string;
  readonly config: FeaturesConfig;
}

/** An offline store in a folder of its own; what is given is shared and not closed. */
export async function useOfflineStore(options: TestHistoryOptions = {}): Promise<TestHistory> {
  const clock = options.clock ?? systemClock;
  const folder = useFolder();
  const config = { ...parseSettings({}, featuresSettings), ...options.config };
  const documents = options.documents ?? (await useStore({ clock }));
  const blobs = options.blobs ?? (await openBlobStore(`file:${join(folder, "blobs")}`));
  const engine = options.engine ?? useEngine();
  const offline = await OfflineStore.open({
    documents,
    blobs,
    engine,
    clock,
    config,
    events: options.events ?? silent,
    scratchDir: join(folder, "scratch"),
  });
  onTestFinished(async () => {
    await offline[Symbol.asyncDispose]();
  });
  return { offline, documents, blobs, engine, folder, config };
}

/** An engine that ends with the test. */
export function useEngine(): OfflineEngine {
  const engine = openTestEngine(join(useFolder(), "engine"));
  onTestFinished(async () => {
    await engine[Symbol.asyncDispose]();
  });
  return engine;
}

/** A small engine, for the caller to close. */
export function openTestEngine(scratchDir: string): OfflineEngine {
  const config = parseSettings(
    { PLINTH_FEATURES_ENGINE_MEMORY_MAX: "512MiB", PLINTH_FEATURES_ENGINE_THREADS_MAX: "1" },
    featuresSettings,
  );
  return openOfflineEngine({ config, scratchDir });
}

/** The columns of the tests' view. */
export const AIRPORT_SHAPE: Shape = {
  joinKeys: [{ name: "airport", type: "STRING" }],
  features: [
    { name: "delay", type: "DOUBLE" },
    { name: "flights", type: "INT64" },
  ],
};

export const AIRPORTS: History = { uid: "view-1", workspace: "default", view: "airports" };

/** 2026-01-01T00:00:00Z in microseconds. */
export const DAY_US = Date.UTC(2026, 0, 1) * 1000;

/** Rows of the tests' view: airport, event time, delay. */
export function airportRows(
  rows: readonly (readonly [airport: string, eventUs: number, delay: number | null])[],
  createdUs = DAY_US,
): RowBatch {
  return {
    rows: rows.length,
    keys: { airport: rows.map(([airport]) => airport) },
    features: { delay: rows.map(([, , delay]) => delay), flights: rows.map(() => 1) as Cells },
    eventUs: rows.map(([, eventUs]) => eventUs),
    createdUs: rows.map(() => createdUs),
  };
}

/** The newest row of each key in a snapshot's files, in the order of the keys. */
export async function latestRows(
  engine: OfflineEngine,
  snapshot: Pick<Snapshot, "sources">,
  shape: Shape = AIRPORT_SHAPE,
): Promise<RowBatch[]> {
  const chunks: RowBatch[] = [];
  const signal = new AbortController().signal;
  const input = { files: snapshot.sources, shape };
  const onChunk = async (chunk: RowBatch): Promise<void> => void chunks.push(chunk);
  await engine.run("latest-rows", input, { signal, onChunk });
  return chunks;
}
