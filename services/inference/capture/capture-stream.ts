// What a batch holds one of: the live answers of a version, or those that went to nobody.

import type { CaptureBuffer } from "./capture-buffer.ts";

export interface CaptureStreamOptions {
  readonly shadow: boolean;
  /** So many rows were chosen and are not sent. */
  readonly onDropped: (rows: number) => void;
}

/** The buffers of one, and what had to be dropped of it. */
export class CaptureStream {
  readonly shadow: boolean;
  readonly buffers: CaptureBuffer[] = [];
  /** Since the batch before; the next one tells it. */
  droppedRows = 0;
  readonly #onDropped: (rows: number) => void;

  constructor(options: CaptureStreamOptions) {
    this.shadow = options.shadow;
    this.#onDropped = options.onDropped;
  }

  drop(rows: number): void {
    this.droppedRows += rows;
    this.#onDropped(rows);
  }
}
