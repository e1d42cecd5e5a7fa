// Looks through the parts of a Parquet file that describe others (Thrift's compact protocol), before
// hyparquet reads them: it believes every length, and a negative one sends it round and round.

/** Types of the compact protocol. */
const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const I16 = 4;
const I64 = 6;
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

const VARINT_BYTES_MAX = 10;
const DEPTH_MAX = 16;
/** Fields of a page's header, and of what it says of its values. */
const UNCOMPRESSED_SIZE = 2;
const COMPRESSED_SIZE = 3;
const DATA_PAGE = 5;
const DICTIONARY_PAGE = 7;
const DATA_PAGE_V2 = 8;
const COUNT = 1;

/** What the header of a page says of it. */
export interface PageClaims {
  readonly compressedBytes: number;
  readonly uncompressedBytes: number;
  /** Rows of a page of data; 0 for other pages. */
  readonly values: number;
  /** Of a dictionary; 0 for other pages. */
  readonly entries: number;
  /** Where its bytes begin. */
  readonly start: number;
}

/** The header of the page at this place. @throws Error where there is none. */
export function readPageClaims(bytes: Uint8Array, offset: number): PageClaims {
  const reader = new CompactReader(bytes, offset);
  let [compressedBytes, uncompressedBytes, values, entries] = [Number.NaN, Number.NaN, 0, 0];
  reader.struct((field, type) => {
    if (field === UNCOMPRESSED_SIZE && isInteger(type)) {
      uncompressedBytes = reader.zigzag();
    } else if (field === COMPRESSED_SIZE && isInteger(type)) {
      compressedBytes = reader.zigzag();
    } else if ((field === DATA_PAGE || field === DATA_PAGE_V2) && type === STRUCT) {
      values = countIn(reader);
    } else if (field === DICTIONARY_PAGE && type === STRUCT) {
      entries = countIn(reader);
    } else {
      reader.skip(type);
    }
  });
  const counts = [compressedBytes, uncompressedBytes, values, entries];
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0)) {
    throw new Error("the header of a page has sizes that are none");
  }
  return { compressedBytes, uncompressedBytes, values, entries, start: reader.offset };
}

/** @throws Error where the bytes are not one whole structure. */
export function checkStructure(bytes: Uint8Array): void {
  const reader = new CompactReader(bytes, 0);
  reader.skip(STRUCT);
}

function countIn(reader: CompactReader): number {
  let count = Number.NaN;
  reader.struct((field, type) => {
    if (field === COUNT && isInteger(type)) {
      count = reader.zigzag();
    } else {
      reader.skip(type);
    }
  });
  return count;
}

function isInteger(type: number): boolean {
  return type >= I16 && type <= I64;
}

/** Reads with distrust: nothing beyond the bytes, no length that they cannot hold. */
class CompactReader {
  readonly #bytes: Uint8Array;
  #depth = 0;
  offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.offset = offset;
  }

  /** Calls `field` with the number and type of each; it reads the value. */
  struct(field: (number: number, type: number) => void): void {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) {
      throw new Error("structures are nested too deeply");
    }
    let number = 0;
    for (let head = this.#byte(); (head & 0x0f) !== 0; head = this.#byte()) {
      number = head >> 4 === 0 ? this.zigzag() : number + (head >> 4);
      field(number, head & 0x0f);
    }
    this.#depth -= 1;
  }

  zigzag(): number {
    const value = this.#varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** Goes over a value. */
  skip(type: number): void {
    switch (type) {
      case TRUE:
      case FALSE:
        return;
      case BYTE:
        this.#take(1);
        return;
      case DOUBLE:
        this.#take(8);
        return;
      case BINARY:
        this.#take(this.#varint());
        return;
      case LIST:
        this.#skipList();
        return;
      case STRUCT:
        this.struct((_, inner) => this.skip(inner));
        return;
      default:
        if (!isInteger(type)) {
          throw new Error(`a value is of the unknown type ${type}`);
        }
        this.#varint();
    }
  }

  #skipList(): void {
    const head = this.#byte();
    const type = head & 0x0f;
    const length = head >> 4 === 15 ? this.#varint() : head >> 4;
    // Each element has at least a byte.
    if (length > this.#bytes.length - this.offset) {
      throw new Error(`a list claims ${length} elements`);
    }
    for (let i = 0; i < length; i++) {
      this.skip(type === TRUE || type === FALSE ? BYTE : type);
    }
  }

  #varint(): number {
    let value = 0;
    let unit = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        return value;
      }
      unit *= 128;
    }
    throw new Error("a number has too many bytes");
  }

  #byte(): number {
    const at = this.offset;
    this.#take(1);
    return this.#bytes[at]!;
  }

  #take(length: number): void {
    if (length > this.#bytes.length - this.offset) {
      throw new Error("it ends in the middle of a value");
    }
    this.offset += length;
  }
}
