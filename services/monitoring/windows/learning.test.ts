// Windows with the real baselines: rows are in the learned baseline or in a window, never in both.

import { describe, expect, it, onTestFinished } from "vitest";
import { openBlobStore } from "../../common/blobs/open.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { BaselineStore } from "../baselines/baseline-store.ts";
import { BaselineLearner } from "../baselines/learn-baseline.ts";
import { createEvents } from "../events.ts";
import { PartStore } from "./part-store.ts";
import {
  drawBatch,
  FaultyStore,
  type Shared,
  START_US,
  TARGET,
  TARGET_ID,
  useShared,
} from "./testing.ts";
import { WindowStore } from "./window-store.ts";

async function useLearningReplica({ documents, clock, ...shared }: Shared, folder: string) {
  const store = new FaultyStore(documents);
  const blobs = await openBlobStore(`file:${folder}`);
  const events = createEvents(createLogger({ service: "monitoring", level: "off" }));
  const config = {
    memoryBytesMax: 64 * 2 ** 20,
    commitIntervalMs: 1,
    clockSkewMs: 300_000,
    closeIntervalMs: 1000,
  };
  const base = { documents: store, blobs, config, clock, events };
  const monitors = { get: async () => shared.settings };
  const parts = await PartStore.open(base);
  const baselines = await BaselineStore.open(base);
  const learner = new BaselineLearner({ ...base, parts, baselines, monitors });
  const windows = await WindowStore.open({ ...base, parts, baselines, learner, monitors });
  onTestFinished(async () => {
    for (const part of [windows, learner, baselines, parts, blobs]) {
      await part[Symbol.asyncDispose]();
    }
  });
  return { store, windows, baselines };
}

describe("learning", () => {
  it.each([1, 2, 3])("counts each row in the baseline or in a window (seed %i)", async (seed) => {
    const random = new SeededRandom(seed);
    const shared = await useShared({ learning: { rows: 100, disabled: false } });
    const folder = useFolder();
    const replicas = [
      await useLearningReplica(shared, folder),
      await useLearningReplica(shared, folder),
    ];
    for (const { store } of replicas) {
      store.nextFault = () => (["before", "after"] as const)[random.below(30)];
    }
    const send = async (sender: string, sequence: number) => {
      const inferences = [{ eventUs: START_US + 1_000_000, rows: 10 }];
      const batch = drawBatch({ sender, sequence, seed: random.uint32(), inferences });
      for (let answers = 1 + random.below(2); answers > 0; ) {
        try {
          const { windows } = replicas[random.below(2)]!;
          expect(await windows.count(batch)).toMatchObject({ counted: 10, late: 0 });
          answers -= 1;
        } catch (error) {
          expect(error).toMatchObject({ kind: "Unavailable" });
        }
      }
    };
    for (let sequence = 1; sequence <= 30; sequence++) {
      await Promise.all([send("a", sequence), send("b", sequence)]);
    }
    for (const { store } of replicas) {
      store.nextFault = () => undefined;
    }
    const { windows, baselines } = replicas[0]!;
    const ready = await baselines.ready(TARGET.modelVersionUid);
    const target = await windows.target(TARGET_ID);
    const range = { startUs: START_US, endUs: START_US + 1 };
    const { sketch } = await windows.read(target!, range, ready!.layout);
    expect(ready!.baseline.rows).toBeGreaterThanOrEqual(100);
    expect(sketch.rows).toBeGreaterThan(0);
    expect(ready!.baseline.rows + sketch.rows).toBe(600);
  });
});
