import { describe, expect, it } from "vitest";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import { addRows, encodeWindow, newWindowSketch } from "../sketch/window-sketch.ts";
import { firstLength } from "./event-clock.ts";
import { rowsOfInferences, splitByWindow } from "./split-batch.ts";
import {
  drawBatch,
  layoutOf,
  MINUTE_US,
  type Replica,
  START_US,
  TARGET_ID,
  useReplica,
  useShared,
} from "./testing.ts";

const HOUR_US = 60 * MINUTE_US;
const DAY_US = 24 * HOUR_US;
const ALL = { startUs: START_US - 40 * DAY_US, endUs: START_US + 40 * DAY_US };

/** One inference of `rows` rows at so many seconds after the start. */
function at(seconds: number, rows = 10) {
  return { eventUs: START_US + seconds * 1_000_000, rows };
}

/** What one pass over all rows of these batches gives. */
function onePass(layout: WindowLayout, batches: readonly DecodedBatch[]): Uint8Array {
  const sketch = newWindowSketch(layout);
  for (const batch of batches) {
    addRows(sketch, batch);
  }
  return encodeWindow(sketch);
}

/** The rows of a batch that fall into the window that begins then. */
function within(batch: DecodedBatch, startUs: number): DecodedBatch {
  const { shares } = splitByWindow(batch, {
    lengths: firstLength(MINUTE_US),
    horizonUs: Number.MAX_SAFE_INTEGER,
  });
  const share = shares.find((window) => window.startUs === startUs);
  return { ...batch, ...rowsOfInferences(batch, share?.inferences ?? []) };
}

async function readAll({ windows }: Replica, layout: WindowLayout, range = ALL) {
  const target = await windows.target(TARGET_ID);
  return windows.read(target!, range, layout);
}

describe("window-store", () => {
  it("counts the rows of a batch in the windows of their inferences", async () => {
    const shared = await useShared();
    const replica = await useReplica(shared);
    const [layout] = shared.layouts;
    const batch = drawBatch({ sequence: 1, inferences: [at(5), at(70, 20), at(50, 3)] });
    const outcome = await replica.windows.count(batch);
    expect(outcome).toEqual({
      counted: 33,
      late: 0,
      future: 0,
      refused: 0,
      places: [
        expect.objectContaining({ startUs: START_US, inferences: [0, 2] }),
        expect.objectContaining({ startUs: START_US + MINUTE_US, inferences: [1] }),
      ],
    });
    const infos = await replica.windows.list(TARGET_ID, {});
    expect(infos.map(({ startUs, rows, closed }) => [startUs - START_US, rows, closed])).toEqual([
      [MINUTE_US, 20, false],
      [0, 13, false],
    ]);
    const first = await readAll(replica, layout!, { startUs: START_US, endUs: START_US + 1 });
    expect(encodeWindow(first.sketch)).toEqual(onePass(layout!, [within(batch, START_US)]));
    expect(first).toMatchObject({ windows: 1, open: true, startUs: START_US });
    expect(first.totals).toMatchObject({ inferences: 2, lateRows: 0 });
    expect(first.totals.freshness[0]!.statuses.reduce((a, b) => a + b)).toBe(13);
  });

  it("closes windows when the event clock has passed them by the lateness", async () => {
    const shared = await useShared();
    const replica = await useReplica(shared);
    let calls = 0;
    replica.windows.onClosed(() => {
      calls += 1;
    });
    const batch = drawBatch({ sequence: 1, inferences: [at(30)] });
    await replica.windows.count(batch);
    shared.clock.advance(39_999);
    expect(await replica.windows.closeDue()).toBe(0);
    shared.clock.advance(1);
    expect(await replica.windows.closeDue()).toBe(1);
    expect(calls).toBe(1);
    const [info] = await replica.windows.list(TARGET_ID, {});
    expect(info).toMatchObject({ closed: true, rows: 10, level: "window" });
    const [record] = await replica.windows.unjudged(10);
    expect(record!.sketch).toEqual(onePass(shared.layouts[0]!, [batch]));
    expect(await replica.windows.closeDue()).toBe(0);
    await replica.windows.markJudged(record!._id, record!.merged);
    expect(await replica.windows.unjudged(10)).toEqual([]);
    expect(await replica.windows.newestClosed(TARGET_ID)).toMatchObject({ startUs: START_US });
  });

  it("counts rows for closed windows as late, once, in the oldest open window", async () => {
    const shared = await useShared();
    const replica = await useReplica(shared);
    await replica.windows.count(drawBatch({ sequence: 1, inferences: [at(30)] }));
    await replica.windows.count(drawBatch({ sequence: 2, inferences: [at(200)] }));
    await replica.windows.closeDue();
    const late = drawBatch({ sequence: 3, inferences: [at(20, 7), at(205, 2)], droppedRows: 5 });
    expect(await replica.windows.count(late)).toMatchObject({ counted: 2, late: 7 });
    expect(await replica.windows.count(late)).toMatchObject({ counted: 2, late: 7 });
    shared.clock.advance(60_000);
    expect(await replica.windows.count(late)).toMatchObject({ late: 7 });
    await replica.windows.closeDue();
    const again = await useReplica(shared);
    expect(await again.windows.count(late)).toMatchObject({ late: 7 });
    const read = await readAll(replica, shared.layouts[0]!);
    expect(read.totals).toMatchObject({ lateRows: 7, droppedRows: 5 });
    expect(read.sketch.rows).toBe(22);
  });

  it("knows a batch that was counted before its window closed", async () => {
    const shared = await useShared();
    const replica = await useReplica(shared);
    const batch = drawBatch({ sequence: 1, inferences: [at(30)] });
    await replica.windows.count(batch);
    shared.clock.advance(60_000);
    await replica.windows.closeDue();
    const other = await useReplica(shared);
    expect(await other.windows.count(batch)).toMatchObject({ counted: 10, late: 0 });
    const read = await readAll(other, shared.layouts[0]!);
    expect(read.sketch.rows).toBe(10);
    expect(read.totals.lateRows).toBe(0);
  });

  it("does not count rows that are too far in the future, nor move the clock by them", async () => {
    const shared = await useShared();
    const replica = await useReplica(shared);
    const batch = drawBatch({ sequence: 1, inferences: [at(1, 4), at(300, 2), at(301, 8)] });
    expect(await replica.windows.count(batch)).toMatchObject({ counted: 6, future: 8 });
    const target = await replica.windows.target(TARGET_ID);
    expect(replica.windows.clockUs(target!)).toBe(at(300).eventUs);
    expect((await readAll(replica, shared.layouts[0]!)).sketch.rows).toBe(6);
  });

  it("keeps windows closed after a restart that has forgotten the clock", async () => {
    const shared = await useShared();
    const first = await useReplica(shared);
    await first.windows.count(drawBatch({ sequence: 1, inferences: [at(30)] }));
    const second = await useReplica(shared);
    // The clock of this one never reaches the store.
    await second.windows.count(drawBatch({ sequence: 1, sender: "s2", inferences: [at(31)] }));
    shared.clock.advance(60_000);
    await second.windows.closeDue();
    first.kill();
    second.kill();
    shared.clock.advance(-60_000);
    const third = await useReplica(shared);
    const batch = drawBatch({ sequence: 1, sender: "s3", inferences: [at(32, 5)] });
    expect(await third.windows.count(batch)).toMatchObject({ counted: 0, late: 5 });
  });

  it("merges the part of a replica that did not know that the window had closed", async () => {
    const shared = await useShared();
    const [layout] = shared.layouts;
    const slow = await useReplica(shared);
    const first = drawBatch({ sequence: 1, sender: "a", inferences: [at(10)] });
    await slow.windows.count(first);
    const closer = await useReplica(shared);
    // Its clock is ahead: a batch that only it has seen.
    await closer.windows.count(drawBatch({ sequence: 1, sender: "b", inferences: [at(250, 1)] }));
    expect(await closer.windows.closeDue()).toBe(1);
    const [record] = await closer.windows.unjudged(10);
    await closer.windows.markJudged(record!._id, record!.merged);
    const behind = drawBatch({ sequence: 1, sender: "c", inferences: [at(20)] });
    expect(await slow.windows.count(behind)).toMatchObject({ counted: 10 });
    const expected = onePass(layout!, [first, behind]);
    const range = { startUs: START_US, endUs: START_US + 1 };
    expect(encodeWindow((await readAll(closer, layout!, range)).sketch)).toEqual(expected);
    expect(await closer.windows.closeDue()).toBe(1);
    const [again] = await closer.windows.unjudged(10);
    expect(again!.sketch).toEqual(expected);
    expect(again!.merged).toHaveLength(2);
    // Who judged the window as it was before has not judged it as it is.
    await closer.windows.markJudged(again!._id, record!.merged);
    expect(await closer.windows.unjudged(10)).toHaveLength(1);
    expect(encodeWindow((await readAll(closer, layout!, range)).sketch)).toEqual(expected);
  });

  it("counts windows of another layout apart, and a batch in one of them", async () => {
    const shared = await useShared();
    const replica = await useReplica(shared);
    const before = shared.layouts[0]!;
    const first = drawBatch({ sequence: 1, inferences: [at(10)] });
    await replica.windows.count(first);
    const after = layoutOf(2);
    shared.layouts.push(after);
    const second = drawBatch({ sequence: 2, inferences: [at(20, 4)] });
    await replica.windows.count(first);
    await replica.windows.count(second);
    for (const close of [false, true]) {
      if (close) {
        shared.clock.advance(120_000);
        await replica.windows.closeDue();
      }
      const old = await readAll(replica, before);
      expect(old).toMatchObject({ windows: 1, otherLayoutWindows: 1, open: !close });
      expect(encodeWindow(old.sketch)).toEqual(onePass(before, [first]));
      const now = await readAll(replica, after);
      expect(now).toMatchObject({ windows: 1, otherLayoutWindows: 1 });
      expect(encodeWindow(now.sketch)).toEqual(onePass(after, [second]));
    }
  });

  it("lets another window length count from the next window on", async () => {
    const shared = await useShared({ windowUs: HOUR_US });
    const replica = await useReplica(shared);
    await replica.windows.count(drawBatch({ sequence: 1, inferences: [at(90)] }));
    shared.settings = { ...shared.settings, windowUs: MINUTE_US };
    const batch = drawBatch({ sequence: 2, inferences: [at(119, 1), at(121, 2), at(185, 3)] });
    await replica.windows.count(batch);
    const infos = await replica.windows.list(TARGET_ID, {});
    expect(
      infos.map(({ startUs, endUs, rows }) => [
        (startUs - START_US) / MINUTE_US,
        (endUs - START_US) / MINUTE_US,
        rows,
      ]),
    ).toEqual([
      [3, 4, 3],
      [2, 3, 2],
      [0, 2, 11],
    ]);
    expect(await replica.windows.closeDue()).toBe(1);
    expect(await replica.windows.newestClosed(TARGET_ID)).toMatchObject({
      startUs: START_US,
      endUs: START_US + 2 * MINUTE_US,
      rows: 11,
    });
  });

  it("rolls days up, and reads each row once whatever the range", async () => {
    const shared = await useShared({ windowUs: HOUR_US });
    const replica = await useReplica(shared, { commitIntervalMs: 0 });
    const [layout] = shared.layouts;
    const batches: DecodedBatch[] = [];
    for (let hour = 0; hour < 60; hour += 7) {
      const batch = drawBatch({ sequence: hour + 1, inferences: [at(hour * 3600 + 100, 6)] });
      shared.clock.advance(START_US / 1000 + hour * 3_600_000 - shared.clock.now());
      await replica.windows.count(batch);
      batches.push(batch);
      await replica.windows.closeDue();
    }
    const expected = onePass(layout!, batches);
    const whole = await readAll(replica, layout!);
    expect(encodeWindow(whole.sketch)).toEqual(expected);
    expect(whole).toMatchObject({ windows: 9, open: true });
    const someUs = START_US + 20 * HOUR_US;
    const some = await readAll(replica, layout!, { startUs: someUs, endUs: someUs + 10 * HOUR_US });
    expect(encodeWindow(some.sketch)).toEqual(onePass(layout!, batches.slice(3, 5)));
    shared.clock.advance(2 * 86_400_000);
    expect(await replica.windows.closeDue()).toBe(2);
    const closed = await readAll(replica, layout!);
    expect(encodeWindow(closed.sketch)).toEqual(expected);
    expect(closed).toMatchObject({ windows: 9, open: false });
    // The windows expire before the days, those that closed first before the others.
    for (const [days, kept] of [
      [30.5, [6, 6, 6, 6, 6, 6, 6, 6, 6]],
      [1.5, [6, 6, 6, 6, 6, 24]],
      [3.25, [12, 18, 24]],
    ] as const) {
      shared.clock.advance(days * 86_400_000);
      const later = await useReplica(shared);
      const infos = await later.windows.list(TARGET_ID, {});
      expect(infos.map(({ rows }) => rows)).toEqual(kept);
      const read = await readAll(later, layout!);
      expect(encodeWindow(read.sketch)).toEqual(expected);
      expect(read.windows).toBe(9);
      const none = await readAll(later, layout!, { startUs: START_US - HOUR_US, endUs: START_US });
      expect(none).toMatchObject({ windows: 0, sketch: { rows: 0 } });
    }
  });

  it("makes a day again when a part turns up for one of its windows", async () => {
    const shared = await useShared({ windowUs: HOUR_US });
    const slow = await useReplica(shared);
    const [layout] = shared.layouts;
    const first = drawBatch({ sequence: 1, sender: "a", inferences: [at(10)] });
    await slow.windows.count(first);
    const closer = await useReplica(shared);
    shared.clock.advance(2 * 86_400_000);
    const next = drawBatch({ sequence: 1, sender: "b", inferences: [at(2 * 86_400 + 5, 1)] });
    await closer.windows.count(next);
    expect(await closer.windows.closeDue()).toBe(2);
    shared.clock.advance(-2 * 86_400_000);
    const behind = drawBatch({ sequence: 1, sender: "c", inferences: [at(20)] });
    await slow.windows.count(behind);
    const range = { startUs: START_US, endUs: START_US + DAY_US };
    const expected = onePass(layout!, [first, behind]);
    expect(encodeWindow((await readAll(closer, layout!, range)).sketch)).toEqual(expected);
    shared.clock.advance(2 * 86_400_000);
    expect(await closer.windows.closeDue()).toBe(2);
    const read = await readAll(closer, layout!, range);
    expect(encodeWindow(read.sketch)).toEqual(expected);
    expect(read).toMatchObject({ windows: 1, endUs: START_US + DAY_US });
  });

  it("refuses rows of more windows than a batch may have, and counts the others once", async () => {
    const shared = await useShared({ windowUs: 1_000_000 });
    const replica = await useReplica(shared);
    const inferences = Array.from({ length: 1026 }, (_, i) => at(-i, 1));
    const batch = drawBatch({ sequence: 1, inferences, droppedRows: 3 });
    for (const _sending of ["first", "again"]) {
      const { places, ...rest } = await replica.windows.count(batch);
      expect(rest).toEqual({ counted: 1024, late: 0, future: 0, refused: 2 });
      expect(places.map(({ inferences: some }) => some[0]).sort((a, b) => a! - b!)).toEqual(
        Array.from({ length: 1024 }, (_, i) => i),
      );
      const read = await readAll(replica, shared.layouts[0]!);
      expect(read).toMatchObject({ windows: 1024, startUs: START_US - 1_023_000_000 });
      expect(read.sketch.rows).toBe(1024);
      expect(read.totals).toMatchObject({ inferences: 1024, lateRows: 0, droppedRows: 3 });
    }
    expect(replica.notCounted[0]).toEqual(["refused", 2]);
  });
});
