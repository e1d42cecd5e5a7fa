// Which rows of a batch fall into which window, and those rows as a batch of their own. Rows of one
// inference share its time. Pure.

import type { DecodedBatch } from "../capture/decoded-batch.ts";
import { type ColumnBatch, isNull, type NullBitmap } from "../sketch/column-batch.ts";
import { type WindowLength, type WindowRange, windowAt } from "./event-clock.ts";

/**
 * Windows that one batch is counted in: each is a document. A sender's batch holds about a second
 * of its traffic, so that more are of event times that callers made up. The newest are counted,
 * which those of the other callers in the batch are among.
 */
export const BATCH_WINDOWS_MAX = 1024;

/** Rows of a batch that fall into one window. */
export interface WindowShare extends WindowRange {
  /** Places in the batch's inferences, ascending. */
  readonly inferences: number[];
  rows: number;
}

/** A batch by windows. */
export interface SplitBatch {
  /** Ascending by start. */
  readonly shares: readonly WindowShare[];
  /** Rows too far in the future; they are in no share. */
  readonly futureRows: number;
  /** Rows of windows beyond the newest BATCH_WINDOWS_MAX; they are in no share. */
  readonly refusedRows: number;
  /** Newest event time of the others; absent: there are none. */
  readonly newestUs: number | undefined;
}

/** The windows that the rows of a batch are counted in. */
export function splitByWindow(
  batch: DecodedBatch,
  options: { readonly lengths: readonly WindowLength[]; readonly horizonUs: number },
): SplitBatch {
  const { count, rows, eventUs } = batch.inferences;
  const shares = new Map<number, WindowShare>();
  let futureRows = 0;
  let newestUs: number | undefined;
  let last: WindowShare | undefined;
  for (let inference = 0; inference < count; inference++) {
    const timeUs = eventUs[inference]!;
    if (timeUs > options.horizonUs) {
      futureRows += rows[inference]!;
      continue;
    }
    newestUs = Math.max(newestUs ?? timeUs, timeUs);
    if (last === undefined || timeUs < last.startUs || timeUs >= last.endUs) {
      const range = windowAt(options.lengths, timeUs);
      last = shares.get(range.startUs) ?? { ...range, inferences: [], rows: 0 };
      shares.set(range.startUs, last);
    }
    last.inferences.push(inference);
    last.rows += rows[inference]!;
  }
  const ascending = [...shares.values()].sort((a, b) => a.startUs - b.startUs);
  const refused = ascending.splice(0, Math.max(0, ascending.length - BATCH_WINDOWS_MAX));
  const refusedRows = refused.reduce((sum, share) => sum + share.rows, 0);
  return { shares: ascending, futureRows, refusedRows, newestUs };
}

/** The rows of some of its inferences: the batch itself where those are all. */
export function rowsOfInferences(
  batch: DecodedBatch,
  inferences: readonly number[],
): Pick<DecodedBatch, "rows" | "columns" | "statuses"> {
  if (inferences.length === batch.inferences.count) {
    return batch;
  }
  const places = rowPlaces(batch, inferences);
  const columns = new Map<string, ColumnBatch>();
  for (const [name, column] of batch.columns) {
    columns.set(name, picked(column, places));
  }
  const statuses = batch.statuses.map((feature) => ({
    ...feature,
    statuses: Uint8Array.from(places, (row) => feature.statuses[row]!),
  }));
  return { rows: places.length, columns, statuses };
}

function rowPlaces(batch: DecodedBatch, inferences: readonly number[]): Uint32Array {
  const { rows } = batch.inferences;
  const chosen = new Set(inferences);
  const places = new Uint32Array(inferences.reduce((sum, inference) => sum + rows[inference]!, 0));
  let row = 0;
  let next = 0;
  for (let inference = 0; inference < rows.length; inference++) {
    const end = row + rows[inference]!;
    for (; row < end; row++) {
      if (chosen.has(inference)) {
        places[next++] = row;
      }
    }
  }
  return places;
}

function picked(column: ColumnBatch, places: Uint32Array): ColumnBatch {
  const nulls = pickedNulls(column.nulls, places);
  switch (column.kind) {
    case "numeric":
    case "timestamp": {
      const values = new Float64Array(places.length);
      for (let i = 0; i < places.length; i++) {
        values[i] = column.values[places[i]!]!;
      }
      return { kind: column.kind, values, nulls };
    }
    case "bool":
      return { kind: "bool", values: Uint8Array.from(places, (row) => column.values[row]!), nulls };
    case "category":
      return {
        kind: "category",
        values: Array.from(places, (row) => column.values[row]!),
        nulls,
      };
    case "counted":
      return { kind: "counted", rows: places.length, nulls };
  }
}

function pickedNulls(nulls: NullBitmap | undefined, places: Uint32Array): NullBitmap | undefined {
  if (nulls === undefined) {
    return undefined;
  }
  const bits = new Uint8Array(Math.ceil(places.length / 8));
  for (let i = 0; i < places.length; i++) {
    if (isNull(nulls, places[i]!)) {
      bits[i >>> 3]! |= 1 << (i & 7);
    }
  }
  return bits;
}
