// How many of something a workspace has at once: watches, proofs that are being verified.

/** Counts by workspace, up to a most. */
export class Shares {
  readonly #max: number;
  readonly #taken = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** One more, to be disposed when it is done; undefined where the workspace has as many as may be. */
  take(workspace: string): Disposable | undefined {
    const taken = this.#taken.get(workspace) ?? 0;
    if (taken >= this.#max) {
      return undefined;
    }
    this.#taken.set(workspace, taken + 1);
    return {
      [Symbol.dispose]: () => {
        const left = this.#taken.get(workspace)! - 1;
        if (left === 0) {
          this.#taken.delete(workspace);
        } else {
          this.#taken.set(workspace, left);
        }
      },
    };
  }
}
