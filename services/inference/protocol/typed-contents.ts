// InferTensorContents while it is read: each of its lists becomes fixed-width little-endian bytes
// at once, which for most datatypes is already what the model takes.

import type { Datatype } from "../tensor.ts";
import type { WireReader } from "./wire-reader.ts";
import { malformed, WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "./wire-reader.ts";

/** The lists of InferTensorContents by field number; 0 is not a field. */
export const CONTENTS_FIELDS = [
  "",
  "bool_contents",
  "int_contents",
  "int64_contents",
  "uint_contents",
  "uint64_contents",
  "fp32_contents",
  "fp64_contents",
  "bytes_contents",
] as const;

/** Bytes of one element of a list, by field number. */
export const CONTENTS_WIDTH = [0, 1, 4, 8, 4, 8, 4, 8, 0] as const;

const FIELD_BOOL = 1;
const FIELD_INT = 2;
const FIELD_INT64 = 3;
const FIELD_UINT = 4;
const FIELD_UINT64 = 5;
const FIELD_FP32 = 6;
const FIELD_FP64 = 7;
const FIELD_BYTES = 8;

/** Which list carries a datatype; FP16 has none. */
export const CONTENTS_FIELD: Readonly<Record<Exclude<Datatype, "FP16">, number>> = {
  BOOL: FIELD_BOOL,
  INT8: FIELD_INT,
  INT16: FIELD_INT,
  INT32: FIELD_INT,
  INT64: FIELD_INT64,
  UINT8: FIELD_UINT,
  UINT16: FIELD_UINT,
  UINT32: FIELD_UINT,
  UINT64: FIELD_UINT64,
  FP32: FIELD_FP32,
  FP64: FIELD_FP64,
  BYTES: FIELD_BYTES,
};

/** Lists whose elements are varints. */
const LAST_VARINT_FIELD = FIELD_UINT64;

const EMPTY = new Uint8Array(0);

/** Elements of one list, in order. Starts as a view of the message; appending makes it a copy. */
interface Column {
  bytes: Uint8Array;
  /** Bytes in use. */
  used: number;
  owned: boolean;
}

/** What one InferTensorContents brought. */
export class TypedContents {
  readonly #columns: (Column | undefined)[] = [];
  readonly #strings: Uint8Array[] = [];

  /** Field numbers of the lists that are not empty. */
  fields(): number[] {
    const found: number[] = [];
    for (let field = FIELD_BOOL; field < FIELD_BYTES; field++) {
      if ((this.#columns[field]?.used ?? 0) > 0) {
        found.push(field);
      }
    }
    if (this.#strings.length > 0) {
      found.push(FIELD_BYTES);
    }
    return found;
  }

  /** The elements of a list in CONTENTS_WIDTH bytes each, little-endian. */
  elements(field: number): Uint8Array {
    const column = this.#columns[field];
    return column === undefined ? EMPTY : column.bytes.subarray(0, column.used);
  }

  /** The elements of bytes_contents: views into the message. */
  strings(): readonly Uint8Array[] {
    return this.#strings;
  }

  /** Reads one InferTensorContents; a second one of the same field is merged into the first. */
  read(reader: WireReader): void {
    const outer = reader.enter();
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      const field = tag >>> 3;
      const type = tag & 7;
      if (field > FIELD_BYTES) {
        reader.skip(tag);
      } else if (type === WIRE_BYTES) {
        this.#readPacked(reader, field);
      } else if (type === singleType(field)) {
        this.#readSingle(reader, field);
      } else {
        reader.skip(tag);
      }
    }
    reader.leave(outer);
  }

  #readPacked(reader: WireReader, field: number): void {
    if (field === FIELD_BYTES) {
      this.#strings.push(reader.view());
      return;
    }
    if (field <= LAST_VARINT_FIELD) {
      this.#readVarints(reader, field);
      return;
    }
    const at = reader.pos;
    const view = reader.view();
    const width = CONTENTS_WIDTH[field] ?? 1;
    if (view.length % width !== 0) {
      throw malformed(`${CONTENTS_FIELDS[field]} of ${view.length} bytes`, at);
    }
    this.#append(field, view);
  }

  #readVarints(reader: WireReader, field: number): void {
    const outer = reader.enter();
    let count = 0;
    for (let i = reader.pos; i < reader.end; i++) {
      count += reader.bytes[i]! < 0x80 ? 1 : 0;
    }
    const width = CONTENTS_WIDTH[field] ?? 1;
    const column = this.#room(field, count * width);
    while (reader.pos < reader.end) {
      reader.varint64();
      writeElement(column, width, reader);
    }
    reader.leave(outer);
  }

  #readSingle(reader: WireReader, field: number): void {
    const width = CONTENTS_WIDTH[field] ?? 1;
    if (field <= LAST_VARINT_FIELD) {
      reader.varint64();
      writeElement(this.#room(field, width), width, reader);
      return;
    }
    const view = reader.fixed(width);
    const column = this.#room(field, width);
    column.bytes.set(view, column.used);
    column.used += width;
  }

  #append(field: number, view: Uint8Array): void {
    const column = this.#columns[field];
    if (column === undefined) {
      this.#columns[field] = { bytes: view, used: view.length, owned: false };
      return;
    }
    const room = this.#room(field, view.length);
    room.bytes.set(view, room.used);
    room.used += view.length;
  }

  /** The list with room for more bytes, in memory of its own. */
  #room(field: number, more: number): Column {
    let column = this.#columns[field];
    if (column === undefined) {
      column = { bytes: new Uint8Array(more), used: 0, owned: true };
      this.#columns[field] = column;
      return column;
    }
    const needed = column.used + more;
    if (!column.owned || needed > column.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, column.used * 2));
      grown.set(column.bytes.subarray(0, column.used));
      column.bytes = grown;
      column.owned = true;
    }
    return column;
  }
}

function singleType(field: number): number {
  if (field <= LAST_VARINT_FIELD) {
    return WIRE_VARINT;
  }
  return field === FIELD_FP32 ? WIRE_FIXED32 : field === FIELD_FP64 ? WIRE_FIXED64 : WIRE_BYTES;
}

function writeElement(column: Column, width: number, reader: WireReader): void {
  const { bytes, used } = column;
  const { low, high } = reader;
  if (width === 1) {
    bytes[used] = low !== 0 || high !== 0 ? 1 : 0;
  } else {
    writeUint32(bytes, used, low);
    if (width === 8) {
      writeUint32(bytes, used + 4, high);
    }
  }
  column.used = used + width;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
