import { constants } from "node:http2";
import { describe, expect, it, onTestFinished } from "vitest";
import { anonymous, type Principal } from "../auth/principal.ts";
import type { CallContext } from "./context.ts";
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

async function unary(connection: RawConnection, body: Buffer = hello) {
  const stream = connection.open(UNARY_PATH);
  stream.end(body);
  return await answerOf(stream);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function whenAborted({ signal }: CallContext): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

describe("the end of a call", () => {
  it("reaches a handler that is not reading when the caller resets", async () => {
    let reason: unknown;
    let cleanedUp = false;
    const connection = await useServer({
      async *streamPredict(requests, context) {
        try {
          for await (const request of requests) {
            yield request;
            await whenAborted(context);
          }
        } finally {
          reason = context.signal.reason?.kind;
          cleanedUp = true;
        }
      },
    });
    const stream = connection.open(STREAM_PATH);
    const large = frame(Buffer.alloc(100_000));
    for (let sent = 0; sent < 60; sent += 1) {
      stream.write(large);
    }
    await new Promise((resolve) => stream.once("data", resolve));
    await pause(50);
    stream.close(constants.NGHTTP2_CANCEL);
    await expect.poll(() => cleanedUp).toBe(true);
    expect(reason).toBe("Cancelled");
    expect((await unary(connection)).trailers["grpc-status"]).toBe("0");
  });

  it("returns the handler's generator, whether it waits to read or to write", async () => {
    let returned = 0;
    const connection = await useServer({
      async *streamPredict(requests) {
        try {
          for await (const request of requests) {
            while (request.length > 5) {
              yield request;
            }
          }
        } finally {
          returned += 1;
        }
      },
    });
    const reading = connection.open(STREAM_PATH);
    reading.write(hello);
    const writing = connection.open(STREAM_PATH);
    writing.pause();
    writing.write(frame(Buffer.alloc(MIB)));
    await pause(100);
    expect(returned).toBe(0);
    reading.close(constants.NGHTTP2_CANCEL);
    writing.close(constants.NGHTTP2_CANCEL);
    await expect.poll(() => returned).toBe(2);
  });

  it("survives a reset at every moment of a call, and a thousand on one connection", async () => {
    const connection = await useServer({
      predict: async (request) => {
        await pause(request.length % 4);
        return Buffer.alloc(request.length * 5000);
      },
    });
    for (let round = 0; round < 3000; round += 1) {
      const stream = connection.open(round % 3 === 0 ? STREAM_PATH : UNARY_PATH);
      const body = frame(Buffer.alloc(round % 7));
      stream.write(body.subarray(0, round % 5 === 0 ? 3 : body.length));
      if (round % 2 === 0) {
        stream.end();
      }
      const reset = (): void => stream.close(constants.NGHTTP2_CANCEL);
      if (round % 4 === 0) {
        setImmediate(reset);
      } else {
        setTimeout(reset, round % 6);
      }
      if (round % 20 === 0) {
        await pause(2);
      }
    }
    expect((await unary(connection)).trailers["grpc-status"]).toBe("0");
    connection.session.close();
    await connection.server.drain(5000);
  });

  it("survives connections that break under hundreds of calls about to be answered", async () => {
    const gate = Promise.withResolvers<void>();
    let begun = 0;
    let over = 0;
    const connection = await useServer({
      predict: async (request, { signal }) => {
        begun += 1;
        signal.addEventListener("abort", () => {
          over += 1;
          gate.resolve();
        });
        await gate.promise;
        return request;
      },
    });
    for (let opened = 0; opened < 300; opened += 1) {
      connection.open(UNARY_PATH).end(hello);
    }
    await expect.poll(() => begun).toBe(300);
    connection.session.destroy();
    // The first of them to hear of it lets all the others answer at that very moment.
    await expect.poll(() => over).toBeGreaterThan(0);
    await connection.server.drain(1000);
  });

  it("frees the place of a call whose handler ignores that it is over", async () => {
    const gate = Promise.withResolvers<void>();
    onTestFinished(() => gate.resolve());
    const limits = { callsMax: 1 };
    const connection = await useServer(
      {
        predict: async (request) => {
          if (request.length > 5) {
            await gate.promise;
          }
          return request;
        },
      },
      { limits },
    );
    const stream = connection.open(UNARY_PATH, { "grpc-timeout": "30m" });
    stream.end(frame(Buffer.alloc(6)));
    expect((await answerOf(stream)).trailers["grpc-status"]).toBe("4");
    expect((await unary(connection)).trailers["grpc-status"]).toBe("0");
  });

  it("does not serve a caller who left while it was found out who calls", async () => {
    const gate = Promise.withResolvers<Principal>();
    let asked = 0;
    let begun = 0;
    const authenticate = (): Promise<Principal> => {
      asked += 1;
      return gate.promise;
    };
    const connection = await useServer(
      {
        predict: async (request) => {
          begun += 1;
          return request;
        },
      },
      { authenticate },
    );
    const gone = connection.open(UNARY_PATH);
    gone.end(hello);
    await expect.poll(() => asked).toBe(1);
    gone.close(constants.NGHTTP2_CANCEL);
    await pause(20);
    gate.resolve(anonymous);
    expect((await unary(connection)).trailers["grpc-status"]).toBe("0");
    expect(begun).toBe(1);
  });

  it("holds the limit of calls though many wait to be known at once", async () => {
    const connection = await useServer(
      { predict: (request) => pause(50).then(() => request) },
      { authenticate: async () => anonymous, limits: { callsMax: 3 } },
    );
    const answers = await Promise.all(Array.from({ length: 10 }, () => unary(connection)));
    const codes = answers.map((one) => one.trailers["grpc-status"]).sort();
    expect(codes).toEqual(["0", "0", "0", "8", "8", "8", "8", "8", "8", "8"]);
  });

  it("tells probes that it lives when it takes no more calls", async () => {
    const gate = Promise.withResolvers<void>();
    const connection = await useServer(
      { predict: (request) => gate.promise.then(() => request) },
      { limits: { callsMax: 1 } },
    );
    const busy = unary(connection);
    await expect.poll(async () => (await unary(connection)).trailers["grpc-status"]).toBe("8");
    const probe = connection.open("/grpc.health.v1.Health/Check");
    probe.end(frame(Buffer.alloc(0)));
    expect((await answerOf(probe)).trailers["grpc-status"]).toBe("0");
    gate.resolve();
    expect((await busy).trailers["grpc-status"]).toBe("0");
  });

  it("drains: what runs is answered, watches end, the connection is told to go", async () => {
    const gate = Promise.withResolvers<void>();
    const connection = await useServer({
      predict: (request) => gate.promise.then(() => request),
    });
    const goaway = new Promise<number>((resolve) => connection.session.once("goaway", resolve));
    const running = unary(connection);
    const echo = connection.open(STREAM_PATH);
    echo.write(hello);
    const watch = connection.open("/grpc.health.v1.Health/Watch");
    watch.end(frame(Buffer.alloc(0)));
    await Promise.all([echo, watch].map((one) => new Promise((go) => one.once("data", go))));
    const drained = connection.server.drain(5000);
    expect(await goaway).toBe(constants.NGHTTP2_NO_ERROR);
    expect((await answerOf(watch)).trailers["grpc-status"]).toBe("14");
    gate.resolve();
    expect((await running).body).toEqual(hello);
    echo.end(hello);
    expect((await answerOf(echo)).trailers["grpc-status"]).toBe("0");
    await drained;
  });
});

describe("a caller that floods", () => {
  it("is held back by the window of a stream whose handler does not read", async () => {
    let taken = 0;
    const connection = await useServer({
      async *streamPredict(requests, context) {
        for await (const _ of requests) {
          taken += 1;
          await whenAborted(context);
        }
        yield Buffer.alloc(0);
      },
    });
    const stream = connection.open(STREAM_PATH);
    const message = frame(Buffer.alloc(10_000));
    let sent = 0;
    const sendOn = (): void => {
      if (sent < 2000) {
        sent += 1;
        stream.write(message, sendOn);
      }
    };
    sendOn();
    await expect.poll(() => taken).toBe(1);
    await pause(200);
    // Of 20 MB: one window, and what the call holds for its handler, a megabyte each, are on their
    // way.
    expect(sent).toBeGreaterThan(100);
    expect(sent).toBeLessThan(400);
    expect(taken).toBe(1);
    expect((await unary(connection)).trailers["grpc-status"]).toBe("0");
  });
});

describe("a caller that is slow", () => {
  it("makes an endless answer wait", async () => {
    let yielded = 0;
    const connection = await useServer({
      async *streamPredict() {
        while (true) {
          yielded += 1;
          yield Buffer.alloc(1000);
        }
      },
    });
    const stream = connection.open(STREAM_PATH);
    stream.pause();
    await expect.poll(() => yielded).toBeGreaterThan(10);
    await pause(100);
    const before = yielded;
    await pause(100);
    expect(yielded).toBe(before);
    expect(yielded).toBeLessThan(1000);
    stream.resume();
    await expect.poll(() => yielded).toBeGreaterThan(before + 5000);
  });

  it("gets everything that was queued when the handler was done before it half-closed", async () => {
    const connection = await useServer({
      async *streamPredict() {
        yield Buffer.alloc(3 * MIB);
        yield Buffer.from("last");
      },
    });
    const stream = connection.open(STREAM_PATH);
    stream.write(hello);
    stream.pause();
    await pause(1300);
    stream.resume();
    const { body, trailers } = await answerOf(stream);
    expect(body.length).toBe(5 + 3 * MIB + 5 + 4);
    expect(trailers["grpc-status"]).toBe("0");
  });

  it("does not keep others on its connection from being served", async () => {
    const connection = await useServer({ predict: async (r) => Buffer.alloc(r[0]! * MIB, 7) });
    const large = Array.from({ length: 6 }, () => unary(connection, frame(Buffer.of(60))));
    for (let small = 0; small < 20; small += 1) {
      const { trailers } = await unary(connection, frame(Buffer.of(0)));
      expect(trailers["grpc-status"]).toBe("0");
    }
    for (const answer of await Promise.all(large)) {
      expect(answer.body.length).toBe(60 * MIB + 5);
      expect(answer.body.indexOf(7)).toBe(5);
      expect(answer.body.at(-1)).toBe(7);
    }
  });

  it("is refused an answer above the limit", async () => {
    const connection = await useServer(
      { predict: async () => Buffer.alloc(2000) },
      { limits: { messageBytesMax: 1000 } },
    );
    expect((await unary(connection)).trailers["grpc-status"]).toBe("8");
  });
});
