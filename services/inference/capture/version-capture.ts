// What is captured of one loaded version: which inferences are chosen, the buffers they are copied
// into, and what had to be dropped. On the path of every answer: it copies bytes and does nothing
// else.

import type { InferRequest, InferResult } from "../engine.ts";
import type { Tensor } from "../tensor.ts";
import { CaptureBuffer, type CaptureIdentity, NAME_CHARACTERS_MAX } from "./capture-buffer.ts";
import type { CaptureQueue } from "./capture-queue.ts";
import { CaptureStream } from "./capture-stream.ts";
import { drawOf } from "./sampling.ts";

/** A deployment's CaptureConfig without gaps. */
export interface CaptureSettings {
  /** 0 to 1. */
  readonly sampleRate: number;
  readonly maskedFields: readonly string[];
}

/** From here on a batch is sealed: more would hold up the thread that counts it, which may be ours. */
const SEAL_BYTES = 128 * 1024;
const SEAL_ROWS = 2048;

/** What monitoring takes in one batch, less what stands around the rows. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024 - 64 * 1024;
const BATCH_ROWS_MAX = 65_536;

/** Kinds of inferences (outputs, shapes) captured at once; callers choose them. */
const BUFFERS_MAX = 8;

/** Beside its tensors and keys an inference takes at most this. */
const INFERENCE_BYTES = 64 + 6 * NAME_CHARACTERS_MAX;

export interface VersionCaptureOptions {
  readonly identity: CaptureIdentity;
  readonly queue: CaptureQueue;
  /** In [0, 1). */
  readonly random: () => number;
  /** Rows were not captured though they were chosen. */
  readonly onDropped: (rows: number) => void;
  /** Something nobody foresaw; the answer is not touched by it. */
  readonly onUnforeseen: (error: unknown) => void;
  /** Nothing more comes of it. */
  readonly onReleased: () => void;
}

/** Captures nothing before `configure`. */
export class VersionCapture {
  readonly identity: CaptureIdentity;
  readonly #options: VersionCaptureOptions;
  readonly #live: CaptureStream;
  readonly #shadow: CaptureStream;
  #rate = 0;
  #masked: ReadonlySet<string> = new Set();
  #released = false;

  constructor(options: VersionCaptureOptions) {
    this.identity = options.identity;
    this.#options = options;
    this.#live = new CaptureStream({ shadow: false, onDropped: options.onDropped });
    this.#shadow = new CaptureStream({ shadow: true, onDropped: options.onDropped });
  }

  /**
   * In force from the next inference on. A field that is masked from now on is not sent any more
   * either: what was captured with it and waits is dropped.
   */
  configure({ sampleRate, maskedFields }: CaptureSettings): void {
    this.#rate = this.#released ? 0 : sampleRate;
    const masked = new Set(maskedFields);
    if (maskedFields.some((field) => !this.#masked.has(field))) {
      this.discard();
    } else if (masked.size < this.#masked.size) {
      this.seal();
      this.#releaseBuffers();
    }
    this.#masked = masked;
  }

  /**
   * Copies a finished inference if it is chosen. Never throws.
   * @param arrivedMs since 1970, with a fraction
   */
  record(
    request: InferRequest,
    result: InferResult,
    { arrivedMs, batched }: { readonly arrivedMs: number; readonly batched: boolean },
  ): void {
    if (!this.#isChosen(request)) {
      return;
    }
    const stream = request.shadow === true ? this.#shadow : this.#live;
    try {
      if (!this.#copy(stream, request, result, Math.round(arrivedMs * 1000), batched)) {
        stream.drop(request.rows);
      }
    } catch (error) {
      stream.drop(request.rows);
      this.#options.onUnforeseen(error);
    }
  }

  /** Hands what was captured to the queue. */
  seal(): void {
    for (const stream of [this.#live, this.#shadow]) {
      for (const buffer of stream.buffers) {
        this.#seal(stream, buffer);
      }
    }
  }

  /** Hands over what was captured; gives the memory of what was quiet since the last time back. */
  turn(): void {
    for (const stream of [this.#live, this.#shadow]) {
      for (const buffer of stream.buffers.slice()) {
        if (buffer.count > 0) {
          this.#seal(stream, buffer);
        } else {
          buffer.release();
          stream.buffers.splice(stream.buffers.indexOf(buffer), 1);
        }
      }
    }
  }

  /** Drops what is captured and not sent. */
  discard(): void {
    for (const stream of [this.#live, this.#shadow]) {
      for (const buffer of stream.buffers) {
        stream.drop(buffer.rows);
      }
    }
    this.#releaseBuffers();
    this.#options.queue.discard(({ stream }) => stream === this.#live || stream === this.#shadow);
  }

  /** The version is unloaded: what was captured is handed over, nothing more is taken. */
  release(): void {
    this.seal();
    this.#releaseBuffers();
    this.#rate = 0;
    this.#released = true;
    this.#options.onReleased();
  }

  #isChosen({ id, captureDraw }: InferRequest): boolean {
    const rate = this.#rate;
    if (rate >= 1 || rate <= 0) {
      return rate >= 1;
    }
    return (id === "" ? (captureDraw ?? this.#options.random()) : drawOf(id)) < rate;
  }

  /** False: there is no room for it, or it is nothing that can be captured. */
  #copy(
    stream: CaptureStream,
    request: InferRequest,
    result: InferResult,
    arrivedUs: number,
    batched: boolean,
  ): boolean {
    const { queue } = this.#options;
    const { rows } = request;
    const size = bytesOf(request, result);
    if (!queue.takes(size) || size > BATCH_BYTES_MAX || rows > BATCH_ROWS_MAX) {
      return false;
    }
    const buffer = this.#bufferFor(stream, request, result, batched);
    if (buffer === undefined || !queue.pace.take(rows)) {
      return false;
    }
    if (buffer.rows + rows > BATCH_ROWS_MAX || buffer.bytes + size > BATCH_BYTES_MAX) {
      this.#seal(stream, buffer);
    }
    buffer.append(request, result, arrivedUs);
    if (buffer.rows >= SEAL_ROWS || buffer.bytes >= SEAL_BYTES) {
      this.#seal(stream, buffer);
    }
    return true;
  }

  #bufferFor(
    { buffers }: CaptureStream,
    request: InferRequest,
    result: InferResult,
    batched: boolean,
  ): CaptureBuffer | undefined {
    for (let i = 0; i < buffers.length; i++) {
      const buffer = buffers[i]!;
      if (buffer.fits(request, result, batched)) {
        return buffer;
      }
    }
    if (buffers.length >= BUFFERS_MAX) {
      return undefined;
    }
    const { identity, queue } = this.#options;
    const { budget } = queue;
    const made = new CaptureBuffer(request, result, {
      identity,
      batched,
      masked: this.#masked,
      budget,
    });
    if (!made.fits(request, result, batched)) {
      return undefined;
    }
    buffers.push(made);
    return made;
  }

  #seal(stream: CaptureStream, buffer: CaptureBuffer): void {
    if (buffer.count === 0) {
      return;
    }
    const { queue } = this.#options;
    const { rows } = buffer;
    const { droppedRows, shadow } = stream;
    const sequence = queue.nextSequence();
    const bytes = buffer.seal({ sequence, shadow, droppedRows });
    stream.droppedRows = 0;
    queue.push({ sequence, rows, droppedRows, bytes, stream });
  }

  #releaseBuffers(): void {
    for (const { buffers } of [this.#live, this.#shadow]) {
      for (const buffer of buffers.splice(0)) {
        buffer.release();
      }
    }
  }
}

/** About what an inference takes; texts and what is masked are counted in full. */
function bytesOf(request: InferRequest, result: InferResult): number {
  let size = INFERENCE_BYTES;
  for (let i = 0; i < request.inputs.length; i++) {
    size += tensorBytes(request.inputs[i]!);
  }
  for (let i = 0; i < result.outputs.length; i++) {
    size += tensorBytes(result.outputs[i]!);
  }
  const { features } = request;
  return features === undefined
    ? size
    : size + request.rows * features.statuses.length + keyBytes(features.keys());
}

function keyBytes(keys: readonly (readonly string[])[]): number {
  let size = 0;
  for (const texts of keys) {
    for (const { length } of texts) {
      size += 4 + 3 * length;
    }
  }
  return size;
}

function tensorBytes(tensor: Tensor): number {
  if (tensor.datatype !== "BYTES") {
    return tensor.data.byteLength;
  }
  let size = 0;
  for (const text of tensor.data) {
    size += 4 + 3 * text.length;
  }
  return size;
}
