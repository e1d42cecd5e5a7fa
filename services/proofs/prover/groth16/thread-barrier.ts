// Where the threads of one proof wait for each other: none goes on before all have come.

const ARRIVED = 0;
const ROUND = 1;

/** A barrier for a fixed number of threads, to be used any number of times. */
export class ThreadBarrier {
  /** Bytes of the memory that its threads share; all zero at first. */
  static readonly BYTES = 8;

  readonly #state: Int32Array;
  readonly #threads: number;

  constructor(memory: SharedArrayBuffer, threads: number) {
    this.#state = new Int32Array(memory);
    this.#threads = threads;
  }

  /** Returns when all threads have called it as often as this one. */
  wait(): void {
    const round = Atomics.load(this.#state, ROUND);
    if (Atomics.add(this.#state, ARRIVED, 1) === this.#threads - 1) {
      // Before the round ends: who goes on may arrive here again.
      Atomics.store(this.#state, ARRIVED, 0);
      Atomics.add(this.#state, ROUND, 1);
      Atomics.notify(this.#state, ROUND);
      return;
    }
    while (Atomics.load(this.#state, ROUND) === round) Atomics.wait(this.#state, ROUND, round);
  }
}
