// Logged batches as bytes. Node's own structured serialisation is used because it holds every kind
// of cell as it is (NaN, -0, bigint, bytes), is written and read at memory speed, and is promised to
// stay readable by later versions of Node. Columns of numbers go as float64 with the places of the
// nulls beside them, which is a third smaller and several times faster than a list.
// A batch too large for one document becomes several parts, each complete in itself.

import { deserialize, serialize } from "node:v8";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { Cell, Cells, RowBatch } from "../value.ts";
import type { Shape } from "./engine-tasks.ts";

/** A part that can be halved is kept below this, so that many fit into memory at once. */
const PART_BYTES_AIM = 2 * 1024 * 1024;

/** One row cannot be halved; in base64 and with what surrounds it it has to fit a document. */
const PART_BYTES_MAX = 5 * 1024 * 1024;

/** Raised when the layout below changes. */
const LAYOUT = 1;

/** A batch and the columns it was checked against. */
export interface LoggedRows {
  readonly shape: Shape;
  readonly batch: RowBatch;
}

interface Packed {
  readonly layout: number;
  readonly shape: Shape;
  readonly rows: number;
  readonly keys: readonly PackedColumn[];
  readonly features: readonly PackedColumn[];
  readonly eventUs: Float64Array;
  readonly createdUs: Float64Array;
}

interface PackedColumn {
  readonly name: string;
  readonly cells: Float64Array | Cells;
  /** Places of nulls, where `cells` are numbers. */
  readonly nulls: Uint32Array | undefined;
}

/**
 * The batch as one or more parts, in row order.
 * @throws InvalidArgument for a row that no document can hold.
 */
export function encodeBatch(shape: Shape, batch: RowBatch): readonly Uint8Array[] {
  const bytes = serialize(pack(shape, batch));
  if (bytes.length <= PART_BYTES_AIM) {
    return [bytes];
  }
  if (batch.rows > 1) {
    const half = batch.rows >> 1;
    return [
      ...encodeBatch(shape, sliceRows(batch, 0, half)),
      ...encodeBatch(shape, sliceRows(batch, half, batch.rows)),
    ];
  }
  if (bytes.length > PART_BYTES_MAX) {
    throw new InvalidArgument(
      `A row has ${bytes.length} bytes; at most ${PART_BYTES_MAX} fit. Push shorter texts and bytes.`,
      { reason: ErrorReason.INVALID_FIELD },
    );
  }
  return [bytes];
}

/** The way back, for one part. */
export function decodePart(bytes: Uint8Array): LoggedRows {
  const packed = deserialize(bytes) as Packed;
  if (packed.layout !== LAYOUT) {
    throw new Error(`a logged batch has layout ${packed.layout}; this version reads ${LAYOUT}`);
  }
  const batch: RowBatch = {
    rows: packed.rows,
    keys: unpackColumns(packed.keys),
    features: unpackColumns(packed.features),
    eventUs: Array.from(packed.eventUs),
    createdUs: Array.from(packed.createdUs),
  };
  return { shape: packed.shape, batch };
}

/** Rows `start` to before `end`; the batch itself where that is all of it. */
export function sliceRows(batch: RowBatch, start: number, end: number): RowBatch {
  if (start === 0 && end === batch.rows) {
    return batch;
  }
  const slice = (columns: Readonly<Record<string, Cells>>): Record<string, Cells> =>
    Object.fromEntries(
      Object.entries(columns).map(([name, cells]) => [name, cells.slice(start, end)]),
    );
  return {
    rows: end - start,
    keys: slice(batch.keys),
    features: slice(batch.features),
    eventUs: batch.eventUs.slice(start, end),
    createdUs: batch.createdUs.slice(start, end),
  };
}

function pack(shape: Shape, batch: RowBatch): Packed {
  return {
    layout: LAYOUT,
    shape: { joinKeys: shape.joinKeys, features: shape.features },
    rows: batch.rows,
    keys: Object.entries(batch.keys).map(packColumn),
    features: Object.entries(batch.features).map(packColumn),
    eventUs: Float64Array.from(batch.eventUs),
    createdUs: Float64Array.from(batch.createdUs),
  };
}

function packColumn([name, cells]: readonly [string, Cells]): PackedColumn {
  const numbers = new Float64Array(cells.length);
  const nulls: number[] = [];
  for (let row = 0; row < cells.length; row++) {
    const cell = cells[row] as Cell;
    if (typeof cell === "number") {
      numbers[row] = cell;
    } else if (cell === null) {
      nulls.push(row);
    } else {
      return { name, cells, nulls: undefined };
    }
  }
  return { name, cells: numbers, nulls: Uint32Array.from(nulls) };
}

function unpackColumns(columns: readonly PackedColumn[]): Record<string, Cells> {
  return Object.fromEntries(columns.map(({ name, cells, nulls }) => [name, unpack(cells, nulls)]));
}

function unpack(cells: Float64Array | Cells, nulls: Uint32Array | undefined): Cells {
  if (nulls === undefined) {
    return cells as Cells;
  }
  const list: Cell[] = Array.from(cells as Float64Array);
  for (const row of nulls) {
    list[row] = null;
  }
  return list;
}
