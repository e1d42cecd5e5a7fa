// One staging area of the local blob store: a file that grows, and the SHA-256 of what is in it so
// far, kept up to date so that committing does not read the file again.

import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { mapFileError } from "./blob-errors.ts";
import type { BlobWriter } from "./port.ts";

/** Bytes read at a time. */
export const CHUNK_BYTES = 1_024 * 1_024;

/** What is uploaded may be private. */
const STAGE_MODE = 0o600;

/** Length and running SHA-256 of a staging file. */
export interface Progress {
  readonly sizeBytes: number;
  readonly hash: Hash;
}

/** Hashes what an earlier session left. */
export async function hashFile(file: FileHandle): Promise<Progress> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let sizeBytes = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, sizeBytes);
    if (bytesRead === 0) return { sizeBytes, hash };
    hash.update(buffer.subarray(0, bytesRead));
    sizeBytes += bytesRead;
  }
}

export class StagingWriter implements BlobWriter {
  readonly #file: FileHandle;
  readonly #hash: Hash;
  readonly #onClose: (progress: Progress) => void;
  #sizeBytes: number;
  #tail: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(file: FileHandle, progress: Progress, onClose: (progress: Progress) => void) {
    this.#file = file;
    this.#hash = progress.hash;
    this.#sizeBytes = progress.sizeBytes;
    this.#onClose = onClose;
  }

  /** Opens the file, making it where missing. `known` spares hashing it again if it still fits. */
  static async open(
    path: string,
    known: Progress | undefined,
    onClose: (progress: Progress) => void,
  ): Promise<StagingWriter> {
    const file = await open(path, "a+", STAGE_MODE);
    try {
      const { size } = await file.stat();
      const progress = known?.sizeBytes === size ? known : await hashFile(file);
      return new StagingWriter(file, progress, onClose);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get receivedBytes(): number {
    return this.#sizeBytes;
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#inOrder(async () => {
      try {
        for (let done = 0; done < chunk.length; ) {
          const { bytesWritten } = await this.#file.write(chunk, done, chunk.length - done);
          done += bytesWritten;
        }
      } catch (error) {
        // A piece of a chunk is worth nothing: the next session starts where the last whole one
        // ended.
        await this.#file.truncate(this.#sizeBytes).catch(() => {});
        throw error;
      }
      this.#hash.update(chunk);
      this.#sizeBytes += chunk.length;
    });
  }

  sync(): Promise<void> {
    return this.#inOrder(() => this.#file.sync());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#tail.catch(() => {});
    try {
      await this.#file.close();
    } finally {
      this.#onClose({ sizeBytes: this.#sizeBytes, hash: this.#hash });
    }
  }

  #inOrder(run: () => Promise<void>): Promise<void> {
    const turn = this.#tail.catch(() => {}).then(run);
    this.#tail = turn;
    return turn.catch((error: unknown) => {
      throw mapFileError(error);
    });
  }
}
