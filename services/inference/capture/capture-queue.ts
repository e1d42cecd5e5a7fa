// Batches that are sealed and wait to be sent, in the order of their sequences, and the limit of
// everything that waits.

import { ByteBudget } from "./byte-budget.ts";
import type { CaptureConfig } from "./capture-settings.ts";
import type { CaptureStream } from "./capture-stream.ts";
import { RowPace } from "./row-pace.ts";

/** A batch as it will be sent, and sent again. */
export interface SealedBatch {
  readonly sequence: number;
  readonly rows: number;
  /** Rows dropped before it, as it says. */
  readonly droppedRows: number;
  /** A CaptureInferencesRequest. */
  readonly bytes: Uint8Array;
  readonly stream: CaptureStream;
}

/** From here on it is worth sending at once. */
const READY_BYTES = 1024 * 1024;
const READY_ROWS = 16_384;

export class CaptureQueue {
  readonly budget: ByteBudget;
  readonly pace: RowPace;
  /** While set nothing is taken: nobody is there to take it. */
  isShut = false;
  readonly #onReady: () => void;
  #batches: SealedBatch[] = [];
  #lastSequence = 0;
  #rows = 0;
  #bytes = 0;

  /** @param onReady so much waits that it should be sent; called at each further batch too. */
  constructor(limits: Pick<CaptureConfig, "bytesMax" | "rowsRateMax">, onReady: () => void) {
    this.budget = new ByteBudget(limits.bytesMax);
    this.pace = new RowPace(limits.rowsRateMax);
    this.#onReady = onReady;
  }

  get length(): number {
    return this.#batches.length;
  }

  /** No batch up to this sequence will be sent again. */
  get acknowledged(): number {
    return (this.#batches[0]?.sequence ?? this.#lastSequence + 1) - 1;
  }

  /** Whether so many bytes more may wait. */
  takes(bytes: number): boolean {
    return !this.isShut && this.budget.allows(bytes);
  }

  nextSequence(): number {
    this.#lastSequence += 1;
    return this.#lastSequence;
  }

  /** Requires the sequence that was given last. */
  push(batch: SealedBatch): void {
    this.#batches.push(batch);
    this.#rows += batch.rows;
    this.#bytes += batch.bytes.length;
    this.budget.used += batch.bytes.length;
    if (this.#bytes >= READY_BYTES || this.#rows >= READY_ROWS) {
      this.#onReady();
    }
  }

  /** The first batches, up to so many bytes but at least one. They stay. */
  head(bytesMax: number): readonly SealedBatch[] {
    const batches: SealedBatch[] = [];
    let bytes = 0;
    for (const batch of this.#batches) {
      bytes += batch.bytes.length;
      if (batches.length > 0 && bytes > bytesMax) {
        break;
      }
      batches.push(batch);
    }
    return batches;
  }

  /** Takes batches out that need not be sent any more. */
  remove(batches: readonly SealedBatch[]): void {
    const gone = new Set(batches);
    this.#keep((batch) => !gone.has(batch));
  }

  /** Takes out what shall not be sent; its rows count as dropped. */
  discard(matches: (batch: SealedBatch) => boolean): void {
    const gone = this.#batches.filter(matches);
    this.remove(gone);
    for (const { stream, rows, droppedRows } of gone) {
      stream.drop(rows);
      stream.droppedRows += droppedRows;
    }
  }

  #keep(matches: (batch: SealedBatch) => boolean): void {
    const kept: SealedBatch[] = [];
    for (const batch of this.#batches) {
      if (matches(batch)) {
        kept.push(batch);
      } else {
        this.#rows -= batch.rows;
        this.#bytes -= batch.bytes.length;
        this.budget.used -= batch.bytes.length;
      }
    }
    this.#batches = kept;
  }
}
