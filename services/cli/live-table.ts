// A table that is drawn again as its rows change: over itself on a terminal, as lines of changes
// elsewhere. Draws are spaced out, so that a burst of changes does not flicker.

import type { Output } from "./output.ts";

/** Milliseconds between two drawings. */
const DRAW_MS = 250;

/** Draws lines over what it drew before. Disposed of, it draws a last time and leaves it there. */
export class LiveTable implements Disposable {
  readonly #lines: () => readonly string[];
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;
  #wanted = false;

  /** `lines` gives the table as it is now. */
  constructor(lines: () => readonly string[]) {
    this.#lines = lines;
  }

  /** Whether the output is a terminal where lines can be drawn over. */
  static fits(output: Output): boolean {
    return !output.json && process.stdout.isTTY === true;
  }

  /** Says that something has changed. */
  changed(): void {
    if (this.#timer !== undefined) {
      this.#wanted = true;
      return;
    }
    this.#draw();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#wanted) {
        this.changed();
      }
    }, DRAW_MS);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#wanted) {
      this.#draw();
    }
  }

  #draw(): void {
    this.#wanted = false;
    // What has scrolled off the screen cannot be drawn over.
    const most = Math.max(1, (process.stdout.rows || 24) - 1);
    const all = this.#lines();
    const rest = all.length - most;
    const shown = rest > 0 ? [...all.slice(0, most - 1), `and ${rest + 1} more lines`] : [...all];
    const up = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : "";
    process.stdout.write(`${up}\r\u001b[J${shown.join("\n")}\n`);
    this.#drawn = shown.length;
  }
}
