// GetOnlineFeaturesResponse written by hand from what was read, in one buffer: columns of cells
// become packed lists at once, without the messages between. Field numbers are the proto's, and the
// bytes are those that protobuf-es would write.

import { fromBinary } from "@bufbuild/protobuf";
import { GetOnlineFeaturesRequestSchema } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import type { MethodCodec } from "../../common/rpc/context.ts";
import {
  fieldSize,
  int64Size,
  stringFieldSize,
  utf8Length,
  varintSize,
  WireWriter,
} from "../../common/wire-writer.ts";
import type { ReadPlan, ViewRead } from "../definitions/read-plan.ts";
import type { Cell, Cells, ValueType } from "../value.ts";
import type { OnlineRead } from "./read-online.ts";

/** Of GetOnlineFeaturesResponse. */
const RESULTS = 1;
const VIEWS = 2;
const FEATURE_SERVICE = 3;

/** Of FeatureVector. */
const VALUES = 1;
const STATUSES = 2;

/** Of ViewFreshness. */
const FEATURE_VIEW = 1;
const VERSION = 2;
const ENTITY_COLUMNS = 3;
const EVENT_TIMES = 4;

/** Of Column. */
const NAME = 1;
const NULLS = 8;

/** Wire type of a varint field, its number 0. */
const VARINT = 0;

/** Encodes an OnlineRead. */
export const getOnlineFeaturesCodec: MethodCodec = {
  decode: (bytes) => fromBinary(GetOnlineFeaturesRequestSchema, bytes),
  encode: (read) => encodeOnlineRead(read as OnlineRead),
};

/** A GetOnlineFeaturesResponse. */
export function encodeOnlineRead(read: OnlineRead): Buffer {
  const { plan, outputs } = read;
  const columns = outputs.map(({ cells }, index) => sizesOf(plan.outputs[index]!, cells));
  const views = plan.views.map((view, index) => viewSize(plan, view, read.eventUs[index]!));
  const service = plan.featureService ?? "";
  let total = stringFieldSize(service);
  for (const { column } of columns) total += fieldSize(vectorSize(column, read.rows));
  for (const size of views) total += fieldSize(size);
  const writer = new WireWriter(total);
  for (const [index, { cells, statuses }] of outputs.entries()) {
    const sizes = columns[index]!;
    writer.head(RESULTS, vectorSize(sizes.column, read.rows));
    writer.head(VALUES, sizes.column);
    writeColumn(writer, plan.outputs[index]!, cells, sizes);
    if (read.rows > 0) {
      writer.head(STATUSES, read.rows);
      writer.raw(statuses);
    }
  }
  for (const [index, view] of plan.views.entries()) {
    writer.head(VIEWS, views[index]!);
    writeView(writer, plan, view, read.eventUs[index]!);
  }
  writer.stringField(FEATURE_SERVICE, service);
  return writer.bytes;
}

/** Bytes of the parts of a Column, without tags and lengths, and of the whole. */
interface ColumnSizes {
  readonly list: number;
  readonly nulls: number;
  readonly column: number;
}

/** The field of a Column that holds a type; what one cell takes; how it is written. */
interface ListCodec {
  readonly field: number;
  /** Packed: one field for all; else each element is a field of its own. */
  readonly packed: boolean;
  /** Bytes of each element, tags and lengths included where it is a field of its own. */
  readonly size: number | ((cell: never) => number);
  readonly write: (writer: WireWriter, cell: never) => void;
}

const BOOLS: ListCodec = {
  field: 2,
  packed: true,
  size: 1,
  write: (writer, cell: Cell) => writer.byte(cell === true ? 1 : 0),
};
const INTS: ListCodec = {
  field: 3,
  packed: true,
  size: (cell: number | bigint | null) => int64Size(cell ?? 0),
  write: (writer, cell: number | bigint | null) => writer.int64(cell ?? 0),
};
const DOUBLES: ListCodec = {
  field: 4,
  packed: true,
  size: 8,
  write: (writer, cell: number | null) => writer.double(cell ?? 0),
};
const STRINGS: ListCodec = {
  field: 5,
  packed: false,
  size: (cell: string | null) => fieldSize(utf8Length(cell ?? "")),
  write: (writer, cell: string | null) => {
    const text = cell ?? "";
    const length = utf8Length(text);
    writer.head(5, length);
    writer.utf8(text, length);
  },
};
const BYTES: ListCodec = {
  field: 6,
  packed: false,
  size: (cell: Uint8Array | null) => fieldSize(cell?.length ?? 0),
  write: (writer, cell: Uint8Array | null) => {
    writer.head(6, cell?.length ?? 0);
    if (cell !== null) writer.raw(cell);
  },
};
const TIMESTAMPS: ListCodec = {
  field: 7,
  packed: false,
  size: (cell: number | null) => fieldSize(timestampSize(cell ?? 0)),
  write: (writer, cell: number | null) => writeTimestamp(writer, 7, cell ?? 0),
};

const LISTS: Readonly<Record<ValueType, ListCodec>> = {
  BOOL: BOOLS,
  INT32: INTS,
  INT64: INTS,
  FLOAT: DOUBLES,
  DOUBLE: DOUBLES,
  STRING: STRINGS,
  BYTES,
  TIMESTAMP: TIMESTAMPS,
};

interface NamedType {
  readonly name: string;
  readonly type: ValueType;
}

function sizesOf({ name, type }: NamedType, cells: Cells): ColumnSizes {
  const { size, packed } = LISTS[type];
  let nulls = 0;
  let list = typeof size === "number" ? size * cells.length : 0;
  for (let row = 0; row < cells.length; row++) {
    const cell = cells[row]!;
    if (cell === null) nulls += varintSize(row);
    if (typeof size !== "number") list += size(cell as never);
  }
  let column = stringFieldSize(name) + (nulls === 0 ? 0 : fieldSize(nulls));
  if (cells.length > 0) column += packed ? fieldSize(list) : list;
  return { list, nulls, column };
}

function writeColumn(
  writer: WireWriter,
  { name, type }: NamedType,
  cells: Cells,
  sizes: ColumnSizes,
): void {
  const { field, packed, write } = LISTS[type];
  writer.stringField(NAME, name);
  if (packed && cells.length > 0) writer.head(field, sizes.list);
  for (const cell of cells) write(writer, cell as never);
  if (sizes.nulls === 0) return;
  writer.head(NULLS, sizes.nulls);
  for (let row = 0; row < cells.length; row++) if (cells[row] === null) writer.varint(row);
}

function vectorSize(column: number, rows: number): number {
  return fieldSize(column) + (rows === 0 ? 0 : fieldSize(rows));
}

function viewSize(plan: ReadPlan, { source, key }: ViewRead, eventUs: Float64Array): number {
  let size = stringFieldSize(source.view);
  if (source.version.number !== 0) size += 1 + int64Size(source.version.number);
  for (const { column } of plan.keys[key]!.parts) {
    size += fieldSize(utf8Length(plan.requestColumns[column]!.name));
  }
  for (let row = 0; row < eventUs.length; row++) size += fieldSize(timestampSize(eventUs[row]!));
  return size;
}

function writeView(
  writer: WireWriter,
  plan: ReadPlan,
  { source, key }: ViewRead,
  eventUs: Float64Array,
): void {
  writer.stringField(FEATURE_VIEW, source.view);
  if (source.version.number !== 0) {
    writer.byte((VERSION << 3) | VARINT);
    writer.int64(source.version.number);
  }
  for (const { column } of plan.keys[key]!.parts) {
    const { name } = plan.requestColumns[column]!;
    const length = utf8Length(name);
    writer.head(ENTITY_COLUMNS, length);
    writer.utf8(name, length);
  }
  for (let row = 0; row < eventUs.length; row++) {
    writeTimestamp(writer, EVENT_TIMES, eventUs[row]!);
  }
}

function timestampSize(micros: number): number {
  const seconds = Math.floor(micros / 1e6);
  const nanos = (micros - seconds * 1e6) * 1000;
  return (seconds === 0 ? 0 : 1 + int64Size(seconds)) + (nanos === 0 ? 0 : 1 + varintSize(nanos));
}

function writeTimestamp(writer: WireWriter, field: number, micros: number): void {
  const seconds = Math.floor(micros / 1e6);
  const nanos = (micros - seconds * 1e6) * 1000;
  writer.head(field, timestampSize(micros));
  if (seconds !== 0) {
    writer.byte((1 << 3) | VARINT);
    writer.int64(seconds);
  }
  if (nanos !== 0) {
    writer.byte((2 << 3) | VARINT);
    writer.varint(nanos);
  }
}
