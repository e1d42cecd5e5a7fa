import { describe, expect, it } from "vitest";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { ColumnBatch } from "../sketch/column-batch.ts";
import { encodeProfile, profileOfDraft } from "../sketch/column-profile.ts";
import { momentsOf } from "../sketch/numeric-sketch.ts";
import { type Random, seeded, shuffled } from "../sketch/testing.ts";
import {
  addRows,
  columnOf,
  countersOf,
  decodeWindow,
  newWindowSketch,
  type WindowSketch,
} from "../sketch/window-sketch.ts";
import { draftGroup } from "./baseline-record.ts";
import { learningLayout } from "./draft-layout.ts";
import { BaselineLearner } from "./learn-baseline.ts";
import { type Death, DyingStore } from "./testing/dying-store.ts";
import {
  batchOf,
  learnFrom,
  type Replica,
  type Shared,
  useReplica,
  useShared,
  VERSION,
} from "./testing/use-baselines.ts";

const UID = VERSION.modelVersionUid;
const HOUR_MS = 3_600_000;

/** What a replica does with a batch: learned, or counted in the one window of the test. */
async function count(
  { learner, parts }: Replica,
  batch: DecodedBatch,
): Promise<"learned" | "window"> {
  const place = await learner.placeFor(batch);
  if (place.kind === "window") {
    const part = { group: "window", owner: "t", startUs: 0, endUs: 1, expireTime: new Date(8e12) };
    await parts.add({ ...part, layout: place.layout }, batch, (sketch) => addRows(sketch, batch));
  }
  return place.kind;
}

async function windowSketches({ parts, baselines }: Replica): Promise<WindowSketch[]> {
  const records = await parts.peek("window");
  return Promise.all(
    records.map(async ({ layoutId, sketch }) => {
      return decodeWindow(sketch, (await baselines.layout(UID, layoutId))!);
    }),
  );
}

/** Count and sum of column x: which batches are in it, when each has its own numbers. */
function tallyOf(sketches: readonly WindowSketch[]): { rows: number; sum: number } {
  let [rows, sum] = [0, 0];
  for (const sketch of sketches) {
    const column = columnOf(sketch, "x");
    if (column !== undefined && "numbers" in column && column.numbers.rows > 0) {
      rows += column.numbers.rows;
      sum += momentsOf(column.numbers).mean * column.numbers.rows;
    }
  }
  return { rows, sum: Math.round(sum) };
}

async function tallyOfAll(replica: Replica): Promise<{ rows: number; sum: number }> {
  const ready = await replica.baselines.ready(UID);
  return tallyOf([...(ready ? [ready.baseline] : []), ...(await windowSketches(replica))]);
}

describe("BaselineLearner", () => {
  it("learns from the first rows, and counts those after in windows", async () => {
    const replica = await useReplica(await useShared());
    await learnFrom(replica, { rows: 100 });
    const outcomes = [];
    for (let i = 0; i < 4; i++) {
      const batch = batchOf({ sender: "a", sequence: i + 1 }, { first: i * 40, count: 40 });
      outcomes.push(await count(replica, batch));
    }
    expect(outcomes).toEqual(["learned", "learned", "learned", "window"]);
    const ready = await replica.baselines.ready(UID);
    expect(ready).toMatchObject({ source: "first-inferences", rows: 120, ...VERSION });
    const draft = newWindowSketch(learningLayout([{ name: "x", kind: "numeric" }]));
    for (const first of [80, 0, 40]) {
      addRows(draft, batchOf({ sender: "", sequence: 0 }, { first, count: 40 }));
    }
    expect(encodeProfile(ready!)).toEqual(encodeProfile(profileOfDraft(draft)));
    expect(tallyOf(await windowSketches(replica)).rows).toBe(40);
    expect(await replica.parts.peek(draftGroup(UID))).toEqual([]);
  });

  it("counts a batch once that is sent again, before and after the freeze", async () => {
    const shared = await useShared();
    const replica = await useReplica(shared);
    await learnFrom(replica, { rows: 100 });
    const first = batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 60 });
    const second = batchOf({ sender: "a", sequence: 2 }, { first: 60, count: 60 });
    await count(replica, first);
    expect(await count(replica, first)).toBe("learned");
    expect(await replica.learner.rowsSoFar(UID)).toBe(60);
    await count(replica, second);
    for (const again of [first, second, first]) {
      expect(await count(await useReplica(shared), again)).toBe("learned");
    }
    expect(await tallyOfAll(replica)).toEqual({ rows: 120, sum: 7140 });
  });

  it("forgets after an hour which batches were learned from", async () => {
    const shared = await useShared();
    const replica = await useReplica(shared);
    await learnFrom(replica, { rows: 50 });
    const batch = batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 60 });
    await count(replica, batch);
    shared.clock.advance(HOUR_MS - 1);
    await replica.learner.sweep();
    expect((await replica.baselines.fresh(UID))?.frozen).toHaveLength(1);
    shared.clock.advance(1);
    await replica.learner.sweep();
    expect(await replica.baselines.fresh(UID)).toMatchObject({
      frozen: [],
      drafts: [],
      sweepTime: null,
    });
    expect((await replica.baselines.ready(UID))?.rows).toBe(60);
  });

  it("learns from batches with more columns than the first", async () => {
    const replica = await useReplica(await useShared());
    await learnFrom(replica, { rows: 90 });
    const text: ColumnBatch = { kind: "category", values: Array.from({ length: 30 }, () => "u") };
    const more = new Map([["y", text]]);
    await count(replica, batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 30 }));
    await count(replica, batchOf({ sender: "a", sequence: 2 }, { first: 30, count: 30 }, more));
    await count(replica, batchOf({ sender: "b", sequence: 1 }, { first: 60, count: 30 }));
    const ready = (await replica.baselines.ready(UID))!;
    expect(ready.layout.columns.map(({ name }) => name)).toEqual(["x", "y"]);
    expect(ready.baseline.columns.map((column) => countersOf(column).rows)).toEqual([90, 30]);
    expect(ready.baseline).toMatchObject({ rows: 90, strayValues: 0 });
  });

  it("refuses a batch that is not right, and is none the worse", async () => {
    const replica = await useReplica(await useShared());
    const torn = { ...batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 3 }), rows: 4 };
    await expect(count(replica, torn)).rejects.toMatchObject({ kind: "InvalidArgument" });
    const long = new Map<string, ColumnBatch>([["x".repeat(600), { kind: "counted", rows: 3 }]]);
    const named = batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 3 }, long);
    await expect(count(replica, named)).rejects.toMatchObject({ kind: "InvalidArgument" });
    expect(await replica.baselines.fresh(UID)).toBeUndefined();
    const good = batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 3 });
    expect(await count(replica, good)).toBe("learned");
  });

  it("counts without a baseline where learning is disabled, on one layout", async () => {
    const shared = await useShared();
    const [one, other] = [await useReplica(shared), await useReplica(shared)];
    await learnFrom(one, { disabled: true });
    await learnFrom(other, {});
    const more = new Map<string, ColumnBatch>([["y", { kind: "counted", rows: 5 }]]);
    expect(await count(one, batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 5 }))).toBe(
      "window",
    );
    const wider = batchOf({ sender: "b", sequence: 1 }, { first: 5, count: 5 }, more);
    expect(await count(other, wider)).toBe("window");
    const sketches = await windowSketches(one);
    expect(new Set(sketches.map(({ layout }) => layout.id)).size).toBe(1);
    expect(sketches.reduce((sum, { strayValues }) => sum + strayValues, 0)).toBe(5);
    expect(await one.baselines.ready(UID)).toBeUndefined();
    expect((await one.baselines.currentLayout(UID))?.columns.map(({ name }) => name)).toEqual([
      "x",
    ]);
  });

  it("gives drafts up where learning is disabled meanwhile", async () => {
    const replica = await useReplica(await useShared());
    const first = batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 5 });
    await count(replica, first);
    await learnFrom(replica, { disabled: true });
    expect(
      await count(replica, batchOf({ sender: "a", sequence: 2 }, { first: 5, count: 5 })),
    ).toBe("window");
    expect(await replica.learner.rowsSoFar(UID)).toBe(0);
  });

  it("lets an upload win over what was learned so far", async () => {
    const shared = await useShared();
    const [one, other] = [await useReplica(shared), await useReplica(shared)];
    await count(one, batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 5 }));
    const draft = newWindowSketch(learningLayout([{ name: "x", kind: "numeric" }]));
    addRows(draft, batchOf({ sender: "", sequence: 0 }, { first: 0, count: 900 }));
    const profile = profileOfDraft(draft);
    await other.baselines.put({ ...VERSION, profile, source: "dataset", fileName: "" });
    await other.learner.dropDrafts(UID);
    for (const replica of [one, other]) {
      const next = batchOf({ sender: "a", sequence: 2 }, { first: 5, count: 5 });
      expect(await count(replica, next)).toBe("window");
    }
    expect((await one.baselines.ready(UID))?.rows).toBe(900);
    expect(tallyOf(await windowSketches(one))).toEqual({ rows: 5, sum: 35 });
    expect(await one.learner.rowsSoFar(UID)).toBe(0);
  });
});

/** Batches of some senders, each with numbers of its own, in an order and with repetitions. */
function drawTraffic(random: Random, senders: number): DecodedBatch[] {
  const batches: DecodedBatch[] = [];
  let first = 0;
  for (let sender = 0; sender < senders; sender++) {
    for (let sequence = 1; sequence <= 4; sequence++) {
      const size = 1 + Math.floor(random() * 20);
      batches.push(batchOf({ sender: `s${sender}`, sequence }, { first, count: size }));
      first += size;
    }
  }
  const again = batches.filter(() => random() < 0.5);
  return shuffled(random, [...batches, ...again, ...again]);
}

function expectedOf(traffic: readonly DecodedBatch[]): { rows: number; sum: number } {
  const rows = new Set(
    traffic.flatMap((batch) => {
      const x = batch.columns.get("x");
      return x?.kind === "numeric" ? [...x.values] : [];
    }),
  );
  return { rows: rows.size, sum: [...rows].reduce((sum, value) => sum + value, 0) };
}

describe("learning by several replicas", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "counts every row once, whatever comes when (%i)",
    async (seed) => {
      const random = seeded(seed);
      const shared = await useShared();
      const replicas = [
        await useReplica(shared),
        await useReplica(shared),
        await useReplica(shared),
      ];
      await learnFrom(replicas[0]!, { rows: 30 + Math.floor(random() * 100) });
      const traffic = drawTraffic(random, 4);
      for (let start = 0; start < traffic.length; ) {
        const together = traffic.slice(start, start + 1 + Math.floor(random() * 5));
        await Promise.all(
          together.map((batch) => count(replicas[Math.floor(random() * 3)]!, batch)),
        );
        start += together.length;
        shared.clock.advance(500);
      }
      expect(await tallyOfAll(replicas[0]!)).toEqual(expectedOf(traffic));
      const record = await replicas[0]!.baselines.fresh(UID);
      expect(record?.state).toBe("ready");
    },
  );

  it("counts rows in a window whose draft came when all drafts had been merged", async () => {
    const shared = await useShared();
    const [one, other] = [await useReplica(shared), await useReplica(shared)];
    await learnFrom(one, { rows: 30 });
    const enough = batchOf({ sender: "a", sequence: 1 }, { first: 0, count: 30 });
    const { parts } = other;
    const late = new BaselineLearner({
      ...other,
      clock: shared.clock,
      events: { backgroundFailed: () => {} },
      parts: {
        sealed: (group) => parts.sealed(group),
        find: (filter) => parts.find(filter),
        deleteGroup: (group) => parts.deleteGroup(group),
        // Between its look at the document and its draft another replica ends the learning.
        async add(...draft) {
          await count(one, enough);
          return parts.add(...draft);
        },
      },
    });
    await count(one, batchOf({ sender: "a", sequence: 2 }, { first: 30, count: 1 }));
    const batch = batchOf({ sender: "b", sequence: 1 }, { first: 31, count: 5 });
    expect(await count({ ...other, learner: late }, batch)).toBe("window");
    await sweepLater(shared, one);
    expect(await tallyOfAll(one)).toEqual(
      expectedOf([enough, batch, batchOf({ sender: "", sequence: 0 }, { first: 30, count: 1 })]),
    );
    expect(await one.learner.rowsSoFar(UID)).toBe(0);
  });

  it("loses and repeats nothing where a replica dies at any of its writes", async () => {
    const writes = (await dieAt(undefined)).writes;
    expect(writes).toBeGreaterThan(8);
    for (let atWrite = 0; atWrite < writes; atWrite++) {
      for (const when of ["before", "after"] as const) {
        const { outcome, expected, blobs, drafts } = await dieAt({ atWrite, when });
        expect(outcome, `${when} write ${atWrite}`).toEqual(expected);
        expect(blobs, `${when} write ${atWrite}`).toBe(1);
        expect(drafts, `${when} write ${atWrite}`).toBe(0);
      }
    }
  }, 60_000);
});

/** A replica takes batches and dies; another takes those that were not answered, and some again. */
async function dieAt(death: Death | undefined) {
  const shared = await useShared();
  const documents = new DyingStore(shared.documents, death);
  const living = await useReplica(shared);
  await learnFrom(living, { rows: 30 });
  const dying = await useReplica(shared, { documents });
  const traffic = [1, 2, 3, 4].map((sequence) => {
    return batchOf({ sender: "a", sequence }, { first: sequence * 10, count: 10 });
  });
  const other = batchOf({ sender: "b", sequence: 1 }, { first: 500, count: 5 });
  await count(living, other);
  const unanswered: DecodedBatch[] = [];
  for (const batch of traffic) {
    await count(dying, batch).catch(() => unanswered.push(batch));
  }
  // A sender that was not answered sends the batch again; one whose answer was lost does, too.
  for (const batch of [...unanswered, traffic[0]!, other]) {
    // Rows of other replicas are looked at now and then.
    shared.clock.advance(2500);
    await count(living, batch);
  }
  const { writes } = documents;
  await sweepLater(shared, living);
  return {
    writes,
    outcome: await tallyOfAll(living),
    expected: expectedOf([...traffic, other]),
    blobs: (await Array.fromAsync(shared.blobs.list())).length,
    drafts: (await living.parts.peek(draftGroup(UID))).length,
  };
}

async function sweepLater({ clock }: Shared, { learner }: Replica): Promise<void> {
  clock.advance(HOUR_MS + 1);
  await learner.sweep();
}
