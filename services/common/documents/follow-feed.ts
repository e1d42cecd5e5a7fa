// Tells what is kept in memory which documents have changed, also by other processes, as long as it
// lives. A feed that breaks is opened again where it was left.

import { setTimeout as sleep } from "node:timers/promises";
import { FailedPrecondition } from "../errors/domain-error.ts";
import type { Change, Collection, Document } from "./port.ts";

/** Until the feed is opened again after it broke. */
const RETRY_MS = 500;

/** What is followed: a collection, or who gives its changes. */
export type Feed<T extends Document> = Pick<Collection<T>, "revision" | "changes">;

/** What is done when the collection changes; none of it may throw. */
export interface FeedListener<T extends Document> {
  /** A document was written or deleted. */
  changed(change: Change<T>): void;
  /** Changes were missed: any document may have changed. */
  missed(): void;
  /** The feed broke; it is opened again after a pause. */
  broke?(error: unknown): void;
}

/** The document that changed. */
export function idOf<T extends Document>(change: Change<T>): string {
  return change.kind === "put" ? change.document._id : change.id;
}

/** Follows one feed until it is disposed. */
export class FeedFollower<T extends Document> implements AsyncDisposable {
  readonly #feed: Feed<T>;
  readonly #listener: FeedListener<T>;
  readonly #ending = new AbortController();
  readonly #following: Promise<void>;

  private constructor(feed: Feed<T>, listener: FeedListener<T>, after?: number) {
    this.#feed = feed;
    this.#listener = listener;
    this.#following = this.#follow(after);
  }

  /**
   * Changes made after this has resolved are told, within about a second.
   * @throws Unavailable while the database is away
   */
  static async start<T extends Document>(
    feed: Feed<T>,
    listener: FeedListener<T>,
  ): Promise<FeedFollower<T>> {
    return new FeedFollower(feed, listener, await feed.revision());
  }

  /** As start, for changes from some moment soon on: also while the database is away. */
  static begin<T extends Document>(feed: Feed<T>, listener: FeedListener<T>): FeedFollower<T> {
    return new FeedFollower(feed, listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#following;
  }

  async #follow(from: number | undefined): Promise<void> {
    const { signal } = this.#ending;
    let after = from;
    while (!signal.aborted) {
      try {
        after ??= await this.#feed.revision();
        for await (const change of this.#feed.changes(after, signal)) {
          this.#listener.changed(change);
          after = change.revision;
        }
      } catch (error) {
        this.#listener.broke?.(error);
        after = await this.#resume(error, after);
      }
    }
  }

  /** Where to go on: a position that the feed has no more is given up. */
  async #resume(error: unknown, after: number | undefined): Promise<number | undefined> {
    const { signal } = this.#ending;
    // A signal that has aborted ends the pause before it begins.
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted || !(error instanceof FailedPrecondition)) {
      return after;
    }
    try {
      const revision = await this.#feed.revision();
      this.#listener.missed();
      return revision;
    } catch {
      return after;
    }
  }
}
