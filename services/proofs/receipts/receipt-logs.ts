// The receipt logs of this process, one a workspace: opened when somebody asks, closed when nobody
// has for a while. Another process may have the same log open; the log itself sees to that.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import { ResourceExhausted } from "../../common/errors/domain-error.ts";
import { workspaceName } from "../../common/names.ts";
import type { ProofsConfig } from "../config.ts";
import { type LogCollections, openLogCollections } from "./log-documents.ts";
import { ReceiptLog } from "./receipt-log.ts";
import { SigningKeys } from "./signing-key.ts";

/** Logs open at once: each keeps up to half a megabyte of tiles. */
const OPEN_MAX = 128;
/** A log that nobody asked for so long is closed. */
const IDLE_MS = 5 * 60_000;
const SWEEP_MS = 60_000;
/** Receipts that wait to be logged, of all logs: some 50 MB. */
const WAITING_MAX = 131_072;

export interface ReceiptLogsOptions {
  readonly documents: DocumentStore;
  /** Where the keys are that sign, or will be. */
  readonly keyFolder: string;
  readonly config: Pick<ProofsConfig, "receiptLogName" | "receiptFlushMs" | "receiptTtlMs">;
  readonly clock: Clock;
}

interface OpenLog {
  readonly log: ReceiptLog;
  users: number;
  usedMs: number;
}

/** Owns the logs that are open. */
export class ReceiptLogs implements AsyncDisposable {
  readonly keys: SigningKeys;
  readonly #options: ReceiptLogsOptions;
  readonly #collections: LogCollections;
  /** By the id of the workspace; the one used last is at the end. */
  readonly #open = new Map<string, OpenLog>();
  readonly #closing = new Set<Promise<void>>();
  readonly #sweeper: NodeJS.Timeout;

  private constructor(options: ReceiptLogsOptions, keys: SigningKeys, collections: LogCollections) {
    this.#options = options;
    this.keys = keys;
    this.#collections = collections;
    this.#sweeper = setInterval(() => this.#closeIdle(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** Opens keys and collections, making them where missing. @throws what SigningKeys.open does. */
  static async open(options: ReceiptLogsOptions): Promise<ReceiptLogs> {
    const keys = await SigningKeys.open(options.keyFolder);
    return new ReceiptLogs(options, keys, await openLogCollections(options.documents));
  }

  /** Logs that are open. */
  get openCount(): number {
    return this.#open.size;
  }

  /**
   * Does some work with the log of a workspace, which stays open meanwhile.
   * @throws ResourceExhausted where too many logs are used at once; what the work throws.
   */
  async use<T>(workspace: string, work: (log: ReceiptLog) => Promise<T>): Promise<T> {
    const entry = this.#entry(workspace);
    entry.users += 1;
    try {
      return await work(entry.log);
    } finally {
      entry.users -= 1;
      entry.usedMs = this.#options.clock.monotonicMs();
    }
  }

  /** Logs what waits and closes all logs. What uses one later opens it again. */
  async drain(): Promise<void> {
    const all = [...this.#open.values()];
    this.#open.clear();
    for (const { log } of all) this.#close(log);
    await Promise.all(this.#closing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweeper);
    await this.drain();
  }

  #entry(workspace: string): OpenLog {
    const known = this.#open.get(workspace);
    if (known !== undefined) {
      this.#open.delete(workspace);
      this.#open.set(workspace, known);
      return known;
    }
    if (this.#open.size >= OPEN_MAX && !this.#closeOldest()) {
      throw new ResourceExhausted(
        `The receipt logs of ${OPEN_MAX} workspaces are in use, as many as may be at once. Try again.`,
        { reason: ErrorReason.OVERLOADED, retryAfterMs: 1_000 },
      );
    }
    const { config, clock } = this.#options;
    const log = new ReceiptLog({
      collections: this.#collections,
      keys: this.keys,
      clock,
      workspace: workspaceName.format({ workspace }),
      logName: config.receiptLogName,
      retentionMs: config.receiptTtlMs,
      flushIntervalMs: config.receiptFlushMs,
      waitingMax: WAITING_MAX,
      othersWaiting: () => this.#waitingCount(workspace),
    });
    const opened: OpenLog = { log, users: 0, usedMs: clock.monotonicMs() };
    this.#open.set(workspace, opened);
    return opened;
  }

  /** Receipts that wait in other logs. */
  #waitingCount(except: string): number {
    let count = 0;
    for (const [workspace, { log, users }] of this.#open) {
      count += users > 0 && workspace !== except ? log.waitingCount : 0;
    }
    return count;
  }

  #closeIdle(): void {
    const untilMs = this.#options.clock.monotonicMs() - IDLE_MS;
    for (const [workspace, { log, users, usedMs }] of this.#open) {
      if (users === 0 && usedMs <= untilMs) {
        this.#open.delete(workspace);
        this.#close(log);
      }
    }
  }

  /** False where all are in use. */
  #closeOldest(): boolean {
    for (const [workspace, { log, users }] of this.#open) {
      if (users === 0) {
        this.#open.delete(workspace);
        this.#close(log);
        return true;
      }
    }
    return false;
  }

  #close(log: ReceiptLog): void {
    // It has no users, or is drained: those hear of an error themselves.
    const closed = log[Symbol.asyncDispose]()
      .catch(() => {})
      .finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}
