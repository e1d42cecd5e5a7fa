import { describe, expect, it, onTestFinished } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { anonymous } from "../auth/principal.ts";
import { Channel, type ChannelOptions, createClient } from "./client.ts";
import { bindService, type CallContext, type ServiceHandlers } from "./context.ts";
import { type RpcServer, startRpcServer } from "./server.ts";

type Inference = ServiceHandlers<typeof InferenceService>;

async function serve(handlers: Partial<Inference> = {}, port = 0): Promise<RpcServer> {
  const echo: Inference = {
    predict: async ({ id }) => ({ id }),
    async *streamPredict(requests) {
      for await (const { request } of requests) {
        yield { id: request?.id ?? "" };
      }
    },
  };
  const server = await startRpcServer({
    host: "127.0.0.1",
    port,
    bindings: [bindService(InferenceService, { ...echo, ...handlers })],
    authenticate: () => anonymous,
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

function useChannel(address: ChannelOptions["address"]): Channel {
  const channel = new Channel({ address });
  onTestFinished(() => channel[Symbol.dispose]());
  return channel;
}

async function useClient(handlers: Partial<Inference> = {}) {
  return createClient(InferenceService, useChannel((await serve(handlers)).address));
}

/** Resolves when the context's call is over. */
function over({ signal }: CallContext): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
}

async function* ids(...all: string[]) {
  for (const id of all) {
    yield { request: { id } };
  }
}

describe("client", () => {
  it("cancels the call and closes the source when the loop over its answers is left", async () => {
    const ended = Promise.withResolvers<void>();
    const client = await useClient({
      async *streamPredict(_requests, context) {
        yield { id: "first" };
        await over(context);
        ended.resolve();
      },
    });
    let closed = false;
    async function* endless() {
      try {
        while (true) {
          yield { request: { id: "x" } };
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      } finally {
        closed = true;
      }
    }
    for await (const { id } of client.streamPredict(endless())) {
      expect(id).toBe("first");
      break;
    }
    await ended.promise;
    await expect.poll(() => closed).toBe(true);
  });

  it("closes a source that waits when the server ends the stream", async () => {
    const client = await useClient({
      async *streamPredict() {
        yield { id: "only" };
      },
    });
    let closed = false;
    let wake = (_: IteratorResult<{ request: { id: string } }>): void => undefined;
    const waiting = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise<IteratorResult<{ request: { id: string } }>>((resolve) => {
            wake = resolve;
          }),
        return: async () => {
          closed = true;
          wake({ value: undefined, done: true });
          return { value: undefined, done: true as const };
        },
      }),
    };
    const got: string[] = [];
    for await (const { id } of client.streamPredict(waiting)) {
      got.push(id);
    }
    expect(got).toEqual(["only"]);
    await expect.poll(() => closed).toBe(true);
  });

  it("throws what the source threw, and lets the server know", async () => {
    const begun = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const client = await useClient({
      async *streamPredict(requests, context) {
        begun.resolve();
        void over(context).then(ended.resolve);
        for await (const { request } of requests) {
          yield { id: request?.id ?? "" };
        }
      },
    });
    async function* broken() {
      yield* ids("a");
      await begun.promise;
      throw new Error("the file ended");
    }
    const read = async () => {
      for await (const _ of client.streamPredict(broken())) {
        // Only its end matters.
      }
    };
    await expect(read()).rejects.toThrow("the file ended");
    await ended.promise;
  });

  it("does not begin a call that nobody reads, nor one whose signal is aborted", async () => {
    let begun = 0;
    const client = await useClient({
      predict: async () => {
        begun += 1;
        return {};
      },
      async *streamPredict() {
        begun += 1;
        yield {};
      },
    });
    client.streamPredict(ids("a"));
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(client.predict({}, { signal })).rejects.toThrow("too late");
    const read = async () => {
      for await (const _ of client.streamPredict(ids("a"), { signal })) {
        // Nothing comes.
      }
    };
    await expect(read()).rejects.toThrow("too late");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(begun).toBe(0);
  });

  it("ends every call with an error when the server dies, without an unhandled rejection", async () => {
    const server = await serve({
      predict: (_request, context) => over(context).then(() => ({})),
      async *streamPredict(_requests, context) {
        yield { id: "open" };
        await over(context);
      },
    });
    const client = createClient(InferenceService, useChannel(server.address));
    const streams = Array.from({ length: 20 }, async () => {
      for await (const _ of client.streamPredict(ids("a"))) {
        // Until it fails.
      }
    });
    const calls = Array.from({ length: 20 }, () => client.predict({}, { timeoutMs: 3000 }));
    const settled = Promise.allSettled([...streams, ...calls]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await server[Symbol.asyncDispose]();
    const outcomes = await settled;
    expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(40);
  });

  it("finds a server again that restarts on the same port", async () => {
    const first = await serve();
    const client = createClient(InferenceService, useChannel(first.address));
    expect((await client.predict({ id: "1" })).id).toBe("1");
    await first[Symbol.asyncDispose]();
    await expect(client.predict({ id: "2" }, { timeoutMs: 1000 })).rejects.toMatchObject({
      kind: "Unavailable",
    });
    await serve({}, first.port);
    await expect
      .poll(() => client.predict({ id: "3" }).then(({ id }) => id, String), { timeout: 8000 })
      .toBe("3");
  });

  it("spreads calls over all addresses of a target", async () => {
    const names: string[] = [];
    const named = (name: string): Partial<Inference> => ({
      predict: async () => {
        names.push(name);
        return {};
      },
    });
    const [a, b] = [await serve(named("a")), await serve(named("b"))];
    const client = createClient(InferenceService, useChannel(`ipv4:${a.address},${b.address}`));
    await expect
      .poll(async () => {
        await client.predict({});
        return new Set(names).size;
      })
      .toBe(2);
    names.length = 0;
    for (let call = 0; call < 10; call += 1) {
      await client.predict({});
    }
    expect(names.filter((name) => name === "a")).toHaveLength(5);
  });

  it("fails a call on a closed channel instead of throwing at its maker", async () => {
    const channel = useChannel((await serve()).address);
    const health = createClient(Health, channel);
    await health.check({});
    channel[Symbol.dispose]();
    await expect(health.check({})).rejects.toThrow();
  });
});
