// Who may use the prover next. Rows of all jobs that are held here take turns: by priority, then
// the workspaces one after the other. One row makes its witness while another's proof is made, so
// that the prover has always something to do.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Cancelled } from "../../common/errors/domain-error.ts";

/** Rows under way at once. */
export const ROWS_MAX = 2;

/** Who asks. */
export interface TurnOf {
  readonly workspace: string;
  /** 0 to 9; lower comes first. */
  readonly priority: number;
}

interface Waiting {
  readonly of: TurnOf;
  readonly start: () => void;
}

/** Hands out the turns of one replica. */
export class ProverTurns {
  readonly #waiting: Waiting[] = [];
  /** Last turn of each workspace, as a count of turns. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
  #underWay = 0;

  /** Resolves when the row may begin; to be disposed when it is done. @throws Cancelled */
  async take(of: TurnOf, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = { of, start: resolve };
    const leave = () => {
      const index = this.#waiting.indexOf(waiting);
      if (index >= 0) {
        this.#waiting.splice(index, 1);
        reject(
          signal.reason ??
            new Cancelled("The row is not wanted any more.", { reason: ErrorReason.CANCELLED }),
        );
      }
    };
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.push(waiting);
    this.#next();
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
    let isDone = false;
    return {
      [Symbol.dispose]: () => {
        if (!isDone) {
          isDone = true;
          this.#underWay -= 1;
          this.#next();
        }
      },
    };
  }

  #next(): void {
    while (this.#underWay < ROWS_MAX && this.#waiting.length > 0) {
      const best = this.#waiting.reduce((a, b) => (this.#isBefore(b.of, a.of) ? b : a));
      this.#waiting.splice(this.#waiting.indexOf(best), 1);
      this.#underWay += 1;
      this.#turns.set(best.of.workspace, ++this.#turn);
      best.start();
    }
  }

  /** Strictly: of two that are alike the one that asked first comes first. */
  #isBefore(a: TurnOf, b: TurnOf): boolean {
    const turnOf = ({ workspace }: TurnOf) => this.#turns.get(workspace) ?? 0;
    return a.priority < b.priority || (a.priority === b.priority && turnOf(a) < turnOf(b));
  }
}
