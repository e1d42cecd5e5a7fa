// A gRPC client over bare node:http2, for what a stock client cannot be made to do: stop in the
// middle of a message, lie in a header, never read, vanish.

import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { onTestFinished } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { ModelInferRequestSchema } from "../../gen/inference/grpc_service_pb.js";

export const MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer";
export const MODEL_STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer";

export interface RawAnswer {
  readonly httpStatus: number;
  /** gRPC status code; NaN when the server sent none. */
  readonly code: number;
  readonly message: string;
  /** `reason` of the ErrorInfo, empty without one. */
  readonly reason: string;
  /** Whether a RetryInfo says when to come back. */
  readonly retryInfo: boolean;
  /** The body without its frame headers, one entry a message. */
  readonly messages: readonly Buffer[];
  /** The body as it came. */
  readonly body: Buffer;
  /** HTTP/2 code that the stream was reset with; 0: it ended in order. */
  readonly reset: number;
}

/** One HTTP/2 connection, destroyed with the test. */
export async function useConnection(address: string): Promise<ClientHttp2Session> {
  const session = connect(`http://${address}`, { settings: { initialWindowSize: 1024 * 1024 } });
  // What breaks a connection here is what the test is about.
  session.on("error", () => undefined);
  onTestFinished(() => session.destroy());
  await once(session, "connect");
  return session;
}

/** Begins a call with the headers of a correct client, and what is laid over them. */
export function begin(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => undefined);
  return stream;
}

/** A whole unary call with exactly these bytes as its body. */
export async function call(
  session: ClientHttp2Session,
  body: Uint8Array,
  options: {
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<RawAnswer> {
  const stream = begin(session, options.path ?? MODEL_INFER, options.headers);
  stream.end(body);
  return answerOf(stream);
}

/** Reads an answer to its end. */
export async function answerOf(stream: ClientHttp2Stream): Promise<RawAnswer> {
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  const chunks: Buffer[] = [];
  stream.on("response", (received) => {
    headers = received;
  });
  stream.on("trailers", (received) => {
    trailers = received;
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await new Promise((resolve) => stream.once("close", resolve));
  const body = Buffer.concat(chunks);
  const status = { ...headers, ...trailers };
  const text = (name: string) => String(status[name] ?? "");
  const details = fromBinary(
    StatusSchema,
    Buffer.from(text("grpc-status-details-bin"), "base64"),
  ).details;
  const infos = details.map((any) => anyUnpack(any, ErrorInfoSchema)).filter((i) => i);
  return {
    httpStatus: Number(headers[":status"]),
    code: status["grpc-status"] === undefined ? Number.NaN : Number(status["grpc-status"]),
    message: decodeURIComponent(text("grpc-message")),
    reason: infos[0]?.reason ?? "",
    retryInfo: details.some((any) => anyUnpack(any, RetryInfoSchema) !== undefined),
    messages: headers["content-type"]?.startsWith("application/grpc") ? unframed(body) : [],
    body,
    reset: stream.rstCode === constants.NGHTTP2_NO_ERROR ? 0 : stream.rstCode,
  };
}

/** The message behind its five bytes; `flags` 1: compressed. */
export function framed(message: Uint8Array, flags = 0): Buffer {
  const header = Buffer.alloc(5);
  header[0] = flags;
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

/** The bytes of a ModelInferRequest. */
export function inferBytes(request: MessageInitShape<typeof ModelInferRequestSchema>): Uint8Array {
  return toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, request));
}

function unframed(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    messages.push(body.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
