// What a manifest tells its readers.

import { createHash } from "node:crypto";
import type { BlobStore } from "../../common/blobs/port.ts";
import type { SourceFile } from "./engine-tasks.ts";
import type { HistoryStatus, Snapshot } from "./history.ts";
import type { Manifest } from "./manifest.ts";

/** Digests checked at once; each is read once a process. */
const CHECKS_AT_ONCE = 4;

/**
 * The files of a manifest on this machine.
 * @throws NotFound when one is gone, DataLoss when one is damaged.
 */
export async function snapshotOf(manifest: Manifest, blobs: BlobStore): Promise<Snapshot> {
  const { files, snapshot, materializedSnapshot } = manifest;
  const sources: SourceFile[] = [];
  const places = files.keys();
  const work = async (): Promise<void> => {
    for (const place of places) {
      const { digest, columns } = files[place]!;
      sources[place] = { path: await blobs.localPath(digest), columns };
    }
  };
  await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, work));
  const hash = createHash("sha256");
  for (const digest of files.map((file) => file.digest).sort()) {
    hash.update(digest);
  }
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  return { snapshot, rows, files, sources, sha256: hash.digest("hex"), materializedSnapshot };
}

/** The counts of a history. */
export function statusOf(manifest: Manifest, pendingRows: number): HistoryStatus {
  let rows = 0;
  let sizeBytes = 0;
  let unmaterializedRows = 0;
  let minEventUs: number | undefined;
  let maxEventUs: number | undefined;
  for (const file of manifest.files) {
    rows += file.rows;
    sizeBytes += file.sizeBytes;
    unmaterializedRows += file.addedSnapshot > manifest.materializedSnapshot ? file.rows : 0;
    minEventUs = Math.min(minEventUs ?? file.minEventUs, file.minEventUs);
    maxEventUs = Math.max(maxEventUs ?? file.maxEventUs, file.maxEventUs);
  }
  return {
    rows,
    sizeBytes,
    files: manifest.files.length,
    pendingRows,
    minEventUs,
    maxEventUs,
    materializeTime: manifest.materializeTime,
    unmaterializedRows,
  };
}
