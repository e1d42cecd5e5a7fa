import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openBlobStore } from "../../common/blobs/open.ts";
import type { BlobStore } from "../../common/blobs/port.ts";
import { systemClock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { BatchReceipts } from "./batch-receipts.ts";
import type { OfflineEngine } from "./engine-tasks.ts";
import { type FlusherDeps, flushHistory } from "./flusher.ts";
import { ManifestStore } from "./manifest-store.ts";
import { PendingLog } from "./pending-log.ts";
import {
  AIRPORT_SHAPE,
  AIRPORTS,
  airportRows,
  DAY_US,
  latestRows,
  useEngine,
  useOfflineStore,
} from "./testing.ts";

/** A process that dies at a certain step: that step fails, before or after it took effect, and all later ones. */
class Crash {
  readonly #mode: "before" | "after";
  #left: number;

  constructor(step: number, mode: "before" | "after") {
    this.#left = step;
    this.#mode = mode;
  }

  get happened(): boolean {
    return this.#left < 0;
  }

  async step<R>(run: () => Promise<R>): Promise<R> {
    const left = this.#left--;
    if (left > 0) return run();
    if (left === 0 && this.#mode === "after") await run();
    throw new Error("the process died");
  }
}

const STEPS = ["insertOne", "replaceOne", "putOne", "deleteOne", "commit", "run"];

function dying<T extends object>(target: T, crash: Crash): T {
  return new Proxy(target, {
    get(_, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args);
      if (name === "collection") {
        return async (spec: unknown) => dying((await call(spec)) as Collection<Document>, crash);
      }
      return STEPS.includes(String(name))
        ? (...args: unknown[]) => crash.step(async () => call(...args))
        : call;
    },
  });
}

interface Parts {
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly engine: OfflineEngine;
}

const BATCHES = [0, 1].map((n) => ({
  batchId: `batch-${n}`,
  rows: airportRows(
    [
      [`A${n}`, DAY_US + n, n],
      ["B", DAY_US + n, n],
    ],
    DAY_US + n,
  ),
}));

async function store(parts: Parts) {
  // A dead process keeps its lease until it runs out.
  return (await useOfflineStore({ ...parts, config: { jobLeaseMs: 20 } })).offline;
}

/** Appends and flushes until it is done or dead; the batches that were acknowledged. */
async function pushAll(parts: Parts): Promise<number> {
  let acknowledged = 0;
  try {
    const offline = await store(parts);
    for (const [n, { batchId, rows }] of BATCHES.entries()) {
      const claim = { batchId, contentDigest: batchId, createdUs: DAY_US + n };
      const receipt = await offline.claim(AIRPORTS, claim);
      await offline.append(AIRPORTS, AIRPORT_SHAPE, rows, { receipt });
      acknowledged += 1;
      await offline.flush(AIRPORTS);
    }
  } catch (error) {
    expect((error as Error).message).toBe("the process died");
  }
  return acknowledged;
}

async function countDocuments(documents: DocumentStore, name: string): Promise<number> {
  return (await documents.collection({ name, indexes: [] })).countDocuments({});
}

describe("flusher", () => {
  for (const mode of ["before", "after"] as const) {
    it(`loses and repeats nothing when the process dies ${mode} any step`, {
      timeout: 120_000,
    }, async () => {
      const engine = useEngine();
      let steps = 0;
      for (let crashed = true; crashed; steps++) {
        const documents = await useStore();
        const blobs = await openBlobStore(`file:${join(useFolder(), "blobs")}`);
        const crash = new Crash(steps, mode);
        const acknowledged = await pushAll({
          documents: dying(documents, crash),
          blobs: dying(blobs, crash),
          engine: dying(engine, crash),
        });
        crashed = crash.happened;
        const offline = await store({ documents, blobs, engine });
        const before = await offline.read(AIRPORTS);
        expect(before.rows, `step ${steps}`).toBeGreaterThanOrEqual(acknowledged * 2);
        expect(before.rows % 2, `step ${steps}: a half batch`).toBe(0);
        const manifests = await ManifestStore.open(documents);
        expect((await manifests.get(AIRPORTS)).absorbed, `step ${steps}`).toEqual([]);
        expect(await pushAll({ documents, blobs, engine })).toBe(2);
        const after = await offline.read(AIRPORTS);
        expect(after.rows, `step ${steps}`).toBe(4);
        const [latest] = await latestRows(engine, after);
        expect(latest?.keys).toEqual({ airport: ["A0", "A1", "B"] });
        expect(latest?.features.delay).toEqual([0, 1, 1]);
        expect(await countDocuments(documents, "feature_log")).toBe(0);
        expect(await offline.status(AIRPORTS)).toMatchObject({ rows: 4, pendingRows: 0 });
      }
      expect(steps).toBeGreaterThan(25);
    });
  }

  it("gives each row to one of two flushers that have no lease", async () => {
    const parts = await useOfflineStore();
    const deps = await flusherDeps(parts);
    const others = await flusherDeps(parts);
    for (let round = 0; round < 5; round++) {
      for (let n = 0; n < 10; n++) {
        const rows = airportRows([[`A${round}-${n}`, DAY_US + n, n]]);
        await parts.offline.append(AIRPORTS, AIRPORT_SHAPE, rows);
      }
      const { signal } = new AbortController();
      const flushed = await Promise.all([
        flushHistory(deps, AIRPORTS, signal),
        flushHistory(others, AIRPORTS, signal),
      ]);
      expect(flushed[0] + flushed[1]).toBe(10);
      const snapshot = await parts.offline.read(AIRPORTS);
      expect(snapshot.rows).toBe(10 * (round + 1));
    }
    expect(await countDocuments(parts.documents, "feature_log_rows")).toBe(0);
  });

  it("lets two stores on the same documents flush at the same time", async () => {
    const one = await useOfflineStore();
    const other = (await useOfflineStore(one)).offline;
    for (let n = 0; n < 20; n++) {
      const rows = airportRows([[`A${n}`, DAY_US + n, n]]);
      await (n % 2 === 0 ? one.offline : other).append(AIRPORTS, AIRPORT_SHAPE, rows);
    }
    const reads = await Promise.all(
      [one.offline, other, one.offline, other].map((s) => s.read(AIRPORTS)),
    );
    expect(reads.map(({ rows }) => rows)).toEqual([20, 20, 20, 20]);
  });

  it("drops a batch that a replay put back into the log after it had gone into files", async () => {
    const parts = await useOfflineStore();
    const { offline } = parts;
    const claim = { batchId: "b", contentDigest: "x", createdUs: DAY_US };
    const first = await offline.claim(AIRPORTS, claim);
    const late = await offline.claim(AIRPORTS, claim);
    const rows = airportRows([["ATL", DAY_US, 1]]);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, rows, { receipt: first });
    await offline.flush(AIRPORTS);
    // The replay read the receipt before the flush and writes after it.
    expect(late.absorbed).toBe(false);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, rows, { receipt: late });
    expect(await offline.read(AIRPORTS)).toMatchObject({ rows: 1, snapshot: 1 });
    expect(await countDocuments(parts.documents, "feature_log")).toBe(0);
    expect(await countDocuments(parts.documents, "feature_log_rows")).toBe(0);
  });

  it("keeps rows apart whose view changed between two pushes", async () => {
    const { offline, engine } = await useOfflineStore();
    const text = { ...AIRPORT_SHAPE, features: [{ name: "delay", type: "STRING" } as const] };
    const rows = airportRows([["ATL", DAY_US, 1]]);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, rows);
    const later = { ...airportRows([["ATL", DAY_US + 1, null]]), features: { delay: ["late"] } };
    await offline.append(AIRPORTS, text, later);
    const snapshot = await offline.read(AIRPORTS);
    expect(snapshot.files).toHaveLength(2);
    const [latest] = await latestRows(engine, snapshot, text);
    expect(latest?.features).toEqual({ delay: ["late"] });
  });

  it("drops what comes for a deleted history", async () => {
    const parts = await useOfflineStore();
    const { offline, blobs } = parts;
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 1]]));
    const { files } = await offline.read(AIRPORTS);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 2]]));
    await offline.delete(AIRPORTS);
    expect(await blobs.size(files[0]!.digest)).toBeUndefined();
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 3]]));
    expect(await offline.read(AIRPORTS)).toMatchObject({ rows: 0, files: [] });
    expect(await countDocuments(parts.documents, "feature_log")).toBe(0);
    await expect(offline.markMaterialized(AIRPORTS, 1)).rejects.toThrow("was deleted");
  });
});

async function flusherDeps(parts: Parts): Promise<FlusherDeps> {
  const folder = useFolder();
  return {
    ...parts,
    config: { flushRowsMax: 3 },
    log: await PendingLog.open(parts.documents, systemClock),
    receipts: await BatchReceipts.open(parts.documents, systemClock),
    manifests: await ManifestStore.open(parts.documents),
    newScratchDir: () => join(folder, crypto.randomUUID()),
  };
}
