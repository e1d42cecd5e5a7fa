// How many bytes everything that waits to be captured may take together: open buffers by what they
// hold of memory, not by what is in them, and sealed batches.

/** A limit shared by all buffers and the queue of one capture. */
export class ByteBudget {
  readonly max: number;
  used = 0;

  constructor(max: number) {
    this.max = max;
  }

  /** Whether so many bytes more are within the limit. */
  allows(count: number): boolean {
    return this.used + count <= this.max;
  }
}
