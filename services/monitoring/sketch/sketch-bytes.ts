// The bytes sketches are kept in: small integers, doubles and short texts, written compactly and
// read with distrust. A reader never believes a length: every number has a limit the caller
// knows, so that damaged or hostile bytes end in an error, not in an allocation.

import { damaged, ROWS_MAX } from "./sketch-faults.ts";

const SINK_BYTES_START = 1024;
/** Bits of a byte of a varint. */
const VARINT_RADIX = 128;
/** A varint of 53 bits. */
const VARINT_BYTES_MAX = 8;

/** Appends to a buffer that grows. */
export class SketchWriter {
  private bytes = Buffer.allocUnsafe(SINK_BYTES_START);
  private used = 0;

  /** What was written so far, as a copy. */
  finish(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.bytes, 0, this.used);
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.used++] = value;
  }

  /** A non-negative safe integer. */
  varint(value: number): void {
    this.reserve(VARINT_BYTES_MAX);
    let rest = value;
    while (rest >= VARINT_RADIX) {
      this.bytes[this.used++] = (rest % VARINT_RADIX) | 0x80;
      rest = Math.floor(rest / VARINT_RADIX);
    }
    this.bytes[this.used++] = rest;
  }

  /** An integer of either sign below 2^52 in magnitude; small magnitudes are short. */
  zigzag(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  double(value: number): void {
    this.reserve(8);
    this.used = this.bytes.writeDoubleLE(value, this.used);
  }

  /** Bytes with their length before them. */
  block(data: Uint8Array): void {
    this.varint(data.length);
    this.raw(data);
  }

  /** Bytes whose length the reader knows. */
  raw(data: Uint8Array): void {
    this.reserve(data.length);
    this.bytes.set(data, this.used);
    this.used += data.length;
  }

  /** A text in UTF-8 with its length before it. */
  text(value: string): void {
    this.block(Buffer.from(value, "utf8"));
  }

  private reserve(more: number): void {
    if (this.used + more > this.bytes.length) {
      const wider = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.used + more));
      this.bytes.copy(wider, 0, 0, this.used);
      this.bytes = wider;
    }
  }
}

/** Reads what SketchWriter wrote. Every method throws DataLoss where the bytes cannot be that. */
export class SketchReader {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  byte(): number {
    this.need(1);
    return this.bytes[this.at++]!;
  }

  /** A non-negative integer up to `max`; `what` is what the error calls it. */
  varint(max: number, what: string): number {
    let value = 0;
    let unit = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        if (value > max) {
          throw damaged(`${what} is ${value}, at most ${max} is possible`);
        }
        return value;
      }
      unit *= VARINT_RADIX;
    }
    throw damaged(`${what} has too many bytes`);
  }

  /** A count of rows. */
  count(what: string): number {
    return this.varint(ROWS_MAX, what);
  }

  zigzag(what: string): number {
    const value = this.varint(Number.MAX_SAFE_INTEGER, what);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  double(): number {
    this.need(8);
    const value = this.bytes.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  /** A double that is neither NaN nor infinite, and never -0. */
  finite(what: string): number {
    const value = this.double();
    if (!Number.isFinite(value) || Object.is(value, -0)) {
      throw damaged(`${what} is no plain number`);
    }
    return value;
  }

  /** A view of bytes whose length stands before them. */
  block(lengthMax: number, what: string): Uint8Array {
    return this.raw(this.varint(lengthMax, `the length of ${what}`));
  }

  /** A view of the next bytes. */
  raw(length: number): Uint8Array {
    this.need(length);
    const start = this.at;
    this.at += length;
    return this.bytes.subarray(start, this.at);
  }

  /** A text of at most `bytesMax` bytes of UTF-8. */
  text(bytesMax: number, what: string): string {
    const block = this.block(bytesMax, what);
    const text = Buffer.from(block.buffer, block.byteOffset, block.byteLength).toString("utf8");
    if (Buffer.byteLength(text) !== block.length || !Buffer.from(text).equals(block)) {
      throw damaged(`${what} is no UTF-8`);
    }
    return text;
  }

  /** @throws DataLoss where bytes are left over. */
  end(): void {
    if (this.at !== this.bytes.length) {
      throw damaged(`${this.bytes.length - this.at} bytes follow the end`);
    }
  }

  private need(length: number): void {
    if (length > this.bytes.length - this.at) {
      throw damaged(`it ends after ${this.bytes.length} bytes, in the middle of a value`);
    }
  }
}
