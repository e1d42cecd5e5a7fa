// The thread that takes the digests of receipts and writes the messages that bring them to their
// log. JavaScript with types in its comments: to strip types, a thread would hold 12 MB of compiler.

import { hash } from "node:crypto";
import { parentPort } from "node:worker_threads";

/** @import { HashCommand, HashReply, HashThreadCommand } from "./hash-messages.ts" */

/** With a tag of one byte. */
const FIELDS_MAX = 8;
const VARINT_BYTES_MAX = 10;
/** The chunk's record; receipt-chunk.ts says what is where. */
const RECORD_HEAD_BYTES = 24;

/** Of LogReceiptsRequest: `field << 3 | wire type`. */
const SEQUENCE = 2 << 3;
const INFERENCE_IDS = (6 << 3) | 2;
const TIMES_US = (7 << 3) | 2;
const ROWS = (8 << 3) | 2;
const INPUT_DIGESTS = (9 << 3) | 2;
const OUTPUT_DIGESTS = (10 << 3) | 2;
const CONTEXTS = (11 << 3) | 2;

const CAPACITY_MIN = 1024;

/** A column that grows; used again for the next batch. */
class Column {
  bytes = Buffer.alloc(CAPACITY_MIN);
  length = 0;

  /** @param {number} count */
  reserve(count) {
    const needed = this.length + count;
    if (needed > this.bytes.length) {
      // Not from Node's pool: a message is given away.
      const bytes = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
      bytes.set(this.written);
      this.bytes = bytes;
    }
  }

  get written() {
    return this.bytes.subarray(0, this.length);
  }

  /** @param {number} value */
  varint(value) {
    this.reserve(VARINT_BYTES_MAX);
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  /**
   * A field with the bytes from one place to another.
   * @param {number} tag
   * @param {Uint8Array} source
   * @param {number} from
   * @param {number} to
   */
  field(tag, source, from, to) {
    this.reserve(1 + VARINT_BYTES_MAX + to - from);
    this.bytes[this.length++] = tag;
    this.varint(to - from);
    for (let i = from; i < to; i++) {
      this.bytes[this.length++] = source[i] ?? 0;
    }
  }
}

/**
 * As text of one byte a character, as which a digest comes three times cheaper than as a Buffer; that
 * of a whole batch is written at once.
 * @param {Uint8Array} bytes
 */
function digestOf(bytes) {
  return hash("sha256", bytes, "binary");
}

/** The receipts of one version that are in no message yet. */
class Batch {
  #ids = new Column();
  #times = new Column();
  #rows = new Column();
  #inputs = "";
  #outputs = "";
  #contexts = new Column();
  #hasContext = false;

  /** @param {Uint8Array} head */
  constructor(head) {
    this.head = head;
  }

  /**
   * @param {ArrayBuffer} memory
   * @param {number} length
   */
  add(memory, length) {
    const bytes = new Uint8Array(memory);
    const view = new DataView(memory);
    for (let at = 0; at < length; ) {
      const id = at + RECORD_HEAD_BYTES;
      const context = id + view.getUint16(at + 20, true);
      const input = context + view.getUint16(at + 22, true);
      const output = input + view.getUint32(at, true);
      const end = output + view.getUint32(at + 4, true);
      this.#ids.field(INFERENCE_IDS, bytes, id, context);
      this.#times.varint(view.getFloat64(at + 8, true));
      this.#rows.varint(view.getUint32(at + 16, true));
      this.#contexts.field(CONTEXTS, bytes, context, input);
      this.#hasContext ||= input > context;
      this.#inputs += digestOf(bytes.subarray(input, output));
      this.#outputs += digestOf(bytes.subarray(output, end));
      at = end;
    }
  }

  /**
   * The message with all that was added; then it is empty.
   * @param {number} sequence
   */
  seal(sequence) {
    const columns = [this.#ids, this.#times, this.#rows, this.#contexts];
    const size = columns.reduce((sum, { length }) => sum + length, 0);
    const digests = this.#inputs.length + this.#outputs.length;
    const message = new Column();
    message.reserve(this.head.length + size + digests + FIELDS_MAX * (1 + VARINT_BYTES_MAX));
    append(message, this.head);
    message.bytes[message.length++] = SEQUENCE;
    message.varint(sequence);
    append(message, this.#ids.written);
    appendField(message, TIMES_US, this.#times);
    appendField(message, ROWS, this.#rows);
    appendDigests(message, INPUT_DIGESTS, this.#inputs);
    appendDigests(message, OUTPUT_DIGESTS, this.#outputs);
    if (this.#hasContext) {
      append(message, this.#contexts.written);
    }
    for (const column of columns) {
      column.length = 0;
    }
    this.#inputs = "";
    this.#outputs = "";
    this.#hasContext = false;
    return message.written;
  }
}

/**
 * @param {Column} target
 * @param {Uint8Array} bytes
 */
function append(target, bytes) {
  target.bytes.set(bytes, target.length);
  target.length += bytes.length;
}

/**
 * @param {Column} target
 * @param {number} tag
 * @param {Column} packed
 */
function appendField(target, tag, packed) {
  target.bytes[target.length++] = tag;
  target.varint(packed.length);
  append(target, packed.written);
}

/**
 * @param {Column} target
 * @param {number} tag
 * @param {string} digests
 */
function appendDigests(target, tag, digests) {
  target.bytes[target.length++] = tag;
  target.varint(digests.length);
  target.length += target.bytes.write(digests, target.length, "binary");
}

const port = /** @type {NonNullable<typeof parentPort>} */ (parentPort);
/** @type {Map<number, Batch>} */
const batches = new Map();

/** @param {HashCommand} command */
function work({ version, memory, length, sequence }) {
  const batch = /** @type {Batch} */ (batches.get(version));
  /** @type {ArrayBuffer[]} */
  const transfer = [];
  /** @type {{ -readonly [K in keyof HashReply]: HashReply[K] }} */
  const reply = {};
  if (memory !== undefined) {
    batch.add(memory, length);
    reply.memory = memory;
    transfer.push(memory);
  }
  if (sequence > 0) {
    reply.bytes = batch.seal(sequence);
    transfer.push(/** @type {ArrayBuffer} */ (reply.bytes.buffer));
  }
  port.postMessage(reply, transfer);
}

port.on("message", (/** @type {HashThreadCommand} */ command) => {
  switch (command.kind) {
    case "version":
      batches.set(command.version, new Batch(command.head));
      return;
    case "hash":
      work(command);
      return;
    case "forget":
      batches.delete(command.version);
      return;
  }
});
