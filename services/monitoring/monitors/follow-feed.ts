// Tells a cache which documents have changed, also by other processes, as long as it lives.

import { setTimeout as sleep } from "node:timers/promises";
import type { Collection, Document } from "../../common/documents/port.ts";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";

/** Until the feed is opened again after it broke. */
const RETRY_MS = 500;

/** What is done when the collection changes; neither may throw. */
export interface FeedListener {
  /** The document was written or deleted. */
  changed(id: string): void;
  /** Changes were missed: any document may have changed. */
  missed(): void;
}

/** Follows the feed of one collection until it is disposed. */
export class FeedFollower<T extends Document> implements AsyncDisposable {
  readonly #collection: Collection<T>;
  readonly #listener: FeedListener;
  readonly #ending = new AbortController();
  readonly #following: Promise<void>;

  private constructor(collection: Collection<T>, listener: FeedListener, after: number) {
    this.#collection = collection;
    this.#listener = listener;
    this.#following = this.#follow(after);
  }

  /** Changes made after this has resolved are told, within about a second. */
  static async start<T extends Document>(
    collection: Collection<T>,
    listener: FeedListener,
  ): Promise<FeedFollower<T>> {
    return new FeedFollower(collection, listener, await collection.revision());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#following;
  }

  async #follow(from: number): Promise<void> {
    const { signal } = this.#ending;
    let after = from;
    while (!signal.aborted) {
      try {
        for await (const change of this.#collection.changes(after, signal)) {
          this.#listener.changed(change.kind === "put" ? change.document._id : change.id);
          after = change.revision;
        }
      } catch (error) {
        after = await this.#resume(error, after);
      }
    }
  }

  /** Where to go on: a position that the feed has no more is given up. */
  async #resume(error: unknown, after: number): Promise<number> {
    const { signal } = this.#ending;
    // A signal that has aborted ends the pause before it begins.
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted || !(error instanceof FailedPrecondition)) {
      return after;
    }
    try {
      const revision = await this.#collection.revision();
      this.#listener.missed();
      return revision;
    } catch {
      return after;
    }
  }
}
