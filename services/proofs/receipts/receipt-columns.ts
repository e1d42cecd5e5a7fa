// LogReceiptsRequest read by hand: thousands of ids and times a second, which the generated codec
// would make a string and a big integer of each. Columns stay where they are in the message. What a
// stranger sent is bounded before anything is kept of it.

import { fromBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type LogReceiptsRequest,
  LogReceiptsRequestSchema,
} from "../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { MethodCodec } from "../../common/rpc/context.ts";
import { WireWriter } from "../../common/wire-writer.ts";
import { BATCH_RECEIPTS_MAX } from "./log-documents.ts";

/** Where values lie in the message, one after the other. */
export interface Spans {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** The columns of a LogReceiptsRequest. Nothing of it is checked but its structure. */
export interface ReceiptColumns {
  /** The fields that there are one of. */
  readonly head: Pick<
    LogReceiptsRequest,
    "senderId" | "sequence" | "deployment" | "modelVersion" | "modelDigest"
  >;
  /** The message, in which the spans lie. */
  readonly bytes: Uint8Array;
  readonly inferenceIds: Spans;
  readonly timesUs: readonly number[];
  readonly rows: readonly number[];
  readonly inputDigests: Uint8Array;
  readonly outputDigests: Uint8Array;
  readonly contexts: Spans;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Of LogReceiptsRequest; those before the ids belong to the head. */
const INFERENCE_IDS = 6;
const TIMES_US = 7;
const ROWS = 8;
const INPUT_DIGESTS = 9;
const OUTPUT_DIGESTS = 10;
const CONTEXTS = 11;

/** Names, a digest and a number: more is nobody's. */
const HEAD_BYTES_MAX = 8_192;

const NOTHING = new Uint8Array(0);

/** The handler of LogReceipts is to be bound with it; it takes ReceiptColumns for the message. */
export const logReceiptsCodec: MethodCodec = {
  decode: (bytes) => decodeReceiptColumns(bytes),
  encode: (message) => encodeAnswer(message as LoggedBatch),
};

/** A LogReceiptsResponse. */
export interface LoggedBatch {
  readonly sequence: number;
  readonly firstIndex: number;
}

/** The columns of a message. They hold views into it. @throws InvalidArgument */
export function decodeReceiptColumns(bytes: Uint8Array): ReceiptColumns {
  const reader = new Reader(bytes);
  const head: Uint8Array[] = [];
  let headBytes = 0;
  const inferenceIds = new SpanList();
  const contexts = new SpanList();
  const timesUs: number[] = [];
  const rows: number[] = [];
  let inputDigests: Uint8Array = NOTHING;
  let outputDigests: Uint8Array = NOTHING;
  while (reader.at < bytes.length) {
    const start = reader.at;
    const tag = reader.varint();
    const type = tag & 7;
    switch (tag >>> 3) {
      case INFERENCE_IDS:
        inferenceIds.add(reader.span(type));
        break;
      case TIMES_US:
        reader.numbers(type, timesUs);
        break;
      case ROWS:
        reader.numbers(type, rows);
        break;
      case INPUT_DIGESTS:
        inputDigests = reader.view(type);
        break;
      case OUTPUT_DIGESTS:
        outputDigests = reader.view(type);
        break;
      case CONTEXTS:
        contexts.add(reader.span(type));
        break;
      default:
        reader.skip(type);
        headBytes += reader.at - start;
        if (headBytes > HEAD_BYTES_MAX)
          throw malformed(`more than ${HEAD_BYTES_MAX} bytes of names`);
        head.push(bytes.subarray(start, reader.at));
    }
  }
  return {
    head: fromBinary(LogReceiptsRequestSchema, Buffer.concat(head)),
    bytes,
    inferenceIds,
    timesUs,
    rows,
    inputDigests,
    outputDigests,
    contexts,
  };
}

class SpanList implements Spans {
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  add({ start, end }: { readonly start: number; readonly end: number }): void {
    checkCount(this.starts.length);
    this.starts.push(start);
    this.ends.push(end);
  }
}

/** A cursor over the message. Reading ends within it or throws. */
class Reader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** A number; beyond 2^53, and below 0, one that is no safe integer from 0. */
  varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) throw malformed("a number is cut off");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw malformed("a number is longer than 10 bytes");
  }

  span(type: number): { readonly start: number; readonly end: number } {
    if (type !== BYTES) throw malformed("a field has another type");
    const length = this.varint();
    const start = this.at;
    if (length > this.#bytes.length - start) throw malformed("a field is cut off");
    this.at = start + length;
    return { start, end: this.at };
  }

  view(type: number): Uint8Array {
    const { start, end } = this.span(type);
    return this.#bytes.subarray(start, end);
  }

  /** Packed or not. */
  numbers(type: number, into: number[]): void {
    if (type === VARINT) {
      checkCount(into.length);
      into.push(this.varint());
      return;
    }
    const { start, end } = this.span(type);
    this.at = start;
    while (this.at < end) {
      checkCount(into.length);
      into.push(this.varint());
    }
    if (this.at !== end) throw malformed("a number is cut off");
  }

  skip(type: number): void {
    if (type === VARINT) this.varint();
    else if (type === BYTES) this.span(type);
    else if (type === FIXED64 || type === FIXED32) this.at += type === FIXED64 ? 8 : 4;
    else throw malformed("a field has no type that is used");
    if (this.at > this.#bytes.length) throw malformed("a field is cut off");
  }
}

function checkCount(count: number): void {
  if (count >= BATCH_RECEIPTS_MAX) {
    const description = `has more than ${BATCH_RECEIPTS_MAX} inferences; send several batches`;
    throw new InvalidArgument(`The batch ${description}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: "inference_ids", description }],
    });
  }
}

function malformed(what: string): InvalidArgument {
  return new InvalidArgument(
    `The request is not a LogReceiptsRequest: ${what}. Check that client and server use the same ` +
      "proto.",
    { reason: ErrorReason.INVALID_FIELD },
  );
}

const SEQUENCE = 1;
const FIRST_INDEX = 2;
const VARINT_BYTES_MAX = 10;

function encodeAnswer({ sequence, firstIndex }: LoggedBatch): Uint8Array {
  const writer = new WireWriter(2 * (1 + VARINT_BYTES_MAX));
  for (const [field, value] of [
    [SEQUENCE, sequence],
    [FIRST_INDEX, firstIndex],
  ] as const) {
    if (value > 0) {
      writer.byte((field << 3) | VARINT);
      writer.varint(value);
    }
  }
  return writer.bytes.subarray(0, writer.pos);
}
