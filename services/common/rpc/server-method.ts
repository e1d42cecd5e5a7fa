// One RPC method on the server: from a call's bytes to the handler and back. The four kinds share
// admission (limit, authentication, role, deadline, trace) and ending (status, span, count).

import { create, type DescMethod, getOption } from "@bufbuild/protobuf";
import { ROOT_CONTEXT } from "@opentelemetry/api";
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
}

/** Serves one call of the method. */
export type MethodServer = (call: Http2Call) => void;

/** Services whose protos are not ours carry no role option. */
const DATA_PLANE_ROLES: Readonly<Record<string, Role>> = {
  "inference.GRPCInferenceService": Role.PREDICTOR,
};

/** Health and reflection are open to all: probes carry no keys. */
const NOBODY: Principal = { id: "nobody", workspace: "", roles: [] };

type Method = MethodOptions & { readonly role: Role; readonly open: boolean };

export function serveMethod(options: MethodOptions): MethodServer {
  const service = options.method.parent.typeName;
  const role = getOption(options.method, required_role);
  const method: Method = {
    ...options,
    role: role === Role.UNSPECIFIED ? (DATA_PLANE_ROLES[service] ?? role) : role,
    open: service.startsWith("grpc."),
  };
  const run = runnerOf(method);
  return (call) => {
    try {
      method.ledger.admit();
      const principal = method.open ? NOBODY : method.authenticate(call.header("authorization"));
      if (principal instanceof Promise) {
        principal
          .then((known) => run(call, enter(method, call, known)))
          .catch(refuse(method, call));
      } else {
        run(call, enter(method, call, principal));
      }
    } catch (error) {
      refuse(method, call)(error);
    }
  };
}

/** A call that passed admission; `end` closes it with a status, once. */
interface Entered {
  readonly context: ServerContext;
  end(status: Status | undefined): void;
  fail(thrown: unknown): void;
  answer(message: unknown): void;
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
    whenRequested(method, call, entered, (request) => {
      invoke(handler, request, entered.context).then(entered.answer, entered.fail);
    });
}

function clientStreaming(method: Method): Runner {
  const handler = method.handler as UnaryHandler;
  const options = { codec: method.codec, rejectUndecodable: true };
  return (call, entered) => {
    const requests = requestsOf(call, entered.context, options);
    invoke(handler, requests, entered.context).then(entered.answer, entered.fail);
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
  const written = writeAll(produce, call, { context: entered.context, codec: method.codec });
  written.then(() => entered.end(undefined), entered.fail);
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
    if (done || call.cancelled) {
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
async function invoke(
  handler: UnaryHandler,
  request: unknown,
  context: ServerContext,
): Promise<unknown> {
  return handler(request, context);
}

function enter(method: Method, call: Http2Call, principal: Principal): Entered {
  requireRole(principal, method.role);
  const { path, observer, ledger, codec } = method;
  const startMs = performance.now();
  const { span, trace } = observer.begin(path, (name) => call.header(name));
  const end = (status: Status | undefined): void => {
    if (leave(status?.code ?? Code.OK)) {
      call.finish(status);
    }
  };
  const fail = (thrown: unknown): void => end(statusOf(method, context.reason ?? thrown, context));
  const context = new ServerContext({
    call,
    principal,
    deadlineMs: deadlineOf(call, method.deadlineMs),
    trace,
    onOver: fail,
  });
  ledger.add(context);
  let left = false;
  const leave = (code: number): boolean => {
    if (left) {
      return false;
    }
    left = true;
    context.end();
    ledger.remove(context);
    observer.end({ path, span, code, durationMs: performance.now() - startMs });
    return true;
  };
  const answer = (message: unknown): void => {
    let bytes: Buffer;
    try {
      bytes = codec.encode(message);
    } catch (error) {
      fail(error);
      return;
    }
    if (leave(Code.OK)) {
      call.finishWith(bytes);
    }
  };
  return { context, end, fail, answer };
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

function refuse(method: Method, call: Http2Call): (error: unknown) => void {
  return (error) => call.finish(statusOf(method, error, undefined));
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
