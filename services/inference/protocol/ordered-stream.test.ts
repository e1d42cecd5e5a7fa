import { describe, expect, it } from "vitest";
import { OrderedStream, type StreamWindow, type StreamWork } from "./ordered-stream.ts";

/** Work whose requests finish when the test says so. */
class Manual implements StreamWork<string, string> {
  readonly started: string[] = [];
  readonly signals: AbortSignal[] = [];
  readonly #pending = new Map<string, { done(answer: string): void; fail(error: Error): void }>();
  fatal = false;

  requestBytes(request: string): number {
    return request.length;
  }

  answerBytes(answer: string): number {
    return answer.length;
  }

  run(request: string, signal: AbortSignal): Promise<string> {
    this.started.push(request);
    this.signals.push(signal);
    if (request.startsWith("throw")) {
      throw new Error(request);
    }
    return new Promise((resolve, reject) => {
      this.#pending.set(request, { done: resolve, fail: reject });
    });
  }

  failed(request: string, error: unknown): string {
    if (this.fatal) {
      throw error;
    }
    return `failed ${request}: ${(error as Error).message}`;
  }

  finish(request: string, answer = `answer ${request}`): void {
    this.#pending.get(request)?.done(answer);
  }

  fail(request: string): void {
    this.#pending.get(request)?.fail(new Error("no"));
  }
}

/** A source that counts what was read of it. */
class Source {
  read = 0;
  returned = false;
  readonly #items: readonly string[];
  readonly #end: "close" | "stay" | Error;

  constructor(items: readonly string[], end: "close" | "stay" | Error = "close") {
    this.#items = items;
    this.#end = end;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    try {
      for (const item of this.#items) {
        this.read += 1;
        yield item;
      }
      if (this.#end instanceof Error) {
        throw this.#end;
      }
      if (this.#end === "stay") {
        await new Promise(() => undefined);
      }
    } finally {
      this.returned = true;
    }
  }
}

const WIDE = { requestsMax: 256, bytesMax: 1_000_000 };

function open(
  source: Source,
  work: Manual,
  options: { window?: StreamWindow; signal?: AbortSignal } = {},
): OrderedStream<string, string> {
  return new OrderedStream(source, work, {
    window: options.window ?? WIDE,
    signal: options.signal ?? new AbortController().signal,
  });
}

/** Lets everything that can run without the outside run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("ordered-stream", () => {
  it("answers in request order, whichever finishes first", async () => {
    const work = new Manual();
    const stream = open(new Source(["a", "b", "c"]), work);
    const first = stream.next();
    await settle();
    work.finish("c");
    work.finish("b");
    await settle();
    work.finish("a");
    expect(await first).toEqual({ done: false, value: "answer a" });
    expect(await Array.fromAsync(stream)).toEqual(["answer b", "answer c"]);
  });

  it("answers a failed request in its place and goes on", async () => {
    const work = new Manual();
    const stream = open(new Source(["a", "throw at once", "c"]), work);
    const all = Array.fromAsync(stream);
    await settle();
    work.fail("a");
    work.finish("c");
    expect(await all).toEqual(["failed a: no", "failed throw at once: throw at once", "answer c"]);
  });

  it("reads no more than the window has requests until answers are taken", async () => {
    const work = new Manual();
    const source = new Source(["a", "b", "c", "d", "e"]);
    const stream = open(source, work, { window: { requestsMax: 2, bytesMax: 1_000_000 } });
    const first = stream.next();
    await settle();
    expect(work.started).toEqual(["a", "b"]);
    work.finish("a");
    work.finish("b");
    expect(await first).toEqual({ done: false, value: "answer a" });
    await settle();
    // "b" is done but not taken: one place is free.
    expect(work.started).toEqual(["a", "b", "c"]);
    expect(source.read).toBe(3);
  });

  it("reads no more than the window has bytes, but one request of any size", async () => {
    const work = new Manual();
    const source = new Source(["x".repeat(500), "b", "c"]);
    const stream = open(source, work, { window: { requestsMax: 9, bytesMax: 100 } });
    const first = stream.next();
    await settle();
    expect(work.started).toHaveLength(1);
    work.finish("x".repeat(500), "small");
    await first;
    await settle();
    expect(work.started.slice(1)).toEqual(["b", "c"]);
  });

  it("counts the bytes of answers that nobody takes", async () => {
    const work = new Manual();
    const stream = open(new Source(["a", "b", "c"]), work, {
      window: { requestsMax: 9, bytesMax: 2 },
    });
    const first = stream.next();
    await settle();
    expect(work.started).toEqual(["a", "b"]);
    work.finish("b", "large answer");
    work.finish("a");
    await first;
    await settle();
    expect(work.started).toEqual(["a", "b"]);
    await stream.next();
    await settle();
    expect(work.started).toEqual(["a", "b", "c"]);
  });

  it("shares a limit of bytes with other streams, and has one request whatever they hold", async () => {
    const shared = { bytes: 0, max: 3 };
    const [greedy, modest] = [new Manual(), new Manual()];
    const window = { ...WIDE, shared };
    const caller = new AbortController();
    const first = open(new Source(["a", "b", "c", "d"]), greedy, { window, signal: caller.signal });
    const ended = first.next().catch(() => undefined);
    await settle();
    expect(greedy.started).toEqual(["a", "b", "c"]);
    const second = open(new Source(["x", "y", "z"]), modest, { window });
    const answer = second.next();
    await settle();
    expect(modest.started).toEqual(["x"]);
    modest.finish("x");
    expect((await answer).value).toBe("answer x");
    await settle();
    expect(modest.started).toEqual(["x", "y"]);
    caller.abort(new Error("left"));
    await ended;
    expect(shared.bytes).toBe(1);
    modest.finish("y");
    expect((await second.next()).value).toBe("answer y");
    await settle();
    expect(modest.started).toEqual(["x", "y", "z"]);
    await second.return();
    expect(shared.bytes).toBe(0);
  });

  it("drains after half-close and then ends", async () => {
    const work = new Manual();
    const stream = open(new Source(["a"]), work);
    const first = stream.next();
    await settle();
    work.finish("a");
    expect(await first).toEqual({ done: false, value: "answer a" });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it("ends at once when it was given nothing", async () => {
    expect(await Array.fromAsync(open(new Source([]), new Manual()))).toEqual([]);
  });

  it("aborts what is in flight when the call is cancelled", async () => {
    const work = new Manual();
    const controller = new AbortController();
    const stream = open(new Source(["a", "b"], "stay"), work, { signal: controller.signal });
    const first = stream.next();
    await settle();
    const reason = new Error("left");
    controller.abort(reason);
    expect(work.signals.map((signal) => signal.aborted)).toEqual([true, true]);
    await expect(first).rejects.toBe(reason);
    work.finish("a");
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it("aborts what is in flight when its reader leaves", async () => {
    const work = new Manual();
    const source = new Source(["a", "b", "c"]);
    const stream = open(source, work);
    const first = stream.next();
    await settle();
    work.finish("a");
    await first;
    await stream.return();
    expect(work.signals[1]?.aborted).toBe(true);
    await settle();
    expect(source.returned).toBe(true);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it("ends with the first error, in its place, where failed() throws", async () => {
    const work = new Manual();
    work.fatal = true;
    const stream = open(new Source(["a", "b", "c"]), work);
    const first = stream.next();
    await settle();
    work.fail("b");
    await settle();
    work.finish("a");
    expect(await first).toEqual({ done: false, value: "answer a" });
    await expect(stream.next()).rejects.toThrow("no");
    expect(work.signals[2]?.aborted).toBe(true);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  it("throws what its source ends with after the answers to what came before", async () => {
    const work = new Manual();
    const stream = open(new Source(["a"], new Error("broken")), work);
    const first = stream.next();
    await settle();
    work.finish("a");
    expect(await first).toEqual({ done: false, value: "answer a" });
    await expect(stream.next()).rejects.toThrow("broken");
  });

  it("does nothing for a call that was cancelled before it began", async () => {
    const work = new Manual();
    const stream = open(new Source(["a"]), work, { signal: AbortSignal.abort(new Error("gone")) });
    await expect(stream.next()).rejects.toThrow("gone");
    expect(work.started).toEqual([]);
  });

  it("keeps the order of 5000 requests that finish in random order", async () => {
    const items = Array.from({ length: 5000 }, (_, i) => String(i));
    let running = 0;
    let most = 0;
    const stream = new OrderedStream(
      new Source(items),
      {
        requestBytes: () => 1,
        answerBytes: () => 1,
        run: async (request: string) => {
          running += 1;
          most = Math.max(most, running);
          for (let turn = (Number(request) * 7919) % 13; turn > 0; turn--) {
            await Promise.resolve();
          }
          running -= 1;
          return request;
        },
        failed: () => "failed",
      },
      { window: { requestsMax: 16, bytesMax: 1000 }, signal: new AbortController().signal },
    );
    expect(await Array.fromAsync(stream)).toEqual(items);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(16);
  });
});
