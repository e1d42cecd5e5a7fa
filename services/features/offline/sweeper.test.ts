import { createHash, randomUUID } from "node:crypto";
import { utimes } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import type { Document } from "../../common/documents/port.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { compactHistory } from "./compact.ts";
import { AIRPORT_SHAPE, AIRPORTS, airportRows, DAY_US, useOfflineStore } from "./testing.ts";

const TWO_HOURS_AGO = new Date(Date.now() - 7_200_000);

/** Makes a blob look as if it had been stored two hours ago. */
async function age(blobs: BlobStore, digest: Digest): Promise<void> {
  await utimes(await blobs.localPath(digest), TWO_HOURS_AGO, TWO_HOURS_AGO);
}

async function store(blobs: BlobStore, text: string, stageId = randomUUID()): Promise<Digest> {
  const bytes = Buffer.from(text);
  const writer = await blobs.stage(stageId);
  await writer.write(bytes);
  await writer[Symbol.asyncDispose]();
  const digest = createHash("sha256").update(bytes).digest("hex");
  await blobs.commit(stageId, { digest, sizeBytes: bytes.length });
  return digest;
}

describe("sweeper", () => {
  it("removes old blobs that neither a manifest nor anybody else refers to", async () => {
    const { offline, blobs } = await useOfflineStore();
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 1]]));
    const [file] = (await offline.read(AIRPORTS)).files;
    const [lost, table, young] = await Promise.all(
      ["lost", "table", "young"].map((t) => store(blobs, t)),
    );
    for (const digest of [file!.digest, lost!, table!]) await age(blobs, digest);
    await offline.sweep(() => [table!]);
    const sizes = await Promise.all(
      [file!.digest, lost!, table!, young!].map((d) => blobs.size(d)),
    );
    expect(sizes).toEqual([file!.sizeBytes, undefined, 5, 5]);
  });

  it("keeps what a compaction replaced for an hour", async () => {
    const clock = new FakeClock();
    const { offline, blobs } = await useOfflineStore({ clock });
    for (const n of [1, 2]) {
      await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US + n, n]]));
      await offline.flush(AIRPORTS);
    }
    const { files } = await offline.read(AIRPORTS);
    const { signal } = new AbortController();
    await compactHistory(offline, AIRPORTS, AIRPORT_SHAPE, { signal });
    for (const { digest } of files) await age(blobs, digest);
    const sizes = async () => Promise.all(files.map(({ digest }) => blobs.size(digest)));
    clock.advance(3_000_000);
    await offline.sweep(() => []);
    expect(await sizes()).toEqual(files.map(({ sizeBytes }) => sizeBytes));
    clock.advance(700_000);
    await offline.sweep(() => []);
    expect(await sizes()).toEqual([undefined, undefined]);
    expect((await offline.read(AIRPORTS)).rows).toBe(2);
  });

  it("lets who stores a blob again wait until its removal is over", async () => {
    const { offline, blobs } = await useOfflineStore();
    const digest = await store(blobs, "table");
    await age(blobs, digest);
    // The reference comes between the sweeper's two looks.
    let looks = 0;
    const references: Digest[] = [];
    const claimed = Promise.withResolvers<void>();
    const referenced = async function* () {
      looks += 1;
      if (looks === 2) {
        void offline.claimBlob(digest).then(claimed.resolve, claimed.reject);
        // Let it see the mark.
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      yield* references;
    };
    await offline.sweep(referenced);
    expect(looks).toBe(2);
    await claimed.promise;
    expect(await blobs.size(digest)).toBeUndefined();
    references.push(await store(blobs, "table"));
    await age(blobs, digest);
    await offline.sweep(referenced);
    expect(await blobs.size(digest)).toBe(5);
  });

  it("removes what an append that never ended left in the log, after a day", async () => {
    const clock = new FakeClock();
    const { offline, documents } = await useOfflineStore({ clock });
    const heads = await documents.collection<Document>({ name: "feature_log", indexes: [] });
    const parts = await documents.collection<Document>({ name: "feature_log_rows", indexes: [] });
    const time = new Date(clock.now());
    const head = {
      workspace: "default",
      view: "airports",
      rows: 1,
      bytes: 1,
      parts: 1,
      receipt: null,
      time,
    };
    await heads.insertOne({ _id: "view-1|torn", ...head } as Document);
    await parts.insertOne({ _id: "view-1|orphan|0", bytes: new Uint8Array(1), time } as Document);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["ATL", DAY_US, 1]]));
    const count = async () => [await heads.countDocuments({}), await parts.countDocuments({})];
    expect((await offline.read(AIRPORTS)).rows).toBe(1);
    await offline.append(AIRPORTS, AIRPORT_SHAPE, airportRows([["SFO", DAY_US, 1]]));
    clock.advance(24 * 3_600_000);
    await offline.sweep(() => []);
    expect(await count()).toEqual([2, 2]);
    clock.advance(2 * 3_600_000);
    await offline.sweep(() => []);
    expect(await count()).toEqual([1, 1]);
    expect((await offline.read(AIRPORTS)).rows).toBe(2);
  });
});
