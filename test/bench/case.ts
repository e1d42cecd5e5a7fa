// What a case of the bench is.

import type { Check, Figures } from "./figures.ts";
import type { Turn } from "./lab.ts";

/** One contender of a case; it says nothing where it cannot be had. */
export interface Contender {
  readonly name: string;
  readonly measure: (turn: Turn) => Promise<Figures | undefined>;
}

/** A case, measured by rounds in which each contender has its turn. */
export interface Case {
  readonly name: string;
  readonly title: string;
  readonly contenders: readonly Contender[];
  readonly checks: readonly Check[];
}
