// Batches of receipts that wait for their log, in the order of their sequences. None is dropped.

import type { ByteBudget } from "../capture/byte-budget.ts";
import type { SealedReceipts } from "./hash-thread.ts";

/** Its bytes count in the budget. */
export class ReceiptQueue {
  readonly #budget: ByteBudget;
  #batches: SealedReceipts[] = [];

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  get length(): number {
    return this.#batches.length;
  }

  /** Receipts that wait. */
  get receipts(): number {
    return this.#batches.reduce((sum, { count }) => sum + count, 0);
  }

  push(batch: SealedReceipts): void {
    this.#batches.push(batch);
    this.#budget.used += batch.bytes.length;
  }

  /** The first batches, up to so many bytes but at least one. They stay. */
  head(bytesMax: number): readonly SealedReceipts[] {
    let bytes = 0;
    const end = this.#batches.findIndex((batch, index) => {
      bytes += batch.bytes.length;
      return index > 0 && bytes > bytesMax;
    });
    return this.#batches.slice(0, end < 0 ? this.#batches.length : end);
  }

  /** Takes out the first batches, which are logged. */
  shift(count: number): void {
    for (const { bytes } of this.#batches.splice(0, count)) {
      this.#budget.used -= bytes.length;
    }
  }
}
