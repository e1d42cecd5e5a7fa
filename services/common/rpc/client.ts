// Typed gRPC clients from protobuf-es descriptors. Every call has a deadline, carries the trace and
// the credentials on, and throws the DomainError that the server's handler threw. Retries follow
// each method's idempotency_level; grpc-js carries them out, with jitter and one retry budget a
// channel.

import type { DescMethod, DescService } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import type { Context } from "@opentelemetry/api";
import type { DomainError } from "../errors/domain-error.ts";
import { fromStatus } from "../errors/status.ts";
import { extractTrace, injectTrace } from "../telemetry/propagation.ts";
import { beginClientCall, type ClientCall } from "../telemetry/rpc-observer.ts";
import type { CallOptions, Client, MethodCodec } from "./context.ts";
import { clientCodec } from "./message-codec.ts";
import { serviceConfig } from "./retry-policy.ts";

export interface ChannelOptions {
  /**
   * "host:port" or "dns:///name:port" (all addresses, round robin); a function is asked at first
   * use.
   */
  readonly address: string | (() => string);
  /** Sent as `authorization: Bearer ...`. Absent: none. */
  readonly token?: string;
  /** PEM of the authority to trust; "system" for the system's. Absent: plain text. */
  readonly tlsCa?: Buffer | "system";
  /** Deadline of calls that say none and have no parent. Streams have none by default. */
  readonly timeoutMs?: number;
  readonly messageBytesMax?: number;
}

const TIMEOUT_DEFAULT_MS = 30_000;
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
const KEEPALIVE_TIME_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

/** A server that restarts is found again within seconds; grpc-js would wait up to two minutes. */
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5000;

/** A connection, or several, to one target; shared by the clients made on it. */
export class Channel implements Disposable {
  readonly #options: ChannelOptions;
  readonly #services = new Set<DescService>();
  #client: grpc.Client | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  /**
   * Makes a service known before the first call, so that its retry policy is part of the channel.
   */
  register(service: DescService): void {
    this.#services.add(service);
  }

  get timeoutMs(): number {
    return this.#options.timeoutMs ?? TIMEOUT_DEFAULT_MS;
  }

  get token(): string | undefined {
    return this.#options.token;
  }

  /** The grpc-js client; connects at the first call. */
  connect(): grpc.Client {
    if (this.#client === undefined) {
      const { address, tlsCa, messageBytesMax } = this.#options;
      const credentials =
        tlsCa === undefined
          ? grpc.credentials.createInsecure()
          : grpc.credentials.createSsl(tlsCa === "system" ? null : tlsCa);
      this.#client = new grpc.Client(
        typeof address === "string" ? address : address(),
        credentials,
        {
          "grpc.service_config": JSON.stringify(serviceConfig([...this.#services])),
          "grpc.max_receive_message_length": messageBytesMax ?? MESSAGE_BYTES_MAX,
          "grpc.max_send_message_length": messageBytesMax ?? MESSAGE_BYTES_MAX,
          "grpc.keepalive_time_ms": KEEPALIVE_TIME_MS,
          "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
          "grpc.initial_reconnect_backoff_ms": RECONNECT_FIRST_MS,
          "grpc.max_reconnect_backoff_ms": RECONNECT_MAX_MS,
          // Two channels of one process to one address must not share a connection's fate.
          "grpc.use_local_subchannel_pool": 1,
        },
      );
    }
    return this.#client;
  }

  [Symbol.dispose](): void {
    this.#client?.close();
  }
}

/**
 * A client of a service on a channel. Its methods are named as in the proto, in lowerCamelCase.
 * @param codecs for the few methods whose generated codec is too slow, by name
 */
export function createClient<S extends DescService>(
  service: S,
  channel: Channel,
  codecs: Readonly<Record<string, MethodCodec>> = {},
): Client<S> {
  channel.register(service);
  const methods: Record<string, unknown> = {};
  for (const method of service.methods) {
    methods[method.localName] = clientMethod(method, channel, codecs[method.localName]);
  }
  return methods as Client<S>;
}

interface Started {
  readonly client: grpc.Client;
  readonly observed: ClientCall;
  readonly metadata: grpc.Metadata;
  readonly callOptions: grpc.CallOptions;
}

function clientMethod(
  method: DescMethod,
  channel: Channel,
  codec: MethodCodec | undefined,
): unknown {
  const path = `/${method.parent.typeName}/${method.name}`;
  const { encode, decode } = clientCodec(method, codec);
  const start = (options: CallOptions): Started => {
    const client = channel.connect();
    const observed = beginClientCall(path, traceOf(options));
    return {
      client,
      observed,
      metadata: metadataOf(channel, options, observed),
      callOptions: { deadline: deadlineOf(method, channel, options) },
    };
  };
  switch (method.methodKind) {
    case "unary":
      return (request: unknown, options: CallOptions = {}): Promise<unknown> =>
        promised(options, start, ({ client, metadata, callOptions }, done) =>
          client.makeUnaryRequest(path, encode, decode, request, metadata, callOptions, done),
        );
    case "client_streaming":
      return (requests: AsyncIterable<unknown>, options: CallOptions = {}): Promise<unknown> =>
        promised(options, start, ({ client, metadata, callOptions }, done) => {
          let broken: { readonly error: unknown } | undefined;
          const call = client.makeClientStreamRequest(
            path,
            encode,
            decode,
            metadata,
            callOptions,
            (error, response) => done(broken === undefined ? error : broken.error, response),
          );
          void send(requests, call, (error) => {
            broken = { error };
            call.cancel();
          });
          return call;
        });
    case "server_streaming":
      return (request: unknown, options: CallOptions = {}): AsyncIterable<unknown> =>
        received(options, start, ({ client, metadata, callOptions }) =>
          client.makeServerStreamRequest(path, encode, decode, request, metadata, callOptions),
        );
    case "bidi_streaming":
      return (
        requests: AsyncIterable<unknown>,
        options: CallOptions = {},
      ): AsyncIterable<unknown> =>
        received(options, start, ({ client, metadata, callOptions }) => {
          const call = client.makeBidiStreamRequest(path, encode, decode, metadata, callOptions);
          void send(requests, call, (error) => {
            call.destroy(error instanceof Error ? error : new Error(String(error)));
            call.cancel();
          });
          return call;
        });
  }
}

type Start = (options: CallOptions) => Started;
type Done = (error: unknown, response?: unknown) => void;

async function promised(
  options: CallOptions,
  start: Start,
  begin: (started: Started, done: Done) => { cancel(): void },
): Promise<unknown> {
  const signal = signalOf(options);
  signal?.throwIfAborted();
  const started = start(options);
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const call = begin(started, (error, response) =>
    error === null ? resolve(response) : reject(error),
  );
  const abort = (): void => call.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    const response = await promise;
    started.observed.end(grpc.status.OK);
    return response;
  } catch (error) {
    started.observed.end(codeOf(error));
    throw signal?.aborted ? signal.reason : errorOf(error);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** The answers of a call that begins when the first is asked for. */
async function* received(
  options: CallOptions,
  start: Start,
  begin: (started: Started) => grpc.ClientReadableStream<unknown>,
): AsyncIterable<unknown> {
  const signal = signalOf(options);
  signal?.throwIfAborted();
  const started = start(options);
  const call = begin(started);
  // Its status comes as an error even after the loop below was left; unheard it would end the
  // process.
  call.on("error", ignore);
  const abort = (): void => call.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    for await (const message of call) {
      yield message;
    }
    started.observed.end(grpc.status.OK);
  } catch (error) {
    started.observed.end(codeOf(error));
    throw signal?.aborted ? signal.reason : errorOf(error);
  } finally {
    started.observed.end(grpc.status.CANCELLED);
    signal?.removeEventListener("abort", abort);
    call.cancel();
  }
}

/**
 * Sends as fast as the server reads, until the call is over. A source that throws has broken it.
 */
async function send(
  requests: AsyncIterable<unknown>,
  call: grpc.ClientWritableStream<unknown>,
  onBroken: (error: unknown) => void,
): Promise<void> {
  const source = requests[Symbol.asyncIterator]();
  let over = false;
  let wake = (): void => undefined;
  const end = (): void => {
    if (!over) {
      over = true;
      wake();
      // It may wait for something to send that never comes.
      Promise.resolve(source.return?.()).catch(ignore);
    }
  };
  call.once("close", end);
  call.once("status", end);
  call.on("error", end);
  call.on("drain", () => wake());
  try {
    while (!over) {
      const next = await source.next();
      if (next.done || over) {
        break;
      }
      if (!call.write(next.value)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    call.end();
  } catch (error) {
    if (!over) {
      onBroken(error);
    }
  }
}

function ignore(): void {}

function codeOf(error: unknown): number {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : grpc.status.UNKNOWN;
}

function errorOf(error: unknown): DomainError | unknown {
  if (error instanceof Error && "code" in error && typeof error.code === "number") {
    const service = error as grpc.ServiceError;
    const bytes = service.metadata?.get("grpc-status-details-bin")[0];
    return fromStatus(service.code, service.details, typeof bytes === "object" ? bytes : undefined);
  }
  return error;
}

function metadataOf(channel: Channel, options: CallOptions, observed: ClientCall): grpc.Metadata {
  const metadata = new grpc.Metadata();
  if (channel.token !== undefined) {
    metadata.set("authorization", `Bearer ${channel.token}`);
  }
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    metadata.set(name, value);
  }
  for (const [name, value] of Object.entries(injectTrace(observed.trace))) {
    metadata.set(name, value);
  }
  return metadata;
}

function signalOf(options: CallOptions): AbortSignal | undefined {
  const signals = [options.signal, options.parent?.signal].filter((s) => s !== undefined);
  return signals.length > 1 ? AbortSignal.any(signals) : signals[0];
}

/** Of the call's parent, else as headers that are passed on say it. */
function traceOf({ parent, headers }: CallOptions): Context {
  return parent?.trace ?? extractTrace((name) => headers?.[name]);
}

/** The sooner of the parent's deadline and the call's own time. */
function deadlineOf(method: DescMethod, channel: Channel, options: CallOptions): number {
  const streams = method.methodKind !== "unary";
  const fallbackMs = streams ? Number.POSITIVE_INFINITY : channel.timeoutMs;
  const own = Date.now() + (options.timeoutMs ?? fallbackMs);
  return Math.min(own, options.parent?.deadlineMs ?? Number.POSITIVE_INFINITY);
}
