// Whatever is resent, reordered, sent to another replica, or cut off between two writes: in the end
// the windows hold each row once, to the last bit as one pass over all rows would.

import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import { addRows, encodeWindow, newWindowSketch } from "../sketch/window-sketch.ts";
import { firstLength } from "./event-clock.ts";
import { rowsOfInferences, splitByWindow } from "./split-batch.ts";
import {
  drawBatch,
  type Fault,
  MINUTE_US,
  type Replica,
  type Shared,
  START_US,
  useReplica,
  useShared,
} from "./testing.ts";
import type { WindowRecord } from "./window-record.ts";
import { addInference, addStatuses, newTotals, storedTotals } from "./window-totals.ts";

/** Late by less than the lateness: nothing is late, however batches are shuffled. */
const SPAN_S = 300;

/** What the records must say, by the start of their window. */
function expectedWindows(shared: Shared, batches: readonly DecodedBatch[]) {
  const [layout] = shared.layouts;
  const windows = new Map<
    number,
    { sketch: ReturnType<typeof newWindowSketch>; totals: ReturnType<typeof newTotals> }
  >();
  for (const batch of batches) {
    const options = { lengths: firstLength(MINUTE_US), horizonUs: Number.MAX_SAFE_INTEGER };
    const { shares } = splitByWindow(batch, options);
    for (const { startUs, inferences } of shares) {
      const known = windows.get(startUs) ?? {
        sketch: newWindowSketch(layout!),
        totals: newTotals(),
      };
      windows.set(startUs, known);
      const rows = rowsOfInferences(batch, inferences);
      addRows(known.sketch, rows);
      for (const place of inferences) {
        addInference(known.totals, {
          queueMs: batch.inferences.queueMs[place]!,
          computeMs: batch.inferences.computeMs[place]!,
        });
      }
      for (const status of rows.statuses) {
        addStatuses(known.totals, status, status.statuses);
      }
    }
  }
  return new Map(
    Array.from(windows, ([startUs, { sketch, totals }]) => [
      startUs,
      { sketch: encodeWindow(sketch), totals: storedTotals(totals) },
    ]),
  );
}

function found(records: readonly WindowRecord[]) {
  return new Map(records.map(({ startUs, sketch, totals }) => [startUs, { sketch, totals }]));
}

function drawBatches(random: SeededRandom): DecodedBatch[] {
  const batches: DecodedBatch[] = [];
  for (const sender of ["a", "b", "a-restarted"]) {
    const count = 3 + random.below(5);
    for (let sequence = 1; sequence <= count; sequence++) {
      const inferences = Array.from({ length: 1 + random.below(6) }, () => ({
        eventUs: START_US + random.below(SPAN_S * 1_000_000),
        rows: 1 + random.below(20),
      }));
      batches.push(drawBatch({ sender, sequence, seed: random.uint32(), inferences }));
    }
  }
  return batches;
}

/** Sends until it is answered, to any replica, and now and then once more. */
async function send(random: SeededRandom, replicas: readonly Replica[], batch: DecodedBatch) {
  for (let answers = random.below(4) === 0 ? 2 : 1; answers > 0; ) {
    const replica = replicas[random.below(replicas.length)]!;
    try {
      await replica.windows.count(batch);
      answers -= 1;
    } catch (error) {
      expect(error).toMatchObject({ kind: "Unavailable" });
    }
  }
}

function shuffled<T>(random: SeededRandom, items: readonly T[]): T[] {
  const keyed = items.map((item) => ({ item, key: random.uint32() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

describe("exactly once", () => {
  it.each(Array.from({ length: 12 }, (_, seed) => seed))(
    "counts each row once with resent, shuffled and failing writes (seed %i)",
    async (seed) => {
      const random = new SeededRandom(seed);
      const shared = await useShared({ latenessUs: SPAN_S * 1_000_000 });
      const replicas = [await useReplica(shared), await useReplica(shared)];
      for (const { store } of replicas) {
        store.nextFault = () => drawFault(random);
      }
      const batches = drawBatches(random);
      const sent = batches.map((batch) => () => send(random, replicas, batch));
      for (const group of [0, 1, 2]) {
        await Promise.all(
          shuffled(
            random,
            sent.filter((_, i) => i % 3 === group),
          ).map((go) => go()),
        );
        await replicas[group % 2]!.windows.closeDue();
      }
      shared.clock.advance(2 * SPAN_S * 1000 + 60_000);
      for (let tries = 0; tries < 40; tries++) {
        await Promise.all(replicas.map(({ windows }) => windows.closeDue()));
      }
      for (const { store } of replicas) {
        store.nextFault = () => undefined;
      }
      await replicas[0]!.windows.closeDue();
      const records = await replicas[1]!.windows.unjudged(1000);
      expect(found(records)).toEqual(expectedWindows(shared, batches));
    },
  );

  it("is the same when a replica dies at any write of counting and closing", async () => {
    const batches = [
      drawBatch({ sender: "a", sequence: 1, inferences: [at(5), at(70)] }),
      drawBatch({ sender: "b", sequence: 1, inferences: [at(6), at(71), at(8)] }),
    ];
    let steps = 0;
    for (let fatal = 0; ; fatal++) {
      const shared = await useShared();
      for (const when of ["before", "after"] as const) {
        const dying = await useReplica(shared);
        let left = fatal;
        dying.store.nextFault = () => {
          left -= 1;
          if (left < 0) {
            dying.kill();
            return when;
          }
          return undefined;
        };
        await Promise.allSettled(batches.map((batch) => dying.windows.count(batch)));
        shared.clock.advance(75_000);
        await dying.windows.closeDue();
        shared.clock.advance(-75_000);
        steps = dying.store.writes;
      }
      const heir = await useReplica(shared);
      for (const batch of batches) {
        await heir.windows.count(batch);
      }
      shared.clock.advance(200_000);
      await heir.windows.closeDue();
      const rows = (await heir.windows.unjudged(10)).reduce((sum, { totals, ...record }) => {
        return sum + record.rows + totals.lateRows;
      }, 0);
      expect({ fatal, rows }).toEqual({ fatal, rows: 50 });
      if (steps < fatal) {
        break;
      }
    }
    expect(steps).toBeGreaterThan(8);
  });
});

function at(seconds: number) {
  return { eventUs: START_US + seconds * 1_000_000, rows: 10 };
}

function drawFault(random: SeededRandom): Fault | undefined {
  const drawn = random.below(20);
  return drawn === 0 ? "before" : drawn === 1 ? "after" : undefined;
}
