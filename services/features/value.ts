// The values of features, their types, and columns of them: the vocabulary that definitions, online
// documents, pushed batches and offline files share.

/** As the proto's ValueType, without the prefix. */
export type ValueType =
  | "BOOL"
  | "INT32"
  | "INT64"
  | "FLOAT"
  | "DOUBLE"
  | "STRING"
  | "BYTES"
  | "TIMESTAMP";

/** A named and typed column. */
export interface Field {
  readonly name: string;
  readonly type: ValueType;
}

/**
 * One value: BOOL a boolean; INT32 a number; INT64 a number where it is a safe integer, else a
 * bigint; FLOAT a number that float32 holds; DOUBLE a number; STRING a string; BYTES its bytes;
 * TIMESTAMP microseconds since the Unix epoch, a safe integer. Null: no value. NaN is a value.
 */
export type Cell = boolean | number | bigint | string | Uint8Array | null;

/** A column of cells of one type, in row order. */
export type Cells = readonly Cell[];

/** UTF-8 bytes of a STRING, and bytes of BYTES. */
export const VALUE_BYTES_MAX = 1024 * 1024;
/** UTF-8 bytes of a STRING that is a join key. */
export const KEY_BYTES_MAX = 512;

/** Names that every stored row has besides its join keys and features. */
export const EVENT_TIMESTAMP = "event_timestamp";
export const CREATED_TIMESTAMP = "created_timestamp";

/**
 * Rows of one view, by column. All arrays have `rows` elements. Join keys and event times are never
 * null; features without a column are null in every row.
 */
export interface RowBatch {
  readonly rows: number;
  /** By join key name. */
  readonly keys: Readonly<Record<string, Cells>>;
  /** By feature name. */
  readonly features: Readonly<Record<string, Cells>>;
  /** Microseconds since the Unix epoch. */
  readonly eventUs: readonly number[];
  /** When the row became known; microseconds since the Unix epoch. */
  readonly createdUs: readonly number[];
}
