import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, statSync } from "node:fs";
import { chmod, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { useFolder } from "../testing/use-folder.ts";
import { openLocalBlobs } from "./local.ts";
import { openBlobStore } from "./open.ts";
import type { BlobStore, Digest } from "./port.ts";
import { useSmallDisk } from "./testing.ts";

const MEBIBYTE = 1_024 * 1_024;

describe("local blobs", () => {
  it("stores what was staged and reads it back", async () => {
    const { blobs, folder } = await useBlobs();
    const bytes = sample(2.5 * MEBIBYTE);
    const digest = await store(blobs, bytes);
    expect(await blobs.size(digest)).toBe(bytes.length);
    expect(existsSync(join(folder, "sha256", digest.slice(0, 2), digest.slice(2)))).toBe(true);
    const chunks = await chunksOf(blobs.read(digest));
    expect(chunks.map((chunk) => chunk.length)).toEqual([MEBIBYTE, MEBIBYTE, MEBIBYTE / 2]);
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    const tail = Buffer.concat(await chunksOf(blobs.read(digest, 2 * MEBIBYTE + 1)));
    expect(tail.equals(bytes.subarray(2 * MEBIBYTE + 1))).toBe(true);
    expect((await readFile(await blobs.localPath(digest))).equals(bytes)).toBe(true);
    expect(await ids(blobs)).toEqual([digest]);
    expect(readdirSync(join(folder, "staging"))).toEqual([]);
  });

  it("are for the user alone who made them", async () => {
    const root = useFolder();
    const folder = join(root, "blobs");
    await using blobs = await openLocalBlobs({ folder });
    const digest = await store(blobs, sample(10));
    const writer = await blobs.stage("up");
    await writer[Symbol.asyncDispose]();
    const path = await blobs.localPath(digest);
    const modes = [
      [folder, 0o700],
      [join(folder, "staging"), 0o700],
      [join(folder, "staging", "up"), 0o600],
      [join(path, ".."), 0o700],
      [path, 0o400],
    ] as const;
    for (const [made, mode] of modes)
      expect([made, statSync(made).mode & 0o777]).toEqual([made, mode]);
  });

  it("stores an empty blob", async () => {
    const { blobs } = await useBlobs();
    const digest = await store(blobs, Buffer.alloc(0));
    expect(digest).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(await chunksOf(blobs.read(digest))).toEqual([]);
    expect(await blobs.size(digest)).toBe(0);
  });

  it("resumes an upload, in this process and in the next", async () => {
    const { blobs, folder } = await useBlobs();
    const bytes = sample(3_000);
    await append(blobs, "up", bytes.subarray(0, 1_000));
    expect(await append(blobs, "up", bytes.subarray(1_000, 2_000))).toBe(2_000);
    await using later = await openLocalBlobs({ folder });
    await using writer = await later.stage("up");
    expect(writer.receivedBytes).toBe(2_000);
    await writer.write(bytes.subarray(2_000));
    await writer.sync();
    await writer[Symbol.asyncDispose]();
    await later.commit("up", { digest: digestOf(bytes), sizeBytes: 3_000 });
    expect(Buffer.concat(await chunksOf(blobs.read(digestOf(bytes)))).equals(bytes)).toBe(true);
  });

  it("keeps chunks in order when they are not awaited", async () => {
    const { blobs } = await useBlobs();
    const bytes = sample(64_000);
    const writer = await blobs.stage("up");
    const writes = Array.from({ length: 64 }, (_, n) => {
      return writer.write(bytes.subarray(n * 1_000, (n + 1) * 1_000));
    });
    await Promise.all(writes);
    await writer[Symbol.asyncDispose]();
    await blobs.commit("up", { digest: digestOf(bytes), sizeBytes: 64_000 });
  });

  it("has one writer for a staging area", async () => {
    const { blobs, folder } = await useBlobs();
    await using other = await openLocalBlobs({ folder });
    const writer = await blobs.stage("up");
    const busy = { kind: "Aborted", reason: 7 };
    await expect(blobs.stage("up")).rejects.toMatchObject(busy);
    await expect(other.stage("up")).rejects.toMatchObject(busy);
    const expected = { digest: digestOf(Buffer.alloc(0)), sizeBytes: 0 };
    await expect(blobs.commit("up", expected)).rejects.toMatchObject(busy);
    await writer[Symbol.asyncDispose]();
    await blobs.commit("up", expected);
  });

  it("refuses bytes that are not what was promised, and drops them", async () => {
    const { blobs, folder } = await useBlobs();
    const bytes = sample(100);
    const wrong = { kind: "DataLoss", reason: 17 };
    const expected = { digest: digestOf(bytes), sizeBytes: 100 };
    for (const sent of [bytes.subarray(1), Buffer.concat([bytes, bytes]), Buffer.alloc(100)]) {
      await append(blobs, "up", sent);
      await expect(blobs.commit("up", expected)).rejects.toMatchObject(wrong);
      expect(readdirSync(join(folder, "staging"))).toEqual([]);
      expect(await blobs.size(expected.digest)).toBeUndefined();
    }
    await append(blobs, "up", bytes);
    const long = { ...expected, sizeBytes: 101 };
    await expect(blobs.commit("up", long)).rejects.toMatchObject(wrong);
    await expect(blobs.commit("up", expected)).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("commits the same content any number of times, at once", async () => {
    const { blobs, folder } = await useBlobs();
    const bytes = sample(MEBIBYTE);
    const expected = { digest: digestOf(bytes), sizeBytes: bytes.length };
    const staged = ["a", "b", "c", "d", "e"];
    for (const id of staged) await append(blobs, id, bytes);
    await Promise.all(staged.map((id) => blobs.commit(id, expected)));
    await blobs.commit("never-staged", expected);
    expect(await ids(blobs)).toEqual([expected.digest]);
    expect(readdirSync(join(folder, "staging"))).toEqual([]);
  });
});

describe("local blobs, damaged or missing", () => {
  it("notices changed bytes before the last chunk is given", async () => {
    const { blobs, folder } = await useBlobs();
    const bytes = sample(2 * MEBIBYTE);
    const digest = await store(blobs, bytes);
    const path = join(folder, "sha256", digest.slice(0, 2), digest.slice(2));
    bytes[7]! ^= 1;
    await chmod(path, 0o644);
    await writeFile(path, bytes);
    const chunks: Uint8Array[] = [];
    const reading = (async () => {
      for await (const chunk of blobs.read(digest)) chunks.push(chunk);
    })();
    await expect(reading).rejects.toMatchObject({ kind: "DataLoss", reason: 17 });
    expect(chunks).toHaveLength(1);
    await expect(blobs.localPath(digest)).rejects.toMatchObject({ kind: "DataLoss" });
  });

  it("says what is not there, and deletes without asking", async () => {
    const { blobs } = await useBlobs();
    const digest = await store(blobs, sample(10));
    await blobs.localPath(digest);
    await blobs.delete(digest);
    await blobs.delete(digest);
    await blobs.discard("nothing");
    expect(await blobs.size(digest)).toBeUndefined();
    const missing = { kind: "NotFound", reason: 3 };
    await expect(chunksOf(blobs.read(digest))).rejects.toMatchObject(missing);
    await expect(blobs.localPath(digest)).rejects.toMatchObject(missing);
    expect(await ids(blobs)).toEqual([]);
  });

  it("refuses ids, digests and offsets outside the contract", async () => {
    const { blobs } = await useBlobs();
    const invalid = { kind: "InvalidArgument", reason: 1 };
    for (const id of ["", "../x", "A", "a".repeat(65), "a/b"]) {
      await expect(blobs.stage(id)).rejects.toMatchObject(invalid);
    }
    for (const digest of ["", "../../etc/passwd", "A".repeat(64), "0".repeat(63)]) {
      await expect(blobs.size(digest)).rejects.toMatchObject(invalid);
    }
    const digest = await store(blobs, sample(10));
    for (const offset of [-1, 0.5, 11]) {
      await expect(chunksOf(blobs.read(digest, offset))).rejects.toMatchObject(invalid);
    }
    expect(await chunksOf(blobs.read(digest, 10))).toEqual([]);
  });

  it("lists staging areas that nobody wrote to for a while", async () => {
    const { blobs, folder } = await useBlobs();
    for (const id of ["old-1", "old-2", "new"]) await append(blobs, id, sample(1));
    const hourAgo = new Date(Date.now() - 3_600_000);
    for (const id of ["old-1", "old-2"])
      await utimes(join(folder, "staging", id), hourAgo, hourAgo);
    expect(await blobs.staleStages(600_000)).toEqual(["old-1", "old-2"]);
    await blobs.discard("old-1");
    expect(await blobs.staleStages(600_000)).toEqual(["old-2"]);
  });

  it("is unavailable once it is closed", async () => {
    const { blobs } = await useBlobs();
    const writer = await blobs.stage("up");
    await blobs[Symbol.asyncDispose]();
    const closed = { kind: "Unavailable", reason: 19 };
    await expect(blobs.stage("other")).rejects.toMatchObject(closed);
    await expect(writer.write(sample(1))).rejects.toMatchObject(closed);
  });
});

describe("local blobs, on a bad day", () => {
  it("says that a full disk is full, shows nothing half-made, and goes on", async (context) => {
    const disk = useSmallDisk(MEBIBYTE);
    if (disk === undefined) return context.skip("mounting a small disk needs root");
    await using blobs = await openLocalBlobs({ folder: join(disk, "blobs") });
    const small = await store(blobs, sample(300_000));
    const large = sample(2 * MEBIBYTE);
    const writer = await blobs.stage("large");
    const full = { kind: "ResourceExhausted", reason: 22 };
    await writer.write(large.subarray(0, 400_000));
    await expect(writer.write(large.subarray(400_000))).rejects.toMatchObject(full);
    expect(writer.receivedBytes).toBe(400_000);
    await writer[Symbol.asyncDispose]();
    expect(await ids(blobs)).toEqual([small]);
    await blobs.delete(small);
    const rest = large.subarray(400_000, 900_000);
    expect(await append(blobs, "large", rest)).toBe(900_000);
    const whole = large.subarray(0, 900_000);
    await blobs.commit("large", { digest: digestOf(whole), sizeBytes: 900_000 });
    expect(Buffer.concat(await chunksOf(blobs.read(digestOf(whole)))).equals(whole)).toBe(true);
  });

  it("has every acknowledged blob, and only whole ones, after its process is killed", async () => {
    const { blobs, folder } = await useBlobs();
    const acknowledged = new Set<string>();
    for (let round = 0; round < 3; round += 1) {
      for (const digest of await uploadAndDie(folder, { round, afterCommits: 10 + round * 7 })) {
        acknowledged.add(digest);
      }
    }
    const stored = await ids(blobs);
    expect(acknowledged.size).toBeGreaterThanOrEqual(51);
    for (const digest of acknowledged) expect(stored).toContain(digest);
    for (const digest of stored) expect(await blobs.localPath(digest)).toContain(folder);
    for (const id of await blobs.staleStages(0)) {
      const whole = Buffer.alloc(200_000, id);
      await using writer = await blobs.stage(id);
      await writer.write(whole.subarray(writer.receivedBytes));
      await writer[Symbol.asyncDispose]();
      await blobs.commit(id, { digest: digestOf(whole), sizeBytes: whole.length });
    }
    expect(await blobs.staleStages(0)).toEqual([]);
  }, 60_000);
});

describe("openBlobStore", () => {
  it("opens the folder that the URI names, and nothing else", async () => {
    const folder = useFolder();
    await using blobs = await openBlobStore(`file:${folder}/a`);
    await store(blobs, sample(1));
    expect(existsSync(join(folder, "a", "sha256"))).toBe(true);
    await using same = await openBlobStore(`file://${folder}/a`);
    expect(await ids(same)).toHaveLength(1);
    for (const uri of ["", "file:", "s3://bucket", "/tmp/x"]) {
      await expect(openBlobStore(uri)).rejects.toMatchObject({ kind: "InvalidArgument" });
    }
  });
});

async function useBlobs(): Promise<{ blobs: BlobStore; folder: string }> {
  const folder = useFolder();
  const blobs = await openLocalBlobs({ folder });
  onTestFinished(async () => {
    await blobs[Symbol.asyncDispose]();
  });
  return { blobs, folder };
}

/** Bytes that differ everywhere. */
function sample(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (Math.imul(at, 2_654_435_761) >>> 16) & 0xff;
  return bytes;
}

function digestOf(bytes: Uint8Array): Digest {
  return createHash("sha256").update(bytes).digest("hex");
}

async function append(blobs: BlobStore, id: string, bytes: Uint8Array): Promise<number> {
  await using writer = await blobs.stage(id);
  await writer.write(bytes);
  return writer.receivedBytes;
}

async function store(blobs: BlobStore, bytes: Uint8Array): Promise<Digest> {
  await append(blobs, "sample", bytes);
  const digest = digestOf(bytes);
  await blobs.commit("sample", { digest, sizeBytes: bytes.length });
  return digest;
}

async function chunksOf(chunks: AsyncIterable<Uint8Array>): Promise<readonly Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

async function ids(blobs: BlobStore): Promise<readonly Digest[]> {
  const digests: Digest[] = [];
  for await (const { digest } of blobs.list()) digests.push(digest);
  return digests;
}

async function uploadAndDie(
  folder: string,
  options: { readonly round: number; readonly afterCommits: number },
): Promise<readonly string[]> {
  const script = fileURLToPath(new URL("./local-writer.ts", import.meta.url));
  const child = spawn(process.execPath, [script, folder, String(options.round)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const digests: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    digests.push(line);
    if (digests.length === options.afterCommits) child.kill("SIGKILL");
  }
  const [, signal] = await exited;
  expect(signal).toBe("SIGKILL");
  return digests;
}
