// Holds a stream of keys to a rate. Pieces are a tenth of a second's worth, and each waits its
// share of a second after the one before it began, so that no second sees more keys than the rate.

import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../common/clock.ts";

const PIECES_PER_SECOND = 10;
/** A clock that tests move is looked at this often. */
const LOOK_AGAIN_MS = 20;

/** Owns the schedule of one stream. */
export class KeyPace {
  /** Keys of a piece, at most. */
  readonly pieceKeys: number;
  readonly #rate: number;
  readonly #clock: Clock;
  #dueMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, keysPerSecond: number) {
    this.#clock = clock;
    this.#rate = keysPerSecond;
    this.pieceKeys = Math.max(1, Math.floor(keysPerSecond / PIECES_PER_SECOND));
  }

  /** Resolves when a piece of this many keys may begin. @throws the signal's reason */
  async turn(keys: number, signal: AbortSignal): Promise<void> {
    for (let now = this.#clock.monotonicMs(); ; now = this.#clock.monotonicMs()) {
      signal.throwIfAborted();
      if (now >= this.#dueMs) {
        this.#dueMs = now + (keys / this.#rate) * 1000;
        return;
      }
      const waitMs = Math.min(this.#dueMs - now, LOOK_AGAIN_MS);
      await sleep(waitMs, undefined, { signal }).catch(() => {});
    }
  }
}
