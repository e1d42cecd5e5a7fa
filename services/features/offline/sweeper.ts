// Removes bytes that nothing refers to: what crashes, lost races, compactions and deleted views
// leave behind; and what else is over: torn batches in the log, folders of work that died.

import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { BlobMarks } from "../../common/blobs/blob-marks.ts";
import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import {
  type References,
  sweepUnreferenced,
  UNREFERENCED_KEEP_MS,
} from "../../common/blobs/sweep-unreferenced.ts";
import type { Clock } from "../../common/clock.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import type { FeaturesEvents } from "../events.ts";
import type { ManifestStore } from "./manifest-store.ts";
import type { PendingLog } from "./pending-log.ts";

/** Longer than batch ids are remembered: until then a replay may complete a torn batch. */
const TORN_KEEP_MS = 25 * 3_600_000;

/** Longer than any flush or compaction of a day. */
const SCRATCH_KEEP_MS = 24 * 3_600_000;

/** Folders of this kind in the scratch folder are of flushes and compactions. */
export const SCRATCH_PREFIX = "history-";

export interface SweeperDeps {
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly events: FeaturesEvents;
  readonly log: PendingLog;
  readonly manifests: ManifestStore;
  readonly scratchDir: string;
}

/** Owns the marks that keep what is stored again from being swept. */
export class BlobSweeper {
  readonly #deps: SweeperDeps;
  readonly #marks: BlobMarks;

  private constructor(deps: SweeperDeps, marks: BlobMarks) {
    this.#deps = deps;
    this.#marks = marks;
  }

  static async open(documents: DocumentStore, deps: SweeperDeps): Promise<BlobSweeper> {
    const { clock } = deps;
    const marks = await BlobMarks.open(documents, { name: "feature_blob_marks", clock });
    return new BlobSweeper(deps, marks);
  }

  /**
   * To be called after a reference to the blob was stored and before its bytes are committed.
   * @throws Unavailable when a sweeper has it for too long.
   */
  claim(digest: Digest): Promise<void> {
    return this.#marks.waitWhileMarked(digest);
  }

  /** Sweeps everything once. `referenced`: by others than manifests, which are jobs and tables. */
  async sweep(referenced: References, signal: AbortSignal): Promise<void> {
    const { blobs } = this.#deps;
    await this.#deps.log.removeTorn(new Date(this.#deps.clock.now() - TORN_KEEP_MS));
    await this.#forgetRetired(signal);
    const references = [() => this.#filesOf(signal), referenced];
    const freed = await sweepUnreferenced({ blobs, marks: this.#marks, references }, signal);
    for (const id of await blobs.staleStages(UNREFERENCED_KEEP_MS)) {
      await blobs.discard(id).catch(() => {});
    }
    await this.#sweepScratch();
    this.#deps.events.filesSwept(freed);
  }

  /** Every file that stands in a manifest. */
  async *#filesOf(signal: AbortSignal): AsyncGenerator<Digest> {
    for await (const { files, retired } of this.#deps.manifests.all(signal)) {
      for (const { digest } of [...files, ...retired]) {
        yield digest;
      }
    }
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
