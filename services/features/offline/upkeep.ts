// What the offline store does by itself besides flushing: joins the files of days that have many,
// and removes what nothing refers to. What fails is told and done again later.

import type { References } from "../../common/blobs/sweep-unreferenced.ts";
import type { FeaturesConfig } from "../config.ts";
import type { FeaturesEvents } from "../events.ts";
import { type CompactableStore, compactHistory, daysToCompact } from "./compact.ts";
import type { History } from "./history.ts";
import type { Leases } from "./leases.ts";
import type { ManifestState, ManifestStore } from "./manifest-store.ts";
import type { BlobSweeper } from "./sweeper.ts";

export interface UpkeepDeps {
  readonly store: CompactableStore;
  readonly config: Pick<FeaturesConfig, "compactFilesMax" | "sweepIntervalMs">;
  readonly events: FeaturesEvents;
  readonly leases: Leases;
  readonly manifests: ManifestStore;
  readonly sweeper: BlobSweeper;
  /** Names this process among the owners of leases. */
  readonly owner: string;
}

/** The lease of who materialises, compacts or erases a history. */
export function viewLeaseId({ uid }: Pick<History, "uid">): string {
  return `view|${uid}`;
}

/** Owns the sweeper's timer and the compactions under way, one at a time. */
export class Upkeep implements AsyncDisposable {
  readonly #deps: UpkeepDeps;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  #compacting: Promise<void> = Promise.resolve();

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
  }

  /** Sweeps now and then. */
  startSweeping(referenced: References): void {
    this.#timer = setInterval(() => {
      this.#sweeping ??= this.#sweep(referenced).finally(() => {
        this.#sweeping = undefined;
      });
    }, this.#deps.config.sweepIntervalMs).unref();
  }

  /** Compacts the days of a history that have too many files, unless a job is at it. */
  compactSoon(history: History): void {
    this.#compacting = this.#compacting.then(() => this.#compact(history));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#sweeping;
    await this.#compacting;
  }

  async #sweep(referenced: References): Promise<void> {
    try {
      await this.#deps.sweeper.sweep(referenced, this.#stop.signal);
    } catch (error) {
      this.#failed("sweep", { subject: "blobs", error });
    }
  }

  async #compact(history: History): Promise<void> {
    const { config, leases, manifests, owner, store } = this.#deps;
    const filesMin = config.compactFilesMax + 1;
    try {
      const manifest = await manifests.get(history);
      const isDue = daysToCompact(manifest, filesMin).length > 0 && manifest.joinKeys.length > 0;
      if (this.#stop.signal.aborted || !isDue) {
        return;
      }
      await using lease = await leases.acquire(viewLeaseId(history), owner);
      if (lease !== undefined) {
        const signal = AbortSignal.any([this.#stop.signal, lease.signal]);
        const shape = { joinKeys: joinKeyFields(manifest) };
        await compactHistory(store, history, shape, { signal, filesMin });
      }
    } catch (error) {
      this.#failed("compaction", { subject: history.view, error });
    }
  }

  #failed(work: string, what: { readonly subject: string; readonly error: unknown }): void {
    if (!this.#stop.signal.aborted) {
      this.#deps.events.backgroundFailed(work, what.subject, what.error);
    }
  }
}

function joinKeyFields({ files, joinKeys }: ManifestState) {
  return (files[0]?.columns ?? []).filter(({ name }) => joinKeys.includes(name));
}
