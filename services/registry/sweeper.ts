// The registry's housekeeping, now and then: frees bytes nobody refers to, and finishes removals that
// were cut off.

import { sweepBytes } from "./collect-garbage.ts";
import type { RegistryDeps } from "./deps.ts";
import { finishRemovals } from "./remove-version.ts";

/** Owns the timer. One sweep at a time; a sweep that fails is tried again at the next interval. */
export class Sweeper implements AsyncDisposable {
  readonly #deps: RegistryDeps;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sweep: Promise<void> | undefined;

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  /** Sweeps now and at every interval. */
  start(): void {
    void this.sweepNow();
    const { sweepIntervalMs } = this.#deps.config;
    this.#timer = setInterval(() => void this.sweepNow(), sweepIntervalMs).unref();
  }

  /** Sweeps; joins the sweep under way if there is one. */
  async sweepNow(): Promise<void> {
    this.#sweep ??= this.#run().finally(() => {
      this.#sweep = undefined;
    });
    await this.#sweep;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
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
}
