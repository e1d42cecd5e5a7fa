// The heart of both inference streams: requests come in, run side by side, and are answered in the
// order they came. A ring of slots is the window; it bounds what is in flight and what waits to be
// taken, and while it is full nothing is read, so that flow control reaches the client. Per message
// it costs a read, a run and a take; nothing else waits.

/** What is done with each request. */
export interface StreamWork<Request, Answer> {
  /** Bytes that a request keeps alive until it is answered. */
  requestBytes(request: Request): number;
  /** Bytes that an answer keeps alive until it is taken. */
  answerBytes(answer: Answer): number;
  /** Begins a request; may throw instead. The signal aborts when nobody will take the answer. */
  run(request: Request, signal: AbortSignal): Promise<Answer>;
  /** The answer to a request that failed; throws to end the stream with an error at that place. */
  failed(request: Request, error: unknown): Answer;
}

export interface StreamWindow {
  /** Requests in flight or waiting to be taken. */
  readonly requestsMax: number;
  /** Their bytes; a single request may exceed it when it is alone. */
  readonly bytesMax: number;
  /** What all streams together keep alive. Absent: each has but its own limit. */
  readonly shared?: SharedBytes;
}

/**
 * The bytes that many streams keep alive together. While there are too many, each stream may still
 * have one request at a time, so that none stands still because of others that are not read.
 */
export interface SharedBytes {
  bytes: number;
  readonly max: number;
}

interface Slot<Request, Answer> {
  state: "running" | "done" | "failed";
  request: Request | undefined;
  answer: Answer | undefined;
  error: unknown;
  bytes: number;
}

interface Waiter<Answer> {
  resolve(result: IteratorResult<Answer, undefined>): void;
  reject(error: unknown): void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * The answers of a stream, one per request, in order. Half-close of `requests` drains: every
 * request that was read is answered. Abort of `signal`, `return()` or an error of `failed` aborts
 * all that is in flight at once. An error of `requests` is thrown after the answers to what came
 * before it.
 */
export class OrderedStream<Request, Answer> implements AsyncIterableIterator<Answer, undefined> {
  readonly #work: StreamWork<Request, Answer>;
  readonly #window: StreamWindow;
  readonly #source: AsyncIterator<Request>;
  readonly #abort = new AbortController();
  readonly #parent: AbortSignal;
  readonly #ring: (Slot<Request, Answer> | undefined)[];
  #head = 0;
  #size = 0;
  #bytes = 0;
  #reading = false;
  #ended = false;
  #closed = false;
  /** What the requests ended with, or what ended the stream; thrown once. */
  #error: { readonly thrown: unknown } | undefined;
  #waiter: Waiter<Answer> | undefined;

  constructor(
    requests: AsyncIterable<Request>,
    work: StreamWork<Request, Answer>,
    options: { readonly window: StreamWindow; readonly signal: AbortSignal },
  ) {
    this.#source = requests[Symbol.asyncIterator]();
    this.#work = work;
    this.#window = options.window;
    this.#ring = new Array(options.window.requestsMax).fill(undefined);
    this.#parent = options.signal;
    if (this.#parent.aborted) {
      this.#close(this.#parent.reason);
    } else {
      this.#parent.addEventListener("abort", this.#onParentAbort, { once: true });
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next answer; one call at a time. */
  next(): Promise<IteratorResult<Answer, undefined>> {
    if (this.#waiter !== undefined) {
      return Promise.reject(new Error("next() was called before the last one was answered"));
    }
    this.#read();
    try {
      const result = this.#poll();
      if (result !== undefined) {
        return Promise.resolve(result);
      }
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  /** The consumer leaves: what is in flight is aborted. */
  return(): Promise<IteratorReturnResult<undefined>> {
    this.#close(undefined);
    this.#error = undefined;
    return Promise.resolve(DONE);
  }

  readonly #onParentAbort = (): void => this.#close(this.#parent.reason);

  #keep(bytes: number): void {
    this.#bytes += bytes;
    if (this.#window.shared !== undefined) {
      this.#window.shared.bytes += bytes;
    }
  }

  /** Reads on while there is room. One read is under way at a time, to keep the order. */
  #read(): void {
    if (this.#reading || this.#ended || this.#closed || this.#full()) {
      return;
    }
    this.#reading = true;
    this.#source.next().then(this.#onRead, this.#onReadError);
  }

  #full(): boolean {
    const { requestsMax, bytesMax, shared } = this.#window;
    return (
      this.#size >= requestsMax ||
      (this.#size > 0 &&
        (this.#bytes >= bytesMax || (shared !== undefined && shared.bytes >= shared.max)))
    );
  }

  readonly #onRead = (result: IteratorResult<Request, unknown>): void => {
    this.#reading = false;
    if (this.#closed) {
      return;
    }
    if (result.done === true) {
      this.#ended = true;
      this.#wake();
      return;
    }
    this.#begin(result.value);
    this.#read();
  };

  readonly #onReadError = (thrown: unknown): void => {
    this.#reading = false;
    if (!this.#closed) {
      this.#ended = true;
      this.#error = { thrown };
      this.#wake();
    }
  };

  #begin(request: Request): void {
    const slot: Slot<Request, Answer> = {
      state: "running",
      request,
      answer: undefined,
      error: undefined,
      bytes: this.#work.requestBytes(request),
    };
    this.#ring[(this.#head + this.#size) % this.#ring.length] = slot;
    this.#size += 1;
    this.#keep(slot.bytes);
    try {
      this.#work.run(request, this.#abort.signal).then(
        (answer) => this.#settle(slot, "done", answer, undefined),
        (error: unknown) => this.#settle(slot, "failed", undefined, error),
      );
    } catch (error) {
      this.#settle(slot, "failed", undefined, error);
    }
  }

  #settle(
    slot: Slot<Request, Answer>,
    state: "done" | "failed",
    answer: Answer | undefined,
    error: unknown,
  ): void {
    if (this.#closed) {
      return;
    }
    slot.state = state;
    slot.answer = answer;
    slot.error = error;
    if (state === "done") {
      slot.request = undefined;
      const answerBytes = this.#work.answerBytes(answer as Answer);
      this.#keep(answerBytes - slot.bytes);
      slot.bytes = answerBytes;
    }
    if (this.#waiter !== undefined && this.#ring[this.#head] === slot) {
      this.#wake();
    } else {
      this.#read();
    }
  }

  /** Answers a waiting `next`, if it can be answered now. */
  #wake(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) {
      return;
    }
    try {
      const result = this.#poll();
      if (result !== undefined) {
        this.#waiter = undefined;
        waiter.resolve(result);
      }
    } catch (error) {
      this.#waiter = undefined;
      waiter.reject(error);
    }
  }

  /** What `next` gives now; undefined while it must wait. Throws what the stream ends with. */
  #poll(): IteratorResult<Answer, undefined> | undefined {
    const slot = this.#ring[this.#head];
    if (slot !== undefined) {
      return slot.state === "running" ? undefined : { done: false, value: this.#take(slot) };
    }
    return this.#ended || this.#closed ? this.#finish() : undefined;
  }

  /** Empties the first slot. */
  #take(slot: Slot<Request, Answer>): Answer {
    let answer: Answer;
    try {
      answer =
        slot.state === "done"
          ? (slot.answer as Answer)
          : this.#work.failed(slot.request as Request, slot.error);
    } catch (error) {
      this.#waiter = undefined;
      this.#close(error);
      this.#error = undefined;
      throw error;
    }
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#ring.length;
    this.#size -= 1;
    this.#keep(-slot.bytes);
    this.#read();
    return answer;
  }

  #finish(): IteratorReturnResult<undefined> {
    this.#parent.removeEventListener("abort", this.#onParentAbort);
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) {
      throw error.thrown;
    }
    return DONE;
  }

  /** Ends at once: no more is read, what runs is aborted, what waits is dropped. */
  #close(reason: unknown): void {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    this.#error = reason === undefined ? undefined : { thrown: reason };
    this.#ring.fill(undefined);
    this.#size = 0;
    this.#keep(-this.#bytes);
    this.#parent.removeEventListener("abort", this.#onParentAbort);
    this.#abort.abort(reason);
    // The source may wait for a message that never comes; nobody waits for its end.
    this.#source.return?.().then(undefined, () => undefined);
    this.#wake();
  }
}
