// How many predictions are kept when more come than may be. Of each batch those with the smallest
// hashes of their inference ids: the copies that a live version and its shadow made of one request
// are kept or left together, as far as the pace allows.

import type { Clock } from "../../common/clock.ts";
import { categoryHash } from "../sketch/category-key.ts";

/** What categoryHash goes up to. */
const HASHES = 2 ** 53;
/** What may come at once, in seconds of the rate. */
const BURST_S = 2;
/** How quickly the share that is kept follows the demand. */
const FOLLOW_S = 10;
/** Rows of an inference that cost as much as another inference. */
const ROWS_PER_TOKEN = 64;

/** Keeps everything. */
export const KEEP_ALL = 1;

/** An inference that wants to be kept. */
export interface PacedInference {
  /** 0 up to 1, from `placeOf`. */
  readonly place: number;
  /** Rows that it has. */
  readonly rows: number;
  /** References that its labels are found by. */
  readonly references: number;
}

/** Where an inference stands among those that compete: evenly spread, the same everywhere. */
export function placeOf(inferenceId: string): number {
  return categoryHash(inferenceId) / HASHES;
}

/** Owns the tokens of this process. */
export class PredictionPace {
  readonly #clock: Clock;
  readonly #rateMax: number;
  #tokens: number;
  #seenMs: number;
  /** Cost that came of late, fading. */
  #demand = 0;

  /** `rateMax` in inferences a second. */
  constructor(clock: Clock, rateMax: number) {
    this.#clock = clock;
    this.#rateMax = rateMax;
    this.#tokens = rateMax * BURST_S;
    this.#seenMs = clock.monotonicMs();
  }

  /**
   * Those with a place below the result are to be kept; their tokens are taken. An inference costs
   * one, or as many as it has references, or one for each 64 rows.
   */
  keepBelow(inferences: readonly PacedInference[]): number {
    this.#refill();
    const cost = inferences.reduce((sum, inference) => sum + this.#costOf(inference), 0);
    this.#demand += cost;
    const share = Math.min(KEEP_ALL, (this.#rateMax * FOLLOW_S) / Math.max(1, this.#demand));
    if (share < KEEP_ALL || cost > this.#tokens) {
      return this.#cut(inferences, share);
    }
    this.#tokens -= cost;
    return KEEP_ALL;
  }

  #refill(): void {
    const now = this.#clock.monotonicMs();
    const seconds = Math.max(0, now - this.#seenMs) / 1000;
    this.#seenMs = now;
    this.#tokens = Math.min(this.#rateMax * BURST_S, this.#tokens + seconds * this.#rateMax);
    this.#demand *= Math.exp(-seconds / FOLLOW_S);
  }

  /** The smallest places as far as the tokens reach, but no more than that share of all places. */
  #cut(inferences: readonly PacedInference[], share: number): number {
    const ordered = inferences
      .filter(({ place }) => place < share)
      .sort((a, b) => a.place - b.place);
    for (const inference of ordered) {
      const cost = this.#costOf(inference);
      if (cost > this.#tokens) {
        return inference.place;
      }
      this.#tokens -= cost;
    }
    return share;
  }

  #costOf({ rows, references }: PacedInference): number {
    const cost = Math.max(1, references, Math.ceil(rows / ROWS_PER_TOKEN));
    return Math.min(cost, this.#rateMax * BURST_S);
  }
}
