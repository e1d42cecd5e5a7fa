import { create } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  InferenceService,
  PredictRequestSchema,
} from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { DeploymentService } from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { anonymous, type Principal } from "../auth/principal.ts";
import { Aborted, InvalidArgument, Unavailable } from "../errors/domain-error.ts";
import { Channel, createClient } from "./client.ts";
import { bindService, type ServiceBinding, type ServiceHandlers } from "./context.ts";
import { nullObserver } from "./null-observer.ts";
import { type RpcServer, type RpcServerOptions, startRpcServer } from "./server.ts";

type Inference = ServiceHandlers<typeof InferenceService>;

const echo: Inference = {
  async predict(request) {
    return { id: request.id };
  },
  async *streamPredict(requests) {
    for await (const { request } of requests) {
      yield { id: request?.id ?? "" };
    }
  },
};

async function serve(
  handlers: Partial<Inference>,
  options: Partial<RpcServerOptions> = {},
): Promise<{ server: RpcServer; client: ReturnType<typeof inferenceClient>; channel: Channel }> {
  const binding: ServiceBinding = bindService(InferenceService, { ...echo, ...handlers });
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: [binding],
    authenticate: () => anonymous,
    ...options,
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  return { server, channel, client: inferenceClient(channel) };
}

function inferenceClient(channel: Channel) {
  return createClient(InferenceService, channel);
}

async function* endless() {
  while (true) {
    yield { request: { id: "x" } };
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) {
    list.push(item);
  }
  return list;
}

describe("rpc", () => {
  it("carries a unary call and a bidirectional stream", async () => {
    const { client } = await serve({});
    expect((await client.predict({ id: "a" })).id).toBe("a");
    async function* requests() {
      yield { request: { id: "1" } };
      yield { request: { id: "2" } };
    }
    expect((await collect(client.streamPredict(requests()))).map((r) => r.id)).toEqual(["1", "2"]);
  });

  it("brings a domain error across with its reason, metadata and violations", async () => {
    const { client } = await serve({
      predict: async () => {
        throw new InvalidArgument("rows must not be empty", {
          reason: ErrorReason.INVALID_FIELD,
          metadata: { rows: "0" },
          violations: [{ field: "rows", description: "at least 1" }],
        });
      },
    });
    const error = await client.predict({}).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InvalidArgument);
    expect(error).toMatchObject({
      message: "rows must not be empty",
      reason: ErrorReason.INVALID_FIELD,
      metadata: { rows: "0" },
      violations: [{ field: "rows", description: "at least 1" }],
    });
  });

  it("tells nothing of an unforeseen error but that it happened", async () => {
    const seen: unknown[] = [];
    const { client } = await serve(
      {
        predict: async () => {
          throw new Error("secret path /var/lib");
        },
      },
      { observer: observerThatKeeps(seen) },
    );
    await expect(client.predict({})).rejects.toMatchObject({ kind: "Internal" });
    await expect(client.predict({})).rejects.not.toThrow(/secret/);
    expect(seen).toHaveLength(2);
  });

  it("ends a stream with the error its handler throws after some answers", async () => {
    const { client } = await serve({
      async *streamPredict() {
        yield { id: "first" };
        throw new Aborted("changed meanwhile", { reason: ErrorReason.ETAG_MISMATCH });
      },
    });
    const got: string[] = [];
    const failed = (async () => {
      for await (const { id } of client.streamPredict(endless())) {
        got.push(id);
      }
    })();
    await expect(failed).rejects.toMatchObject({ kind: "Aborted" });
    expect(got).toEqual(["first"]);
  });

  it("aborts the handler's signal when the caller cancels, and when the deadline passes", async () => {
    const reasons: unknown[] = [];
    const { client } = await serve({
      predict: (_request, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            reasons.push(signal.reason.kind);
            reject(signal.reason);
          });
        }),
    });
    const caller = new AbortController();
    const cancelled = client.predict({}, { signal: caller.signal });
    setTimeout(() => caller.abort(), 50);
    await expect(cancelled).rejects.toThrow();
    await expect(client.predict({}, { timeoutMs: 50 })).rejects.toMatchObject({
      kind: "DeadlineExceeded",
    });
    await expect.poll(() => reasons).toEqual(["Cancelled", "DeadlineExceeded"]);
  });

  it("hands the parent's deadline on to calls made on its behalf", async () => {
    const { client: inner } = await serve({
      predict: async (_request, { deadlineMs }) => ({ id: String(deadlineMs) }),
    });
    const { client: outer } = await serve({
      predict: async (_request, context) => {
        const { id } = await inner.predict({}, { parent: context });
        return { id: String(Number(id) - context.deadlineMs) };
      },
    });
    const { id } = await outer.predict({}, { timeoutMs: 5000 });
    expect(Math.abs(Number(id))).toBeLessThan(100);
  });

  it("refuses callers without the method's role or with no credentials at all", async () => {
    const viewer: Principal = { id: "v", workspace: "a", roles: [Role.VIEWER] };
    const { client } = await serve({}, { authenticate: () => viewer });
    await expect(client.predict({})).rejects.toMatchObject({ kind: "PermissionDenied" });
    const open = await serve({}, { authenticate: async () => anonymous });
    expect((await open.client.predict({ id: "b" })).id).toBe("b");
  });

  it("refuses a call above the limit at once and says when to retry", async () => {
    const gate = Promise.withResolvers<void>();
    let begun = 0;
    const { client } = await serve(
      {
        predict: async () => {
          begun += 1;
          await gate.promise;
          return { id: "late" };
        },
      },
      { limits: { callsMax: 1 } },
    );
    const first = client.predict({});
    await expect.poll(() => begun).toBe(1);
    const refused = client.predict({ id: "2" });
    await expect(refused).rejects.toMatchObject({ kind: "ResourceExhausted", retryAfterMs: 100 });
    gate.resolve();
    expect((await first).id).toBe("late");
  });

  it("answers INVALID_ARGUMENT to bytes that are no message", async () => {
    const { channel } = await serve({});
    const raw = channel.connect();
    const error = await new Promise((resolve) => {
      raw.makeUnaryRequest(
        "/plinth.inference.v1.InferenceService/Predict",
        () => Buffer.from([0x0a, 0xff]),
        (bytes) => bytes,
        create(PredictRequestSchema),
        (failure) => resolve(failure),
      );
    });
    expect(error).toMatchObject({ code: 3 });
  });

  it("stops reading when the handler does not, and writing when the client does not", async () => {
    let taken = 0;
    const { client } = await serve({
      async *streamPredict(requests, { signal }) {
        for await (const _ of requests) {
          taken += 1;
          if (taken === 3) {
            await new Promise((resolve) => signal.addEventListener("abort", resolve));
          }
        }
      },
    });
    let sent = 0;
    const big = "x".repeat(100_000);
    async function* requests() {
      while (sent < 1000) {
        sent += 1;
        yield { request: { id: big } };
      }
    }
    const caller = new AbortController();
    const reading = collect(client.streamPredict(requests(), { signal: caller.signal }));
    await expect.poll(() => taken).toBe(3);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(sent).toBeLessThan(200);
    caller.abort();
    await expect(reading).rejects.toThrow();
  });

  it("retries what is safe to repeat, and nothing else", async () => {
    let calls = 0;
    const flaky = async () => {
      calls += 1;
      if (calls % 3 !== 0) {
        throw new Unavailable("away", { reason: ErrorReason.DRAINING, retryAfterMs: 1 });
      }
      return { id: String(calls) };
    };
    const { client } = await serve({ predict: flaky });
    expect((await client.predict({})).id).toBe("3");

    let rollbacks = 0;
    const unused = (async () => {
      throw new Error("not called");
    }) as never;
    const server = await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      authenticate: () => anonymous,
      bindings: [
        bindService(DeploymentService, {
          getDeployment: unused,
          listDeployments: unused,
          createDeployment: unused,
          updateDeployment: unused,
          deleteDeployment: unused,
          watchDeployments: unused,
          reportServing: unused,
          rollbackDeployment: async () => {
            rollbacks += 1;
            throw new Unavailable("away", { reason: ErrorReason.DRAINING, retryAfterMs: 1 });
          },
        }),
      ],
    });
    const channel = new Channel({ address: server.address });
    onTestFinished(async () => {
      channel[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    });
    const deployments = createClient(DeploymentService, channel);
    await expect(deployments.rollbackDeployment({})).rejects.toMatchObject({
      kind: "Unavailable",
    });
    expect(rollbacks).toBe(1);
  });

  it("drains: lets calls finish, refuses new ones, turns health over", async () => {
    const gate = Promise.withResolvers<void>();
    let begun = 0;
    const { server, client, channel } = await serve({
      predict: async () => {
        begun += 1;
        await gate.promise;
        return { id: "done" };
      },
    });
    server.health.set("", { serving: true });
    const health = createClient(Health, channel);
    expect((await health.check({})).status).toBe(1);
    const first = client.predict({});
    await expect.poll(() => begun).toBe(1);
    const drained = server.drain(5000);
    gate.resolve();
    expect((await first).id).toBe("done");
    await drained;
    await expect(client.predict({}, { timeoutMs: 2000 })).rejects.toThrow();
  });

  it("tells reflection clients of every service and file", async () => {
    const { channel } = await serve({});
    const reflection = createClient(ServerReflection, channel);
    async function* asks() {
      yield { messageRequest: { case: "listServices" as const, value: "" } };
      yield {
        messageRequest: {
          case: "fileContainingSymbol" as const,
          value: "plinth.inference.v1.InferenceService.Predict",
        },
      };
      yield { messageRequest: { case: "fileContainingSymbol" as const, value: "no.Such" } };
    }
    const [list, file, missing] = await collect(reflection.serverReflectionInfo(asks()));
    const names =
      list?.messageResponse.case === "listServicesResponse"
        ? list.messageResponse.value.service.map((s) => s.name)
        : [];
    expect(names).toContain("plinth.inference.v1.InferenceService");
    expect(file?.messageResponse.case).toBe("fileDescriptorResponse");
    expect(missing?.messageResponse).toMatchObject({
      case: "errorResponse",
      value: { errorCode: 5 },
    });
  });
});

function observerThatKeeps(seen: unknown[]) {
  return {
    begin: nullObserver.begin,
    end: nullObserver.end,
    unforeseen: (_path: string, error: unknown) => void seen.push(error),
  };
}
