// Reads the protobuf wire format of a file that nobody has vouched for, without holding the file:
// one small window moves over it and what is not wanted is stepped over. Every length is checked
// against the message that encloses it, so a lie ends in WireError and never in a wild read.

/** Bytes by position. `read` gives exactly `length` bytes; the caller stays inside `size`. */
export interface ByteSource {
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
}

/** The bytes are not protobuf, or not as deep, long or whole as they must be. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** One field: where its value lies. A varint's value is in `value`, the others' in [start, end). */
export interface WireField {
  readonly number: number;
  readonly type: WireType;
  readonly value: bigint;
  readonly start: number;
  readonly end: number;
}

export type WireType = "varint" | "fixed64" | "bytes" | "fixed32";

/** Large enough that a graph of small nodes costs few reads. */
const WINDOW_BYTES = 64 * 1024;
const VARINT_BYTES_MAX = 10;
const SIGN_BIT_64 = 64;
/** So many bits of a varint are put together as a plain number, which is quicker. */
const SMALL_BITS = 28;

/** A moving window over a source, and the protobuf scalars read through it. */
export class WireReader {
  readonly size: number;
  readonly #source: ByteSource;
  #window: Uint8Array = new Uint8Array(0);
  #windowStart = 0;

  constructor(source: ByteSource) {
    this.#source = source;
    this.size = source.size;
  }

  /** The fields of the message in [start, end), in order. @throws WireError */
  *fields(start: number, end: number): Generator<WireField> {
    let position = start;
    while (position < end) {
      const tag = this.#varint(position, end);
      const number = Number(tag.value >> 3n);
      if (number < 1 || number > 0x1fffffff) {
        throw new WireError(`field number ${number} at byte ${position}`);
      }
      const field = this.#field(number, Number(tag.value & 7n), { position: tag.end, end });
      yield field;
      position = field.end;
    }
  }

  /** A text of at most `charactersMax` characters; the rest of a longer one is left out. */
  text(field: WireField, charactersMax: number): string {
    // One character takes at most 4 bytes, so this much is enough and the read stays bounded.
    const length = Math.min(field.end - field.start, charactersMax * 4);
    const text = new TextDecoder().decode(this.#bytes(field.start, length));
    return text.slice(0, charactersMax);
  }

  /** What a field holds, as it stands in the source: no copy where the source gives none. */
  bytes(field: WireField): Uint8Array {
    return this.#bytes(field.start, field.end - field.start);
  }

  /** Signed 64-bit integers of a repeated field, packed or not. At most `countMax` are read. */
  integers(field: WireField, countMax: number): number[] {
    if (field.type === "varint") {
      return [signed(field)];
    }
    const values: number[] = [];
    let position = field.start;
    while (field.type === "bytes" && position < field.end && values.length < countMax) {
      const { value, end } = this.#varint(position, field.end);
      values.push(Number(BigInt.asIntN(SIGN_BIT_64, value)));
      position = end;
    }
    return values;
  }

  #field(
    number: number,
    wireType: number,
    range: { readonly position: number; readonly end: number },
  ): WireField {
    const { position, end } = range;
    switch (wireType) {
      case 0: {
        const varint = this.#varint(position, end);
        return { number, type: "varint", value: varint.value, start: position, end: varint.end };
      }
      case 1:
        return this.#span(number, "fixed64", { start: position, length: 8n, end });
      case 2: {
        const length = this.#varint(position, end);
        return this.#span(number, "bytes", { start: length.end, length: length.value, end });
      }
      case 5:
        return this.#span(number, "fixed32", { start: position, length: 4n, end });
      default:
        throw new WireError(`wire type ${wireType} at byte ${position}`);
    }
  }

  #span(
    number: number,
    type: WireType,
    span: { readonly start: number; readonly length: bigint; readonly end: number },
  ): WireField {
    if (span.length > BigInt(span.end - span.start)) {
      throw new WireError(
        `field ${number} at byte ${span.start} claims ${span.length} bytes; ` +
          `${span.end - span.start} are left`,
      );
    }
    return { number, type, value: 0n, start: span.start, end: span.start + Number(span.length) };
  }

  #varint(start: number, end: number): { readonly value: bigint; readonly end: number } {
    let small = 0;
    let value = 0n;
    const stop = Math.min(end, start + VARINT_BYTES_MAX);
    for (let position = start; position < stop; position++) {
      const byte = this.#byte(position);
      const shift = 7 * (position - start);
      if (shift < SMALL_BITS) {
        small |= (byte & 0x7f) << shift;
        value = byte < 0x80 || shift + 7 === SMALL_BITS ? BigInt(small) : 0n;
      } else {
        value |= BigInt(byte & 0x7f) << BigInt(shift);
      }
      if (byte < 0x80) {
        return { value: BigInt.asUintN(SIGN_BIT_64, value), end: position + 1 };
      }
    }
    throw new WireError(`the number at byte ${start} does not end`);
  }

  #byte(position: number): number {
    const index = position - this.#windowStart;
    if (index >= 0 && index < this.#window.length) {
      return this.#window[index]!;
    }
    const length = Math.min(WINDOW_BYTES, this.size - position);
    this.#window = this.#source.read(position, length);
    this.#windowStart = position;
    const byte = this.#window[0];
    if (byte === undefined) {
      throw new WireError(`the file ends at byte ${position}`);
    }
    return byte;
  }

  #bytes(start: number, length: number): Uint8Array {
    const index = start - this.#windowStart;
    if (index >= 0 && index + length <= this.#window.length) {
      return this.#window.subarray(index, index + length);
    }
    return this.#source.read(start, length);
  }
}

/** A varint field as a signed number; beyond 2^53 it is rounded. */
export function signed(field: WireField): number {
  return Number(BigInt.asIntN(SIGN_BIT_64, field.value));
}
