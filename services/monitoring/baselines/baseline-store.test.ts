import { describe, expect, it, vi } from "vitest";
import { type BaselineProfile, encodeProfile, profileOfDraft } from "../sketch/column-profile.ts";
import { addRows, newWindowSketch } from "../sketch/window-sketch.ts";
import type { NewBaseline } from "./baseline-store.ts";
import { fileLayout } from "./draft-layout.ts";
import { DyingStore } from "./testing/dying-store.ts";
import { type Shared, useReplica, useShared, VERSION } from "./testing/use-baselines.ts";

const UID = VERSION.modelVersionUid;
const DAY_MS = 86_400_000;

/** The profile of the numbers from `first` on. */
function profileFrom(first: number): BaselineProfile {
  const draft = newWindowSketch(fileLayout([{ name: "x", kind: "numeric" }]));
  const values = Float64Array.from({ length: 100 }, (_, i) => first + i);
  addRows(draft, { rows: 100, columns: new Map([["x", { kind: "numeric", values }]]) });
  return profileOfDraft(draft);
}

function dataset(first: number): NewBaseline {
  return { ...VERSION, profile: profileFrom(first), source: "dataset", fileName: "a.csv" };
}

async function blobsOf({ blobs }: Shared): Promise<number> {
  return (await Array.fromAsync(blobs.list())).length;
}

describe("BaselineStore", () => {
  it("keeps a baseline, and knows of none before", async () => {
    const shared = await useShared();
    const { baselines } = await useReplica(shared);
    expect(await baselines.ready(UID)).toBeUndefined();
    await baselines.put(dataset(0));
    const again = await useReplica(shared);
    const ready = await again.baselines.ready(UID);
    expect(ready).toMatchObject({ ...VERSION, rows: 100, source: "dataset", fileName: "a.csv" });
    expect(encodeProfile(ready!)).toEqual(encodeProfile(profileFrom(0)));
    expect(ready!.layoutId).toBe(ready!.layout.id);
    expect((await baselines.named(VERSION.modelVersion))?._id).toBe(UID);
  });

  it("gives the same sketches each time, until they are replaced", async () => {
    const { baselines } = await useReplica(await useShared());
    await baselines.put(dataset(0));
    const first = await baselines.ready(UID);
    expect((await baselines.ready(UID))?.baseline).toBe(first?.baseline);
    await baselines.put(dataset(1000));
    expect((await baselines.ready(UID))?.layoutId).toBe(profileFrom(1000).layout.id);
  });

  it("tells other replicas what was replaced", async () => {
    const shared = await useShared();
    const [one, other] = [await useReplica(shared), await useReplica(shared)];
    expect(await other.baselines.ready(UID)).toBeUndefined();
    for (const first of [0, 1000]) {
      await one.baselines.put(dataset(first));
      const { id } = profileFrom(first).layout;
      await vi.waitFor(async () => {
        expect((await other.baselines.ready(UID))?.layoutId).toBe(id);
      }, 10_000);
    }
  });

  it("makes of the same data the same baseline, with one blob", async () => {
    const shared = await useShared();
    const { baselines } = await useReplica(shared);
    const first = await baselines.put(dataset(0));
    const second = await baselines.put(dataset(0));
    expect(second).toEqual({ ...first, digest: second.digest });
    expect(second.digest).not.toBe(first.digest);
    expect(await blobsOf(shared)).toBe(1);
    expect((await baselines.ready(UID))?.digest).toBe(second.digest);
  });

  it("shares no blob between versions with equal data", async () => {
    const shared = await useShared();
    const { baselines } = await useReplica(shared);
    await baselines.put(dataset(0));
    await baselines.put({ ...dataset(0), modelVersionUid: "v-2" });
    await baselines.put({ ...dataset(5), modelVersionUid: "v-2" });
    await shared.clock.advance(41 * DAY_MS);
    await baselines.sweepRecord("v-2");
    const fresh = await useReplica(shared);
    expect((await fresh.baselines.ready(UID))?.layoutId).toBe(profileFrom(0).layout.id);
  });

  it("knows the layouts that windows may still be open on, for a while", async () => {
    const shared = await useShared();
    const { baselines } = await useReplica(shared);
    const ids = [0, 1000, 2000, 3000, 4000, 5000].map((first) => profileFrom(first).layout.id);
    for (const first of [0, 1000, 2000, 3000, 4000, 5000]) {
      await baselines.put(dataset(first));
    }
    const known = await Promise.all(ids.map((id) => baselines.layout(UID, id)));
    expect(known.map((layout) => layout?.id)).toEqual([undefined, ...ids.slice(1)]);
    expect(await blobsOf(shared)).toBe(5);
    shared.clock.advance(41 * DAY_MS);
    expect((await Array.fromAsync(baselines.due())).map(({ _id }) => _id)).toEqual([UID]);
    await baselines.sweepRecord(UID);
    expect(await Array.fromAsync(baselines.due())).toEqual([]);
    expect(await blobsOf(shared)).toBe(1);
    expect(await baselines.layout(UID, ids[4]!)).toBeUndefined();
    expect((await baselines.layout(UID, ids[5]!))?.id).toBe(ids[5]);
  });

  it("puts nothing where it may not follow, and leaves nothing", async () => {
    const shared = await useShared();
    const { baselines } = await useReplica(shared);
    expect(await baselines.putIf(dataset(0), (current) => current !== undefined)).toBe(false);
    expect(await baselines.fresh(UID)).toBeUndefined();
    expect(await blobsOf(shared)).toBe(0);
  });

  it("leaves at most one blob when it dies, which a sweep removes", async () => {
    const shared = await useShared();
    const { baselines } = await useReplica(shared);
    await baselines.put(dataset(0));
    // Its first write is the claim, its second the baseline.
    const documents = new DyingStore(shared.documents, { atWrite: 1, when: "before" });
    const dying = await useReplica(shared, { documents });
    await expect(dying.baselines.put(dataset(7))).rejects.toThrow("died");
    expect((await baselines.ready(UID))?.layoutId).toBe(profileFrom(0).layout.id);
    expect(await blobsOf(shared)).toBe(2);
    await baselines.sweepOrphans();
    expect(await blobsOf(shared)).toBe(2);
    shared.clock.advance(3_700_000);
    await baselines.sweepOrphans();
    expect(await blobsOf(shared)).toBe(1);
    expect((await (await useReplica(shared)).baselines.ready(UID))?.rows).toBe(100);
  });

  it("says that a baseline is lost where its blob is gone", async () => {
    const shared = await useShared();
    const { baselines } = await useReplica(shared);
    const { digest } = await baselines.put(dataset(0));
    await shared.blobs.delete(digest);
    await expect(baselines.ready(UID)).rejects.toMatchObject({ kind: "DataLoss" });
  });

  it("keeps the last of many that are put at once, and its blob alone", async () => {
    const shared = await useShared();
    const replicas = [await useReplica(shared), await useReplica(shared)];
    const puts = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => {
      return replicas[n % 2]!.baselines.put(dataset(n * 1000));
    });
    await Promise.all(puts);
    const { baselines } = await useReplica(shared);
    const ready = await baselines.ready(UID);
    expect(ready?.rows).toBe(100);
    const record = await baselines.fresh(UID);
    expect(record?.replaced).toHaveLength(4);
    expect(await blobsOf(shared)).toBe(5);
  });
});
