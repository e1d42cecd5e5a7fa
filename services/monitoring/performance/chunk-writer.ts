// Changes of chunks: labels and erasures. Whoever changes the same chunk at the same time in this
// process shares one read and one write; other processes are told apart by compare-and-set.

import { setTimeout as sleep } from "node:timers/promises";
import type { Stored } from "../../common/documents/port.ts";
import { withoutStamps } from "../../common/documents/resource.ts";
import { Aborted, NotFound } from "../../common/errors/domain-error.ts";
import { ChunkDraft } from "./chunk-draft.ts";
import type { ChunkRecord, PredictionCollections } from "./prediction-collections.ts";

const TRIES_MAX = 100;
const BACKOFF_MS_MAX = 50;

/** What is done to a chunk; may be called again with a newer one. */
export type ChunkChange<R> = (draft: ChunkDraft) => R;

interface Waiting {
  readonly change: ChunkChange<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Owns the queues of changes, one a chunk that is being changed. */
export class ChunkWriter {
  readonly #chunks: PredictionCollections["chunks"];
  readonly #queues = new Map<string, Waiting[]>();

  constructor(chunks: PredictionCollections["chunks"]) {
    this.#chunks = chunks;
  }

  /** Changes a chunk, durably. Undefined: there is none (any more). */
  change<R>(id: string, change: ChunkChange<R>): Promise<R | undefined> {
    return new Promise((resolve, reject) => {
      const waiting = { change, resolve: resolve as Waiting["resolve"], reject };
      const queue = this.#queues.get(id);
      if (queue !== undefined) {
        queue.push(waiting);
        return;
      }
      this.#queues.set(id, [waiting]);
      void this.#drain(id);
    });
  }

  async #drain(id: string): Promise<void> {
    for (;;) {
      const queue = this.#queues.get(id)!;
      if (queue.length === 0) {
        this.#queues.delete(id);
        return;
      }
      const group = queue.splice(0);
      try {
        const results = await this.#apply(id, group);
        group.forEach(({ resolve }, at) => {
          resolve(results?.[at]);
        });
      } catch (error) {
        for (const { reject } of group) {
          reject(error);
        }
      }
    }
  }

  async #apply(id: string, group: readonly Waiting[]): Promise<unknown[] | undefined> {
    for (let tries = 1; ; tries++) {
      const stored: Stored<ChunkRecord> | undefined = await this.#chunks.findOne({ _id: id });
      if (stored === undefined) {
        return undefined;
      }
      const draft = new ChunkDraft(withoutStamps(stored));
      const results = group.map(({ change }) => change(draft));
      const next = draft.changed();
      if (next === undefined) {
        return results;
      }
      try {
        await this.#chunks.replaceOne(next, { ifVersion: stored.version });
        return results;
      } catch (error) {
        const isLost = error instanceof Aborted || error instanceof NotFound;
        if (!isLost || tries === TRIES_MAX) {
          throw error;
        }
        await sleep(Math.random() * Math.min(2 ** tries, BACKOFF_MS_MAX));
      }
    }
  }
}
