// The one connection of an SQLite store: its statements, its errors, and the queue that lets many
// writes share one transaction and so one wait for the disk. Everything here is synchronous on the
// event loop while it runs; nothing sleeps on it for a lock longer than LOCK_SLICE_MS.

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { DataLoss, DomainError } from "../errors/domain-error.ts";
import { storageFull, unavailable, writesQueueFull } from "./document-errors.ts";

/** How long SQLite itself waits for another process's lock, blocking the event loop. */
const LOCK_SLICE_MS = 10;

/** Pause between two tries for a lock, with the event loop free. */
const LOCK_PAUSE_MS = 10;

/** How long reads may follow each other before the event loop gets a turn. */
const TURN_MAX_MS = 5;

/** Writes of one transaction: bounds how long the event loop is held. */
const BATCH_WRITES_MAX = 1_000;

/** Writes that wait. Far more than a healthy disk ever leaves waiting. */
const QUEUE_WRITES_MAX = 100_000;

/** Prepared statements kept; a service uses some dozens. */
const STATEMENTS_MAX = 500;

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CONSTRAINT = 19;
const SQLITE_NOTADB = 26;

interface Write {
  readonly run: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onCommit: () => void;
  readonly deadline: number;
}

export interface SqliteConnectionOptions {
  readonly path: string;
  /** How long a call waits for a lock that another process holds before it is Unavailable. */
  readonly lockWaitMaxMs: number;
}

export class SqliteConnection implements AsyncDisposable {
  readonly #database: DatabaseSync;
  readonly #lockWaitMaxMs: number;
  readonly #statements = new Map<string, StatementSync>();
  readonly #onClose: (() => void)[] = [];
  #writes: Write[] = [];
  #flushing: Promise<void> | undefined;
  #turnStartedMs: number | undefined;
  #closed = false;

  private constructor(database: DatabaseSync, lockWaitMaxMs: number) {
    this.#database = database;
    this.#lockWaitMaxMs = lockWaitMaxMs;
  }

  /** Opens the file, making it where missing. @throws Unavailable, ResourceExhausted, DataLoss */
  static async open(options: SqliteConnectionOptions): Promise<SqliteConnection> {
    const deadline = performance.now() + options.lockWaitMaxMs;
    const database = guard(() => new DatabaseSync(options.path, { timeout: LOCK_SLICE_MS }));
    try {
      await withLock(deadline, () => {
        database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
        // On macOS fsync alone does not reach the disk; elsewhere these do nothing.
        database.exec("PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1;");
        database.exec("PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;");
      });
    } catch (error) {
      database.close();
      throw error;
    }
    return new SqliteConnection(database, options.lockWaitMaxMs);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Runs a function when the connection is closed. */
  onClose(callback: () => void): void {
    this.#onClose.push(callback);
  }

  /** A statement, prepared once. Use it up before the next await: it is shared. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      const oldest = this.#statements.keys().next();
      if (this.#statements.size >= STATEMENTS_MAX && !oldest.done) {
        this.#statements.delete(oldest.value);
      }
    } else {
      this.#statements.delete(sql);
    }
    this.#statements.set(sql, statement);
    return statement;
  }

  /**
   * Runs a synchronous read. Awaiting one alone never leaves the turn of the event loop, so a loop
   * of them would starve everything else: after TURN_MAX_MS a read waits for the next turn.
   * @throws Unavailable, DataLoss
   */
  async read<R>(run: () => R): Promise<R> {
    const now = performance.now();
    if (this.#turnStartedMs === undefined) {
      this.#turnStartedMs = now;
      setImmediate(() => {
        this.#turnStartedMs = undefined;
      });
    } else if (now - this.#turnStartedMs > TURN_MAX_MS) {
      await nextTurn();
    }
    return withLock(performance.now() + this.#lockWaitMaxMs, () => {
      this.#checkOpen();
      return run();
    });
  }

  /** Runs statements that define tables, by themselves. */
  async define(sql: readonly string[]): Promise<void> {
    await this.read(() => {
      for (const statement of sql) this.#database.exec(statement);
    });
  }

  /**
   * Runs a synchronous write inside a transaction shared with the other writes that wait, and
   * resolves once it is on disk. `run` may be called again when the transaction had to be undone.
   * It throws domain errors only before it has changed anything.
   */
  write<R>(run: () => R, onCommit: () => void = () => {}): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (this.#closed) throw unavailable("it is closed");
      if (this.#writes.length >= QUEUE_WRITES_MAX) throw writesQueueFull(QUEUE_WRITES_MAX);
      const deadline = performance.now() + this.#lockWaitMaxMs;
      this.#writes.push({ run, resolve: resolve as Write["resolve"], reject, onCommit, deadline });
      this.#flushing ??= this.#flush();
    });
  }

  /** Finishes the writes that wait and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#flushing;
    for (const callback of this.#onClose) callback();
    this.#statements.clear();
    this.#database.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw unavailable("it is closed");
  }

  async #flush(): Promise<void> {
    // The end of this event-loop turn: writes made within it are in the queue by then.
    await nextTurn();
    while (this.#writes.length > 0) {
      const batch = this.#writes.splice(0, BATCH_WRITES_MAX);
      if (this.#tryCommit(batch)) {
        await nextTurn();
        continue;
      }
      this.#writes.unshift(...batch);
      await sleep(LOCK_PAUSE_MS);
      this.#rejectOverdue();
    }
    this.#flushing = undefined;
  }

  /** False when another process holds the lock. Settles every write of the batch otherwise. */
  #tryCommit(batch: readonly Write[]): boolean {
    const outcomes: { readonly error?: unknown; readonly result?: unknown }[] = [];
    try {
      this.prepare("BEGIN IMMEDIATE").run();
      for (const write of batch) {
        try {
          outcomes.push({ result: write.run() });
        } catch (error) {
          if (!(error instanceof DomainError)) throw error;
          outcomes.push({ error });
        }
      }
      this.prepare("COMMIT").run();
    } catch (error) {
      this.#rollBack();
      if (isLock(error)) return false;
      // One write too large for the disk, or a bug, must not take its neighbours along.
      if (batch.length > 1) for (const write of batch) this.#commitAlone(write);
      else batch[0]!.reject(mapSqliteError(error));
      return true;
    }
    batch.forEach((write, index) => {
      const { error, result } = outcomes[index]!;
      if (error === undefined) {
        write.onCommit();
        write.resolve(result);
      } else {
        write.reject(error);
      }
    });
    return true;
  }

  #commitAlone(write: Write): void {
    if (!this.#tryCommit([write])) this.#writes.push(write);
  }

  #rollBack(): void {
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    } catch {
      // The transaction is gone either way: SQLite undoes it itself when the file is next opened.
    }
  }

  #rejectOverdue(): void {
    const now = performance.now();
    this.#writes = this.#writes.filter((write) => {
      if (write.deadline > now) return true;
      write.reject(unavailable("another process holds its lock"));
      return false;
    });
  }
}

/** The extended code of a violated constraint's message, or undefined for any other error. */
export function violatedConstraint(error: unknown): string | undefined {
  return primaryCode(error) === SQLITE_CONSTRAINT ? (error as Error).message : undefined;
}

/** Any error of the driver as the port's. */
function mapSqliteError(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  const code = primaryCode(error);
  if (code === undefined) {
    const closed = (error as { code?: unknown } | undefined)?.code === "ERR_INVALID_STATE";
    return closed ? unavailable("it is closed", error) : error;
  }
  switch (code) {
    case SQLITE_FULL:
      return storageFull(error);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new DataLoss("the document store's file is damaged: restore it from a backup", {
        reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
        cause: error,
      });
    default:
      return unavailable("its file could not be read or written", error);
  }
}

async function withLock<R>(deadline: number, run: () => R): Promise<R> {
  for (;;) {
    try {
      return run();
    } catch (error) {
      if (!isLock(error) || performance.now() > deadline) throw mapSqliteError(error);
    }
    await sleep(LOCK_PAUSE_MS);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function guard<R>(run: () => R): R {
  try {
    return run();
  } catch (error) {
    throw mapSqliteError(error);
  }
}

function isLock(error: unknown): boolean {
  const code = primaryCode(error);
  return code === SQLITE_BUSY || code === SQLITE_LOCKED;
}

function primaryCode(error: unknown): number | undefined {
  const fault = error as { readonly code?: unknown; readonly errcode?: unknown } | undefined;
  if (fault?.code !== "ERR_SQLITE_ERROR" || typeof fault.errcode !== "number") return undefined;
  return fault.errcode & 0xff;
}
