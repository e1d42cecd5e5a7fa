// What a handler knows of the call it serves, and the shapes of handlers and clients that follow
// from a service's descriptor. Handlers are written once, against these types, and know no
// transport.

import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Context } from "@opentelemetry/api";
import type { Principal } from "../auth/principal.ts";

export interface CallContext {
  /** "/plinth.registry.v1.ModelService/GetModelVersion" */
  readonly path: string;
  /** Aborts when the caller leaves, the deadline passes or the server stops waiting for it. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch; the server gives one to callers that set none. */
  readonly deadlineMs: number;
  readonly principal: Principal;
  /** A request header by lower-case name, or undefined. Binary (`-bin`) headers are not shown. */
  header(name: string): string | undefined;
  /** The OpenTelemetry context of the call's server span, for child spans. */
  readonly trace: Context;
}

type In<M extends DescMethod> = MessageShape<M["input"]>;
type Out<M extends DescMethod> = MessageInitShape<M["output"]>;
type OutShape<M extends DescMethod> = MessageShape<M["output"]>;

export type Handler<M extends DescMethod> = M extends DescMethodUnary
  ? (request: In<M>, context: CallContext) => Promise<Out<M>>
  : M extends DescMethodServerStreaming
    ? (request: In<M>, context: CallContext) => AsyncIterable<Out<M>>
    : M extends DescMethodClientStreaming
      ? (requests: AsyncIterable<In<M>>, context: CallContext) => Promise<Out<M>>
      : M extends DescMethodBiDiStreaming
        ? (requests: AsyncIterable<In<M>>, context: CallContext) => AsyncIterable<Out<M>>
        : never;

/** One handler a method, by its lowerCamelCase name. */
export type ServiceHandlers<S extends DescService> = {
  [K in keyof S["method"]]: Handler<S["method"][K]>;
};

export interface CallOptions {
  readonly signal?: AbortSignal;
  /**
   * Milliseconds from now. Absent: what is left of `parent`'s deadline, else the client's default.
   */
  readonly timeoutMs?: number;
  /** The call on whose behalf this one is made: its deadline, signal and trace carry over. */
  readonly parent?: CallContext;
  readonly headers?: Readonly<Record<string, string>>;
}

export type ClientMethod<M extends DescMethod> = M extends DescMethodUnary
  ? (request: MessageInitShape<M["input"]>, options?: CallOptions) => Promise<OutShape<M>>
  : M extends DescMethodServerStreaming
    ? (request: MessageInitShape<M["input"]>, options?: CallOptions) => AsyncIterable<OutShape<M>>
    : M extends DescMethodClientStreaming
      ? (
          requests: AsyncIterable<MessageInitShape<M["input"]>>,
          options?: CallOptions,
        ) => Promise<OutShape<M>>
      : M extends DescMethodBiDiStreaming
        ? (
            requests: AsyncIterable<MessageInitShape<M["input"]>>,
            options?: CallOptions,
          ) => AsyncIterable<OutShape<M>>
        : never;

/** A typed client: one method per RPC, throwing the same DomainErrors that handlers throw. */
export type Client<S extends DescService> = {
  [K in keyof S["method"]]: ClientMethod<S["method"][K]>;
};

/**
 * How a message is turned into bytes and back, for the few methods whose generated codec is too
 * slow. `decode` may keep views into the bytes; `encode` gives bytes that nobody changes
 * afterwards.
 */
export interface MethodCodec {
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: unknown) => Uint8Array;
}

export interface ServiceBinding {
  readonly service: DescService;
  readonly handlers: Readonly<Record<string, unknown>>;
  /** By lowerCamelCase method name. */
  readonly codecs: Readonly<Record<string, MethodCodec>>;
}

/** Ties handlers to their service so that a server can serve them. */
export function bindService<S extends DescService>(
  service: S,
  handlers: ServiceHandlers<S>,
  codecs: Readonly<Record<string, MethodCodec>> = {},
): ServiceBinding {
  return { service, handlers, codecs };
}
