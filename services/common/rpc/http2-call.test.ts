import { constants, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Unauthenticated } from "../errors/domain-error.ts";
import { frame } from "./grpc-frame.ts";
import {
  answerOf,
  type ByteHandlers,
  type RawConnection,
  rawConnection,
  STREAM_PATH,
  UNARY_PATH,
} from "./raw-client.ts";
import type { RpcServerOptions } from "./server.ts";

const MIB = 1024 * 1024;
const hello = frame(Buffer.from("hello"));

async function useServer(
  handlers: ByteHandlers = {},
  options: Partial<RpcServerOptions> = {},
): Promise<RawConnection> {
  const connection = await rawConnection(handlers, options);
  onTestFinished(() => connection[Symbol.asyncDispose]());
  return connection;
}

async function unary(
  connection: RawConnection,
  body: Buffer = hello,
  headers: OutgoingHttpHeaders = {},
) {
  const stream = connection.open(UNARY_PATH, headers);
  stream.end(body);
  return await answerOf(stream);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("a gRPC call over HTTP/2", () => {
  it("answers a request sent byte by byte", async () => {
    const connection = await useServer();
    const stream = connection.open(UNARY_PATH);
    for (const byte of hello) {
      stream.write(Buffer.of(byte));
      await pause(1);
    }
    stream.end();
    const { body, headers, trailers } = await answerOf(stream);
    expect(body).toEqual(hello);
    expect(headers).toMatchObject({ ":status": 200, "content-type": "application/grpc" });
    expect(trailers).toMatchObject({ "grpc-status": "0" });
  });

  it("carries messages of zero bytes, unary and many in one frame", async () => {
    const connection = await useServer();
    const empty = frame(Buffer.alloc(0));
    expect(await unary(connection, empty)).toMatchObject({ body: empty });
    const stream = connection.open(STREAM_PATH);
    const many = Buffer.concat(Array.from({ length: 3000 }, () => empty));
    stream.end(many);
    expect((await answerOf(stream)).body).toEqual(many);
  });

  it("says what is wrong with the framing of a unary call", async () => {
    const connection = await useServer({}, { limits: { messageBytesMax: MIB } });
    const announced = Buffer.from(hello);
    announced.writeUInt32BE(2 * MIB, 1);
    const flagged = Buffer.from(hello);
    flagged[0] = 4;
    const cases: [Buffer, string][] = [
      [hello.subarray(0, 3), "3"],
      [hello.subarray(0, 7), "3"],
      [Buffer.alloc(0), "3"],
      [Buffer.concat([hello, Buffer.of(0)]), "3"],
      [Buffer.concat([hello, hello]), "12"],
      [announced, "8"],
      [flagged, "13"],
    ];
    for (const [body, code] of cases) {
      expect((await unary(connection, body)).trailers["grpc-status"]).toBe(code);
    }
    expect((await unary(connection)).trailers["grpc-status"]).toBe("0");
  });

  it("hands a stream the messages before a fault, then fails it, whatever still comes", async () => {
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    const connection = await useServer({
      async *streamPredict(requests) {
        for await (const request of requests) {
          seen.push(request.toString());
          yield request;
          await gate.promise;
        }
      },
    });
    const stream = connection.open(STREAM_PATH);
    const flagged = Buffer.from(hello);
    flagged[0] = 2;
    stream.write(Buffer.concat([hello, hello, flagged]));
    await expect.poll(() => seen).toHaveLength(1);
    stream.write(hello);
    await pause(20);
    gate.resolve();
    const { trailers } = await answerOf(stream);
    expect(trailers["grpc-status"]).toBe("13");
    expect(seen).toEqual(["hello", "hello"]);
  });

  it("inflates what is sent compressed and names the encodings it knows", async () => {
    const connection = await useServer();
    const packed = frame(gzipSync(Buffer.from("hello")));
    packed[0] = 1;
    const { body } = await unary(connection, packed, { "grpc-encoding": "gzip" });
    expect(body).toEqual(hello);
    const { headers, trailers } = await unary(connection, packed, { "grpc-encoding": "br" });
    expect(trailers["grpc-status"]).toBe("12");
    expect(headers["grpc-accept-encoding"]).toBe("identity,deflate,gzip");
  });

  it("tells HTTP clients that are no gRPC clients what this port is", async () => {
    const connection = await useServer();
    const cases: [OutgoingHttpHeaders, number][] = [
      [{ ":method": "GET" }, 405],
      [{ ":method": "HEAD" }, 405],
      [{ "content-type": "application/json" }, 415],
      [{ "content-type": "application/grpc+json" }, 415],
      [{ "content-type": "application/grpc-web+proto" }, 415],
      [{ "content-type": "application/grpc+proto" }, 200],
      [{ te: undefined }, 200],
    ];
    for (const [headers, status] of cases) {
      expect((await unary(connection, hello, headers)).headers[":status"]).toBe(status);
    }
  });

  it("closes on HTTP/1.1, on garbage and on headers without end, and serves the next", async () => {
    const connection = await useServer();
    for (const text of [
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "\x16\x03\x01\x02\x00",
      "x".repeat(99),
    ]) {
      const socket = connectTcp(connection.server.port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.resume();
      const closed = new Promise((resolve) => socket.on("close", resolve));
      socket.write(text);
      socket.end();
      await closed;
    }
    await unary(connection, hello, { "x-long": "y".repeat(200_000) });
    const next = await useServer();
    expect((await unary(next)).trailers["grpc-status"]).toBe("0");
  });

  it("answers early, while the caller still sends, with a status and no reset before it", async () => {
    const refusing = {
      authenticate: () => {
        throw new Unauthenticated("who are you?", { reason: ErrorReason.UNSPECIFIED });
      },
    };
    const connection = await useServer({}, refusing);
    for (const [path, code] of [
      [UNARY_PATH, "16"],
      ["/no.Such/Method", "12"],
    ] as const) {
      const stream = connection.open(path);
      const body = frame(Buffer.alloc(8 * MIB));
      stream.write(body);
      const { headers, trailers, resetCode } = await answerOf(stream);
      expect(headers["grpc-status"]).toBe(code);
      expect(trailers["grpc-status"]).toBe(code);
      // It never half-closed: it is cut off, as the protocol says, without an error.
      expect(resetCode).toBe(constants.NGHTTP2_NO_ERROR);
    }
  });

  it("reads grpc-timeout: at once, later, never, malformed", async () => {
    const connection = await useServer({
      predict: (request, { signal }) =>
        new Promise((resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
          setTimeout(() => resolve(request), 60);
        }),
    });
    const cases: [string, string][] = [
      ["0n", "4"],
      ["1n", "4"],
      ["5m", "4"],
      ["99999999H", "0"],
      ["99999999n", "0"],
      ["1x", "3"],
      ["123456789m", "3"],
    ];
    for (const [timeout, code] of cases) {
      const { trailers } = await unary(connection, hello, { "grpc-timeout": timeout });
      expect([timeout, trailers["grpc-status"]]).toEqual([timeout, code]);
    }
  });

  it("does not begin a call whose time passed while its request was on its way", async () => {
    let begun = 0;
    const connection = await useServer({
      predict: async (request) => {
        begun += 1;
        return request;
      },
    });
    const stream = connection.open(UNARY_PATH, { "grpc-timeout": "20m" });
    stream.write(hello);
    const answered = new Promise((resolve) => stream.on("response", resolve));
    const answer = answerOf(stream);
    await answered;
    stream.end();
    expect((await answer).trailers["grpc-status"]).toBe("4");
    await unary(connection);
    expect(begun).toBe(1);
  });
});
