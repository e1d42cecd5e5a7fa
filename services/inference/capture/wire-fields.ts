// Length-delimited fields of the Protobuf wire format, put together from pieces that are encoded
// already and then copied once.

import { fieldSize, WireWriter } from "../../common/wire-writer.ts";

/** A field with what is in it. */
export interface Field {
  /** Below 16. */
  readonly number: number;
  readonly content: readonly (Uint8Array | Field)[];
  /** Bytes of the content. */
  readonly size: number;
}

/** A field whose content is the pieces one after the other. */
export function field(number: number, ...content: readonly (Uint8Array | Field)[]): Field {
  let size = 0;
  for (const piece of content) {
    size += piece instanceof Uint8Array ? piece.length : fieldSize(piece.size);
  }
  return { number, content, size };
}

/** A message of one field. The pieces are copied. */
export function messageBytes(whole: Field): Buffer {
  const writer = new WireWriter(fieldSize(whole.size));
  write(writer, whole);
  return writer.bytes;
}

function write(writer: WireWriter, { number, content, size }: Field): void {
  writer.head(number, size);
  for (const piece of content) {
    if (piece instanceof Uint8Array) {
      writer.raw(piece);
    } else {
      write(writer, piece);
    }
  }
}
