import { createHash } from "node:crypto";
import { utimes } from "node:fs/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { useStore } from "../documents/testing.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { useFolder } from "../testing/use-folder.ts";
import { BlobMarks } from "./blob-marks.ts";
import { openBlobStore } from "./open.ts";
import type { Digest } from "./port.ts";
import { sweepUnreferenced } from "./sweep-unreferenced.ts";

const OLD = new Date(Date.now() - 2 * 3_600_000);
const { signal } = new AbortController();

async function useBlobs() {
  const clock = new FakeClock();
  const blobs = await openBlobStore(`file:${useFolder()}`);
  onTestFinished(async () => await blobs[Symbol.asyncDispose]());
  const marks = await BlobMarks.open(await useStore({ clock }), { name: "marks", clock });
  const store = async (text: string): Promise<Digest> => {
    const bytes = Buffer.from(text);
    const digest = createHash("sha256").update(bytes).digest("hex");
    const writer = await blobs.stage("stage");
    await writer.write(bytes);
    await writer[Symbol.asyncDispose]();
    await blobs.commit("stage", { digest, sizeBytes: bytes.length });
    await utimes(await blobs.localPath(digest), OLD, OLD);
    return digest;
  };
  return { blobs, marks, clock, store };
}

describe("sweepUnreferenced", () => {
  it("leaves what another sweeper is at, until that one must have died", async () => {
    const { blobs, marks, clock, store } = await useBlobs();
    const digest = await store("bytes");
    await marks.mark(digest);
    const sweep = () => sweepUnreferenced({ blobs, marks, references: [] }, signal);
    expect(await sweep()).toBe(0);
    expect(await blobs.size(digest)).toBe(5);
    clock.advance(60_001);
    expect(await sweep()).toBe(1);
    expect(await blobs.size(digest)).toBeUndefined();
  });

  it("leaves no mark behind where it could not look for references", async () => {
    const { blobs, marks, store } = await useBlobs();
    const digest = await store("bytes");
    let looks = 0;
    const references = [
      async function* () {
        looks += 1;
        if (looks === 2) throw new Error("not now");
        yield* [];
      },
    ];
    await expect(sweepUnreferenced({ blobs, marks, references }, signal)).rejects.toThrow(
      "not now",
    );
    expect(await blobs.size(digest)).toBe(5);
    expect(await marks.mark(digest)).toBe(true);
  });

  it("frees more than are marked at once, also where two sweep at the same time", async () => {
    const { blobs, marks, store } = await useBlobs();
    const digests: Digest[] = [];
    for (let i = 0; i < 250; i++) digests.push(await store(`bytes ${i}`));
    const kept = digests.slice(0, 10);
    const sweep = () => sweepUnreferenced({ blobs, marks, references: [() => kept] }, signal);
    await Promise.all([sweep(), sweep()]);
    const left = (await Array.fromAsync(blobs.list())).map(({ digest }) => digest);
    expect(left.sort()).toEqual(kept.toSorted());
  });
});
