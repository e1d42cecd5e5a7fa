// Bytes that are added at the end, many thousand times a second: memory doubles, is used again after
// every batch, and is given back when a batch was small. Beside raw bytes it writes the few forms of
// the Protobuf wire format that grow with each inference, so that sealing a batch is copying.

import type { ByteBudget } from "./byte-budget.ts";

/** Up to here a loop beats a call into native code. */
const SHORT_BYTES_MAX = 48;
const SHORT_TEXT_MAX = 100;

/** Memory starts here and doubles. */
const CAPACITY_MIN = 256;

/** Below this, memory is kept whatever it holds. */
const KEPT_MIN = 4096;

/** Memory is given back when less than this share of it was needed. */
const KEPT_SHARE = 1 / 4;

const VARINT_BYTES_MAX = 10;
/** UTF-16 units become at most three bytes each. */
const UTF8_BYTES_MAX = 3;

const NONE = Buffer.alloc(0);

/** A buffer that grows; its memory is counted in a budget. */
export class GrowingBytes {
  readonly #budget: ByteBudget;
  #bytes: Buffer = NONE;
  /** Of the same memory; made when the first float is written to it. */
  #view: DataView | undefined;
  #length = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  get length(): number {
    return this.#length;
  }

  /** What was written; valid until the next write. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  raw(data: Uint8Array): void {
    const count = data.length;
    this.#reserve(count);
    if (count <= SHORT_BYTES_MAX) {
      const bytes = this.#bytes;
      const end = this.#length;
      for (let i = 0; i < count; i++) {
        bytes[end + i] = data[i]!;
      }
    } else {
      this.#bytes.set(data, this.#length);
    }
    this.#length += count;
  }

  /** `data` from one index to another. */
  part(data: Uint8Array, from: number, to: number): void {
    const count = to - from;
    this.#reserve(count);
    const bytes = this.#bytes;
    const end = this.#length;
    if (count <= SHORT_BYTES_MAX) {
      for (let i = 0; i < count; i++) {
        bytes[end + i] = data[from + i]!;
      }
    } else {
      bytes.set(data.subarray(from, to), end);
    }
    this.#length += count;
  }

  /** Small numbers, a byte each. */
  list(values: readonly number[]): void {
    this.#reserve(values.length);
    for (let i = 0; i < values.length; i++) {
      this.#bytes[this.#length++] = values[i]!;
    }
  }

  /** A float of 32 bits. */
  float(value: number): void {
    this.#reserve(4);
    // Buffer's own writeFloatLE takes twice as long.
    this.#view ??= new DataView(this.#bytes.buffer);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  /** A non-negative integer up to 2^53. */
  varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    const bytes = this.#bytes;
    let end = this.#length;
    let low = value >>> 0;
    let high = Math.floor(value / 2 ** 32);
    while (high > 0 || low >= 0x80) {
      bytes[end++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    bytes[end++] = low;
    this.#length = end;
  }

  /** A sint64 of at most 52 bits. */
  zigzag(value: number): void {
    this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  /** A string field: tag, length, UTF-8. The empty string is written too. */
  text(tag: number, text: string): void {
    const characters = text.length;
    this.#reserve(1 + VARINT_BYTES_MAX + UTF8_BYTES_MAX * characters);
    const bytes = this.#bytes;
    bytes[this.#length++] = tag;
    if (characters <= SHORT_TEXT_MAX && this.#ascii(text, this.#length + 1)) {
      bytes[this.#length] = characters;
      this.#length += 1 + characters;
      return;
    }
    const size = Buffer.byteLength(text);
    this.varint(size);
    bytes.write(text, this.#length, size, "utf8");
    this.#length += size;
  }

  /** As an element of raw BYTES contents: four bytes of length, UTF-8. */
  element(text: string): void {
    const characters = text.length;
    this.#reserve(4 + UTF8_BYTES_MAX * characters);
    const bytes = this.#bytes;
    const start = this.#length + 4;
    const size =
      characters <= SHORT_TEXT_MAX && this.#ascii(text, start)
        ? characters
        : bytes.write(text, start, "utf8");
    bytes.writeUInt32LE(size, this.#length);
    this.#length = start + size;
  }

  /** Begins anew; keeps the memory where most of it was needed. */
  reset(): void {
    const capacity = this.#bytes.length;
    const isLarge = capacity > KEPT_MIN && this.#length < capacity * KEPT_SHARE;
    this.#length = 0;
    if (isLarge) {
      this.release();
    }
  }

  /** Gives the memory back, with what was written. */
  release(): void {
    this.#budget.used -= this.#bytes.length;
    this.#bytes = NONE;
    this.#view = undefined;
    this.#length = 0;
  }

  /** Writes the text at a place if it is all ASCII. */
  #ascii(text: string, start: number): boolean {
    const bytes = this.#bytes;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        return false;
      }
      bytes[start + i] = code;
    }
    return true;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed > this.#bytes.length) {
      this.#grow(needed);
    }
  }

  #grow(needed: number): void {
    const capacity = Math.max(CAPACITY_MIN, needed, 2 * this.#bytes.length);
    // Not from Node's pool: a small piece of it would keep all of it.
    const bytes = Buffer.allocUnsafeSlow(capacity);
    bytes.set(this.written);
    this.#budget.used += capacity - this.#bytes.length;
    this.#bytes = bytes;
    this.#view = undefined;
  }
}
