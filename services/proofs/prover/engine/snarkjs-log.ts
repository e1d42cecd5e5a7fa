// snarkjs tells what is wrong with a file only to its logger, and returns false or -1.

import type { Logger } from "snarkjs";

/** Keeps the last error that snarkjs told of. */
export class SnarkjsLog implements Logger {
  #last = "";

  /** What was wrong, in snarkjs' words; empty where it did not say. */
  get lastError(): string {
    return this.#last;
  }

  debug(_text: string): void {}

  info(_text: string): void {}

  warn(_text: string): void {}

  error(text: string): void {
    this.#last = text.replace(/^INVALID:\s*/, "");
  }
}
