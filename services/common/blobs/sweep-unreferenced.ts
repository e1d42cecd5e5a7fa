// Deletes the blobs of a store that nothing refers to. See blob-marks.ts for why nothing is taken
// that is about to be referred to.

import { type BlobMarks, MARK_MS } from "./blob-marks.ts";
import type { BlobStore, Digest } from "./port.ts";

/** Bytes younger than this may be about to be referred to by who does not wait for marks. */
export const UNREFERENCED_KEEP_MS = 3_600_000;

const MARKED_AT_ONCE = 200;

/** Blobs that documents of one kind refer to; some may come twice. */
export type References = () => AsyncIterable<Digest> | Iterable<Digest>;

export interface SweepDeps {
  readonly blobs: Pick<BlobStore, "list" | "delete">;
  readonly marks: BlobMarks;
  /** Of everything that refers to blobs of the store. */
  readonly references: readonly References[];
}

/** Sweeps once; several sweepers may at the same time. Gives the number of blobs that went. */
export async function sweepUnreferenced(deps: SweepDeps, signal: AbortSignal): Promise<number> {
  const old: Digest[] = [];
  const newest = Date.now() - UNREFERENCED_KEEP_MS;
  for await (const { digest, modifiedTime } of deps.blobs.list()) {
    signal.throwIfAborted();
    if (modifiedTime.getTime() <= newest) {
      old.push(digest);
    }
  }
  const free = [...(await unreferenced(deps, old, signal))];
  let freed = 0;
  for (let start = 0; start < free.length; start += MARKED_AT_ONCE) {
    signal.throwIfAborted();
    freed += await deleteFree(deps, free.slice(start, start + MARKED_AT_ONCE), signal);
  }
  return freed;
}

/** Marks the blobs, looks again whether anything refers to them, and deletes the others. */
async function deleteFree(
  deps: SweepDeps,
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<number> {
  const { blobs, marks } = deps;
  const startMs = performance.now();
  const marked: Digest[] = [];
  let freed = 0;
  try {
    for (const digest of digests) {
      if (await marks.mark(digest)) {
        marked.push(digest);
      }
    }
    for (const digest of await unreferenced(deps, marked, signal)) {
      // Past this the marks may have expired.
      if (performance.now() - startMs < MARK_MS / 2) {
        await blobs.delete(digest);
        freed += 1;
      }
    }
  } finally {
    for (const digest of marked) {
      await marks.unmark(digest);
    }
  }
  return freed;
}

async function unreferenced(
  { references }: SweepDeps,
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const free = new Set(digests);
  if (free.size === 0) {
    return free;
  }
  for (const all of references) {
    for await (const digest of all()) {
      signal.throwIfAborted();
      free.delete(digest);
    }
  }
  return free;
}
