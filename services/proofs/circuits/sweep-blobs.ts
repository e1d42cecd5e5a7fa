// Removes bytes that nothing refers to: what deleted circuits and proofs, replaced keys, and crashes
// between storing and referring leave behind. See blob-claims.ts for why nothing is taken that is
// about to be referred to. Folders of work that was cut off go too, and much sooner: what is in them
// may be private.

import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import type { ProofsEvents } from "../events.ts";
import { type BlobClaims, MARK_MS } from "./blob-claims.ts";
import { STAGE_PREFIX } from "./circuit-files.ts";
import { sweepScratch, TOUCH_MS } from "./scratch-folders.ts";

/** Bytes younger than this may be about to be referred to by who does not claim them. */
const UNREFERENCED_KEEP_MS = 3_600_000;

const MARKED_AT_ONCE = 200;
const SWEEP_MS = 3_600_000;

/** Blobs that documents of one kind refer to; some may come twice. */
export type References = () => AsyncIterable<Digest>;

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
    const { blobs } = this.#deps;
    const freed = await this.#sweepBlobs(signal);
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

  async #sweepBlobs(signal: AbortSignal): Promise<number> {
    const old: Digest[] = [];
    const newest = Date.now() - UNREFERENCED_KEEP_MS;
    for await (const { digest, modifiedTime } of this.#deps.blobs.list()) {
      signal.throwIfAborted();
      if (modifiedTime.getTime() <= newest) {
        old.push(digest);
      }
    }
    const free = [...(await this.#unreferenced(old, signal))];
    let freed = 0;
    for (let start = 0; start < free.length; start += MARKED_AT_ONCE) {
      signal.throwIfAborted();
      freed += await this.#free(free.slice(start, start + MARKED_AT_ONCE), signal);
    }
    return freed;
  }

  /** Marks the blobs, looks again whether anything refers to them, and deletes the others. */
  async #free(digests: readonly Digest[], signal: AbortSignal): Promise<number> {
    const { blobs, claims } = this.#deps;
    const startMs = performance.now();
    const marked: Digest[] = [];
    let freed = 0;
    try {
      for (const digest of digests) {
        if (await claims.mark(digest)) {
          marked.push(digest);
        }
      }
      for (const digest of await this.#unreferenced(marked, signal)) {
        // Past this the marks may have expired.
        if (performance.now() - startMs < MARK_MS / 2) {
          await blobs.delete(digest);
          freed += 1;
        }
      }
    } finally {
      for (const digest of marked) {
        await claims.unmark(digest);
      }
    }
    return freed;
  }

  async #unreferenced(
    digests: readonly Digest[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<Digest>> {
    const free = new Set(digests);
    if (free.size === 0) {
      return free;
    }
    const { claims, references } = this.#deps;
    for (const all of [() => claims.claimed(), ...references]) {
      for await (const digest of all()) {
        signal.throwIfAborted();
        free.delete(digest);
      }
    }
    return free;
  }
}
