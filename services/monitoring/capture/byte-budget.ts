// Bounds what is decoded and not durable yet, over all streams: who is over it waits, and reads no
// further messages meanwhile, which slows its sender down.

/** Owns a number of bytes that are handed out and come back. */
export class ByteBudget {
  readonly #bytesMax: number;
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  #used = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Resolves when there is room, in the order of the calls; what is larger than all of it waits
   * until it is alone. Dispose of the result to give it back.
   */
  async take(bytes: number): Promise<Disposable> {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) {
      await new Promise<void>((go) => this.#waiting.push({ bytes, go }));
    } else {
      this.#used += bytes;
    }
    return { [Symbol.dispose]: () => this.#give(bytes) };
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#bytesMax;
  }

  #give(bytes: number): void {
    this.#used -= bytes;
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.bytes); ) {
      this.#used += next.bytes;
      this.#waiting.shift();
      next.go();
      next = this.#waiting[0];
    }
  }
}
