// The registry's housekeeping, now and then: frees bytes nobody refers to, finishes removals that
// were cut off, and looks whether the store answers.

import { sweepBytes } from "./collect-garbage.ts";
import type { RegistryDeps } from "./deps.ts";
import { finishRemovals } from "./remove-version.ts";

/** Quick enough for a readiness probe to be told of an outage. */
const PING_INTERVAL_MS = 2000;

/** Owns the timers. One sweep at a time; a sweep that fails is tried again at the next interval. */
export class Sweeper implements AsyncDisposable {
  readonly #deps: RegistryDeps;
  readonly #stop = new AbortController();
  #timers: readonly NodeJS.Timeout[] = [];
  #sweep: Promise<void> | undefined;
  #isReachable = true;

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  /** Sweeps now and at every interval. */
  start(): void {
    void this.sweepNow();
    this.#timers = [
      setInterval(() => void this.sweepNow(), this.#deps.config.sweepIntervalMs).unref(),
      setInterval(() => void this.#ping(), PING_INTERVAL_MS).unref(),
    ];
  }

  /** Whether the last look found the store answering. */
  isStoreReachable(): boolean {
    return this.#isReachable;
  }

  /** Sweeps; joins the sweep under way if there is one. */
  async sweepNow(): Promise<void> {
    this.#sweep ??= this.#run().finally(() => {
      this.#sweep = undefined;
    });
    await this.#sweep;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timers.forEach(clearInterval);
    this.#stop.abort();
    await this.#sweep;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      await finishRemovals(this.#deps);
      await sweepBytes(this.#deps, { uploadTtlMs: this.#deps.config.uploadTtlMs, signal });
    } catch (error) {
      if (!signal.aborted) {
        this.#deps.events.sweepFailed(error);
      }
    }
  }

  async #ping(): Promise<void> {
    try {
      await this.#deps.store.ping();
      this.#isReachable = true;
    } catch {
      this.#isReachable = false;
    }
  }
}
