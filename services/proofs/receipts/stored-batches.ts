// Where receipts lie: the batches of one log, found by point reads alone. A range query over them
// would read every one in the embedded store; bisecting reads some twenty in a log of a billion
// receipts. Batches expire from the oldest on, so that one that is missing lies before those that
// are there.

import type { Collection } from "../../common/documents/port.ts";
import { type BatchDocument, batchId } from "./log-documents.ts";

/** The batches of one log that a head no longer has to name. */
export class StoredBatches {
  readonly #log: string;
  readonly #batches: Collection<BatchDocument>;
  /** Batches before it have expired. */
  #oldest = 0;

  constructor(log: string, batches: Collection<BatchDocument>) {
    this.#log = log;
    this.#batches = batches;
  }

  /** A batch by its number; undefined once it has expired. */
  get(ordinal: number): Promise<BatchDocument | undefined> {
    return this.#batches.findOne({ _id: batchId(this.#log, ordinal) });
  }

  /** The batch with a receipt among the first `count` batches; undefined once it has expired. */
  async withReceipt(index: number, count: number): Promise<BatchDocument | undefined> {
    let [low, high] = [0, count];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const batch = await this.get(middle);
      if (batch !== undefined && index < batch.start) {
        high = middle;
      } else if (batch === undefined || index >= batch.start + batch.count) {
        low = middle + 1;
      } else {
        return batch;
      }
    }
    return undefined;
  }

  /** The number of the oldest batch that is left among the first `count`; `count` where none is. */
  async oldest(count: number): Promise<number> {
    let [low, high] = [this.#oldest, count];
    if (low < high && (await this.get(low)) !== undefined) {
      high = low;
    }
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((await this.get(middle)) === undefined) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    this.#oldest = Math.max(this.#oldest, low);
    return low;
  }
}
