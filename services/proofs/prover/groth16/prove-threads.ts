// The threads that make Groth16 proofs: started with the first proof, each with its share of the
// keys that proofs were asked of last. A key is read once; of a proof only scalars travel.

import { Worker } from "node:worker_threads";
import { ErrorReason } from "../../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, Unavailable } from "../../../common/errors/domain-error.ts";
import { fileFault } from "../section-file.ts";
import { isFused } from "./field-code.ts";
import { multiExpModule } from "./multi-exp.ts";
import type {
  FromThread,
  KeyDescription,
  PartialSums,
  ProofJob,
  ThreadStart,
  ToThread,
} from "./prove-messages.ts";
import { exchangeBytes } from "./quotient.ts";
import { ThreadBarrier } from "./thread-barrier.ts";
import { transformModule } from "./transform-code.ts";

/** Keys that stay, and bytes that they may take together: about what one of 2^18 constraints does. */
const KEYS_KEPT = 3;
const KEY_BYTES_KEPT = 384 * 1024 * 1024;

const RETRY_AFTER_MS = 1_000;

interface KeptKey {
  readonly number: number;
  readonly vectors: SharedArrayBuffer;
  /** What it takes in all threads, as of the last proof. */
  readonly bytes: number;
}

/** Threads and what they hold. Dispose it to end them. */
export class ProveThreads implements AsyncDisposable {
  readonly #count: number;
  #threads: readonly ProveThread[] = [];
  #started: Promise<void> | undefined;
  /** By the object that describes it; the one that was used last at the end. */
  readonly #keys = new Map<KeyDescription, KeptKey>();
  #nextKey = 0;
  #isEnded = false;
  #last: Promise<unknown> = Promise.resolve();

  /** @param threads how many there may be; it takes the next lower power of two. */
  constructor(threads: number) {
    this.#count = 2 ** Math.floor(Math.log2(Math.max(1, threads)));
  }

  /**
   * Starts the threads where there are none. Proofs do so too; who has something else to do before
   * them wins time.
   *
   * @throws FailedPrecondition where the processor is not fit for their arithmetic; Unavailable where
   *   this was disposed of.
   */
  async start(): Promise<void> {
    if (this.#isEnded) throw threadEnded();
    this.#started ??= this.#start();
    await this.#started;
  }

  /**
   * Each thread's share of the sums of a proof. One proof is made after the other.
   *
   * @param key the same object, the same key: its file is not read again.
   * @throws as start; InvalidArgument where the key's file is damaged; Unavailable where a thread was
   *   lost: the next proof has new ones.
   */
  async sums(
    key: KeyDescription,
    job: Pick<ProofJob, "witness" | "r" | "s">,
  ): Promise<readonly PartialSums[]> {
    const mine = this.#last.then(() => this.#sums(key, job));
    this.#last = mine.catch(() => undefined);
    return await mine;
  }

  /** What is under way fails, and so does what is asked for later. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    await this.#end();
    await this.#last;
  }

  async #sums(
    key: KeyDescription,
    job: Pick<ProofJob, "witness" | "r" | "s">,
  ): Promise<readonly PartialSums[]> {
    try {
      await this.start();
      if (this.#isEnded) throw threadEnded();
      const { number, vectors } = await this.#take(key);
      const barrier = new SharedArrayBuffer(ThreadBarrier.BYTES);
      const whole = { ...job, vectors, barrier };
      const answers = await this.#askAll({ kind: "prove", key: number, job: whole });
      const parts = answers.filter((answer) => answer.kind === "proved");
      const bytes = parts.reduce((sum, part) => sum + part.bytes, vectors.byteLength);
      this.#keys.set(key, { number, vectors, bytes });
      this.#forgetOldest();
      return parts.map(({ sums }) => sums);
    } catch (error) {
      // The others may wait for one that is gone, or hold what it does not.
      await this.#end();
      throw error;
    }
  }

  async #take(description: KeyDescription): Promise<KeptKey> {
    const kept = this.#keys.get(description) ?? (await this.#load(description));
    this.#keys.delete(description);
    this.#keys.set(description, kept);
    return kept;
  }

  async #load(description: KeyDescription): Promise<KeptKey> {
    const number = this.#nextKey++;
    for (const answer of await this.#askAll({ kind: "load", key: number, description })) {
      if (answer.kind === "refused") throw fileFault("zkey", answer.fault);
    }
    const vectors = new SharedArrayBuffer(exchangeBytes(description.domain));
    return { number, vectors, bytes: 0 };
  }

  #forgetOldest(): void {
    let bytes = [...this.#keys.values()].reduce((sum, key) => sum + key.bytes, 0);
    for (const [description, key] of this.#keys) {
      if (this.#keys.size <= KEYS_KEPT && bytes <= KEY_BYTES_KEPT) return;
      this.#keys.delete(description);
      bytes -= key.bytes;
      for (const thread of this.#threads) thread.tell({ kind: "drop", key: key.number });
    }
  }

  async #askAll(question: ToThread): Promise<readonly FromThread[]> {
    return await Promise.all(this.#threads.map((thread) => thread.ask(question)));
  }

  /** The code is made while the threads start. */
  async #start(): Promise<void> {
    if (!isFused()) throw notFused();
    const count = this.#count;
    this.#threads = Array.from({ length: count }, (_, index) => new ProveThread({ index, count }));
    const [transform, multiExp] = await Promise.all([transformModule(), multiExpModule()]);
    const code = { transform, multiExp };
    for (const thread of this.#threads) thread.tell({ kind: "code", code });
  }

  async #end(): Promise<void> {
    const threads = this.#threads;
    this.#threads = [];
    this.#started = undefined;
    this.#keys.clear();
    await Promise.all(threads.map((thread) => thread.end()));
  }
}

/** One thread, as its owner sees it. */
class ProveThread {
  readonly #worker: Worker;
  #lost: Error | undefined;
  #answer: PromiseWithResolvers<FromThread> | undefined;

  constructor(start: ThreadStart) {
    this.#worker = new Worker(new URL("./prove-thread-main.ts", import.meta.url), {
      workerData: start,
      name: `plinth-prove-${start.index}`,
    });
    this.#worker.on("message", (answer: FromThread) => this.#answer?.resolve(answer));
    this.#worker.on("error", (error) => this.#lose(threadFailed(error)));
    this.#worker.on("exit", () => this.#lose(threadEnded()));
  }

  /** Its answer to a question; there is one question at a time. */
  async ask(question: ToThread): Promise<FromThread> {
    if (this.#lost) throw this.#lost;
    this.#answer = Promise.withResolvers();
    this.tell(question);
    return await this.#answer.promise;
  }

  tell(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    this.#answer?.reject(this.#lost);
  }
}

function threadFailed(cause: unknown): Error {
  return new Error("a thread of the prover failed", { cause });
}

function threadEnded(): Unavailable {
  return new Unavailable("A thread of the prover ended in the middle; try again.", {
    reason: ErrorReason.INSTANCE_LOST,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function notFused(): FailedPrecondition {
  const description =
    "The processor does not multiply and add in one step (FMA), which proofs are made with. Run the " +
    "proofs service on another machine, or give it a rapidsnark binary.";
  return new FailedPrecondition(description, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type: "PROVER_PROCESSOR", subject: "processor", description }],
  });
}
