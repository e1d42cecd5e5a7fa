// How far an erasure is, as its checkpoint holds it. A replacement of files is written down before
// it is made, so that the counts hold when the worker dies between the two.

import type { Value } from "../../common/documents/port.ts";

/** What was removed of one view. */
export interface ErasedCounts {
  readonly rows: number;
  readonly files: number;
}

/** Files about to be replaced. */
export interface PendingErasure extends ErasedCounts {
  /** The history's uid. */
  readonly uid: string;
  /** Empty: kept reads. */
  readonly viewName: string;
  readonly digests: readonly string[];
}

/** The counts so far, and the step under way. */
export interface ErasureState {
  /** From 1. */
  readonly round: number;
  readonly onlineKeys: number;
  /** Online keys of rounds up to this one are in onlineKeys. */
  readonly onlineRound: number;
  /** By the view's name. */
  readonly views: Readonly<Record<string, ErasedCounts>>;
  readonly pending: PendingErasure | null;
}

/** An erasure that has done nothing. */
export const ERASURE_BEGIN: ErasureState = {
  round: 1,
  onlineKeys: 0,
  onlineRound: 0,
  views: {},
  pending: null,
};

/** The state in a checkpoint; the beginning where there is none. */
export function erasureStateOf(checkpoint: Value): ErasureState {
  const isState =
    checkpoint !== null && typeof checkpoint === "object" && "onlineRound" in checkpoint;
  return isState ? (checkpoint as unknown as ErasureState) : ERASURE_BEGIN;
}

/** The way back. */
export function storedErasure(state: ErasureState): Value {
  return state as unknown as Value;
}

/** The state once the replacement that it names was made. */
export function withPendingDone(state: ErasureState): ErasureState {
  const { pending } = state;
  return pending === null ? state : withErased({ ...state, pending: null }, pending);
}

/** The state with more rows of a view removed; kept reads are not counted by view. */
export function withErased(
  state: ErasureState,
  erased: ErasedCounts & { readonly viewName: string },
): ErasureState {
  if (erased.viewName === "") {
    return state;
  }
  const before = state.views[erased.viewName] ?? { rows: 0, files: 0 };
  const sum = { rows: before.rows + erased.rows, files: before.files + erased.files };
  return { ...state, views: { ...state.views, [erased.viewName]: sum } };
}
