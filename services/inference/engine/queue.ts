// The bounded queue of one servable: priorities 0 to 9, first in first out within a priority.
// Entries carry their own links, so that adding and taking out cost the same however long the queue
// is, and a request whose caller leaves frees its place at that moment. Pure: time is passed in.

/** Priorities 0 (first) to 9. */
const PRIORITIES = 10;

/**
 * How many entries of other shapes one batch may step over while it fills. Bounds the work of a
 * batch on a long queue of mixed shapes; what is behind them waits for the next batch.
 */
export const SKIPPED_MAX = 256;

/** What the queue knows of a request; it writes only `previous`, `next` and `queued`. */
export interface QueueEntry {
  readonly rows: number;
  /** Bytes it keeps in memory while it waits. */
  readonly bytes: number;
  readonly priority: number;
  /** Milliseconds since the epoch; at that time the entry is expired. */
  readonly deadlineMs: number;
  /** Entries of equal keys fit in one batch. */
  readonly batchKey: string;
  /** Never put together with others. */
  readonly alone: boolean;
  previous: this | undefined;
  next: this | undefined;
  queued: boolean;
}

class Lane<E extends QueueEntry> {
  first: E | undefined;
  last: E | undefined;
}

/**
 * What waits for one servable. Strict priorities: a lower number always goes first. Within the
 * order, the head of the queue is always part of the next batch, so that no shape starves.
 */
export class RequestQueue<E extends QueueEntry> {
  readonly #lanes: readonly Lane<E>[];
  #length = 0;
  #rows = 0;
  #bytes = 0;

  constructor() {
    this.#lanes = Array.from({ length: PRIORITIES }, () => new Lane<E>());
  }

  /** Entries waiting. */
  get length(): number {
    return this.#length;
  }

  /** The sum of their rows. */
  get rows(): number {
    return this.#rows;
  }

  /** The sum of their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The entry that the next batch begins with. */
  get head(): E | undefined {
    return this.#lanes.find((lane) => lane.first !== undefined)?.first;
  }

  /** Adds at the end of its priority. */
  push(entry: E): void {
    const lane = this.#enter(entry);
    entry.previous = lane.last;
    entry.next = undefined;
    if (lane.last === undefined) {
      lane.first = entry;
    } else {
      lane.last.next = entry;
    }
    lane.last = entry;
  }

  /** Puts back at the start of its priority what was taken out but not run. */
  pushFront(entry: E): void {
    const lane = this.#enter(entry);
    entry.previous = undefined;
    entry.next = lane.first;
    if (lane.first === undefined) {
      lane.last = entry;
    } else {
      lane.first.previous = entry;
    }
    lane.first = entry;
  }

  /** Takes an entry out wherever it stands; false when it is not queued. */
  remove(entry: E): boolean {
    if (!entry.queued) {
      return false;
    }
    const lane = this.#lanes[entry.priority]!;
    if (entry.previous === undefined) {
      lane.first = entry.next;
    } else {
      entry.previous.next = entry.next;
    }
    if (entry.next === undefined) {
      lane.last = entry.previous;
    } else {
      entry.next.previous = entry.previous;
    }
    entry.previous = undefined;
    entry.next = undefined;
    entry.queued = false;
    this.#length -= 1;
    this.#rows -= entry.rows;
    this.#bytes -= entry.bytes;
    return true;
  }

  /**
   * Takes out the next batch into `batch`: the head and, in order, what fits with it up to
   * `maxRows` rows. An entry that alone has more rows than that is a batch of its own. Expired
   * entries that are met on the way go into `expired` instead.
   */
  nextBatch(nowMs: number, maxRows: number, batch: E[], expired: E[]): void {
    let rows = 0;
    let skipped = 0;
    for (const lane of this.#lanes) {
      let entry = lane.first;
      while (entry !== undefined) {
        const next: E | undefined = entry.next;
        const head = batch[0];
        if (entry.deadlineMs <= nowMs) {
          this.remove(entry);
          expired.push(entry);
        } else if (head === undefined || this.#fits(head, entry, rows, maxRows)) {
          this.remove(entry);
          batch.push(entry);
          rows += entry.rows;
          if (rows >= maxRows || entry.alone) {
            return;
          }
        } else {
          skipped += 1;
          if (skipped > SKIPPED_MAX) {
            return;
          }
        }
        entry = next;
      }
    }
  }

  /** Takes out every expired entry. Looks at all of them: for a slow tick and for a full queue. */
  sweep(nowMs: number, expired: E[]): void {
    for (const lane of this.#lanes) {
      for (let entry = lane.first; entry !== undefined; ) {
        const next: E | undefined = entry.next;
        if (entry.deadlineMs <= nowMs) {
          this.remove(entry);
          expired.push(entry);
        }
        entry = next;
      }
    }
  }

  /** Takes out everything, in order. */
  clear(): readonly E[] {
    const entries: E[] = [];
    for (const lane of this.#lanes) {
      while (lane.first !== undefined) {
        const entry = lane.first;
        this.remove(entry);
        entries.push(entry);
      }
    }
    return entries;
  }

  #enter(entry: E): Lane<E> {
    if (entry.queued) {
      throw new Error("The entry is already queued.");
    }
    entry.queued = true;
    this.#length += 1;
    this.#rows += entry.rows;
    this.#bytes += entry.bytes;
    return this.#lanes[entry.priority]!;
  }

  #fits(head: E, entry: E, rows: number, maxRows: number): boolean {
    return !entry.alone && rows + entry.rows <= maxRows && entry.batchKey === head.batchKey;
  }
}
