// One call on the server as its handler sees it, and the one place that knows why a call is over
// before its handler was done: the caller left, the time was up, or the server stops. The signal is
// made when first asked for, because most calls of the data plane never ask.

import type { Context } from "@opentelemetry/api";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Principal } from "../auth/principal.ts";
import {
  Cancelled,
  DeadlineExceeded,
  type DomainError,
  Unavailable,
} from "../errors/domain-error.ts";
import type { CallContext } from "./context.ts";
import type { Http2Call } from "./http2-call.ts";

/**
 * A caller's clock started before ours, so at its deadline its cancellation comes a moment before
 * our timer. A cancellation this close to the deadline is taken for it.
 */
const DEADLINE_SLACK_MS = 20;

export interface ServerContextInit {
  readonly call: Http2Call;
  readonly principal: Principal;
  readonly deadlineMs: number;
  readonly trace: Context;
  /** Called once if the call is over before `end`, with the reason. */
  readonly onOver: (reason: DomainError) => void;
}

export class ServerContext implements CallContext {
  readonly path: string;
  readonly principal: Principal;
  readonly deadlineMs: number;
  readonly trace: Context;
  readonly #call: Http2Call;
  readonly #onOver: (reason: DomainError) => void;
  #controller: AbortController | undefined;
  #reason: DomainError | undefined;
  #ended = false;

  constructor(init: ServerContextInit) {
    this.path = init.call.path;
    this.principal = init.principal;
    this.deadlineMs = init.deadlineMs;
    this.trace = init.trace;
    this.#call = init.call;
    this.#onOver = init.onOver;
    init.call.onCancel(() => {
      const late = Date.now() >= init.deadlineMs - DEADLINE_SLACK_MS;
      this.stop(late ? deadlineExceeded(this.path) : cancelled());
    });
    init.call.startTimer(init.deadlineMs, () => this.stop(deadlineExceeded(this.path)));
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) {
        this.#controller.abort(this.#reason);
      }
    }
    return this.#controller.signal;
  }

  header(name: string): string | undefined {
    return name.endsWith("-bin") ? undefined : this.#call.header(name);
  }

  /** Why the call is over although its handler was not done; undefined while it is not. */
  get reason(): DomainError | undefined {
    return this.#reason;
  }

  /** Ends the call before its handler is done; the handler sees its signal abort. */
  stop(reason: DomainError): void {
    if (!this.#ended && this.#reason === undefined) {
      this.#reason = reason;
      this.#onOver(reason);
      this.#controller?.abort(reason);
    }
  }

  /** To be called once, when the call was answered. */
  end(): void {
    this.#ended = true;
  }
}

export function deadlineExceeded(path: string): DomainError {
  return new DeadlineExceeded(
    `The deadline of ${path} passed before the work was done. Give it more time or ask for less.`,
    { reason: ErrorReason.DEADLINE_EXCEEDED },
  );
}

export function draining(): DomainError {
  return new Unavailable("The server is stopping. Retry: another one, or its successor, answers.", {
    reason: ErrorReason.DRAINING,
    retryAfterMs: 1000,
  });
}

function cancelled(): DomainError {
  return new Cancelled("The caller cancelled the call or went away.", {
    reason: ErrorReason.CANCELLED,
  });
}
