// The calls under way on one server: how many there may be, and how they end when the server stops.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ResourceExhausted } from "../errors/domain-error.ts";
import { draining, type ServerContext } from "./server-context.ts";

/** How long a caller refused at the limit is told to wait. */
const RETRY_AFTER_MS = 100;

export class CallLedger {
  readonly #max: number;
  readonly #calls = new Set<ServerContext>();
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** @throws ResourceExhausted at the limit unless exempt, Unavailable while draining. */
  admit({ exempt }: { readonly exempt: boolean }): void {
    if (this.#draining) {
      throw draining();
    }
    if (!exempt && this.#calls.size >= this.#max) {
      throw new ResourceExhausted(
        `The server is serving ${this.#max} calls, its limit. Retry with back-off, or spread the load.`,
        { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
      );
    }
  }

  add(context: ServerContext): void {
    this.#calls.add(context);
  }

  remove(context: ServerContext): void {
    this.#calls.delete(context);
    if (this.#calls.size === 0) {
      this.#onIdle?.();
    }
  }

  /** Takes no more calls and ends the watches, which would never end by themselves. */
  drain(): void {
    this.#draining = true;
    for (const context of this.#calls) {
      if (isWatch(context.path)) {
        context.stop(draining());
      }
    }
  }

  /** Ends every call with UNAVAILABLE. */
  stopAll(): void {
    for (const context of this.#calls) {
      context.stop(draining());
    }
  }

  /** Whether no call was left within the time. */
  async idle(withinMs: number): Promise<boolean> {
    if (this.#calls.size === 0) {
      return true;
    }
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}

function isWatch(path: string): boolean {
  return path.slice(path.lastIndexOf("/") + 1).startsWith("Watch");
}
