// What is added up beside the sketches of a window. All sums are exact (whole numbers, and
// milliseconds in binary fractions), so that parts may be merged in any order and give equal bytes.

import type { FreshnessTotals, WindowTotals } from "./window-record.ts";

/** Milliseconds are kept in 1,024ths: sums of them are exact up to 2^43 ms. */
const PARTS_OF_A_MS = 1024;
/** Longer than any run; what is not finite counts as nothing. */
const DURATION_MS_MAX = 86_400_000;
/** plinth.features.v1.FieldStatus 0 to 4. */
const STATUSES = 5;

/** Totals that are still being counted. */
export interface MutableTotals {
  inferences: number;
  queueMs: number;
  computeMs: number;
  lateRows: number;
  droppedRows: number;
  /** By feature and view. */
  readonly freshness: Map<string, MutableFreshness>;
}

interface MutableFreshness {
  readonly feature: string;
  readonly featureView: string;
  readonly statuses: number[];
}

/** Of nothing. */
export function newTotals(): MutableTotals {
  return {
    inferences: 0,
    queueMs: 0,
    computeMs: 0,
    lateRows: 0,
    droppedRows: 0,
    freshness: new Map(),
  };
}

/** A copy that can be added to. */
export function mutableTotals(totals: WindowTotals): MutableTotals {
  const copy = newTotals();
  addTotals(copy, totals);
  return copy;
}

/** As they are stored; features in the order of their names. */
export function storedTotals(totals: MutableTotals): WindowTotals {
  const { freshness, ...counts } = totals;
  const keys = [...freshness.keys()].sort();
  return {
    ...counts,
    freshness: keys.map((key): FreshnessTotals => {
      const { feature, featureView, statuses } = freshness.get(key)!;
      return { feature, featureView, statuses: [...statuses] };
    }),
  };
}

/** Adds totals of other rows. */
export function addTotals(totals: MutableTotals, more: WindowTotals): void {
  totals.inferences += more.inferences;
  totals.queueMs += more.queueMs;
  totals.computeMs += more.computeMs;
  totals.lateRows += more.lateRows;
  totals.droppedRows += more.droppedRows;
  for (const { feature, featureView, statuses } of more.freshness) {
    const known = freshnessOf(totals, { feature, featureView });
    statuses.forEach((rows, status) => {
      known[status] = (known[status] ?? 0) + rows;
    });
  }
}

/** Adds one inference. */
export function addInference(
  totals: MutableTotals,
  times: { readonly queueMs: number; readonly computeMs: number },
): void {
  totals.inferences += 1;
  totals.queueMs += exactMs(times.queueMs);
  totals.computeMs += exactMs(times.computeMs);
}

/** Adds what became of a feature, one byte a row; unknown statuses count as unspecified. */
export function addStatuses(
  totals: MutableTotals,
  feature: Pick<FreshnessTotals, "feature" | "featureView">,
  statuses: Uint8Array,
): void {
  const known = freshnessOf(totals, feature);
  for (const status of statuses) {
    const place = status < STATUSES ? status : 0;
    known[place] = known[place]! + 1;
  }
}

function freshnessOf(
  totals: MutableTotals,
  { feature, featureView }: Pick<FreshnessTotals, "feature" | "featureView">,
): number[] {
  const key = JSON.stringify([feature, featureView]);
  let known = totals.freshness.get(key);
  if (known === undefined) {
    known = { feature, featureView, statuses: new Array<number>(STATUSES).fill(0) };
    totals.freshness.set(key, known);
  }
  return known.statuses;
}

function exactMs(ms: number): number {
  const bounded = Number.isFinite(ms) ? Math.min(Math.max(ms, 0), DURATION_MS_MAX) : 0;
  return Math.round(bounded * PARTS_OF_A_MS) / PARTS_OF_A_MS;
}
