import { describe, expect, it } from "vitest";
import { useStore } from "../common/documents/testing.ts";
import { createLogger } from "../common/telemetry/log.ts";
import { FakeClock } from "../common/testing/fake-clock.ts";
import {
  claimArtifact,
  collectArtifact,
  type GarbageDeps,
  stageIdOf,
  sweepBytes,
} from "./collect-garbage.ts";
import { createEvents } from "./events.ts";
import { openRegistryStore } from "./store.ts";
import { linearModel } from "./test-models.ts";
import { makeModel, sha256, upload, useBlobs, useRegistry } from "./testing.ts";

const bytes = linearModel();
const digest = sha256(bytes);
const never = new AbortController().signal;

async function useDeps(): Promise<GarbageDeps & { readonly clock: FakeClock }> {
  const clock = new FakeClock(Date.now());
  const documents = await useStore({ clock });
  const events = createEvents(createLogger({ service: "test", level: "off" }));
  return { store: await openRegistryStore(documents), blobs: await useBlobs(), clock, events };
}

/** Bytes in the blob store that are known as ours. */
async function putBlob(deps: GarbageDeps, id = "u1"): Promise<void> {
  await stage(deps, id);
  await claimArtifact(deps, digest);
  await deps.blobs.commit(stageIdOf(id), { digest, sizeBytes: bytes.length });
}

async function stage(deps: GarbageDeps, id: string): Promise<void> {
  await using writer = await deps.blobs.stage(stageIdOf(id));
  await writer.write(bytes);
  await writer.sync();
}

async function putUpload(deps: GarbageDeps, uploadId: string): Promise<void> {
  await deps.store.uploads.insertOne({
    _id: `workspaces/default/uploads/${uploadId}`,
    uploadId,
    workspace: "default",
    createTime: new Date(deps.clock.now()),
    expireTime: new Date(deps.clock.now() + 3_600_000),
    sha256: digest,
    sizeBytes: bytes.length,
    receivedBytes: bytes.length,
    complete: false,
  });
}

describe("collect-garbage", () => {
  it("deletes bytes that nothing refers to, and only those it knows", async () => {
    const deps = await useDeps();
    await putBlob(deps);
    const foreign = Buffer.from("another service's");
    const foreignDigest = sha256(foreign);
    {
      await using writer = await deps.blobs.stage("data-1");
      await writer.write(foreign);
    }
    await deps.blobs.commit("data-1", { digest: foreignDigest, sizeBytes: foreign.length });
    await sweepBytes(deps, { uploadTtlMs: 3_600_000, signal: never });
    expect(await deps.blobs.size(digest)).toBeUndefined();
    expect(await deps.blobs.size(foreignDigest)).toBe(foreign.length);
    expect(await deps.store.artifacts.countDocuments({})).toBe(0);
  });

  it("keeps bytes that an upload refers to", async () => {
    const deps = await useDeps();
    await putBlob(deps);
    await putUpload(deps, "u2");
    expect(await collectArtifact(deps, digest)).toBe(false);
    expect(await deps.blobs.size(digest)).toBe(bytes.length);
  });

  it("takes its mark back when a reference appears after the mark", async () => {
    const deps = await useDeps();
    await putBlob(deps);
    const { artifacts } = deps.store;
    const replaceOne = artifacts.replaceOne.bind(artifacts);
    artifacts.replaceOne = async (document, condition) => {
      const stored = await replaceOne(document, condition);
      if (document.deletingUntil !== null) {
        await putUpload(deps, "late");
      }
      return stored;
    };
    expect(await collectArtifact(deps, digest)).toBe(false);
    expect(await deps.blobs.size(digest)).toBe(bytes.length);
    expect((await artifacts.findOne({ _id: digest }))?.deletingUntil).toBeNull();
  });

  it("makes a commit wait for a deletion under way, and then stores the bytes again", async () => {
    const deps = await useDeps();
    await putBlob(deps);
    const gate = Promise.withResolvers<void>();
    const deleting = Promise.withResolvers<void>();
    const remove = deps.blobs.delete.bind(deps.blobs);
    deps.blobs.delete = async (one) => {
      deleting.resolve();
      await gate.promise;
      await remove(one);
    };
    const collected = collectArtifact(deps, digest);
    await deleting.promise;
    await putUpload(deps, "u2");
    let isCommitted = false;
    const committed = putBlob(deps, "u2").then(() => {
      isCommitted = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(isCommitted).toBe(false);
    gate.resolve();
    expect(await collected).toBe(true);
    await committed;
    expect(await deps.blobs.size(digest)).toBe(bytes.length);
  });

  it("takes over the mark of a collector that died", async () => {
    const deps = await useDeps();
    await putBlob(deps);
    const known = await deps.store.artifacts.findOne({ _id: digest });
    await deps.store.artifacts.replaceOne(
      { _id: digest, deletingUntil: new Date(deps.clock.now() + 60_000) },
      { ifVersion: known?.version ?? 0 },
    );
    expect(await collectArtifact(deps, digest)).toBe(false);
    deps.clock.advance(61_000);
    await putUpload(deps, "u2");
    await putBlob(deps, "u2");
    expect(await deps.blobs.size(digest)).toBe(bytes.length);
    expect((await deps.store.artifacts.findOne({ _id: digest }))?.deletingUntil).toBeNull();
  });

  it("never loses bytes to deletions of the same digest", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    const kept: string[] = [];
    await Promise.all(
      Array.from({ length: 24 }, async (_, i) => {
        const { name } = await registry.models.createModelVersion({
          parent: model,
          upload: await upload(registry, bytes),
        });
        if (i % 2 === 0) {
          await registry.models.deleteModelVersion({ name });
        } else {
          kept.push(name);
          expect(await registry.blobs.size(digest)).toBe(bytes.length);
        }
      }),
    );
    for (const name of kept) {
      const chunks: Uint8Array[] = [];
      for await (const { chunk } of registry.models.downloadArtifact({ name })) {
        chunks.push(chunk);
      }
      expect(sha256(Buffer.concat(chunks))).toBe(digest);
      await registry.models.deleteModelVersion({ name });
    }
    expect(await registry.blobs.size(digest)).toBeUndefined();
  });
});
