// One RPC method on the server: from a call's bytes to the handler and back. The four kinds share
// admission (limit, authentication, role, deadline, trace) and ending (status, span, count).

import { create, type DescMethod, getOption } from "@bufbuild/protobuf";
import { ROOT_CONTEXT, type Span } from "@opentelemetry/api";
import { Code } from "../../../gen/google/rpc/code_pb.js";
import { type Status, StatusSchema } from "../../../gen/google/rpc/status_pb.js";
import { Role, required_role } from "../../../gen/plinth/common/v1/options_pb.js";
import { type Principal, requireRole } from "../auth/principal.ts";
import { isForeseen, toStatus } from "../errors/status.ts";
import type { CallLedger } from "./call-ledger.ts";
import { FrameFault } from "./grpc-frame.ts";
import type { Http2Call } from "./http2-call.ts";
import { Undecodable, type WireCodec } from "./message-codec.ts";
import type { RpcObserver } from "./observer.ts";
import { deadlineExceeded, ServerContext } from "./server-context.ts";
import { requestsOf, writeAll } from "./server-stream.ts";

export interface MethodOptions {
  readonly path: string;
  readonly method: DescMethod;
  readonly handler: unknown;
  readonly codec: WireCodec;
  readonly authenticate: (authorization: string | undefined) => Principal | Promise<Principal>;
  readonly observer: RpcObserver;
  readonly ledger: CallLedger;
  /** For callers that bring none. */
  readonly deadlineMs: number;
  /** The largest answer. */
  readonly messageBytesMax: number;
}

/** Serves one call of the method. */
export type MethodServer = (call: Http2Call) => void;

/** Services whose protos are not ours carry no role option. */
const DATA_PLANE_ROLES: Readonly<Record<string, Role>> = {
  "inference.GRPCInferenceService": Role.PREDICTOR,
};

/** Health and reflection are open to all: probes carry no keys. */
const NOBODY: Principal = { id: "nobody", workspace: "", roles: [] };

type Method = MethodOptions & {
  readonly role: Role;
  readonly open: boolean;
  /** Whether it is served above the call limit: an overloaded server is still alive. */
  readonly exempt: boolean;
};

export function serveMethod(options: MethodOptions): MethodServer {
  const service = options.method.parent.typeName;
  const role = getOption(options.method, required_role);
  const method: Method = {
    ...options,
    role: role === Role.UNSPECIFIED ? (DATA_PLANE_ROLES[service] ?? role) : role,
    open: service.startsWith("grpc."),
    exempt: service === "grpc.health.v1.Health" && options.method.methodKind === "unary",
  };
  const run = runnerOf(method);
  const serve = (call: Http2Call, principal: Principal): void => {
    // It may have left, and others may have come, while it was found out who calls.
    if (!call.over) {
      method.ledger.admit({ exempt: method.exempt });
      run(call, enter(method, call, principal));
    }
  };
  return (call) => {
    try {
      method.ledger.admit({ exempt: method.exempt });
      const principal = method.open ? NOBODY : method.authenticate(call.header("authorization"));
      if (principal instanceof Promise) {
        principal
          .then((known) => serve(call, known))
          .catch((error: unknown) => refuse(method, call, error));
      } else {
        run(call, enter(method, call, principal));
      }
    } catch (error) {
      refuse(method, call, error);
    }
  };
}

type Runner = (call: Http2Call, entered: Entered) => void;

function runnerOf(method: Method): Runner {
  switch (method.method.methodKind) {
    case "unary":
      return unary(method);
    case "server_streaming":
      return serverStreaming(method);
    case "client_streaming":
      return clientStreaming(method);
    case "bidi_streaming":
      return bidiStreaming(method);
  }
}

type UnaryHandler = (request: unknown, context: ServerContext) => Promise<unknown>;
type StreamHandler = (request: unknown, context: ServerContext) => AsyncIterable<unknown>;

function unary(method: Method): Runner {
  const handler = method.handler as UnaryHandler;
  return (call, entered) =>
    whenRequested(method, call, entered, (request) => void invoke(handler, request, entered));
}

function clientStreaming(method: Method): Runner {
  const handler = method.handler as UnaryHandler;
  const options = { codec: method.codec, rejectUndecodable: true };
  return (call, entered) => {
    const requests = requestsOf(call, entered.context, options);
    void invoke(handler, requests, entered);
  };
}

function serverStreaming(method: Method): Runner {
  const handler = method.handler as StreamHandler;
  return (call, entered) =>
    whenRequested(method, call, entered, (request) =>
      stream(method, call, entered, () => handler(request, entered.context)),
    );
}

function bidiStreaming(method: Method): Runner {
  const handler = method.handler as StreamHandler;
  const options = { codec: method.codec, rejectUndecodable: false };
  return (call, entered) => {
    const requests = requestsOf(call, entered.context, options);
    stream(method, call, entered, () => handler(requests, entered.context));
  };
}

function stream(
  method: Method,
  call: Http2Call,
  entered: Entered,
  produce: () => AsyncIterable<unknown>,
): void {
  const written = writeAll(produce, call, {
    signal: entered.context.signal,
    encode: (message) => encoded(method, message),
  });
  written.then(
    () => entered.end(undefined),
    (error: unknown) => entered.fail(error),
  );
}

/** Waits for the one request message of a call and its half-close. */
function whenRequested(
  method: Method,
  call: Http2Call,
  entered: Entered,
  run: (request: unknown) => void,
): void {
  let request: Buffer | undefined;
  let done = false;
  const look = (): void => {
    if (done || call.over) {
      return;
    }
    request ??= call.read() ?? undefined;
    if (call.fault !== undefined) {
      done = true;
      entered.fail(call.fault);
    } else if (call.readEnded) {
      done = true;
      begin(method, entered, request, run);
    } else if (request !== undefined && call.read() !== null) {
      done = true;
      entered.fail(new FrameFault(Code.UNIMPLEMENTED, "This method takes one request message."));
    }
  };
  call.onReadable(look);
  look();
}

function begin(
  method: Method,
  entered: Entered,
  bytes: Buffer | undefined,
  run: (request: unknown) => void,
): void {
  if (bytes === undefined) {
    entered.fail(
      new FrameFault(Code.INVALID_ARGUMENT, "The call ended without a request message."),
    );
    return;
  }
  const request = method.codec.decode(bytes);
  if (request instanceof Undecodable) {
    entered.fail(request.error);
  } else {
    run(request);
  }
}

/** A handler that throws before it returns its promise fails the call, not the process. */
async function invoke(handler: UnaryHandler, request: unknown, entered: Entered): Promise<void> {
  let answer: Buffer;
  try {
    answer = entered.encode(await handler(request, entered.context));
  } catch (error) {
    entered.fail(error);
    return;
  }
  entered.answer(answer);
}

function enter(method: Method, call: Http2Call, principal: Principal): Entered {
  requireRole(principal, method.role);
  return new Entered(method, call, { principal, deadlineMs: deadlineOf(call, method.deadlineMs) });
}

/** A call that passed admission: counted and timed until it is ended, once, with a status. */
class Entered {
  readonly context: ServerContext;
  readonly #method: Method;
  readonly #call: Http2Call;
  readonly #span: Span;
  readonly #startMs = performance.now();
  #left = false;

  constructor(
    method: Method,
    call: Http2Call,
    caller: { readonly principal: Principal; readonly deadlineMs: number },
  ) {
    this.#method = method;
    this.#call = call;
    const { span, trace } = method.observer.begin(method.path, (name) => call.header(name));
    this.#span = span;
    this.context = new ServerContext({ call, ...caller, trace, onOver: (r) => this.fail(r) });
    method.ledger.add(this.context);
  }

  /** @throws FrameFault for an answer above the limit. */
  encode(message: unknown): Buffer {
    return encoded(this.#method, message);
  }

  end(status: Status | undefined): void {
    if (this.#leave(status?.code ?? Code.OK)) {
      this.#call.finish(status);
    }
  }

  fail(thrown: unknown): void {
    if (!this.#left) {
      this.end(statusOf(this.#method, this.context.reason ?? thrown, this.context));
    }
  }

  answer(bytes: Buffer): void {
    if (this.#leave(Code.OK)) {
      this.#call.finishWith(bytes);
    }
  }

  #leave(code: number): boolean {
    if (this.#left) {
      return false;
    }
    this.#left = true;
    const { ledger, observer, path } = this.#method;
    this.context.end();
    ledger.remove(this.context);
    observer.end({ path, span: this.#span, code, durationMs: performance.now() - this.#startMs });
    return true;
  }
}

function encoded(method: Method, message: unknown): Buffer {
  const bytes = method.codec.encode(message);
  if (bytes.length > method.messageBytesMax) {
    throw new FrameFault(
      Code.RESOURCE_EXHAUSTED,
      `The answer has ${bytes.length} bytes; the server sends at most ${method.messageBytesMax}. ` +
        "Ask for less at once.",
    );
  }
  return bytes;
}

function deadlineOf(call: Http2Call, defaultMs: number): number {
  if (Number.isNaN(call.deadlineMs)) {
    throw new FrameFault(
      Code.INVALID_ARGUMENT,
      `grpc-timeout is "${call.header("grpc-timeout")}"; expected up to 8 digits and one of HMSmun.`,
    );
  }
  return Number.isFinite(call.deadlineMs) ? call.deadlineMs : Date.now() + defaultMs;
}

/** Answers a call that was not let in; it is counted like any other, as over at once. */
function refuse(method: Method, call: Http2Call, error: unknown): void {
  const { observer, path } = method;
  const status = statusOf(method, error, undefined);
  const { span } = observer.begin(path, (name) => call.header(name));
  call.finish(status);
  observer.end({ path, span, code: status.code, durationMs: 0 });
}

function statusOf(method: Method, thrown: unknown, context: ServerContext | undefined): Status {
  if (thrown instanceof FrameFault) {
    return create(StatusSchema, { code: thrown.code, message: thrown.message });
  }
  let error = thrown;
  if (!isForeseen(error)) {
    if (context !== undefined && Date.now() >= context.deadlineMs) {
      error = deadlineExceeded(method.path);
    } else {
      method.observer.unforeseen(method.path, error, context?.trace ?? ROOT_CONTEXT);
    }
  }
  return toStatus(error);
}
