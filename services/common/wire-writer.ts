// Writes the Protobuf wire format into one buffer whose size was computed first, so that an answer
// is written once, where it is sent from.

/** Strings up to this length are written by a loop, which beats a call into native code. */
const SHORT_STRING_MAX = 32;
/** The same for byte arrays. */
const SHORT_BYTES_MAX = 48;

/** Bytes of a varint of a non-negative integer up to 2^53. */
export function varintSize(value: number): number {
  if (value < 0x80) {
    return 1;
  }
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) {
    size += 1;
  }
  return size;
}

/** Bytes of an int64, enum or int32: ten where it is negative. */
export function int64Size(value: number | bigint): number {
  if (value < 0) {
    return 10;
  }
  if (typeof value === "number") {
    return varintSize(value);
  }
  let size = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) {
    size += 1;
  }
  return size;
}

/** Bytes of a length-delimited field with a one-byte tag. */
export function fieldSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** Bytes of a string field with a one-byte tag; 0 for the empty string, which is not written. */
export function stringFieldSize(text: string): number {
  return text === "" ? 0 : fieldSize(utf8Length(text));
}

export function utf8Length(text: string): number {
  if (text.length > SHORT_STRING_MAX) {
    return Buffer.byteLength(text);
  }
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) {
      return Buffer.byteLength(text);
    }
  }
  return text.length;
}

/** A cursor over a buffer of exactly the size that was computed. Tags are for fields below 16. */
export class WireWriter {
  readonly bytes: Buffer;
  pos = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size);
  }

  byte(value: number): void {
    this.bytes[this.pos++] = value;
  }

  /** A non-negative integer up to 2^53. */
  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.pos++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.pos++] = rest;
  }

  /** 64 bits in two halves. */
  varint64(low: number, high: number): void {
    let lo = low >>> 0;
    let hi = high >>> 0;
    while (hi > 0 || lo >= 0x80) {
      this.bytes[this.pos++] = (lo & 0x7f) | 0x80;
      lo = ((lo >>> 7) | (hi << 25)) >>> 0;
      hi >>>= 7;
    }
    this.bytes[this.pos++] = lo;
  }

  /** An int64: a safe integer or a bigint of 64 bits. */
  int64(value: number | bigint): void {
    if (typeof value === "bigint") {
      this.varint64(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
    } else if (value >= 0) {
      this.varint(value);
    } else {
      this.varint64(value, Math.floor(value / 2 ** 32));
    }
  }

  double(value: number): void {
    this.pos = this.bytes.writeDoubleLE(value, this.pos);
  }

  /** Tag and length of a length-delimited field. */
  head(field: number, length: number): void {
    this.bytes[this.pos++] = (field << 3) | 2;
    this.varint(length);
  }

  /** A string field; nothing for the empty string. */
  stringField(field: number, text: string): void {
    if (text === "") {
      return;
    }
    const length = utf8Length(text);
    this.head(field, length);
    this.utf8(text, length);
  }

  /** A string of known length in UTF-8. */
  utf8(text: string, length: number): void {
    const { bytes, pos } = this;
    if (length === text.length && length <= SHORT_STRING_MAX) {
      for (let i = 0; i < length; i++) {
        bytes[pos + i] = text.charCodeAt(i);
      }
    } else {
      bytes.write(text, pos, length, "utf8");
    }
    this.pos = pos + length;
  }

  raw(data: Uint8Array): void {
    const { bytes, pos } = this;
    const length = data.length;
    if (length <= SHORT_BYTES_MAX) {
      for (let i = 0; i < length; i++) {
        bytes[pos + i] = data[i]!;
      }
    } else {
      bytes.set(data, pos);
    }
    this.pos = pos + length;
  }
}
