// Reads the Protobuf wire format for the messages whose generated codec is too slow. Every byte
// comes from a stranger: whatever it is, reading ends within the message or throws InvalidArgument.

import { isUtf8 } from "node:buffer";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
const WIRE_GROUP_START = 3;
const WIRE_GROUP_END = 4;
export const WIRE_FIXED32 = 5;

/** Groups in unknown fields nest no deeper; nothing sends them any more. */
const GROUP_DEPTH_MAX = 32;

/** Names longer than this are not kept between messages. */
const NAME_BYTES_MAX = 48;
/** Names kept; a power of two. Two names of one slot replace each other. */
const NAME_SLOTS = 512;

interface KnownName {
  readonly bytes: Uint8Array;
  readonly text: string;
}

const knownNames: (KnownName | undefined)[] = new Array(NAME_SLOTS).fill(undefined);

/** The error of bytes that are not the message they should be; `at` is an offset in the message. */
export function malformed(what: string, at: number): InvalidArgument {
  return new InvalidArgument(
    `The request is not a valid protobuf message: ${what} at byte ${at}. ` +
      "Check that the client uses the Open Inference Protocol's proto and sends whole messages.",
    { reason: ErrorReason.INVALID_FIELD },
  );
}

/** A cursor over one message. Submessages are read by `enter` and `leave`, without copies. */
export class WireReader {
  readonly bytes: Uint8Array;
  /** Of the next byte. */
  pos = 0;
  /** End of the innermost message that was entered. */
  end: number;
  /** Halves of the last 64-bit varint. */
  low = 0;
  high = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.end = bytes.length;
  }

  /** Field number and wire type: `field << 3 | type`. */
  tag(): number {
    const start = this.pos;
    const tag = this.uint32();
    if (tag >>> 3 === 0) {
      throw malformed("field number 0", start);
    }
    return tag;
  }

  /** The low 32 bits of a varint, unsigned. */
  uint32(): number {
    if (this.pos < this.end) {
      const first = this.bytes[this.pos]!;
      if (first < 0x80) {
        this.pos += 1;
        return first;
      }
    }
    this.varint64();
    return this.low >>> 0;
  }

  /** Reads a varint into `low` and `high`. */
  varint64(): void {
    const bytes = this.bytes;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= this.end) {
        throw malformed("a number is cut off", this.pos);
      }
      const byte = bytes[this.pos++]!;
      const bits = byte & 0x7f;
      if (shift < 28) {
        low |= bits << shift;
      } else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else {
        high |= bits << (shift - 32);
      }
      if (byte < 0x80) {
        this.low = low;
        this.high = high;
        return;
      }
    }
    throw malformed("a number is longer than 10 bytes", this.pos);
  }

  /** An int64 as a number; beyond 2^53 the nearest one. */
  int64(): number {
    if (this.pos < this.end && this.bytes[this.pos]! < 0x80) {
      return this.bytes[this.pos++]!;
    }
    this.varint64();
    return this.high * 4294967296 + (this.low >>> 0);
  }

  /** An int64, exact. */
  bigInt64(): bigint {
    this.varint64();
    return (BigInt(this.high) << 32n) | BigInt(this.low >>> 0);
  }

  /** The length that stands before bytes, checked against what is left. */
  length(): number {
    const start = this.pos;
    this.low = 0;
    this.high = 0;
    const length = this.uint32();
    if (this.high !== 0 || length > this.end - this.pos) {
      throw malformed("a field is longer than what is left of its message", start);
    }
    return length;
  }

  /** Narrows the reader to a submessage; gives what `leave` needs. */
  enter(): number {
    const length = this.length();
    const outer = this.end;
    this.end = this.pos + length;
    return outer;
  }

  leave(outer: number): void {
    this.end = outer;
  }

  /** A view, no copy. */
  view(): Uint8Array {
    const length = this.length();
    const bytes = this.bytes;
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset + this.pos, length);
    this.pos += length;
    return view;
  }

  /** A view of the next 4 or 8 bytes. */
  fixed(width: number): Uint8Array {
    const at = this.pos;
    if (this.end - at < width) {
      throw malformed("a number is cut off", at);
    }
    this.pos += width;
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + at, width);
  }

  string(): string {
    const at = this.pos;
    const length = this.length();
    const start = this.pos;
    this.pos += length;
    return textOf(this.bytes, start, this.pos, at);
  }

  /** A string that is likely to have come before: model, tensor, datatype, parameter. */
  name(): string {
    const at = this.pos;
    const length = this.length();
    const start = this.pos;
    const end = start + length;
    this.pos = end;
    if (length > NAME_BYTES_MAX) {
      return textOf(this.bytes, start, end, at);
    }
    const bytes = this.bytes;
    let hash = length;
    for (let i = start; i < end; i++) {
      hash = (Math.imul(hash, 31) + bytes[i]!) | 0;
    }
    const slot = (hash ^ (hash >>> 15)) & (NAME_SLOTS - 1);
    const known = knownNames[slot];
    if (known !== undefined && sameBytes(known.bytes, bytes, start, length)) {
      return known.text;
    }
    const text = textOf(bytes, start, end, at);
    knownNames[slot] = { bytes: Uint8Array.prototype.slice.call(bytes, start, end), text };
    return text;
  }

  /** Passes over a field that is not known, or came in another wire type than its own. */
  skip(tag: number, depth = 0): void {
    const at = this.pos;
    switch (tag & 7) {
      case WIRE_VARINT:
        this.varint64();
        return;
      case WIRE_FIXED64:
        this.fixed(8);
        return;
      case WIRE_BYTES:
        this.view();
        return;
      case WIRE_FIXED32:
        this.fixed(4);
        return;
      case WIRE_GROUP_START:
        this.#skipGroup(tag >>> 3, depth);
        return;
      default:
        throw malformed(`wire type ${tag & 7}`, at);
    }
  }

  #skipGroup(field: number, depth: number): void {
    if (depth >= GROUP_DEPTH_MAX) {
      throw malformed("groups nest too deep", this.pos);
    }
    while (this.pos < this.end) {
      const tag = this.tag();
      if ((tag & 7) === WIRE_GROUP_END) {
        if (tag >>> 3 === field) {
          return;
        }
        throw malformed("a group ends that never began", this.pos);
      }
      this.skip(tag, depth + 1);
    }
    throw malformed("a group is cut off", this.pos);
  }
}

function sameBytes(known: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (known.length !== length) {
    return false;
  }
  for (let i = 0; i < length; i++) {
    if (known[i] !== bytes[start + i]) {
      return false;
    }
  }
  return true;
}

function textOf(bytes: Uint8Array, start: number, end: number, at: number): string {
  const part = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
  if (!isUtf8(part)) {
    throw malformed("a string that is not UTF-8", at);
  }
  return part.toString("utf8");
}
