// Removes bytes that nothing refers to: what crashes, lost races, compactions and deleted views
// leave behind. A blob may come to be referred to again only when the same bytes are stored again,
// as an upload of the same table does. So that such a one is not taken from under its new reference,
// both sides look at the other after they have spoken:
//
//   sweeper: mark the blob, then look for references, then delete the bytes, then the mark
//   others:  store the reference, then wait while the blob is marked, then commit the bytes

import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { AlreadyExists, Unavailable } from "../../common/errors/domain-error.ts";
import type { FeaturesEvents } from "../events.ts";
import type { ManifestStore } from "./manifest-store.ts";
import type { PendingLog } from "./pending-log.ts";

/** Bytes younger than this may be about to be referred to; retired ones may have readers. */
const UNREFERENCED_KEEP_MS = 3_600_000;

/** Longer than batch ids are remembered: until then a replay may complete a torn batch. */
const TORN_KEEP_MS = 25 * 3_600_000;

/** Longer than the deletion of a file takes; an older mark is of a sweeper that died. */
const MARK_MS = 60_000;
const WAIT_MS = 50;
const MARKED_AT_ONCE = 200;

/** Longer than any flush or compaction of a day. */
const SCRATCH_KEEP_MS = 24 * 3_600_000;

/** Folders of this kind in the scratch folder are of flushes and compactions. */
export const SCRATCH_PREFIX = "history-";

/** `_id` is the digest of a blob that is being deleted. */
interface Mark extends Document {
  readonly time: Date;
}

export interface SweeperDeps {
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly events: FeaturesEvents;
  readonly log: PendingLog;
  readonly manifests: ManifestStore;
  readonly scratchDir: string;
}

/** Blobs that others than manifests refer to: of jobs and tables. */
export type ReferencedDigests = () => AsyncIterable<Digest> | Iterable<Digest>;

/** Owns the claims that keep blobs from being swept. */
export class BlobSweeper {
  readonly #deps: SweeperDeps;
  readonly #marks: Collection<Mark>;

  private constructor(deps: SweeperDeps, marks: Collection<Mark>) {
    this.#deps = deps;
    this.#marks = marks;
  }

  static async open(documents: DocumentStore, deps: SweeperDeps): Promise<BlobSweeper> {
    const marks = await documents.collection<Mark>({
      name: "feature_blob_marks",
      indexes: [{ keys: { time: 1 }, expireAfterSeconds: MARK_MS / 1000 }],
    });
    return new BlobSweeper(deps, marks);
  }

  /**
   * To be called after a reference to the blob was stored and before its bytes are committed.
   * @throws Unavailable when a sweeper has it for too long.
   */
  async claim(digest: Digest): Promise<void> {
    for (let waitedMs = 0; waitedMs <= MARK_MS; waitedMs += WAIT_MS) {
      if ((await this.#marks.findOne({ _id: digest })) === undefined) {
        return;
      }
      await sleep(WAIT_MS);
    }
    throw new Unavailable("The same bytes are being removed right now; send the request again.", {
      reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
      retryAfterMs: MARK_MS,
    });
  }

  /** Sweeps everything once. */
  async sweep(referenced: ReferencedDigests, signal: AbortSignal): Promise<void> {
    await this.#deps.log.removeTorn(new Date(this.#deps.clock.now() - TORN_KEEP_MS));
    await this.#forgetRetired(signal);
    const freed = await this.#sweepBlobs(referenced, signal);
    for (const id of await this.#deps.blobs.staleStages(UNREFERENCED_KEEP_MS)) {
      await this.#deps.blobs.discard(id).catch(() => {});
    }
    await this.#sweepScratch();
    this.#deps.events.filesSwept(freed);
  }

  async #sweepBlobs(referenced: ReferencedDigests, signal: AbortSignal): Promise<number> {
    const old: Digest[] = [];
    const newest = Date.now() - UNREFERENCED_KEEP_MS;
    for await (const { digest, modifiedTime } of this.#deps.blobs.list()) {
      signal.throwIfAborted();
      if (modifiedTime.getTime() <= newest) {
        old.push(digest);
      }
    }
    const free = [...(await this.#unreferenced(old, referenced, signal))];
    let freed = 0;
    for (let start = 0; start < free.length; start += MARKED_AT_ONCE) {
      signal.throwIfAborted();
      freed += await this.#free(free.slice(start, start + MARKED_AT_ONCE), referenced, signal);
    }
    return freed;
  }

  /** Marks the blobs, looks again whether anything refers to them, and deletes the others. */
  async #free(
    digests: readonly Digest[],
    referenced: ReferencedDigests,
    signal: AbortSignal,
  ): Promise<number> {
    const startMs = performance.now();
    const marked: Digest[] = [];
    for (const digest of digests) {
      if (await this.#mark(digest)) {
        marked.push(digest);
      }
    }
    let freed = 0;
    for (const digest of await this.#unreferenced(marked, referenced, signal)) {
      // Past this the marks may have expired.
      if (performance.now() - startMs < MARK_MS / 2) {
        await this.#deps.blobs.delete(digest);
        freed += 1;
      }
    }
    for (const digest of marked) {
      await this.#marks.deleteOne(digest);
    }
    return freed;
  }

  /** False when another sweeper has it. */
  async #mark(digest: Digest): Promise<boolean> {
    try {
      await this.#marks.insertOne({ _id: digest, time: new Date(this.#deps.clock.now()) });
      return true;
    } catch (error) {
      if (error instanceof AlreadyExists) {
        return false;
      }
      throw error;
    }
  }

  async #unreferenced(
    digests: readonly Digest[],
    referenced: ReferencedDigests,
    signal: AbortSignal,
  ): Promise<ReadonlySet<Digest>> {
    const free = new Set(digests);
    if (free.size === 0) {
      return free;
    }
    for await (const { files, retired } of this.#deps.manifests.all(signal)) {
      for (const { digest } of [...files, ...retired]) {
        free.delete(digest);
      }
    }
    for await (const digest of referenced()) {
      free.delete(digest);
    }
    return free;
  }

  /** Files that compactions replaced long enough ago lose their place in the manifests. */
  async #forgetRetired(signal: AbortSignal): Promise<void> {
    const before = this.#deps.clock.now() - UNREFERENCED_KEEP_MS;
    const isOver = ({ time }: { readonly time: Date }): boolean => time.getTime() <= before;
    for await (const { _id: uid, workspace, view, retired } of this.#deps.manifests.all(signal)) {
      if (retired.some(isOver)) {
        await this.#deps.manifests.change({ uid, workspace, view }, (current) => ({
          ...current,
          retired: current.retired.filter((file) => !isOver(file)),
        }));
      }
    }
  }

  /** What flushes of processes that died left in the scratch folder. */
  async #sweepScratch(): Promise<void> {
    const { scratchDir } = this.#deps;
    const names = await readdir(scratchDir).catch(() => []);
    for (const name of names.filter((one) => one.startsWith(SCRATCH_PREFIX))) {
      const path = join(scratchDir, name);
      const found = await stat(path).catch(() => undefined);
      if (found !== undefined && found.mtimeMs <= Date.now() - SCRATCH_KEEP_MS) {
        await rm(path, { recursive: true, force: true });
      }
    }
  }
}
