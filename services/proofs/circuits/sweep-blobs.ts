// Removes bytes that nothing refers to: what deleted circuits and proofs, replaced keys, and crashes
// between storing and referring leave behind. Folders of work that was cut off go too, and much sooner:
// what is in them may be private.

import type { BlobStore } from "../../common/blobs/port.ts";
import {
  type References,
  sweepUnreferenced,
  UNREFERENCED_KEEP_MS,
} from "../../common/blobs/sweep-unreferenced.ts";
import type { ProofsEvents } from "../events.ts";
import type { BlobClaims } from "./blob-claims.ts";
import { STAGE_PREFIX } from "./circuit-files.ts";
import { sweepScratch, TOUCH_MS } from "./scratch-folders.ts";

const SWEEP_MS = 3_600_000;

export interface BlobSweeperDeps {
  readonly blobs: BlobStore;
  readonly claims: BlobClaims;
  /** Of every store that refers to blobs: circuits, powers of tau, proof jobs, proofs. */
  readonly references: readonly References[];
  readonly events: Pick<ProofsEvents, "backgroundFailed">;
  readonly scratchDir: string;
}

/** Owns the sweeps of this replica. */
export class BlobSweeper implements AsyncDisposable {
  readonly #deps: BlobSweeperDeps;
  readonly #stop = new AbortController();
  #timers: readonly NodeJS.Timeout[] = [];
  #sweep: Promise<void> | undefined;
  #scratchSweep: Promise<void> | undefined;

  constructor(deps: BlobSweeperDeps) {
    this.#deps = deps;
  }

  /** Sweeps every hour from now on; folders of work at once, and every minute. */
  start(): void {
    if (this.#timers.length === 0 && !this.#stop.signal.aborted) {
      this.#timers = [
        setInterval(() => this.#sweepSoon(), SWEEP_MS).unref(),
        setInterval(() => this.#sweepScratchSoon(), TOUCH_MS).unref(),
      ];
      this.#sweepScratchSoon();
    }
  }

  /** Sweeps everything once. Gives the number of blobs that went. */
  async sweep(signal: AbortSignal = this.#stop.signal): Promise<number> {
    const { blobs, claims } = this.#deps;
    const references = [() => claims.claimed(), ...this.#deps.references];
    const freed = await sweepUnreferenced({ blobs, marks: claims.marks, references }, signal);
    for (const id of await blobs.staleStages(UNREFERENCED_KEEP_MS)) {
      if (id.startsWith(STAGE_PREFIX)) {
        await blobs.discard(id).catch(() => {});
      }
    }
    await sweepScratch(this.#deps.scratchDir);
    return freed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) {
      clearInterval(timer);
    }
    this.#stop.abort();
    await Promise.all([this.#sweep, this.#scratchSweep]);
  }

  #sweepSoon(): void {
    this.#sweep ??= this.sweep()
      .then(() => {})
      .catch((error) => {
        if (!this.#stop.signal.aborted) {
          this.#deps.events.backgroundFailed("sweep", "blobs", error);
        }
      })
      .finally(() => {
        this.#sweep = undefined;
      });
  }

  #sweepScratchSoon(): void {
    this.#scratchSweep ??= sweepScratch(this.#deps.scratchDir)
      .catch((error) => this.#deps.events.backgroundFailed("sweep", "scratch", error))
      .finally(() => {
        this.#scratchSweep = undefined;
      });
  }
}
