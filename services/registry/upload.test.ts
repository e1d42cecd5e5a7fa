import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { openBlobStore } from "../common/blobs/open.ts";
import { useSmallDisk } from "../common/blobs/testing.ts";
import { useStore } from "../common/documents/testing.ts";
import { FakeClock } from "../common/testing/fake-clock.ts";
import { useFolder } from "../common/testing/use-folder.ts";
import { sha256, type TestRegistry, upload, uploadMessages, useRegistry } from "./testing.ts";

const bytes = randomBytes(300_000);

async function begin(registry: TestRegistry, of = bytes): Promise<string> {
  const { name } = await registry.models.createUpload({
    parent: "workspaces/default",
    sha256: sha256(of),
    sizeBytes: BigInt(of.length),
  });
  return name;
}

/** The first chunks of an upload, then a connection that breaks. */
async function* broken(name: string, chunks: number) {
  let sent = -1;
  for await (const message of uploadMessages(name, bytes, { chunkBytes: 50_000 })) {
    if (sent++ === chunks) {
      throw new Error("connection reset");
    }
    yield message;
  }
}

describe("uploads", () => {
  it("keeps what came before a broken connection and goes on from there", async () => {
    const registry = await useRegistry({ isStarted: false });
    const name = await begin(registry);
    await expect(registry.models.uploadArtifact(broken(name, 3))).rejects.toThrow("reset");
    const half = await registry.models.getUpload({ name });
    expect(half).toMatchObject({ receivedBytes: 150_000n, complete: false });
    const done = await registry.models.uploadArtifact(
      uploadMessages(name, bytes, { offset: 150_000 }),
    );
    expect(done).toMatchObject({ receivedBytes: 300_000n, complete: true });
    expect(await registry.blobs.size(sha256(bytes))).toBe(300_000);
    const again = await registry.models.uploadArtifact(uploadMessages(name, bytes));
    expect(again.complete).toBe(true);
  });

  it("goes on after the server was replaced", async () => {
    const documents = await useStore();
    const folder = useFolder();
    const name = await (async () => {
      await using blobs = await openBlobStore(`file:${folder}`);
      const first = await useRegistry({ documents, blobs, isStarted: false });
      const begun = await begin(first);
      await expect(first.models.uploadArtifact(broken(begun, 2))).rejects.toThrow();
      return begun;
    })();
    await using blobs = await openBlobStore(`file:${folder}`);
    const second = await useRegistry({ documents, blobs, isStarted: false });
    const offset = Number((await second.models.getUpload({ name })).receivedBytes);
    expect(offset).toBe(100_000);
    const done = await second.models.uploadArtifact(uploadMessages(name, bytes, { offset }));
    expect(done.complete).toBe(true);
  });

  it("refuses another offset and says which it holds", async () => {
    const registry = await useRegistry({ isStarted: false });
    const name = await begin(registry);
    await expect(registry.models.uploadArtifact(broken(name, 1))).rejects.toThrow();
    await expect(
      registry.models.uploadArtifact(uploadMessages(name, bytes, { offset: 10 })),
    ).rejects.toMatchObject({
      kind: "FailedPrecondition",
      reason: ErrorReason.UPLOAD_OFFSET_MISMATCH,
      metadata: { received_bytes: "50000", size_bytes: "300000" },
    });
  });

  it("refuses bytes that are not the promised ones and begins anew", async () => {
    const registry = await useRegistry({ isStarted: false });
    const name = await begin(registry);
    await expect(
      registry.models.uploadArtifact(uploadMessages(name, randomBytes(bytes.length))),
    ).rejects.toMatchObject({ kind: "DataLoss", reason: ErrorReason.DIGEST_MISMATCH });
    expect(await registry.models.getUpload({ name })).toMatchObject({
      receivedBytes: 0n,
      complete: false,
    });
    const done = await registry.models.uploadArtifact(uploadMessages(name, bytes));
    expect(done.complete).toBe(true);
  });

  it("refuses more bytes than promised, large chunks and a stream without start", async () => {
    const registry = await useRegistry({ isStarted: false });
    const name = await begin(registry);
    const invalid = { kind: "InvalidArgument" };
    await expect(
      registry.models.uploadArtifact(uploadMessages(name, randomBytes(bytes.length + 1))),
    ).rejects.toMatchObject(invalid);
    const large = randomBytes(2 ** 20 + 1);
    const other = await begin(registry, large);
    await expect(
      registry.models.uploadArtifact(uploadMessages(other, large, { chunkBytes: large.length })),
    ).rejects.toMatchObject(invalid);
    const noStart = (async function* () {
      yield { payload: { case: "chunk" as const, value: bytes } };
    })();
    await expect(registry.models.uploadArtifact(noStart)).rejects.toMatchObject(invalid);
    const nothing = (async function* () {})();
    await expect(registry.models.uploadArtifact(nothing)).rejects.toMatchObject(invalid);
  });

  it("lets one stream at a time write an upload", async () => {
    const registry = await useRegistry({ isStarted: false });
    const name = await begin(registry);
    const gate = Promise.withResolvers<void>();
    const under = Promise.withResolvers<void>();
    const slow = (async function* () {
      for await (const message of uploadMessages(name, bytes, { chunkBytes: 100_000 })) {
        yield message;
        if (message.payload.case === "chunk") {
          under.resolve();
          await gate.promise;
        }
      }
    })();
    const first = registry.models.uploadArtifact(slow);
    await under.promise;
    await expect(registry.models.uploadArtifact(uploadMessages(name, bytes))).rejects.toMatchObject(
      { kind: "Aborted" },
    );
    expect((await registry.models.getUpload({ name })).complete).toBe(false);
    gate.resolve();
    expect((await first).complete).toBe(true);
  });

  it("reads no faster than it writes", async () => {
    const registry = await useRegistry({ isStarted: false });
    const name = await begin(registry);
    let asked = 0;
    const writes: number[] = [];
    const counted = (async function* () {
      for await (const message of uploadMessages(name, bytes, { chunkBytes: 10_000 })) {
        asked++;
        yield message;
      }
    })();
    const stage = registry.blobs.stage.bind(registry.blobs);
    registry.blobs.stage = async (id) => {
      const writer = await stage(id);
      const write = writer.write.bind(writer);
      writer.write = async (chunk) => {
        writes.push(asked);
        await write(chunk);
      };
      return writer;
    };
    await registry.models.uploadArtifact(counted);
    // Each write began before the message after it was asked for: the start, then one by one.
    expect(writes).toEqual(Array.from({ length: 30 }, (_, i) => i + 2));
  });

  it("checks size and digest before anything is sent", async () => {
    const registry = await useRegistry({ isStarted: false, config: { uploadBytesMax: 1000 } });
    await expect(
      registry.models.createUpload({ parent: "workspaces/default", sha256: "X", sizeBytes: 1001n }),
    ).rejects.toMatchObject({ violations: [{ field: "sha256" }, { field: "size_bytes" }] });
  });

  it("bounds the open uploads of a workspace", async () => {
    const registry = await useRegistry({ isStarted: false, config: { uploadsMax: 2 } });
    await begin(registry);
    await begin(registry);
    await expect(begin(registry)).rejects.toMatchObject({ kind: "ResourceExhausted" });
  });

  it("forgets an upload that rests too long, its bytes too", async () => {
    const clock = new FakeClock(Date.now());
    const registry = await useRegistry({ clock, isStarted: false });
    const name = await begin(registry);
    await expect(registry.models.uploadArtifact(broken(name, 1))).rejects.toThrow();
    clock.advance(registry.config.uploadTtlMs - 1000);
    expect((await registry.models.getUpload({ name })).receivedBytes).toBe(50_000n);
    clock.advance(2000);
    await expect(registry.models.getUpload({ name })).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("passes a full disk on", async (test) => {
    const disk = useSmallDisk(2 ** 20);
    if (disk === undefined) {
      test.skip();
      return;
    }
    const blobs = await openBlobStore(`file:${disk}`);
    const registry = await useRegistry({ blobs, isStarted: false });
    const large = randomBytes(2 * 2 ** 20);
    await expect(upload(registry, large, { chunkBytes: 65_536 })).rejects.toMatchObject({
      kind: "ResourceExhausted",
      reason: ErrorReason.STORAGE_FULL,
    });
    await blobs[Symbol.asyncDispose]();
  });
});
