// Whether the store answers, asked now and then: what services say of their readiness.

import type { DocumentStore } from "./port.ts";

/** Quick enough for a readiness probe to be told of an outage. */
const PING_INTERVAL_MS = 2000;

/** Owns the timer. */
export class Reachability implements Disposable {
  readonly #store: Pick<DocumentStore, "ping">;
  #timer: NodeJS.Timeout | undefined;
  #isReachable = true;

  constructor(store: Pick<DocumentStore, "ping">) {
    this.#store = store;
  }

  /** Begins to ask. */
  start(): void {
    this.#timer ??= setInterval(() => void this.#ping(), PING_INTERVAL_MS).unref();
  }

  /** Whether the last look found the store answering; true before the first. */
  get isReachable(): boolean {
    return this.#isReachable;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #ping(): Promise<void> {
    try {
      await this.#store.ping();
      this.#isReachable = true;
    } catch {
      this.#isReachable = false;
    }
  }
}
