// Brings files that the engine wrote into the blob store.

import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import type { Field } from "../value.ts";
import type { WrittenFile } from "./engine-tasks.ts";
import type { OfflineFile } from "./manifest.ts";

/** Files on their way at once: enough to keep a disk busy. */
const FILES_AT_ONCE = 4;

/** Every staging area of offline files begins so. */
const STAGE_PREFIX = "offline-";

/** A file in the blob store that no manifest names yet. */
export type StoredFile = Omit<OfflineFile, "addedSnapshot">;

/** A file of the engine and the columns it has. */
export interface FileToStore {
  readonly file: WrittenFile;
  readonly columns: readonly Field[];
}

/** Copies the files into the blob store, durably, and removes them from where they were. */
export async function storeFiles(
  blobs: BlobStore,
  files: readonly FileToStore[],
): Promise<readonly StoredFile[]> {
  const stored: StoredFile[] = [];
  const places = files.keys();
  const work = async (): Promise<void> => {
    for (const place of places) {
      stored[place] = await storeFile(blobs, files[place]!);
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work));
  return stored;
}

async function storeFile(blobs: BlobStore, { file, columns }: FileToStore): Promise<StoredFile> {
  const stageId = STAGE_PREFIX + randomUUID();
  const { digest, sizeBytes } = await copy(blobs, stageId, file.path);
  await blobs.commit(stageId, { digest, sizeBytes });
  await rm(file.path, { force: true });
  const { day, rows, minEventUs, maxEventUs, maxCreatedUs } = file;
  return { digest, sizeBytes, day, rows, minEventUs, maxEventUs, maxCreatedUs, columns };
}

async function copy(
  blobs: BlobStore,
  stageId: string,
  path: string,
): Promise<{ digest: Digest; sizeBytes: number }> {
  await using writer = await blobs.stage(stageId);
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Buffer);
    sizeBytes += (chunk as Buffer).length;
    await writer.write(chunk as Buffer);
  }
  return { digest: hash.digest("hex"), sizeBytes };
}
