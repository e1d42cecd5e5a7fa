// ModelStreamInfer over the ordered stream: what a bad message is answered with, and when an error
// ends the stream instead.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { DomainError } from "../../common/errors/domain-error.ts";
import { reasonName, toStatus } from "../../common/errors/status.ts";
import { Undecodable } from "../../common/rpc/message-codec.ts";
import type { Tensor } from "../tensor.ts";
import { type InferScope, infer } from "./infer-call.ts";
import type { InferAnswer, InferFailure, WireInferRequest } from "./infer-messages.ts";
import { REQUEST_ID } from "./infer-request-codec.ts";
import { OrderedStream, type StreamWindow } from "./ordered-stream.ts";

/**
 * Request header of Triton's clients that want a status, and the stream closed, at the first error.
 */
export const GRPC_ERROR_HEADER = "triton_grpc_error";

/** What an undecodable message counts for in the window: its bytes are gone already. */
const UNDECODABLE_BYTES = 64;
/** A string costs about this beside its characters. */
const STRING_BYTES = 16;

export interface InferStreamOptions {
  readonly window: StreamWindow;
  /** End with the status of the first error instead of answering it and going on. */
  readonly failAtFirstError: boolean;
  /** Called with errors that nobody foresaw; they are answered as INTERNAL. */
  readonly onUnforeseen: (error: unknown) => void;
}

type Message = WireInferRequest | Undecodable;

/** The answers to a stream's messages, in their order, one each. */
export function inferStream(
  scope: InferScope,
  requests: AsyncIterable<Message>,
  options: InferStreamOptions,
): AsyncIterable<InferAnswer | InferFailure> {
  let streamScope: InferScope | undefined;
  return new OrderedStream<Message, InferAnswer | InferFailure>(
    requests,
    {
      requestBytes: (message) =>
        message instanceof Undecodable ? UNDECODABLE_BYTES : message.byteLength,
      answerBytes: (answer) => (answer.kind === "failure" ? UNDECODABLE_BYTES : sizeOf(answer)),
      run: (message, signal) => {
        if (message instanceof Undecodable) {
          throw message.error;
        }
        streamScope ??= { ...scope, signal };
        return infer(streamScope, message);
      },
      failed: (message, error) => {
        if (options.failAtFirstError) {
          throw error;
        }
        return failure(message, error, options.onUnforeseen);
      },
    },
    { window: options.window, signal: scope.signal },
  );
}

function failure(
  message: Message,
  error: unknown,
  onUnforeseen: (error: unknown) => void,
): InferFailure {
  const foreseen = error instanceof DomainError;
  if (!foreseen) {
    onUnforeseen(error);
  }
  const status = toStatus(error);
  const id =
    message instanceof Undecodable ? (message.error.metadata[REQUEST_ID] ?? "") : message.id;
  return {
    kind: "failure",
    id,
    message: status.message,
    code: status.code,
    reason: reasonName(foreseen ? error.reason : ErrorReason.UNSPECIFIED),
  };
}

function sizeOf(answer: InferAnswer): number {
  let size = 0;
  for (const tensor of answer.outputs) {
    size += tensorBytes(tensor);
  }
  return size;
}

function tensorBytes(tensor: Tensor): number {
  if (tensor.datatype !== "BYTES") {
    return tensor.data.length;
  }
  let size = 0;
  for (const text of tensor.data) {
    size += STRING_BYTES + text.length;
  }
  return size;
}
