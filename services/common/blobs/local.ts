// The blob store in a folder of this machine:
//   sha256/ab/cdef...   a blob, named by its digest; never changed, only made whole and removed
//   staging/<id>        bytes of an upload that is not committed yet
// A blob appears by one rename of a file that is already on disk, so no crash leaves a half one.
// Blobs may be private, so what is made here is for the user alone that this process runs as.
// Writers of one staging area exclude each other within a process, not between processes: an upload
// belongs to the process that received its first byte until that process is gone.

import { createHash } from "node:crypto";
import { constants, mkdirSync } from "node:fs";
import { chmod, mkdir, open, opendir, readdir, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  blobNotFound,
  blobStoreClosed,
  digestMismatch,
  invalidBlobArgument,
  isMissing,
  mapFileError,
  stageBusy,
  stageNotFound,
} from "./blob-errors.ts";
import type { BlobStore, BlobWriter, Digest } from "./port.ts";
import { CHUNK_BYTES, hashFile, type Progress, StagingWriter } from "./staging.ts";

/** Uploads whose running hash is remembered between sessions; others are hashed again. */
const PROGRESS_MAX = 64;

/** Digests remembered as checked by localPath; past it they are checked again. */
const CHECKED_MAX = 10_000;

const FOLDER_MODE = 0o700;
const BLOB_MODE = 0o400;

const DIGEST = /^[0-9a-f]{64}$/;
const STAGE_ID = /^[a-z0-9-]{1,64}$/;

/** Staging areas in use, by path, of every store in this process. */
const busyStages = new Set<string>();

export interface LocalBlobsOptions {
  /** Made where missing. */
  readonly folder: string;
}

/** Opens a blob store in a folder. @throws Unavailable, ResourceExhausted */
export async function openLocalBlobs(options: LocalBlobsOptions): Promise<BlobStore> {
  const folder = resolve(options.folder);
  return mapped(async () => {
    mkdirSync(join(folder, "staging"), { recursive: true, mode: FOLDER_MODE });
    mkdirSync(join(folder, "sha256"), { recursive: true, mode: FOLDER_MODE });
    await syncFolder(folder);
    return new LocalBlobs(folder);
  });
}

class LocalBlobs implements BlobStore {
  readonly #folder: string;
  readonly #progress = new Map<string, Progress>();
  readonly #writers = new Set<BlobWriter>();
  readonly #checked = new Map<Digest, Promise<void>>();
  #closed = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async stage(id: string): Promise<BlobWriter> {
    const path = this.#stagePath(id);
    const release = occupy(path, id);
    try {
      const known = this.#progress.get(id);
      const writer = await StagingWriter.open(path, known, (progress) => {
        this.#remember(id, progress);
        this.#writers.delete(writer);
        release();
      });
      this.#writers.add(writer);
      await syncFolder(join(this.#folder, "staging"));
      return writer;
    } catch (error) {
      release();
      throw mapFileError(error);
    }
  }

  async commit(
    id: string,
    expected: { readonly digest: Digest; readonly sizeBytes: number },
  ): Promise<void> {
    const path = this.#stagePath(id);
    const { digest, sizeBytes } = expected;
    if ((await this.size(digest)) === sizeBytes) return this.discard(id);
    const release = occupy(path, id);
    try {
      const actual = await this.#syncStage(id, path);
      if (actual.sizeBytes !== sizeBytes || actual.digest !== digest) {
        await this.#remove(id, path);
        throw digestMismatch(expected, actual);
      }
      await this.#publish(path, digest);
      this.#progress.delete(id);
    } catch (error) {
      throw mapFileError(error);
    } finally {
      release();
    }
  }

  async discard(id: string): Promise<void> {
    const path = this.#stagePath(id);
    const release = occupy(path, id);
    try {
      await this.#remove(id, path);
    } catch (error) {
      throw mapFileError(error);
    } finally {
      release();
    }
  }

  async staleStages(olderThanMs: number): Promise<readonly string[]> {
    this.#checkOpen();
    return mapped(async () => {
      const folder = join(this.#folder, "staging");
      const newest = Date.now() - olderThanMs;
      const stale: string[] = [];
      for (const id of await readdir(folder)) {
        const found = STAGE_ID.test(id) ? await statOrMissing(join(folder, id)) : undefined;
        if (found !== undefined && found.mtimeMs <= newest) stale.push(id);
      }
      return stale.sort();
    });
  }

  async size(digest: Digest): Promise<number | undefined> {
    const path = this.#blobPath(digest);
    return mapped(async () => (await statOrMissing(path))?.size);
  }

  async *read(digest: Digest, offset = 0): AsyncGenerator<Uint8Array> {
    const path = this.#blobPath(digest);
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw invalidBlobArgument("offset", `a whole number from 0, not ${offset}`);
    }
    await using file = await this.#openBlob(digest, path);
    const { size } = await mapped(() => file.stat());
    if (offset > size) throw invalidBlobArgument("offset", `${offset} is past the end at ${size}`);
    const hash = offset === 0 ? createHash("sha256") : undefined;
    for (let position = offset; ; ) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, size - position));
      const { bytesRead } = await mapped(() => file.read(buffer, 0, buffer.length, position));
      const chunk = new Uint8Array(buffer.buffer, 0, bytesRead);
      hash?.update(chunk);
      position += bytesRead;
      const last = position >= size || bytesRead === 0;
      const actual = last ? hash?.digest("hex") : undefined;
      if (last && (position !== size || (hash !== undefined && actual !== digest))) {
        throw digestMismatch({ digest, sizeBytes: size }, { digest: actual, sizeBytes: position });
      }
      if (bytesRead > 0) yield chunk;
      if (last) return;
    }
  }

  async localPath(digest: Digest): Promise<string> {
    const path = this.#blobPath(digest);
    let checked = this.#checked.get(digest);
    if (checked === undefined) {
      checked = this.#check(digest);
      if (this.#checked.size >= CHECKED_MAX) this.#checked.clear();
      this.#checked.set(digest, checked);
      checked.catch(() => this.#checked.delete(digest));
    }
    await checked;
    if ((await this.size(digest)) === undefined) throw blobNotFound(digest);
    return path;
  }

  async delete(digest: Digest): Promise<void> {
    const path = this.#blobPath(digest);
    this.#checked.delete(digest);
    await mapped(async () => {
      if ((await statOrMissing(path)) === undefined) return;
      await rm(path, { force: true });
      await syncFolder(join(path, ".."));
    });
  }

  async *list(): AsyncGenerator<{ readonly digest: Digest; readonly modifiedTime: Date }> {
    this.#checkOpen();
    const root = join(this.#folder, "sha256");
    for (const prefix of (await mapped(() => readdir(root))).sort()) {
      const folder = await mapped(() => opendir(join(root, prefix)));
      for await (const entry of folder) {
        const digest = prefix + entry.name;
        if (!DIGEST.test(digest)) continue;
        const found = await mapped(() => statOrMissing(join(root, prefix, entry.name)));
        if (found !== undefined) yield { digest, modifiedTime: found.mtime };
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const writer of this.#writers) await writer[Symbol.asyncDispose]();
  }

  /** Brings a staging file to the disk and says what it is. */
  async #syncStage(id: string, path: string): Promise<{ digest: string; sizeBytes: number }> {
    try {
      await using file = await open(path, constants.O_RDWR);
      await file.sync();
      const { size } = await file.stat();
      const known = this.#progress.get(id);
      const { hash, sizeBytes } = known?.sizeBytes === size ? known : await hashFile(file);
      return { digest: hash.copy().digest("hex"), sizeBytes };
    } catch (error) {
      throw isMissing(error) ? stageNotFound(id) : error;
    }
  }

  async #publish(stagePath: string, digest: Digest): Promise<void> {
    const path = this.#blobPath(digest);
    const folder = join(path, "..");
    const made = await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    if (made !== undefined) await syncFolder(join(folder, ".."));
    await chmod(stagePath, BLOB_MODE);
    await rename(stagePath, path);
    await syncFolder(folder);
    await syncFolder(join(this.#folder, "staging"));
  }

  async #remove(id: string, path: string): Promise<void> {
    this.#progress.delete(id);
    await rm(path, { force: true });
    await syncFolder(join(this.#folder, "staging"));
  }

  async #check(digest: Digest): Promise<void> {
    for await (const _chunk of this.read(digest)) {
      // Reading to the end is the check.
    }
  }

  async #openBlob(digest: Digest, path: string) {
    try {
      return await open(path, "r");
    } catch (error) {
      throw isMissing(error) ? blobNotFound(digest) : mapFileError(error);
    }
  }

  #remember(id: string, progress: Progress): void {
    this.#progress.delete(id);
    this.#progress.set(id, progress);
    const oldest = this.#progress.keys().next();
    if (this.#progress.size > PROGRESS_MAX && !oldest.done) this.#progress.delete(oldest.value);
  }

  #stagePath(id: string): string {
    this.#checkOpen();
    if (!STAGE_ID.test(id)) throw invalidBlobArgument("id", "1 to 64 of a-z, 0-9 and -");
    return join(this.#folder, "staging", id);
  }

  #blobPath(digest: Digest): string {
    this.#checkOpen();
    if (!DIGEST.test(digest)) throw invalidBlobArgument("digest", "64 lower-case hex digits");
    return join(this.#folder, "sha256", digest.slice(0, 2), digest.slice(2));
  }

  #checkOpen(): void {
    if (this.#closed) throw blobStoreClosed();
  }
}

/** Takes a staging area until the result is called. @throws Aborted */
function occupy(path: string, id: string): () => void {
  if (busyStages.has(path)) throw stageBusy(id);
  busyStages.add(path);
  return () => busyStages.delete(path);
}

async function statOrMissing(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Brings the names in a folder to the disk. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

async function mapped<R>(run: () => Promise<R>): Promise<R> {
  try {
    return await run();
  } catch (error) {
    throw mapFileError(error);
  }
}
