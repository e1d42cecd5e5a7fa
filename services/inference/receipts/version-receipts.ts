// The receipts of one loaded version: who may run, and what is copied when an answer is given. On
// the path of every answer: it copies bytes and does nothing else.

import { create, toBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { LogReceiptsRequestSchema } from "../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { InferRequest, InferResult } from "../engine.ts";
import type { Signature } from "../tensor.ts";
import { CHUNK_BYTES_MAX, type HashThread } from "./hash-thread.ts";
import { RECORD_HEAD_BYTES, type ReceiptChunk } from "./receipt-chunk.ts";
import { TensorWriter } from "./tensor-writer.ts";

/** As many as the log takes in one batch. */
export const BATCH_RECEIPTS_MAX = 1024;
/** What a receipt takes, in UTF-8. */
const ID_BYTES_MAX = 1024;
export const CONTEXT_BYTES_MAX = 256;
const UTF8_BYTES_MAX = 3;

/** Whose inferences they are. */
export interface ReceiptIdentity {
  /** `workspaces/w/deployments/d` */
  readonly deployment: string;
  /** `workspaces/w/models/m/versions/3` */
  readonly modelVersion: string;
  /** SHA-256 of the ONNX file, in hex. */
  readonly modelDigest: string;
  readonly signature: Signature;
}

export interface VersionReceiptsOptions {
  readonly identity: ReceiptIdentity;
  /** Of the sender's life. */
  readonly senderId: string;
  readonly thread: HashThread;
  readonly nextSequence: () => number;
  /** Why nothing more may run; undefined while it may. */
  readonly refusal: () => Error | undefined;
  /** Something nobody foresaw: an answer has no receipt. */
  readonly onUnforeseen: (error: unknown) => void;
  /** Nothing more comes of it. */
  readonly onReleased: () => void;
}

/** Copies what is answered into chunks for the thread that hashes. */
export class VersionReceipts {
  readonly #options: VersionReceiptsOptions;
  readonly #inputs: TensorWriter;
  readonly #outputs: TensorWriter;
  /** By which the thread knows it. */
  readonly #version: number;
  #chunk: ReceiptChunk | undefined;
  /** Bytes that the next chunk has room for. */
  #chunkBytes = 0;
  /** Receipts of the batch that is not sealed, beside those in the chunk. */
  #handedOver = 0;

  constructor(options: VersionReceiptsOptions) {
    const { identity, thread } = options;
    this.#options = options;
    this.#inputs = new TensorWriter(identity.signature.inputs);
    this.#outputs = new TensorWriter(identity.signature.outputs);
    this.#version = thread.addVersion(headOf(options));
  }

  /**
   * Why an inference may not run, as its receipt could not be kept; undefined where it may.
   */
  refusal({ id, context }: InferRequest): Error | undefined {
    if (id.length * UTF8_BYTES_MAX > ID_BYTES_MAX) {
      const length = Buffer.byteLength(id);
      if (length > ID_BYTES_MAX) {
        return tooLong("id", length, ID_BYTES_MAX);
      }
    }
    if (context !== undefined && context.length > CONTEXT_BYTES_MAX) {
      return tooLong("context", context.length, CONTEXT_BYTES_MAX);
    }
    return this.#options.refusal();
  }

  /** Copies an inference that is answered. Never throws. @param timeUs since 1970 */
  record(request: InferRequest, { outputs }: InferResult, timeUs: number): void {
    if (request.id === "") {
      return;
    }
    try {
      this.#copy(request, outputs, timeUs);
    } catch (error) {
      this.#chunk?.undo();
      this.#options.onUnforeseen(error);
    }
  }

  /** Hands everything over that was copied, as a batch. */
  seal(): void {
    const { thread, nextSequence } = this.#options;
    const chunk = this.#chunk;
    const count = this.#handedOver + (chunk?.count ?? 0);
    if (count === 0) {
      return;
    }
    this.#chunk = undefined;
    this.#handedOver = 0;
    this.#chunkBytes = Math.min(chunk?.at ?? 0, CHUNK_BYTES_MAX);
    thread.hash(this.#version, chunk, { sequence: nextSequence(), count });
  }

  /** The thread has lost what was handed over. */
  lost(): void {
    this.#handedOver = 0;
  }

  /** The version is unloaded: what was copied is handed over, nothing more is taken. */
  release(): void {
    this.seal();
    const { thread, onReleased } = this.#options;
    if (this.#chunk !== undefined) {
      thread.release(this.#chunk);
      this.#chunk = undefined;
    }
    thread.forget(this.#version);
    onReleased();
  }

  #copy(request: InferRequest, outputs: InferResult["outputs"], timeUs: number): void {
    const { id, context, inputs, shown } = request;
    const size =
      RECORD_HEAD_BYTES +
      UTF8_BYTES_MAX * id.length +
      (context?.length ?? 0) +
      this.#inputs.sizeMax(inputs) +
      this.#outputs.sizeMax(outputs);
    const chunk = this.#chunkFor(size);
    chunk.begin(timeUs, request.rows);
    chunk.id(id);
    chunk.context(context);
    let from = chunk.at;
    this.#inputs.write(chunk, inputs);
    chunk.inputsFrom(from);
    from = chunk.at;
    if (shown === undefined) {
      this.#outputs.write(chunk, outputs, request.outputs);
    } else {
      const places = request.outputs.filter((_, index) => shown.has(outputs[index]!.name));
      const tensors = outputs.filter(({ name }) => shown.has(name));
      this.#outputs.write(chunk, tensors, places);
    }
    chunk.outputsFrom(from);
    if (this.#handedOver + chunk.count >= BATCH_RECEIPTS_MAX) {
      this.seal();
    }
  }

  #chunkFor(size: number): ReceiptChunk {
    const { thread } = this.#options;
    const chunk = this.#chunk;
    if (chunk !== undefined && chunk.capacity - chunk.at >= size) {
      return chunk;
    }
    if (chunk !== undefined) {
      this.#chunkBytes = Math.min(2 * chunk.capacity, CHUNK_BYTES_MAX);
      this.#handedOver += chunk.count;
      if (chunk.count === 0) {
        thread.release(chunk);
      } else {
        thread.hash(this.#version, chunk);
      }
    }
    this.#chunk = thread.chunk(Math.max(size, this.#chunkBytes));
    return this.#chunk;
  }
}

/** What all batches of the version begin with. */
function headOf({ identity, senderId }: VersionReceiptsOptions): Uint8Array {
  const { deployment, modelVersion, modelDigest } = identity;
  return toBinary(
    LogReceiptsRequestSchema,
    create(LogReceiptsRequestSchema, {
      senderId,
      deployment,
      modelVersion,
      modelDigest: Buffer.from(modelDigest, "hex"),
    }),
  );
}

function tooLong(field: string, length: number, max: number): InvalidArgument {
  const description = `${field} has ${length} bytes; a receipt takes ${max}`;
  return new InvalidArgument(
    `The ${description}, and this deployment gives a receipt for each inference. Send a shorter one.`,
    { reason: ErrorReason.INVALID_FIELD, violations: [{ field, description }] },
  );
}
