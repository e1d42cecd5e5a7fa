// For tests: an HTTP/2 client that sends exactly the bytes it is told to, and a server whose
// methods take and give bytes. What a stock client never does is what a server must survive.

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { anonymous } from "../auth/principal.ts";
import { bindService, type CallContext, type ServiceBinding } from "./context.ts";
import { type RpcServer, type RpcServerOptions, startRpcServer } from "./server.ts";

export const UNARY_PATH = "/plinth.inference.v1.InferenceService/Predict";
export const STREAM_PATH = "/plinth.inference.v1.InferenceService/StreamPredict";

/** Handlers over bytes; the default ones echo. */
export interface ByteHandlers {
  readonly predict?: (request: Buffer, context: CallContext) => Promise<Uint8Array>;
  readonly streamPredict?: (
    requests: AsyncIterable<Buffer>,
    context: CallContext,
  ) => AsyncIterable<Uint8Array>;
}

/** A server and one connection to it; dispose of it when the test is over. */
export interface RawConnection extends AsyncDisposable {
  readonly server: RpcServer;
  readonly session: ClientHttp2Session;
  open(path: string, headers?: OutgoingHttpHeaders): ClientHttp2Stream;
}

/** What a stream was answered with, all of it. */
export interface RawAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly resetCode: number;
}

export async function rawConnection(
  handlers: ByteHandlers = {},
  options: Partial<RpcServerOptions> = {},
): Promise<RawConnection> {
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: [byteBinding(handlers)],
    authenticate: () => anonymous,
    ...options,
  });
  const session = connect(`http://${server.address}`);
  session.on("error", () => undefined);
  return {
    server,
    session,
    open(path, headers = {}) {
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      });
      stream.on("error", () => undefined);
      return stream;
    },
    async [Symbol.asyncDispose]() {
      session.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

function byteBinding(handlers: ByteHandlers): ServiceBinding {
  const bytes = { decode: (one: Uint8Array) => one, encode: (one: unknown) => one as Uint8Array };
  const all: ByteHandlers = {
    predict: async (request) => request,
    async *streamPredict(requests) {
      yield* requests;
    },
    ...handlers,
  };
  return bindService(InferenceService, all as never, { predict: bytes, streamPredict: bytes });
}

/** Reads a stream to its end; a status of a trailers-only answer is found in `trailers` too. */
export function answerOf(stream: ClientHttp2Stream): Promise<RawAnswer> {
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  const parts: Buffer[] = [];
  stream.on("response", (received) => {
    headers = received;
    trailers = received;
  });
  stream.on("trailers", (received) => {
    trailers = received;
  });
  stream.on("data", (part: Buffer) => parts.push(part));
  return new Promise((resolve) => {
    stream.on("close", () => {
      resolve({ headers, trailers, body: Buffer.concat(parts), resetCode: stream.rstCode ?? 0 });
    });
  });
}
