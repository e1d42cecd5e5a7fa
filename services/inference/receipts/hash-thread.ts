// The thread that hashes, seen from the serving thread: chunks go in, messages for the log come out
// in the same order. Started with the first chunk.

import { Worker } from "node:worker_threads";
import type { ByteBudget } from "../capture/byte-budget.ts";
import type { HashReply, HashThreadCommand } from "./hash-messages.ts";
import { ReceiptChunk } from "./receipt-chunk.ts";

/** A chunk begins with so much and doubles up to the limit; larger inferences have one for each. */
const CHUNK_BYTES_MIN = 32 * 1024;
export const CHUNK_BYTES_MAX = 512 * 1024;
/** Chunks of full size that are kept for the next ones. */
const SPARE_MAX = 8;

export interface HashThreadOptions {
  /** Of all memory that is on its way. */
  readonly budget: ByteBudget;
  /** A batch is ready to be sent. */
  readonly onBatch: (batch: SealedReceipts) => void;
  /** The thread has ended by itself; what it held is lost. */
  readonly onLost: (receipts: number, error: unknown) => void;
}

/** A batch as it will be sent, and sent again. */
export interface SealedReceipts {
  readonly sequence: number;
  readonly count: number;
  /** A LogReceiptsRequest. */
  readonly bytes: Uint8Array;
}

/** What was handed over and not answered. */
interface UnderWay {
  readonly capacity: number;
  readonly batch: { readonly sequence: number; readonly count: number } | undefined;
}

/** Owns the thread and the memory of chunks. */
export class HashThread implements AsyncDisposable {
  readonly #options: HashThreadOptions;
  readonly #heads = new Map<number, Uint8Array>();
  readonly #underWay: UnderWay[] = [];
  readonly #spare: ArrayBuffer[] = [];
  readonly #idleWaiters: (() => void)[] = [];
  #held = 0;
  #worker: Worker | undefined;
  #versions = 0;

  constructor(options: HashThreadOptions) {
    this.#options = options;
  }

  /** Receipts that were handed over and did not come back in a batch. */
  get held(): number {
    return this.#held;
  }

  /** Makes a version known; the number stands for it. */
  addVersion(head: Uint8Array): number {
    this.#versions += 1;
    this.#heads.set(this.#versions, head);
    this.#worker?.postMessage(versionCommand(this.#versions, head));
    return this.#versions;
  }

  forget(version: number): void {
    this.#heads.delete(version);
    this.#worker?.postMessage({ kind: "forget", version } satisfies HashThreadCommand);
  }

  /** An empty chunk with room for so much. */
  chunk(bytesMin: number): ReceiptChunk {
    const spare = bytesMin > CHUNK_BYTES_MIN ? this.#spare.pop() : undefined;
    if (spare !== undefined && spare.byteLength >= bytesMin) {
      return this.#counted(new ReceiptChunk(spare));
    }
    const doubled = 2 ** Math.ceil(Math.log2(Math.max(bytesMin, CHUNK_BYTES_MIN)));
    const capacity = bytesMin > CHUNK_BYTES_MAX ? bytesMin : doubled;
    // Not zeroed, and not from Node's pool: it is given away.
    const { buffer } = Buffer.allocUnsafeSlow(capacity);
    return this.#counted(new ReceiptChunk(buffer as ArrayBuffer));
  }

  /** A chunk that is not needed any more. */
  release(chunk: ReceiptChunk): void {
    this.#options.budget.used -= chunk.capacity;
    this.#keep(chunk.memory);
  }

  /**
   * Hands a chunk over.
   * @param batch that of the version which ends with it: its number, and all receipts of it
   */
  hash(
    version: number,
    chunk: ReceiptChunk | undefined,
    batch?: { readonly sequence: number; readonly count: number },
  ): void {
    const sequence = batch?.sequence ?? 0;
    const command: HashThreadCommand =
      chunk === undefined
        ? { kind: "hash", version, length: 0, sequence }
        : { kind: "hash", version, memory: chunk.memory, length: chunk.at, sequence };
    this.#underWay.push({ batch, capacity: chunk?.capacity ?? 0 });
    this.#held += chunk?.count ?? 0;
    this.#worker ??= this.#start();
    this.#worker.postMessage(command, chunk === undefined ? [] : [chunk.memory]);
  }

  /** Resolves when everything that was handed over is answered. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
      this.#checkIdle();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#underWay.length = 0;
    this.#checkIdle();
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL("hash-thread.mjs", import.meta.url), {
      name: "plinth-receipts",
      execArgv: [],
    });
    worker.on("message", (reply: HashReply) => {
      // A thread that failed may have answered before: its error overtakes its answers at times.
      if (this.#worker === worker) {
        this.#receive(reply);
      }
    });
    worker.on("error", (error) => this.#lose(worker, error));
    worker.on("exit", () => this.#lose(worker, new Error("The thread has ended.")));
    for (const [version, head] of this.#heads) {
      worker.postMessage(versionCommand(version, head));
    }
    return worker;
  }

  #receive({ memory, bytes }: HashReply): void {
    const { batch, capacity } = this.#underWay.shift()!;
    this.#options.budget.used -= capacity;
    if (memory !== undefined) {
      this.#keep(memory);
    }
    if (batch !== undefined && bytes !== undefined) {
      this.#held -= batch.count;
      this.#options.onBatch({ ...batch, bytes });
    }
    this.#checkIdle();
  }

  /** What was in it cannot be had back; the next chunk goes to a new one. */
  #lose(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) {
      return;
    }
    this.#worker = undefined;
    for (const { capacity } of this.#underWay.splice(0)) {
      this.#options.budget.used -= capacity;
    }
    const lost = this.#held;
    this.#held = 0;
    this.#options.onLost(lost, error);
    this.#checkIdle();
  }

  #keep(memory: ArrayBuffer): void {
    if (memory.byteLength === CHUNK_BYTES_MAX && this.#spare.length < SPARE_MAX) {
      this.#spare.push(memory);
    }
  }

  #counted(chunk: ReceiptChunk): ReceiptChunk {
    this.#options.budget.used += chunk.capacity;
    return chunk;
  }

  #checkIdle(): void {
    if (this.#underWay.length === 0) {
      for (const resolve of this.#idleWaiters.splice(0)) {
        resolve();
      }
    }
  }
}

function versionCommand(version: number, head: Uint8Array): HashThreadCommand {
  return { kind: "version", version, head };
}
