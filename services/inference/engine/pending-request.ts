// One request from the moment it is queued until it is answered: its place in the queue and its
// caller's promise in one object, because there are tens of thousands a second.

import type { InferRequest, InferResult } from "../engine.ts";
import { type Caller, callerOf, type Waiting } from "./caller.ts";
import type { QueueEntry } from "./queue.ts";

/** Who is told when the caller leaves. */
export interface PendingOwner {
  abandoned(pending: PendingRequest): void;
}

/** A queued or running request. Settles once; later calls do nothing. */
export class PendingRequest implements QueueEntry, Waiting {
  readonly request: InferRequest;
  readonly rows: number;
  readonly bytes: number;
  readonly priority: number;
  readonly deadlineMs: number;
  readonly batchKey: string;
  /** Monotonic milliseconds. */
  readonly enqueuedMs: number;
  /** Set when the request shared a batch that failed: it is tried again by itself. */
  alone: boolean;
  previous: this | undefined;
  next: this | undefined;
  queued = false;
  settled = false;
  readonly #owner: PendingOwner;
  readonly #caller: Caller | undefined;
  readonly #resolve: (result: InferResult) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    request: InferRequest,
    placement: { readonly batchKey: string; readonly alone: boolean; readonly enqueuedMs: number },
    owner: PendingOwner,
    resolve: (result: InferResult) => void,
    reject: (error: unknown) => void,
  ) {
    this.request = request;
    this.rows = request.rows;
    this.bytes = byteCount(request);
    this.priority = request.priority;
    this.deadlineMs = request.deadlineMs;
    this.batchKey = placement.batchKey;
    this.alone = placement.alone;
    this.enqueuedMs = placement.enqueuedMs;
    this.previous = undefined;
    this.next = undefined;
    this.#owner = owner;
    this.#caller = request.signal && callerOf(request.signal);
    this.#resolve = resolve;
    this.#reject = reject;
    this.#caller?.add(this);
  }

  callerLeft(): void {
    this.#owner.abandoned(this);
  }

  resolve(result: InferResult): void {
    this.#settle();
    this.#resolve(result);
  }

  reject(error: unknown): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.settled = true;
    this.#caller?.delete(this);
  }
}

/** Requests of equal keys fit in one batch: equal shapes past dimension 0. */
export function batchKeyOf(request: InferRequest): string {
  let key = "";
  for (const input of request.inputs) {
    for (let index = 1; index < input.shape.length; index += 1) {
      key += `${input.shape[index]},`;
    }
    key += ";";
  }
  return key;
}

function byteCount(request: InferRequest): number {
  let bytes = 0;
  for (const input of request.inputs) {
    if (input.datatype === "BYTES") {
      for (const text of input.data) {
        bytes += text.length * 2;
      }
    } else {
      bytes += input.data.byteLength;
    }
  }
  return bytes;
}
