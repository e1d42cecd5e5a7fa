// Inferences on their way to the thread that hashes them, one after the other in one piece of
// memory that is handed over whole. On the path of every answer: bytes are copied, nothing else.
//
// A record is, little-endian: length of the input bytes (4), of the output bytes (4), time in
// microseconds since 1970 (8, a double), rows (4), length of the id (2), of the context (2); then
// id in UTF-8, context, input bytes, output bytes. hash-thread.mjs reads it.

/** Before the id. */
export const RECORD_HEAD_BYTES = 24;

const INPUT_LENGTH_AT = 0;
const OUTPUT_LENGTH_AT = 4;
const TIME_AT = 8;
const ROWS_AT = 16;
const ID_LENGTH_AT = 20;
const CONTEXT_LENGTH_AT = 22;

/** Up to here a loop beats a call into native code. */
const SHORT_BYTES_MAX = 32;
const SHORT_TEXT_MAX = 64;

/** Memory of a chunk, and the cursor that writes it. */
export class ReceiptChunk {
  readonly bytes: Buffer;
  /** Records that are whole. */
  count = 0;
  /** Where the next byte goes. */
  at = 0;
  readonly #view: DataView;
  /** Of the record that is written, and of the last one that is whole. */
  #start = 0;
  #end = 0;

  constructor(memory: ArrayBuffer) {
    this.bytes = Buffer.from(memory);
    this.#view = new DataView(memory);
  }

  get memory(): ArrayBuffer {
    return this.bytes.buffer as ArrayBuffer;
  }

  get capacity(): number {
    return this.bytes.length;
  }

  /** Begins a record. What follows is written in the order of the record. */
  begin(timeUs: number, rows: number): void {
    const start = this.at;
    this.#start = start;
    this.#view.setFloat64(start + TIME_AT, timeUs, true);
    this.#view.setUint32(start + ROWS_AT, rows, true);
    this.at = start + RECORD_HEAD_BYTES;
  }

  id(text: string): void {
    const start = this.at;
    const length = this.#ascii(text) ? text.length : this.bytes.write(text, start, "utf8");
    this.#view.setUint16(this.#start + ID_LENGTH_AT, length, true);
    this.at = start + length;
  }

  context(context: Uint8Array | undefined): void {
    const length = context?.length ?? 0;
    this.#view.setUint16(this.#start + CONTEXT_LENGTH_AT, length, true);
    if (context !== undefined && length > 0) {
      this.raw(context);
    }
  }

  /** Ends the input bytes, which began at `from`. */
  inputsFrom(from: number): void {
    this.#view.setUint32(this.#start + INPUT_LENGTH_AT, this.at - from, true);
  }

  /** Ends the output bytes, which began at `from`, and the record. */
  outputsFrom(from: number): void {
    this.#view.setUint32(this.#start + OUTPUT_LENGTH_AT, this.at - from, true);
    this.#end = this.at;
    this.count += 1;
  }

  /** Drops a record that was begun and cannot be finished, if there is one. */
  undo(): void {
    this.at = this.#end;
  }

  raw(data: Uint8Array): void {
    const { bytes, at } = this;
    const count = data.length;
    if (count <= SHORT_BYTES_MAX) {
      for (let i = 0; i < count; i++) {
        bytes[at + i] = data[i]!;
      }
    } else {
      bytes.set(data, at);
    }
    this.at = at + count;
  }

  /** Two bytes, big-endian. */
  uint16(value: number): void {
    this.#view.setUint16(this.at, value);
    this.at += 2;
  }

  /** Eight bytes, big-endian, of a whole number up to 2^53. */
  uint64(value: number): void {
    this.uint64At(this.at, value);
    this.at += 8;
  }

  uint64At(at: number, value: number): void {
    this.#view.setUint32(at, Math.floor(value / 2 ** 32));
    this.#view.setUint32(at + 4, value >>> 0);
  }

  /** An element of BYTES contents: four bytes of length, little-endian, and UTF-8. */
  element(text: string): void {
    const start = this.at;
    this.at = start + 4;
    const length = this.#ascii(text) ? text.length : this.bytes.write(text, this.at, "utf8");
    this.#view.setUint32(start, length, true);
    this.at = start + 4 + length;
  }

  /** Writes a text at the cursor if it is short and all ASCII. */
  #ascii(text: string): boolean {
    const { bytes, at } = this;
    const count = text.length;
    if (count > SHORT_TEXT_MAX) {
      return false;
    }
    for (let i = 0; i < count; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) {
        return false;
      }
      bytes[at + i] = code;
    }
    return true;
  }
}
