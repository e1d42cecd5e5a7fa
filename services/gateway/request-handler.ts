// Serves each request of the web port: guards it (host, origin, limits, time), finds where its path
// leads, writes what comes of it. Also how the gateway stops without dropping work.

import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Context, ROOT_CONTEXT } from "@opentelemetry/api";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { ResourceExhausted, Unavailable } from "../common/errors/domain-error.ts";
import { nullObserver } from "../common/rpc/null-observer.ts";
import type { RpcObserver } from "../common/rpc/observer.ts";
import type { GatewayConfig } from "./config.ts";
import { type Channels, type ConnectRoute, connectRoutes } from "./connect-routes.ts";
import { CONSOLE, consoleFiles } from "./console/console-files.ts";
import { type PagePolicy, pagePolicy } from "./cors.ts";
import { requestEvents } from "./events.ts";
import { HttpFailure, httpFailure, isUnforeseen } from "./failure.ts";
import { callerTimeoutMs, forwardedHeaders } from "./forwarding.ts";
import { jsonAnswer, pages, type Readiness } from "./pages.ts";
import { type FindRoute, type RestAnswer, type RestRoute, restRoutes } from "./rest-routes.ts";
import { timeAnswer, timeBody } from "./slow-caller.ts";
import type { WebPort, WebRequest, WebResponse } from "./web-port.ts";

/** After everything was told to end, answers may still be on their way out for this long. */
const FLUSH_MS = 1000;

/** How long a caller refused at the limit is told to wait. */
const RETRY_AFTER_MS = 1000;

export interface RequestHandlerOptions {
  readonly config: GatewayConfig;
  /** To the services; without a token, for the gateway calls with its callers' rights only. */
  readonly channels: Channels;
  /** The process's metrics in Prometheus' text format. */
  readonly metricsText: () => Promise<string>;
  readonly ready: () => Readiness;
  /** Told of failures that nobody foresaw. Absent: they go to standard error. */
  readonly observer?: Pick<RpcObserver, "unforeseen">;
}

/** What a path leads to. */
type Destination =
  | { readonly kind: "rpc"; readonly route: string; readonly rpc: ConnectRoute }
  | { readonly kind: "rest"; readonly route: string; readonly rest: RestRoute }
  | { readonly kind: "page"; readonly route: string; readonly page: () => Promise<RestAnswer> };

/** One a gateway. */
export class RequestHandler {
  readonly #config: GatewayConfig;
  readonly #policy: PagePolicy;
  readonly #rpcs: ReadonlyMap<string, ConnectRoute>;
  readonly #findRest: FindRoute;
  readonly #pages: Readonly<Record<string, () => Promise<RestAnswer>>>;
  readonly #consoleFile: (path: string) => Promise<RestAnswer>;
  readonly #begin = requestEvents();
  readonly #unforeseen: (path: string, error: unknown, trace: Context) => void;
  readonly #draining = new AbortController();
  readonly #stopping = new AbortController();
  #underWay = 0;

  constructor(options: RequestHandlerOptions) {
    const { config, channels } = options;
    this.#config = config;
    this.#policy = pagePolicy({ ...config, listenHost: config.listen.host });
    const observer = options.observer ?? nullObserver;
    this.#unforeseen = (path, error, trace) => observer.unforeseen(path, error, trace);
    this.#rpcs = connectRoutes({
      channels,
      bodyBytesMax: config.bodyBytesMax,
      requestTimeoutMs: config.requestTimeoutMs,
      draining: this.#draining.signal,
      stopping: this.#stopping.signal,
      unforeseen: (path, error) => this.#unforeseen(path, error, ROOT_CONTEXT),
    });
    this.#findRest = restRoutes({ channel: channels.inference, ...config });
    this.#pages = pages({ ...options, isDraining: () => this.#draining.signal.aborted });
    this.#consoleFile = consoleFiles({ proofs: channels.proofs !== undefined });
  }

  serve(request: WebRequest, response: WebResponse): void {
    const event = this.#begin(request);
    let route: string | undefined;
    this.#underWay += 1;
    response.once("close", () => {
      this.#underWay -= 1;
      // 499: the caller left before it was answered.
      event.end({ route, status: response.headersSent ? response.statusCode : 499 });
    });
    response.setHeader("x-content-type-options", "nosniff");
    const { origin } = request.headers;
    setHeaders(response, this.#policy.responseHeaders(origin));
    try {
      const authority = "authority" in request ? request.authority : request.headers.host;
      if (request.method === "OPTIONS") {
        setHeaders(response, this.#policy.preflightHeaders(origin));
        this.#send(request, response, { status: 204, headers: {}, body: Buffer.alloc(0) });
        return;
      }
      this.#policy.check(request.headers, authority);
      const destination = this.#destinationOf(request);
      route = destination.route;
      this.#admit(destination);
      void this.#answer(request, response, { destination, trace: event.trace });
    } catch (error) {
      this.#fail(request, response, { error, route, trace: event.trace });
    }
  }

  /** Ends the gateway: at once with a grace of 0. Called again, it cuts what is left. */
  async stop(port: WebPort, graceMs: number): Promise<void> {
    this.#draining.abort(stoppingError());
    port.close();
    if (!(await port.idle(graceMs))) {
      this.#stopping.abort(stoppingError());
      await port.idle(FLUSH_MS);
    }
    port.destroy();
    // Lets the connections' close events run before whoever waits goes on.
    await sleep(0);
  }

  /** @throws HttpFailure 404 or 405 with a hint. */
  #destinationOf(request: WebRequest): Destination {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const rpc = this.#rpcs.get(path);
    if (rpc !== undefined) {
      return { kind: "rpc", route: path, rpc };
    }
    const page = Object.hasOwn(this.#pages, path) ? this.#pages[path] : undefined;
    if (page !== undefined) {
      assertMethod(request, "GET");
      return { kind: "page", route: path, page };
    }
    if (path.startsWith(CONSOLE)) {
      assertMethod(request, "GET");
      return { kind: "page", route: `${CONSOLE}*`, page: () => this.#consoleFile(path) };
    }
    const rest = path === "/v2" || path.startsWith("/v2/") ? this.#findRest(path) : undefined;
    if (rest !== undefined) {
      assertMethod(request, rest.method);
      return { kind: "rest", route: rest.pattern, rest };
    }
    throw new HttpFailure(
      404,
      `There is nothing at ${JSON.stringify(path.slice(0, 200))}. GET / lists what is here; RPCs ` +
        "are POST /<package.Service>/<Method>, the inference protocol is under /v2.",
    );
  }

  /** Pages answer always: probes must hear of a full or stopping gateway. */
  #admit(destination: Destination): void {
    if (destination.kind === "page") {
      return;
    }
    if (this.#draining.signal.aborted) {
      throw new Unavailable("The gateway is stopping. Retry: its successor answers.", {
        reason: ErrorReason.DRAINING,
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    if (this.#underWay > this.#config.requestsMax) {
      throw new ResourceExhausted(
        `The gateway is serving ${this.#config.requestsMax} requests, its limit. Retry later.`,
        { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
      );
    }
  }

  async #answer(
    request: WebRequest,
    response: WebResponse,
    call: { readonly destination: Destination; readonly trace: Context },
  ): Promise<void> {
    const { destination, trace } = call;
    try {
      switch (destination.kind) {
        case "rpc":
          if (!destination.rpc.streamsIn) {
            this.#timeBody(request, response);
          }
          await destination.rpc.serve(request, response, trace);
          return;
        case "rest":
          this.#timeBody(request, response);
          this.#send(
            request,
            response,
            await this.#rest(request, response, destination.rest, trace),
          );
          return;
        case "page":
          this.#send(request, response, unlessKept(request, await destination.page()));
          return;
      }
    } catch (error) {
      this.#fail(request, response, { error, route: destination.route, trace });
    }
  }

  async #rest(
    request: WebRequest,
    response: WebResponse,
    rest: RestRoute,
    trace: Context,
  ): Promise<RestAnswer> {
    const left = new AbortController();
    response.once("close", () => left.abort());
    return await rest.serve(request, {
      signal: AbortSignal.any([left.signal, this.#stopping.signal]),
      timeoutMs: callerTimeoutMs(request.headers) ?? this.#config.requestTimeoutMs,
      headers: forwardedHeaders((name) => headerOf(request, name), trace),
    });
  }

  #timeBody(request: WebRequest, response: WebResponse): void {
    timeBody(request, response, {
      withinMs: this.#config.requestTimeoutMs,
      refuse: () => {
        const message = "The body took too long to arrive. Send it faster, or use a stream.";
        this.#fail(request, response, { error: new HttpFailure(408, message) });
      },
    });
  }

  #send(request: WebRequest, response: WebResponse, answer: RestAnswer): void {
    if (!response.destroyed && !response.headersSent) {
      timeAnswer(response, this.#config.requestTimeoutMs);
      writeAnswer(request, response, answer);
    }
  }

  #fail(
    request: WebRequest,
    response: WebResponse,
    failed: {
      readonly error: unknown;
      readonly route?: string | undefined;
      readonly trace?: Context;
    },
  ): void {
    const { error, route, trace = ROOT_CONTEXT } = failed;
    if (response.headersSent || response.destroyed) {
      return;
    }
    if (isUnforeseen(error)) {
      this.#unforeseen(route ?? "", error, trace);
    }
    const { status, headers, message, code } = httpFailure(error);
    // `error` is for clients of the inference protocol, `code` and `message` for Connect's.
    const body = route?.startsWith("/v2") ? { error: message } : { code, message, error: message };
    this.#send(request, response, jsonAnswer(status, body, headers));
  }
}

function writeAnswer(request: WebRequest, response: WebResponse, answer: RestAnswer): void {
  setHeaders(response, answer.headers);
  if (answer.status !== 204 && answer.status !== 304) {
    response.setHeader("content-length", answer.body.length);
  }
  response.statusCode = answer.status;
  if (request.method === "HEAD" || answer.body.length === 0) {
    response.end();
  } else {
    response.end(answer.body);
  }
}

/** What the caller keeps already is not sent again. */
function unlessKept(request: WebRequest, answer: RestAnswer): RestAnswer {
  const { etag } = answer.headers;
  const kept = headerOf(request, "if-none-match")?.split(",") ?? [];
  const isKept = etag !== undefined && kept.some((one) => one.trim().replace(/^W\//, "") === etag);
  return isKept ? { ...answer, status: 304, body: Buffer.alloc(0) } : answer;
}

function assertMethod(request: WebRequest, method: "GET" | "POST"): void {
  const given = request.method === "HEAD" ? "GET" : request.method;
  if (given !== method) {
    const allow = method === "GET" ? "GET, HEAD" : method;
    throw new HttpFailure(405, `This path takes ${allow}, not ${given}.`, { allow });
  }
}

function headerOf(request: WebRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" ? value : undefined;
}

function setHeaders(response: WebResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    response.setHeader(name, value);
  }
}

function stoppingError(): ConnectError {
  return new ConnectError(
    "The gateway is stopping. Retry: its successor answers.",
    Code.Unavailable,
  );
}
