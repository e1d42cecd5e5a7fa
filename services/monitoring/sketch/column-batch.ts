// Rows as the sketches take them: by column, in the arrays that capture already has them in.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";

/**
 * How a column is watched. `timestamp`: microseconds since the Unix epoch, otherwise as numeric;
 * `bool`: as the categories "false" and "true"; `counted`: lists, embeddings, bytes, of which only
 * the presence is counted.
 */
export type ColumnKind = "numeric" | "timestamp" | "bool" | "category" | "counted";

export const COLUMN_KINDS: readonly ColumnKind[] = [
  "numeric",
  "timestamp",
  "bool",
  "category",
  "counted",
];

/** A bit a row, least significant first; a set bit: the row has no value. Absent: all have one. */
export type NullBitmap = Uint8Array;

/** One column of a batch; what stands where a row is null does not matter. */
export type ColumnBatch =
  | {
      readonly kind: "numeric" | "timestamp";
      readonly values: Float64Array;
      readonly nulls?: NullBitmap | undefined;
    }
  /** 0 is false, all else true. */
  | { readonly kind: "bool"; readonly values: Uint8Array; readonly nulls?: NullBitmap | undefined }
  | {
      readonly kind: "category";
      readonly values: readonly string[];
      readonly nulls?: NullBitmap | undefined;
    }
  | { readonly kind: "counted"; readonly rows: number; readonly nulls?: NullBitmap | undefined };

/** Rows of one model version. Columns that it lacks were not sent: their counts do not move. */
export interface RowsBatch {
  readonly rows: number;
  readonly columns: ReadonlyMap<string, ColumnBatch>;
}

export function rowsOf(column: ColumnBatch): number {
  return column.kind === "counted" ? column.rows : column.values.length;
}

export function isNull(nulls: NullBitmap | undefined, row: number): boolean {
  return nulls !== undefined && (nulls[row >>> 3]! & (1 << (row & 7))) !== 0;
}

/** How many of the first `rows` bits are set. */
export function countNulls(nulls: NullBitmap | undefined, rows: number): number {
  let count = 0;
  for (let row = 0; nulls !== undefined && row < rows; row++) {
    count += (nulls[row >>> 3]! >>> (row & 7)) & 1;
  }
  return count;
}

/**
 * Nothing may be counted of a batch that is not right in all columns.
 * @throws InvalidArgument that names the first column whose length is not the batch's.
 */
export function checkBatch(batch: RowsBatch, columnsMax: number): void {
  if (batch.columns.size > columnsMax) {
    throw refused(`has ${batch.columns.size} columns; at most ${columnsMax} are taken at once`);
  }
  for (const [name, column] of batch.columns) {
    const rows = rowsOf(column);
    if (rows !== batch.rows) {
      throw refused(`has ${batch.rows} rows, but its column "${short(name)}" has ${rows}`);
    }
    if (column.nulls !== undefined && column.nulls.length * 8 < rows) {
      throw refused(
        `has ${batch.rows} rows, but the nulls of its column "${short(name)}" are ` +
          `${column.nulls.length * 8} bits`,
      );
    }
  }
}

function refused(what: string): InvalidArgument {
  const message = `The batch ${what}.`;
  return new InvalidArgument(message, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "columns", description: message }],
  });
}

function short(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name;
}
