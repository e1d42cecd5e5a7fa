import { describe, expect, it } from "vitest";
import type { Field, RowBatch } from "../value.ts";
import { compactHistory } from "./compact.ts";
import {
  AIRPORT_SHAPE,
  AIRPORTS,
  airportRows,
  DAY_US,
  latestRows,
  type TestHistory,
  useOfflineStore,
} from "./testing.ts";

const { signal } = new AbortController();

async function push(
  { offline }: TestHistory,
  rows: RowBatch,
  features: readonly Field[] = AIRPORT_SHAPE.features,
): Promise<void> {
  await offline.append(AIRPORTS, { ...AIRPORT_SHAPE, features }, rows);
  await offline.flush(AIRPORTS);
}

describe("compact", () => {
  it("joins the files of each day and drops rows that are there twice", async () => {
    const parts = await useOfflineStore();
    const day2 = DAY_US + 25 * 3.6e9;
    await push(
      parts,
      airportRows([
        ["ATL", DAY_US, 1],
        ["ATL", day2, 2],
      ]),
    );
    await push(
      parts,
      airportRows([
        ["ATL", DAY_US, 9],
        ["SFO", DAY_US, 3],
      ]),
    );
    await push(parts, airportRows([["SFO", DAY_US + 1, 4]]));
    const before = await parts.offline.read(AIRPORTS);
    expect(before.files).toHaveLength(4);
    const counts = await compactHistory(parts.offline, AIRPORTS, AIRPORT_SHAPE, { signal });
    expect(counts).toEqual({ filesBefore: 4, filesAfter: 2, rowsBefore: 5, rowsAfter: 4 });
    const after = await parts.offline.read(AIRPORTS);
    expect(after.files.map(({ day, rows }) => [day, rows])).toEqual([
      ["2026-01-01", 3],
      ["2026-01-02", 1],
    ]);
    expect(after.files[0]?.addedSnapshot).toBe(3);
    // Of ATL's two rows with the same times the first one stayed.
    const only = { sources: after.sources.slice(0, 1) };
    expect((await latestRows(parts.engine, only))[0]?.features.delay).toEqual([1, 4]);
    // The old files are there for who reads them.
    expect((await latestRows(parts.engine, before))[0]?.rows).toBe(2);
    const again = await compactHistory(parts.offline, AIRPORTS, AIRPORT_SHAPE, { signal });
    expect(again).toEqual({ filesBefore: 2, filesAfter: 2, rowsBefore: 4, rowsAfter: 4 });
  });

  it("keeps columns that only older versions have, and types that do not go together", async () => {
    const parts = await useOfflineStore();
    const old: readonly Field[] = [{ name: "old", type: "INT64" }];
    const text: readonly Field[] = [{ name: "delay", type: "STRING" }];
    const rows = (airport: string, features: RowBatch["features"]) => ({
      ...airportRows([[airport, DAY_US, null]]),
      features,
    });
    await push(parts, rows("A", { old: [7] }), old);
    await push(parts, rows("B", { delay: [1.5] }));
    await push(parts, rows("C", { delay: ["late"] }), text);
    await compactHistory(parts.offline, AIRPORTS, AIRPORT_SHAPE, { signal });
    const snapshot = await parts.offline.read(AIRPORTS);
    expect(snapshot.files).toHaveLength(2);
    const read = async (features: readonly Field[]) =>
      (await latestRows(parts.engine, snapshot, { ...AIRPORT_SHAPE, features }))[0]?.features;
    expect(await read(old)).toEqual({ old: [7, null, null] });
    expect(await read([{ name: "delay", type: "DOUBLE" }])).toEqual({ delay: [null, 1.5, null] });
    expect(await read(text)).toEqual({ delay: [null, null, "late"] });
  });

  it("leaves the first of rows with the same times first, whatever types lie between", async () => {
    const parts = await useOfflineStore();
    const text: readonly Field[] = [{ name: "delay", type: "STRING" }];
    await push(parts, airportRows([["ATL", DAY_US, 1]]));
    await push(
      parts,
      { ...airportRows([["SFO", DAY_US, null]]), features: { delay: ["x"] } },
      text,
    );
    await push(parts, airportRows([["SFO", DAY_US, 2]]));
    await push(parts, airportRows([["JFK", DAY_US, 3]]));
    const delays = async () =>
      (await latestRows(parts.engine, await parts.offline.read(AIRPORTS)))[0]?.features.delay;
    const before = await delays();
    expect(before).toEqual([1, 3, null]);
    const counts = await compactHistory(parts.offline, AIRPORTS, AIRPORT_SHAPE, { signal });
    expect(counts).toMatchObject({ filesBefore: 4, filesAfter: 3 });
    expect(await delays()).toEqual(before);
  });

  it("finds a value that came after the compaction and was created before it", async () => {
    const parts = await useOfflineStore();
    const at = (createdUs: number, delay: number): RowBatch => ({
      ...airportRows([["ATL", DAY_US, delay]]),
      createdUs: [createdUs],
    });
    await push(parts, at(DAY_US + 1, 1));
    await push(parts, at(DAY_US + 3, 1));
    await compactHistory(parts.offline, AIRPORTS, AIRPORT_SHAPE, { signal });
    await push(parts, at(DAY_US + 2, 2));
    const snapshot = await parts.offline.read(AIRPORTS);
    expect(snapshot.rows).toBe(3);
    expect((await latestRows(parts.engine, snapshot))[0]?.features.delay).toEqual([1]);
  });

  it("takes in what is pushed and compacted by others meanwhile", async () => {
    const parts = await useOfflineStore();
    for (let n = 0; n < 4; n++) await push(parts, airportRows([[`A${n}`, DAY_US, n]]));
    const compact = () => compactHistory(parts.offline, AIRPORTS, AIRPORT_SHAPE, { signal });
    const more = async () => {
      for (let n = 4; n < 8; n++) await push(parts, airportRows([[`A${n}`, DAY_US, n]]));
    };
    await Promise.all([compact(), compact(), more()]);
    const snapshot = await parts.offline.read(AIRPORTS);
    expect(snapshot.rows).toBe(8);
    expect((await latestRows(parts.engine, snapshot))[0]?.features.delay).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7,
    ]);
  });
});
