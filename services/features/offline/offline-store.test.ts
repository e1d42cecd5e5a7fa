import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Aborted, InvalidArgument, ResourceExhausted } from "../../common/errors/domain-error.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import type { RowBatch } from "../value.ts";
import type { WrittenFile } from "./engine-tasks.ts";
import {
  AIRPORT_SHAPE,
  AIRPORTS,
  airportRows,
  DAY_US,
  latestRows,
  type TestHistory,
  useOfflineStore,
} from "./testing.ts";

const HOUR_US = 3_600_000_000;
const COLUMNS = [...AIRPORT_SHAPE.joinKeys, ...AIRPORT_SHAPE.features];

const SOON = { timeout: 20_000 };

/** Files of rows, as an ingestion would make them. */
async function written(
  { engine, folder }: TestHistory,
  rows: RowBatch,
): Promise<readonly WrittenFile[]> {
  const outDir = join(folder, crypto.randomUUID());
  await mkdir(outDir);
  const input = { shape: AIRPORT_SHAPE, batches: [rows], outDir };
  const { signal } = new AbortController();
  return (await engine.run("write-rows", input, { signal })).files;
}

describe("offline-store", () => {
  it("has appended rows in the next read, one file a day", async () => {
    const { offline, engine } = await useOfflineStore();
    const first = airportRows([
      ["ATL", DAY_US, 1.5],
      ["SFO", DAY_US + 1, null],
    ]);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, first);
    const next = airportRows([["ATL", DAY_US + 25 * HOUR_US, Number.NaN]]);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, next);
    expect(await offline.status(AIRPORTS)).toMatchObject({ rows: 0, pendingRows: 3, files: 0 });
    const snapshot = await offline.read(AIRPORTS);
    expect(snapshot).toMatchObject({ snapshot: 1, rows: 3 });
    const days = snapshot.files.map(({ day, rows }) => [day, rows]);
    expect(days).toEqual([
      ["2026-01-01", 2],
      ["2026-01-02", 1],
    ]);
    const [latest] = await latestRows(engine, snapshot);
    expect(latest).toMatchObject({
      keys: { airport: ["ATL", "SFO"] },
      features: { delay: [Number.NaN, null], flights: [1, 1] },
      eventUs: [DAY_US + 25 * HOUR_US, DAY_US + 1],
    });
    const status = await offline.status(AIRPORTS);
    expect(status).toMatchObject({ rows: 3, pendingRows: 0, files: 2, minEventUs: DAY_US });
    expect(status.unmaterializedRows).toBe(3);
  });

  it("reads the same snapshot until something changes", async () => {
    const { offline } = await useOfflineStore();
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 1]]));
    const [one, two] = await Promise.all([offline.read(AIRPORTS), offline.read(AIRPORTS)]);
    expect(one).toEqual(two);
    expect(await offline.read(AIRPORTS)).toEqual(one);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 2]], DAY_US + 1));
    const three = await offline.read(AIRPORTS);
    expect(three.snapshot).toBe(2);
    expect(three.sha256).not.toBe(one.sha256);
  });

  it("keeps histories apart whose names begin alike", async () => {
    const { offline } = await useOfflineStore();
    const reads = (version: number) => {
      const uid = `reads:workspaces/default/featureServices/f/versions/${version}`;
      return { uid, workspace: "default", view: uid };
    };
    await offline.append(reads(1), AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 1]]));
    await offline.append(
      reads(10),
      AIRPORT_SHAPE,
      airportRows([
        ["A", DAY_US, 1],
        ["B", DAY_US, 2],
      ]),
    );
    expect((await offline.read(reads(1))).rows).toBe(1);
    expect((await offline.status(reads(10))).pendingRows).toBe(2);
  });

  it("splits a batch that is too large for a document, and refuses a row that is", async () => {
    const { offline, engine, documents } = await useOfflineStore();
    const shape = { ...AIRPORT_SHAPE, features: [{ name: "photo", type: "BYTES" } as const] };
    const photos = Array.from({ length: 40 }, (_, n) => new Uint8Array(500_000).fill(n));
    const rows = airportRows(photos.map((_, n) => [`A${n}`, DAY_US + n, null]));
    await offline.append(AIRPORTS, shape, { ...rows, features: { photo: photos } });
    const parts = await documents.collection({ name: "feature_log_rows", indexes: [] });
    expect(await parts.countDocuments({})).toBeGreaterThan(8);
    const snapshot = await offline.read(AIRPORTS);
    expect(snapshot.rows).toBe(40);
    const chunks = await latestRows(engine, snapshot, shape);
    const sizes = chunks.flatMap(({ features }) => features.photo as Uint8Array[]);
    expect(sizes.every((photo) => photo.length === 500_000)).toBe(true);
    const huge = {
      ...airportRows([["X", DAY_US, null]]),
      features: { photo: [new Uint8Array(6e6)] },
    };
    await expect(offline.append(AIRPORTS, shape, huge)).rejects.toThrow(InvalidArgument);
  });

  it("refuses appends beyond the limit until rows have gone into files", async () => {
    const parts = await useOfflineStore({ config: { pendingRowsMax: 2 } });
    const rows = airportRows([
      ["ATL", DAY_US, 1],
      ["SFO", DAY_US, 1],
    ]);
    await parts.offline.append(AIRPORTS, AIRPORT_SHAPE, rows);
    const more = airportRows([["JFK", DAY_US, 1]]);
    const append = (store = parts.offline) => store.append(AIRPORTS, AIRPORT_SHAPE, more);
    await expect(append()).rejects.toThrow(ResourceExhausted);
    // Another process counts what it finds.
    const other = await useOfflineStore({ ...parts, config: { pendingRowsMax: 2 } });
    await expect(append(other.offline)).rejects.toThrow(ResourceExhausted);
    await parts.offline.flush(AIRPORTS);
    await append();
    expect((await parts.offline.read(AIRPORTS)).rows).toBe(3);
  });

  it("adds files of a job once", async () => {
    const parts = await useOfflineStore();
    const { offline } = parts;
    const files = await written(
      parts,
      airportRows([
        ["ATL", DAY_US, 1],
        ["ATL", DAY_US + 25 * HOUR_US, 2],
      ]),
    );
    expect(await offline.add(AIRPORTS, files, COLUMNS, { once: "job-1" })).toEqual({
      snapshot: 1,
      isNew: true,
      isCaughtUp: true,
    });
    const again = await written(parts, airportRows([["ATL", DAY_US, 1]]));
    expect(await offline.add(AIRPORTS, again, COLUMNS, { once: "job-1" })).toEqual({
      snapshot: 1,
      isNew: false,
      isCaughtUp: false,
    });
    expect((await offline.read(AIRPORTS)).rows).toBe(2);
    const both = await Promise.all(
      [again, await written(parts, airportRows([["B", DAY_US, 1]]))].map((some) =>
        offline.add(AIRPORTS, some, COLUMNS, { once: "job-2" }),
      ),
    );
    expect(both.map(({ snapshot }) => snapshot)).toEqual([2, 2]);
    expect(both.map(({ isNew }) => isNew).sort()).toEqual([false, true]);
    expect((await offline.read(AIRPORTS)).rows).toBe(3);
    await offline.add(AIRPORTS, [], COLUMNS, { once: "job-3" });
    expect((await offline.read(AIRPORTS)).snapshot).toBe(2);
  });

  it("replaces files; who read them before still can, unless they are erased", async () => {
    const parts = await useOfflineStore();
    const { offline, blobs } = parts;
    for (const airport of ["ATL", "SFO", "JFK"]) {
      await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([[airport, DAY_US, 1]]));
      await offline.flush(AIRPORTS);
    }
    const before = await offline.read(AIRPORTS);
    const [atl, sfo, jfk] = before.files.map(({ digest }) => digest);
    const [file] = await written(
      parts,
      airportRows([
        ["ATL", DAY_US, 1],
        ["SFO", DAY_US, 1],
      ]),
    );
    const add = [{ file: file!, columns: COLUMNS, addedSnapshot: 2 }];
    await offline.replace(AIRPORTS, { remove: [atl!, sfo!], add });
    const after = await offline.read(AIRPORTS);
    expect(after.files.map(({ rows, addedSnapshot }) => [rows, addedSnapshot])).toEqual([
      [2, 2],
      [1, 3],
    ]);
    expect(await blobs.size(atl!)).toBeGreaterThan(0);
    await expect(offline.replace(AIRPORTS, { remove: [atl!], add: [] })).rejects.toThrow(Aborted);
    await offline.replace(AIRPORTS, { remove: [jfk!], add: [], deleteNow: true });
    // Also what a compaction had put aside.
    expect(await Promise.all([atl, sfo, jfk].map((digest) => blobs.size(digest!)))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect((await offline.read(AIRPORTS)).rows).toBe(2);
  });

  it("counts what incremental materialisation has not seen", async () => {
    const { offline } = await useOfflineStore();
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 1]]));
    const { snapshot } = await offline.read(AIRPORTS);
    await offline.markMaterialized(AIRPORTS, snapshot);
    await offline.append(
      AIRPORTS,
      AIRPORT_SHAPE,
      airportRows([
        ["A", DAY_US, 1],
        ["B", DAY_US, 1],
      ]),
    );
    await offline.flush(AIRPORTS);
    const status = await offline.status(AIRPORTS);
    expect(status).toMatchObject({ rows: 3, unmaterializedRows: 2 });
    expect(status.materializeTime).toBeInstanceOf(Date);
    await offline.markMaterialized(AIRPORTS, 0);
    expect((await offline.read(AIRPORTS)).materializedSnapshot).toBe(1);
  });

  it("gives a lease to one owner at a time", async () => {
    const clock = new FakeClock();
    const { offline } = await useOfflineStore({ clock });
    const first = await offline.lease(AIRPORTS, "a");
    expect(await offline.lease(AIRPORTS, "b")).toBeUndefined();
    await first![Symbol.asyncDispose]();
    const second = await offline.lease(AIRPORTS, "b");
    expect(second?.signal.aborted).toBe(false);
    clock.advance(60_000);
    await using third = await offline.lease(AIRPORTS, "c");
    expect(third).toBeDefined();
    await second![Symbol.asyncDispose]();
    expect(await offline.lease(AIRPORTS, "d")).toBeUndefined();
  });

  it("flushes and compacts by itself", async () => {
    const config = { flushIntervalMs: 100, compactFilesMax: 2 };
    const { offline, engine } = await useOfflineStore({ config });
    offline.start();
    for (let n = 1; n <= 3; n++) {
      await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US + n, n]]));
      await expect.poll(async () => (await offline.status(AIRPORTS)).rows, SOON).toBe(n);
    }
    await expect.poll(async () => (await offline.status(AIRPORTS)).files, SOON).toBe(1);
    const snapshot = await offline.read(AIRPORTS);
    expect(snapshot.rows).toBe(3);
    expect((await latestRows(engine, snapshot))[0]?.features.delay).toEqual([3]);
  });

  it("flushes at once when many rows wait", async () => {
    const config = { flushIntervalMs: 3_600_000, flushRowsMax: 3 };
    const { offline } = await useOfflineStore({ config });
    offline.start();
    await offline.append(
      AIRPORTS,
      AIRPORT_SHAPE,
      airportRows([
        ["A", DAY_US, 1],
        ["B", DAY_US, 1],
      ]),
    );
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["C", DAY_US, 1]]));
    await expect.poll(async () => (await offline.status(AIRPORTS)).rows, SOON).toBe(3);
  });
});
