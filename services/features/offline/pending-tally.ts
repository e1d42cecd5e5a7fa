// How many rows wait in the log, by history: what this process counted last in the store, and what
// it appended since. Other replicas' appends show with the next count, so a limit on waiting rows is
// exact for one replica and near enough for several.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ResourceExhausted } from "../../common/errors/domain-error.ts";
import type { History } from "./history.ts";
import { type Head, historyOfHead } from "./pending-log.ts";

/** Small batches cost a document each, however few rows they have. */
const BATCHES_MAX = 200_000;

/** A flush of that many batches is worth it, however few rows they have. */
const BATCHES_DUE = 10_000;

const RETRY_AFTER_MS = 5_000;

interface Count {
  readonly history: History;
  rows: number;
  batches: number;
  oldestMs: number;
}

/** When rows are to leave the log. */
export interface DueLimits {
  readonly flushRowsMax: number;
  readonly flushIntervalMs: number;
}

/** Owns the counts of rows that wait, by history. */
export class PendingTally {
  #counts = new Map<string, Count>();
  readonly #recounts = new Set<Map<string, Count>>();

  /** Counts a batch that was appended. */
  add(history: History, batch: { readonly rows: number; readonly timeMs: number }): void {
    for (const counts of [this.#counts, ...this.#recounts]) {
      count(counts, history, batch);
    }
  }

  /** Takes over what is in the log; of one history where `uid` is given. */
  async recount(heads: AsyncIterable<Head>, uid?: string): Promise<void> {
    const counts = new Map<string, Count>();
    this.#recounts.add(counts);
    try {
      for await (const head of heads) {
        count(counts, historyOfHead(head), { rows: head.rows, timeMs: head.time.getTime() });
      }
    } finally {
      this.#recounts.delete(counts);
    }
    if (uid === undefined) {
      this.#counts = counts;
    } else if (counts.has(uid)) {
      this.#counts.set(uid, counts.get(uid)!);
    } else {
      this.#counts.delete(uid);
    }
  }

  /** @throws ResourceExhausted when a history has no room in the log for these rows. */
  checkRoom(history: History, rows: number, rowsMax: number): void {
    const waiting = this.#counts.get(history.uid);
    if (waiting === undefined) {
      return;
    }
    if (waiting.rows + rows > rowsMax || waiting.batches >= BATCHES_MAX) {
      throw new ResourceExhausted(
        `${waiting.rows} rows of "${history.view}" in ${waiting.batches} batches wait to be ` +
          `written to files; at most ${rowsMax} rows or ${BATCHES_MAX} batches may. Push again later.`,
        { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
      );
    }
  }

  isFull(history: History, limits: Pick<DueLimits, "flushRowsMax">): boolean {
    const waiting = this.#counts.get(history.uid);
    return waiting !== undefined && isLarge(waiting, limits);
  }

  /** The histories whose rows are to go into files now. */
  due(nowMs: number, limits: DueLimits): readonly History[] {
    return [...this.#counts.values()]
      .filter((waiting) => {
        return isLarge(waiting, limits) || nowMs - waiting.oldestMs >= limits.flushIntervalMs;
      })
      .map(({ history }) => history);
  }
}

function isLarge(waiting: Count, { flushRowsMax }: Pick<DueLimits, "flushRowsMax">): boolean {
  return waiting.rows >= flushRowsMax || waiting.batches >= BATCHES_DUE;
}

function count(
  counts: Map<string, Count>,
  history: History,
  batch: { readonly rows: number; readonly timeMs: number },
): void {
  const known = counts.get(history.uid);
  if (known === undefined) {
    counts.set(history.uid, { history, rows: batch.rows, batches: 1, oldestMs: batch.timeMs });
  } else {
    known.rows += batch.rows;
    known.batches += 1;
    known.oldestMs = Math.min(known.oldestMs, batch.timeMs);
  }
}
