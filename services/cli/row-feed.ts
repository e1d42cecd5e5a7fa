// Rows on their way to the server: in batches, the first ones left out when asked, the bad ones
// reported, and the end reached early at a bad one under --on-error stop.

import type { Output } from "./output.ts";
import { type BadRow, type InputRow, isBad, place, type RowSource } from "./row-source.ts";
import { printable } from "./table.ts";

/** Bad rows that are told one by one; the rest is only counted. */
const REPORTS_MAX = 20;

export interface RowFeedOptions {
  readonly source: RowSource;
  readonly skipRows: number;
  readonly onError: "stop" | "skip";
  readonly output: Output;
}

export class RowFeed {
  readonly source: RowSource;
  readonly #options: RowFeedOptions;
  readonly #rows: AsyncIterator<InputRow | BadRow>;
  /** Under --on-error stop, the row that ended the input. */
  stoppedAt: BadRow | undefined;
  ended = false;
  badRows = 0;

  constructor(options: RowFeedOptions) {
    this.source = options.source;
    this.#options = options;
    this.#rows = options.source.rows[Symbol.asyncIterator]();
  }

  /** The next rows, at most `count`; none: the input has ended, or stopped at a bad row. */
  async read(count: number): Promise<InputRow[]> {
    const batch: InputRow[] = [];
    while (batch.length < count && !this.ended) {
      const next = await this.#rows.next();
      if (next.done === true) {
        this.ended = true;
      } else if (next.value.ordinal <= this.#options.skipRows) {
        // Left out, bad or not.
      } else if (!isBad(next.value)) {
        batch.push(next.value);
      } else if (this.#options.onError === "skip") {
        this.reportBad(next.value);
      } else {
        this.stoppedAt = next.value;
        this.ended = true;
      }
    }
    return batch;
  }

  /** Counts a row that gets no prediction, and tells of it. */
  reportBad(row: BadRow): void {
    this.badRows += 1;
    if (this.badRows <= REPORTS_MAX) {
      this.#options.output.warning(`${place(row)} is skipped: ${printable(row.fault)}`);
    } else if (this.badRows === REPORTS_MAX + 1) {
      this.#options.output.warning("further skipped rows are only counted.");
    }
  }

  /** Lets go of the input. Not waited for: a terminal or pipe may have nothing to say for long. */
  close(): void {
    this.ended = true;
    this.#rows.return?.().catch(() => undefined);
  }
}
