// How rows lie in online documents: one document an entity key with the newest row of every view of
// that key, so that a read takes one document whatever the number of views. Cells are the JSON
// values that are fastest to take apart; what type they are is said by the view's version, not by
// the cell.

import type { Document } from "../../common/documents/port.ts";
import { type FeatureView, isReadableAs } from "../definitions/definitions.ts";
import type { Cell, Cells, RowBatch, ValueType } from "../value.ts";

/**
 * `_id` is the entity key's (entity-key.ts). A document without views is one whose rows were erased:
 * it says nothing and is about to go.
 */
export interface OnlineDocument extends Document {
  /** By view uid. */
  readonly views: Readonly<Record<string, OnlineRow>>;
  /** Join key to value, as text with its type (keyText). */
  readonly keys: Readonly<Record<string, string>>;
}

/** The newest row of one view. Names are short because every read parses them. */
export interface OnlineRow {
  /** The number of the view's version that the cells follow. */
  readonly n: number;
  /** Event time in microseconds. */
  readonly e: number;
  /** Creation time in microseconds. */
  readonly c: number;
  /** In the order of that version's features. */
  readonly v: readonly StoredCell[];
}

/**
 * A cell as stored: as it is, but INT64 beyond the safe integers, NaN, the infinities and -0 as
 * text, BYTES in base64.
 */
export type StoredCell = boolean | number | string | null;

/** Makes the rows of a batch, features without a column being null. */
export function rowsOf(version: FeatureView, batch: RowBatch): (row: number) => OnlineRow {
  const columns = version.features.map((feature): Column | undefined => {
    const cells = batch.features[feature.name];
    return cells && { cells, encode: ENCODERS[feature.type] };
  });
  return (row) => {
    const v = new Array<StoredCell>(columns.length);
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index];
      const cell = column === undefined ? null : (column.cells[row] ?? null);
      v[index] = cell === null ? null : column!.encode(cell as never);
    }
    return { n: version.number, e: batch.eventUs[row]!, c: batch.createdUs[row]!, v };
  };
}

/** Whether row `a` comes after `b`: by event time, then by creation. */
export function isNewer(a: Pick<OnlineRow, "e" | "c">, b: Pick<OnlineRow, "e" | "c">): boolean {
  return a.e > b.e || (a.e === b.e && a.c > b.c);
}

/**
 * For each feature of `pinned` its place in rows stored under `stored`, or -1 where they have no
 * such feature, or one of a type that cannot be read as the pinned one.
 */
export function placesOf(pinned: FeatureView, stored: FeatureView): Int32Array {
  const places = new Map(stored.features.map((feature, index) => [feature.name, index]));
  return Int32Array.from(pinned.features, (feature) => {
    const place = places.get(feature.name) ?? -1;
    const found = stored.features[place];
    return found !== undefined && isReadableAs(found.type, feature.type) ? place : -1;
  });
}

/** The way back; `type` is the pinned one, which takes every type that it can be read from. */
export function decodeCell(type: ValueType, stored: StoredCell): Cell {
  if (typeof stored !== "string" || type === "STRING") return stored;
  switch (type) {
    case "FLOAT":
    case "DOUBLE":
      return Number(stored);
    case "BYTES": {
      const bytes = Buffer.from(stored, "base64");
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    default: {
      const whole = Number(stored);
      return Number.isSafeInteger(whole) ? whole : BigInt(stored);
    }
  }
}

interface Column {
  readonly cells: Cells;
  readonly encode: (cell: never) => StoredCell;
}

const ENCODERS: Readonly<Record<ValueType, (cell: never) => StoredCell>> = {
  BOOL: asIs,
  INT32: asIs,
  INT64: (cell: number | bigint) => (typeof cell === "bigint" ? String(cell) : cell),
  FLOAT: encodeNumber,
  DOUBLE: encodeNumber,
  STRING: asIs,
  BYTES: (cell: Uint8Array) => {
    return Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength).toString("base64");
  },
  TIMESTAMP: asIs,
};

function asIs(cell: StoredCell): StoredCell {
  return cell;
}

/** JSON has no NaN and no infinities, and the store keeps no -0. */
function encodeNumber(cell: number): StoredCell {
  if (Number.isFinite(cell) && (cell !== 0 || !Object.is(cell, -0))) return cell;
  return cell === 0 ? "-0" : String(cell);
}
