// How many rows a second are captured. What is left of a slice of time is not carried over, so that
// a quiet second is not followed by a burst.

const SLICE_MS = 50;

/** Owns the timer that begins the slices. */
export class RowPace implements Disposable {
  readonly #perSlice: number;
  #left: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(rowsPerSecond: number) {
    this.#perSlice = (rowsPerSecond * SLICE_MS) / 1000;
    this.#left = this.#perSlice;
  }

  /** Begins the slices; before, one of them is all there is. */
  start(): void {
    this.#timer ??= setInterval(() => this.#begin(), SLICE_MS).unref();
  }

  /** False where the slice is used up. More rows than are left are taken, and owed. */
  take(rows: number): boolean {
    if (this.#left <= 0) {
      return false;
    }
    this.#left -= rows;
    return true;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #begin(): void {
    this.#left = Math.min(this.#perSlice, this.#left + this.#perSlice);
  }
}
