// The gRPC server of every service: node:http2 underneath, handlers bound from protobuf-es descriptors
// on top. It authenticates, gives every call a deadline, maps errors, counts calls against a limit and
// drains without dropping work.

import { readFile } from "node:fs/promises";
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import type { Principal } from "../auth/principal.ts";
import { CallLedger } from "./call-ledger.ts";
import type { ServiceBinding } from "./context.ts";
import { type Health, healthBinding } from "./health.ts";
import { Http2Call } from "./http2-call.ts";
import { serverCodec } from "./message-codec.ts";
import { nullObserver } from "./null-observer.ts";
import type { RpcObserver } from "./observer.ts";
import { reflectionBindings } from "./reflection.ts";
import { type MethodServer, serveMethod } from "./server-method.ts";

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
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
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

export const defaultLimits: RpcServerLimits = {
  // Room for a batch of images; Triton has no limit, grpc's own default of 4 MiB surprises people.
  messageBytesMax: 64 * 1024 * 1024,
  callsMax: 4096,
  unaryDeadlineMs: 60_000,
  streamDeadlineMs: 24 * 3_600_000,
};

/**
 * One connection may open this many streams for each call that the server takes. Above the call limit
 * a client then hears RESOURCE_EXHAUSTED at once; with less room it would silently wait for a stream.
 */
const STREAMS_PER_CALL = 4;

/** What a client may send on one stream, and on one connection, before we have read it. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
const SESSION_MEMORY_MIB = 64;

/** After the last call ends, its answer may still be on its way out for this long. */
const FLUSH_MS = 1000;

/** A connection that shows no sign of life for this long is pinged. */
const KEEPALIVE_TIME_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

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
  const ledger = new CallLedger(limits.callsMax);
  const services = options.bindings.map((binding) => binding.service);
  const { binding: health, control } = healthBinding(services.map((s) => s.typeName));
  const methods = new Map<string, MethodServer>();
  for (const binding of [
    ...options.bindings,
    health,
    ...reflectionBindings([...services, health.service]),
  ]) {
    for (const method of binding.service.methods) {
      const path = `/${binding.service.typeName}/${method.name}`;
      const unary = method.methodKind === "unary";
      methods.set(
        path,
        serveMethod({
          path,
          method,
          handler: binding.handlers[method.localName],
          codec: serverCodec(method, binding.codecs[method.localName]),
          authenticate: options.authenticate,
          observer: options.observer ?? nullObserver,
          ledger,
          deadlineMs: unary ? limits.unaryDeadlineMs : limits.streamDeadlineMs,
        }),
      );
    }
  }
  const server = await createHttp2Server(options, limits);
  const sessions = trackSessions(server);
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
  return {
    port,
    address: `${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    health: control,
    async drain(graceMs) {
      control.drain();
      ledger.drain();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) {
        session.close();
      }
      if (!(await ledger.idle(graceMs))) {
        ledger.stopAll();
        await ledger.idle(FLUSH_MS);
      }
      await Promise.race([closed, sleep(FLUSH_MS, undefined, { ref: false })]);
      destroyAll(sessions);
    },
    async [Symbol.asyncDispose]() {
      control.drain();
      ledger.drain();
      ledger.stopAll();
      await ledger.idle(FLUSH_MS);
      await sleep(0);
      server.close();
      destroyAll(sessions);
    },
  };
}

async function createHttp2Server(
  options: RpcServerOptions,
  limits: RpcServerLimits,
): Promise<Http2Server> {
  const http2Options = {
    settings: {
      maxConcurrentStreams: limits.callsMax * STREAMS_PER_CALL,
      initialWindowSize: STREAM_WINDOW_BYTES,
      enablePush: false,
    },
    // Headers are small; what is held for a session is bounded by its windows.
    maxSessionMemory: SESSION_MEMORY_MIB,
  };
  if (options.tls === undefined) {
    return createServer(http2Options);
  }
  const [cert, key] = await Promise.all([
    readFile(options.tls.certFile),
    readFile(options.tls.keyFile),
  ]);
  return createSecureServer({ ...http2Options, cert, key }) as unknown as Http2Server;
}

function trackSessions(server: Http2Server): ReadonlySet<ServerHttp2Session> {
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    const stopPings = keepAlive(session);
    session.on("close", () => {
      stopPings();
      sessions.delete(session);
    });
    // A broken connection closes its streams, and each call hears of it there.
    session.on("error", () => undefined);
  });
  return sessions;
}

/** Pings a connection now and then, so that one whose peer is gone does not hold its calls for ever. */
function keepAlive(session: ServerHttp2Session): () => void {
  const timer = setInterval(() => {
    if (session.destroyed) {
      return;
    }
    const timeout = setTimeout(() => session.destroy(), KEEPALIVE_TIMEOUT_MS);
    timeout.unref();
    session.ping(() => clearTimeout(timeout));
  }, KEEPALIVE_TIME_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Whether it is a gRPC call at all; what is not is told so in HTTP. */
function accepted(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  const type = headers["content-type"] ?? "";
  if (headers[":method"] === "POST" && type.startsWith("application/grpc")) {
    return true;
  }
  stream.on("error", () => undefined);
  stream.respond({ ":status": 415, "content-type": "text/plain" });
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

function destroyAll(sessions: ReadonlySet<ServerHttp2Session>): void {
  for (const session of sessions) {
    session.destroy();
  }
}

function listen(server: Http2Server, options: RpcServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.host, port: options.port, backlog: 1024 }, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
