import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import type { ColumnBatch } from "../sketch/column-batch.ts";
import { draftLayout } from "../sketch/column-layout.ts";
import { addRows, decodeWindow, rowsOfSketch } from "../sketch/window-sketch.ts";
import { type BatchKey, OpenPart, type PartChange, type PartPlace } from "./open-part.ts";
import type { PartStore } from "./part-store.ts";
import { drawBatch, type Shared, START_US, useReplica, useShared } from "./testing.ts";

const FOREVER = new Date(Date.UTC(2100, 0, 1));

function placeIn({ layouts }: Shared): PartPlace {
  const layout = layouts.at(-1)!;
  return { group: "g", owner: "o", layout, startUs: 0, endUs: 1, expireTime: FOREVER };
}

function key(sequence: number, more: Partial<BatchKey> = {}): BatchKey {
  return { sender: "s", sequence, acknowledged: 0, ...more };
}

/** Ten rows, the same for each sequence. */
function rowsOf(sequence: number): PartChange {
  const batch = drawBatch({ sequence, inferences: [{ eventUs: START_US, rows: 10 }] });
  return (sketch, totals) => {
    addRows(sketch, batch);
    totals.inferences += 1;
  };
}

/** No timer writes within a test; this does, until the work is done. */
async function flushed<T>(parts: PartStore, work: Promise<T>): Promise<T> {
  let isDone = false;
  const end = () => {
    isDone = true;
  };
  work.then(end, end);
  while (!isDone) {
    await parts.flush();
    await nextTurn();
  }
  return work;
}

const BY_HAND = { commitIntervalMs: 600_000 };

describe("part-store", () => {
  it("writes batches that come together once, and answers when they are stored", async () => {
    const shared = await useShared();
    const { parts, store } = await useReplica(shared, BY_HAND);
    const place = placeIn(shared);
    const before = store.writes;
    const outcomes = [1, 2, 3].map((sequence) => parts.add(place, key(sequence), rowsOf(sequence)));
    expect(await parts.peek("g")).toEqual([]);
    const done = flushed(parts, Promise.all(outcomes));
    expect(await done).toEqual(["counted", "counted", "counted"]);
    expect(store.writes - before).toBe(1);
    const [part] = await parts.peek("g");
    expect(part).toMatchObject({
      group: "g",
      owner: "o",
      sender: "s",
      rows: 30,
      sequences: [1, 2, 3],
      acknowledged: 0,
      sealed: false,
      totals: { inferences: 3 },
    });
  });

  it("stores nothing by halves while rows come and a wide window is encoded in turns", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared, BY_HAND);
    const columns = Array.from({ length: 400 }, (_, i) => `c${i}`);
    const layout = draftLayout(columns.map((name) => ({ name, kind: "numeric" })));
    const place = { ...placeIn(shared), layout };
    const rows = 300;
    const random = new SeededRandom(1);
    const add = (sequence: number) =>
      parts.add(place, key(sequence), (sketch) => {
        const values = () => Float64Array.from({ length: rows }, () => random.below(1e9) / 7);
        const batch = new Map(columns.map((name) => [name, { kind: "numeric", values: values() }]));
        addRows(sketch, { rows, columns: batch as ReadonlyMap<string, ColumnBatch> });
      });
    await flushed(parts, add(1));
    const added = [add(2)];
    await nextTurn();
    const writing = parts.flush();
    for (let sequence = 3; sequence <= 6; sequence++) {
      await nextTurn();
      added.push(add(sequence));
    }
    await writing;
    expect(await flushed(parts, Promise.all(added))).toEqual(new Array(5).fill("counted"));
    const [part] = await parts.peek("g");
    expect(part).toMatchObject({ rows: 6 * rows, sequences: [1, 2, 3, 4, 5, 6] });
    const sketch = decodeWindow(part!.sketch, layout);
    expect(new Set(sketch.columns.map(rowsOfSketch))).toEqual(new Set([6 * rows]));
  });

  it("does not let a part change while it is encoded", async () => {
    const place = placeIn(await useShared());
    const part = new OpenPart(place, "s");
    part.load(undefined);
    void part.add(place, key(1), rowsOf(1));
    part.begin();
    const encoded = part.encode();
    expect(() => part.add(place, key(2), rowsOf(2))).toThrow(/does not change/);
    expect((await encoded).document.sequences).toEqual([1]);
    expect(part.encoding).toBeUndefined();
    void part.add(place, key(2), rowsOf(2));
    expect((await part.encode()).document.sequences).toEqual([1, 2]);
  });

  it("answers a batch that comes again, also while the first one waits", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared);
    const place = placeIn(shared);
    const twice = [1, 1].map((sequence) => parts.add(place, key(sequence), rowsOf(sequence)));
    expect(await Promise.all(twice)).toEqual(["counted", "repeated"]);
    const other = await useReplica(shared);
    expect(await other.parts.add(place, key(1), rowsOf(1))).toBe("repeated");
    expect(await other.parts.counted("g", key(1))).toBe(true);
    expect(await other.parts.counted("g", key(2))).toBe(false);
    expect((await parts.peek("g"))[0]).toMatchObject({ rows: 10, sequences: [1] });
  });

  it("forgets sequences up to the floor, and takes none of them again", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared);
    const place = placeIn(shared);
    for (const sequence of [1, 2, 4]) {
      await parts.add(place, key(sequence), rowsOf(sequence));
    }
    await parts.add(place, key(6, { acknowledged: 3 }), rowsOf(6));
    expect((await parts.peek("g"))[0]).toMatchObject({ acknowledged: 3, sequences: [4, 6] });
    // A straggler of an older stream.
    expect(await parts.add(place, key(3), rowsOf(3))).toBe("repeated");
    expect(await parts.add(place, key(5), rowsOf(5))).toBe("counted");
    expect((await parts.peek("g"))[0]).toMatchObject({ acknowledged: 3, sequences: [4, 5, 6] });
  });

  it("counts on top of what another process has stored", async () => {
    const shared = await useShared();
    const replicas = [await useReplica(shared), await useReplica(shared)];
    const place = placeIn(shared);
    const sequences = Array.from({ length: 20 }, (_, i) => i + 1);
    await Promise.all(
      sequences.map((sequence) =>
        replicas[sequence % 2]!.parts.add(place, key(sequence), rowsOf(sequence)),
      ),
    );
    const [part] = await replicas[0]!.parts.peek("g");
    expect(part).toMatchObject({ rows: 200, sequences, totals: { inferences: 20 } });
    expect(decodeWindow(part!.sketch, place.layout).rows).toBe(200);
  });

  it("fails who waits when the store is away, and works when it is back", async () => {
    const shared = await useShared();
    const { parts, store } = await useReplica(shared);
    const place = placeIn(shared);
    for (const [fault, outcome] of [
      ["before", "counted"],
      ["after", "repeated"],
    ] as const) {
      const sequence = fault === "before" ? 1 : 2;
      store.nextFault = () => fault;
      const add = parts.add(place, key(sequence), rowsOf(sequence));
      await expect(add).rejects.toMatchObject({ kind: "Unavailable" });
      store.nextFault = () => undefined;
      expect(await parts.add(place, key(sequence), rowsOf(sequence))).toBe(outcome);
    }
    expect((await parts.peek("g"))[0]).toMatchObject({ rows: 20 });
  });

  it("counts nothing of a change that throws", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared);
    const place = placeIn(shared);
    const fails: PartChange = () => {
      throw new TypeError("no");
    };
    await expect(parts.add(place, key(1), fails)).rejects.toThrow(TypeError);
    expect(await parts.add(place, key(1), rowsOf(1))).toBe("counted");
    expect((await parts.peek("g"))[0]).toMatchObject({ rows: 10, sequences: [1] });
  });

  it("takes nothing more once it is sealed, from whoever has it open", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared, BY_HAND);
    const other = await useReplica(shared);
    const place = placeIn(shared);
    await flushed(parts, parts.add(place, key(1), rowsOf(1)));
    const waiting = parts.add(place, key(2), rowsOf(2));
    expect(await other.parts.sealed("g")).toMatchObject([{ sealed: true, sequences: [1] }]);
    expect(await flushed(parts, waiting)).toBe("sealed");
    expect(await parts.add(place, key(1), rowsOf(1))).toBe("repeated");
    expect(await parts.add(place, key(3), rowsOf(3))).toBe("sealed");
    expect(await other.parts.sealed("g")).toMatchObject([{ rows: 10 }]);
  });

  it("knows the batches of a part that is retired until that is forgotten", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared);
    const place = placeIn(shared);
    await parts.add(place, key(1), rowsOf(1));
    await parts.retireGroup("g", new Date(shared.clock.now() + 1000));
    expect(await parts.peek("g")).toEqual([]);
    const other = await useReplica(shared);
    expect(await other.parts.add(place, key(1), rowsOf(1))).toBe("repeated");
    expect(await other.parts.add(place, key(2), rowsOf(2))).toBe("sealed");
    shared.clock.advance(1001);
    expect(await other.parts.counted("g", key(1))).toBe(false);
    await parts.deleteGroup("g");
  });

  it("does not bring back a part that was removed", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared);
    const other = await useReplica(shared);
    const place = placeIn(shared);
    await parts.add(place, key(1), rowsOf(1));
    await other.parts.deleteGroup("g");
    expect(await parts.add(place, key(2), rowsOf(2))).toBe("sealed");
    expect(await parts.peek("g")).toEqual([]);
  });

  it("writes what waits before it ends, and takes nothing more", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared, BY_HAND);
    const place = placeIn(shared);
    const waiting = parts.add(place, key(1), rowsOf(1));
    await flushed(parts, waiting);
    const last = parts.add(place, key(2), rowsOf(2));
    await Promise.resolve();
    await parts[Symbol.asyncDispose]();
    expect(await Promise.all([waiting, last])).toEqual(["counted", "counted"]);
    await expect(parts.add(place, key(3), rowsOf(3))).rejects.toMatchObject({
      kind: "Unavailable",
    });
  });

  it("keeps sketches that are too large for one document in blocks", async () => {
    const shared = await useShared();
    // Texts of chance, or they would be compressed to nothing.
    const text = (seed: number) => createHash("sha512").update(String(seed)).digest("base64");
    const columns = new Map<string, ColumnBatch>(
      Array.from({ length: 30 }, (_, column) => {
        const values = Array.from({ length: 6000 }, (_, row) => text(column * 6000 + row));
        return [`c${column}`, { kind: "category", values }];
      }),
    );
    const kinds = [...columns.keys()].map((name) => ({ name, kind: "category" as const }));
    const place = { ...placeIn(shared), layout: draftLayout(kinds) };
    const { parts, kill } = await useReplica(shared, { memoryBytesMax: 8 * 2 ** 20 });
    const change: PartChange = (sketch) => addRows(sketch, { rows: 6000, columns });
    expect(await parts.add(place, key(1), change)).toBe("counted");
    // It is evicted: this one reads it again.
    expect(await parts.add(place, key(2), change)).toBe("counted");
    kill();
    const other = await useReplica(shared);
    expect(await other.parts.add(place, key(3), change)).toBe("counted");
    const [part] = await other.parts.sealed("g");
    expect(part!.sketch.length).toBeGreaterThan(8 * 2 ** 20);
    expect(decodeWindow(part!.sketch, place.layout).rows).toBe(18_000);
    const { documents } = shared;
    const blocks = await documents.collection({ name: "sketch_blocks", indexes: [] });
    expect(await blocks.countDocuments({})).toBe(3);
    await other.parts.retireGroup("g", FOREVER);
    expect(await blocks.countDocuments({})).toBe(0);
  });

  it("forgets open parts when memory runs out, and nothing of them is lost", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared, { memoryBytesMax: 200_000 });
    const place = placeIn(shared);
    for (let round = 0; round < 3; round++) {
      for (let group = 0; group < 10; group++) {
        await parts.add({ ...place, group: `g${group}` }, key(round + 1), rowsOf(round + 1));
      }
    }
    for (let group = 0; group < 10; group++) {
      expect((await parts.peek(`g${group}`))[0]).toMatchObject({ rows: 30, sequences: [1, 2, 3] });
    }
  });

  it("refuses a sender that never says what is acknowledged", async () => {
    const shared = await useShared();
    const { parts } = await useReplica(shared);
    const place = placeIn(shared);
    const nothing: PartChange = () => {};
    const adds = Array.from({ length: 10_001 }, (_, i) => parts.add(place, key(i + 1), nothing));
    const outcomes = await Promise.allSettled(adds);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(10_000);
    expect(outcomes.at(-1)).toMatchObject({ reason: { kind: "ResourceExhausted" } });
  });
});
