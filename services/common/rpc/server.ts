// The gRPC server of every service: node:http2 underneath, handlers bound from protobuf-es
// descriptors on top. It authenticates, gives every call a deadline, maps errors, counts calls
// against a limit and drains without dropping work.

import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import type { Principal } from "../auth/principal.ts";
import { listenFailure } from "../listen-failure.ts";
import { CallLedger } from "./call-ledger.ts";
import type { ServiceBinding } from "./context.ts";
import { isGrpc } from "./grpc-metadata.ts";
import { type Health, healthBinding } from "./health.ts";
import { Http2Call } from "./http2-call.ts";
import { Connections, createHttp2Server, type TlsFiles } from "./http2-sessions.ts";
import { serverCodec } from "./message-codec.ts";
import { nullObserver } from "./null-observer.ts";
import type { RpcObserver } from "./observer.ts";
import { reflectionBindings } from "./reflection.ts";
import { type MethodOptions, type MethodServer, serveMethod } from "./server-method.ts";

export interface RpcServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly bindings: readonly ServiceBinding[];
  /** Who is calling, from the `authorization` header. Throws Unauthenticated. */
  readonly authenticate: (authorization: string | undefined) => Principal | Promise<Principal>;
  readonly observer?: RpcObserver;
  readonly limits?: Partial<RpcServerLimits>;
  /** PEM files. Absent: plain text. */
  readonly tls?: TlsFiles;
}

export interface RpcServerLimits {
  /** Largest message in either direction. */
  readonly messageBytesMax: number;
  /** Calls under way at once, over all connections; one more is RESOURCE_EXHAUSTED. */
  readonly callsMax: number;
  /** Deadline of a unary call that brought none. */
  readonly unaryDeadlineMs: number;
  /** Deadline of a streaming call that brought none. */
  readonly streamDeadlineMs: number;
}

const defaultLimits: RpcServerLimits = {
  // Room for a batch of images; Triton has no limit, grpc's own default of 4 MiB surprises people.
  messageBytesMax: 64 * 1024 * 1024,
  callsMax: 4096,
  unaryDeadlineMs: 60_000,
  streamDeadlineMs: 24 * 3_600_000,
};

/**
 * One connection may open this many streams for each call that the server takes. Above the call
 * limit a client then hears RESOURCE_EXHAUSTED at once; with less room it would silently wait for a
 * stream.
 */
const STREAMS_PER_CALL = 4;

/** After the last call ends, its answer may still be on its way out for this long. */
const FLUSH_MS = 1000;

export interface RpcServer extends AsyncDisposable {
  readonly port: number;
  /** "127.0.0.1:50051" */
  readonly address: string;
  /** Health per service, for grpc.health.v1 and /readyz. */
  readonly health: Health;
  /** Refuses new calls, ends watches, waits up to `graceMs` for the others, then ends them. */
  drain(graceMs: number): Promise<void>;
}

/**
 * Starts listening; resolves once calls are served.
 * @throws when the port is taken or a TLS file cannot be read.
 */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const limits = { ...defaultLimits, ...options.limits };
  const observer = options.observer ?? nullObserver;
  const ledger = new CallLedger(limits.callsMax);
  const services = options.bindings.map((binding) => binding.service);
  const { binding: health, control } = healthBinding(services.map((s) => s.typeName));
  const reflection = reflectionBindings([...services, health.service]);
  const methods = methodServers([...options.bindings, health, ...reflection], {
    authenticate: options.authenticate,
    observer,
    ledger,
    limits,
  });
  const server = await createHttp2Server(options.tls, limits.callsMax * STREAMS_PER_CALL);
  const connections = new Connections(server, { isTls: options.tls !== undefined });
  server.on("stream", (stream, headers) => {
    if (accepted(stream, headers)) {
      const call = new Http2Call(stream, headers, { bytesMax: limits.messageBytesMax });
      const serve = methods.get(call.path);
      if (serve === undefined) {
        call.finish(unknownMethod(call.path, [...methods.keys()]));
      } else {
        serve(call);
      }
    }
  });
  const port = await listen(server, options);
  // What accepting a connection fails with, such as too many open files, must not end the process.
  server.on("error", (error) => observer.unforeseen("accept", error, ROOT_CONTEXT));
  return {
    port,
    address: `${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    health: control,
    async drain(graceMs) {
      control.drain();
      ledger.drain();
      server.close();
      const closed = connections.close();
      const untilMs = Date.now() + graceMs;
      if (!(await ledger.idle(graceMs))) {
        ledger.stopAll();
        await ledger.idle(FLUSH_MS);
      }
      // The last answers may be large, or their readers slow; what is left of the grace is theirs.
      const flushMs = Math.max(FLUSH_MS, untilMs - Date.now());
      await Promise.race([closed, sleep(flushMs, undefined, { ref: false })]);
      connections.destroy();
    },
    async [Symbol.asyncDispose]() {
      control.drain();
      ledger.drain();
      ledger.stopAll();
      await ledger.idle(FLUSH_MS);
      await sleep(0);
      server.close();
      connections.destroy();
    },
  };
}

/** By path, one for each method of the bindings. */
function methodServers(
  bindings: readonly ServiceBinding[],
  options: Pick<MethodOptions, "authenticate" | "observer" | "ledger"> & {
    readonly limits: RpcServerLimits;
  },
): ReadonlyMap<string, MethodServer> {
  const { limits, ...shared } = options;
  const servers = new Map<string, MethodServer>();
  for (const { service, handlers, codecs } of bindings) {
    for (const method of service.methods) {
      const path = `/${service.typeName}/${method.name}`;
      const unary = method.methodKind === "unary";
      const server = serveMethod({
        ...shared,
        path,
        method,
        handler: handlers[method.localName],
        codec: serverCodec(method, codecs[method.localName]),
        messageBytesMax: limits.messageBytesMax,
        deadlineMs: unary ? limits.unaryDeadlineMs : limits.streamDeadlineMs,
      });
      servers.set(path, server);
    }
  }
  return servers;
}

/** Whether it is a gRPC call at all; what is not is told so in HTTP. */
function accepted(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  const isPost = headers[":method"] === "POST";
  if (isPost && isGrpc(headers["content-type"])) {
    return true;
  }
  stream.on("error", () => undefined);
  stream.respond({
    ":status": isPost ? 415 : 405,
    "content-type": "text/plain",
    ...(isPost ? {} : { allow: "POST" }),
  });
  stream.end(
    "This port speaks gRPC (POST, content-type application/grpc). Browsers and curl: use the web port.\n",
  );
  return false;
}

function unknownMethod(path: string, known: readonly string[]) {
  const service = path.slice(0, path.lastIndexOf("/") + 1);
  const served = known.some((one) => one.startsWith(service));
  return create(StatusSchema, {
    code: Code.UNIMPLEMENTED,
    message: served
      ? `The service has no method ${path}. Its methods: grpcurl list.`
      : `No such service is served here: ${path}. Ask reflection what is (grpcurl list).`,
  });
}

function listen(server: Http2Server, options: RpcServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(listenFailure(error, `${options.host}:${options.port}`));
    server.once("error", fail);
    server.listen({ host: options.host, port: options.port, backlog: 1024 }, () => {
      server.off("error", fail);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
