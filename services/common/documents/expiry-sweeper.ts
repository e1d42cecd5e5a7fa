// Deletes expired documents in the background, for both drivers. Nobody waits for a sweep and reads
// never show what is expired, so one that fails or is late only costs room.

/** Sweeps its collections one after the other, now and then, until it is disposed. */
export class ExpirySweeper implements AsyncDisposable {
  readonly #sweeps = new Map<string, () => Promise<void>>();
  readonly #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;

  /** `intervalMs` 0: never. */
  constructor(intervalMs: number) {
    if (intervalMs > 0) {
      this.#timer = setInterval(() => {
        this.#sweeping ??= this.#sweep();
      }, intervalMs).unref();
    }
  }

  /** Has a collection swept; one that was opened again takes the place of the former. */
  add(collection: string, sweep: () => Promise<void>): void {
    this.#sweeps.set(collection, sweep);
  }

  /** Begins no other sweep; resolves when the one under way is done. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    try {
      for (const sweep of this.#sweeps.values()) await sweep();
    } catch {
      // The next one comes.
    } finally {
      this.#sweeping = undefined;
    }
  }
}
