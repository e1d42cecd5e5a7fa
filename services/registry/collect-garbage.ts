// Frees the bytes that no version and no upload refers to, without ever taking bytes that a call
// just about to refer to them relies on. The order makes it safe, not a lock held by both sides:
//
//   collector: mark the artifact, then look for references, then delete the bytes, then the mark
//   committer: have a reference (the upload), then look for a mark, then commit the bytes
//
// Whichever came second sees the other: a collector that marks after the committer looked finds the
// upload and takes its mark back; a committer that finds a mark waits until it is gone and then
// writes the bytes again from its staging area, which commit alone removes.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { BlobStore, Digest } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import { collect, withoutStamps } from "../common/documents/resource.ts";
import { Aborted, AlreadyExists, NotFound, Unavailable } from "../common/errors/domain-error.ts";
import type { RegistryEvents } from "./events.ts";
import type { Artifact, RegistryStore } from "./store.ts";

/** Longer than any deletion of a file; a mark this old is of a collector that died. */
const MARK_TTL_MS = 60_000;
const WAIT_TRIES = 100;
const WAIT_MS = 50;
const STAGE_PREFIX = "model-";

export interface GarbageDeps {
  readonly store: RegistryStore;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly events: RegistryEvents;
}

/** The staging area of an upload; the prefix keeps it apart from other services' areas. */
export function stageIdOf(uploadId: string): string {
  return STAGE_PREFIX + uploadId;
}

/**
 * To be called before bytes are committed, by someone whose upload is stored: waits for a collector
 * that is deleting the same bytes and makes the artifact known.
 * @throws Unavailable when a collector holds the bytes for too long.
 */
export async function claimArtifact(deps: GarbageDeps, digest: Digest): Promise<void> {
  const { artifacts } = deps.store;
  for (let tries = 0; tries < WAIT_TRIES; tries++) {
    const known = await artifacts.findOne({ _id: digest });
    if (known === undefined) {
      try {
        await artifacts.insertOne({ _id: digest, deletingUntil: null });
        return;
      } catch (error) {
        if (!(error instanceof AlreadyExists)) {
          throw error;
        }
      }
    } else if (known.deletingUntil === null) {
      return;
    } else if (known.deletingUntil.getTime() < deps.clock.now()) {
      await collectArtifact(deps, digest);
    } else {
      await sleep(WAIT_MS);
    }
  }
  throw new Unavailable("The same bytes are being removed right now; send the request again.", {
    reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    retryAfterMs: MARK_TTL_MS,
  });
}

/** Deletes the bytes if nothing refers to them. True when they were deleted. */
export async function collectArtifact(deps: GarbageDeps, digest: Digest): Promise<boolean> {
  const { store, blobs, clock } = deps;
  const known = await store.artifacts.findOne({ _id: digest });
  const isHeld = known?.deletingUntil != null && known.deletingUntil.getTime() >= clock.now();
  if (known === undefined || isHeld) {
    return false;
  }
  if (known.deletingUntil === null && (await isReferred(store, digest))) {
    return false;
  }
  const deletingUntil = new Date(clock.now() + MARK_TTL_MS);
  const mark: Artifact = { ...withoutStamps(known), deletingUntil };
  const marked = await unlessRaced(store.artifacts.replaceOne(mark, { ifVersion: known.version }));
  if (marked === undefined) {
    return false;
  }
  if (await isReferred(store, digest)) {
    const free: Artifact = { ...mark, deletingUntil: null };
    await unlessRaced(store.artifacts.replaceOne(free, { ifVersion: marked.version }));
    return false;
  }
  if (clock.now() > deletingUntil.getTime()) {
    // It slept past its own mark: another may have taken over.
    return false;
  }
  await blobs.delete(digest);
  await unlessRaced(store.artifacts.deleteOne(digest, { ifVersion: marked.version }));
  deps.events.artifactFreed(digest);
  return true;
}

/** Frees every artifact nobody refers to, and the staging areas of uploads that are gone. */
export async function sweepBytes(deps: GarbageDeps, options: SweepOptions): Promise<void> {
  const artifacts = await collect(deps.store.artifacts.find({}, { signal: options.signal }));
  for (const { _id } of artifacts) {
    if (options.signal.aborted) {
      return;
    }
    await collectArtifact(deps, _id);
  }
  for (const id of await deps.blobs.staleStages(options.uploadTtlMs)) {
    const isOurs = id.startsWith(STAGE_PREFIX);
    if (isOurs && (await findUploadOfStage(deps.store, id)) === undefined) {
      await deps.blobs.discard(id);
    }
  }
}

export interface SweepOptions {
  readonly uploadTtlMs: number;
  readonly signal: AbortSignal;
}

async function findUploadOfStage(store: RegistryStore, id: string): Promise<unknown> {
  return store.uploads.findOne({ uploadId: id.slice(STAGE_PREFIX.length) });
}

async function isReferred(store: RegistryStore, digest: Digest): Promise<boolean> {
  const upload = await store.uploads.findOne({ sha256: digest });
  return upload !== undefined || (await store.versions.findOne({ sha256: digest })) !== undefined;
}

/** The result, or undefined when another writer of the same document was faster. */
async function unlessRaced<T>(write: Promise<T>): Promise<T | undefined> {
  try {
    return await write;
  } catch (error) {
    if (error instanceof Aborted || error instanceof NotFound) {
      return undefined;
    }
    throw error;
  }
}
