// The workshop on processes of its own: one for each model that is compiled, one that keeps circuits
// loaded, and one that verifies proofs. This end decides who comes when, and sees to it that nothing private is left
// behind.

import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { TaskProgram } from "../process/task-process.ts";
import { type QueuedTask, TaskQueue } from "../process/task-queue.ts";
import type { RefusedInference, VerifiedInference } from "../verifier/verify-inference.ts";
import type {
  CircuitSource,
  CompiledFiles,
  CompileTask,
  RowInputs,
  TaskOptions,
  VerifyTask,
  Workshop,
} from "./workshop-port.ts";
import type { VerifyTasks, WorkshopTasks } from "./workshop-tasks.ts";

/** What the workshop may use. */
export interface WorkshopOptions {
  /** Resident bytes of each of its processes, at most. */
  readonly memoryBytesMax: number;
  /** Of compiling and checking one model. */
  readonly compileTimeoutMs: number;
  /** Of one witness, and of one turn of an evaluation, loading the circuit included. Default 2 min. */
  readonly evaluateTimeoutMs?: number;
  /** A process that is kept ends after so long with nothing to do. Default 5 min. */
  readonly idleMs?: number;
}

const MAIN = fileURLToPath(new URL("./workshop-main.ts", import.meta.url));
const VERIFY_MAIN = fileURLToPath(new URL("./verify-main.ts", import.meta.url));
const MIB = 1024 * 1024;
const EVALUATE_TIMEOUT_MS = 120_000;
const IDLE_MS = 300_000;
/** A proof takes 20 ms; preparing the key of the most public values takes seconds. */
const VERIFY_TIMEOUT_MS = 60_000;
const VERIFY_BYTES_MAX = 1024 * MIB;

/** Loaded circuits take a part of the memory; the rest is for loading one and for its rows. */
const LOADED_SHARE = 4;
const LOADED_BYTES_MAX = 1024 * MIB;

/** An evaluation gives way to others after so long; a row of the largest circuits takes 15 ms. */
const TURN_MS = 100;
/** What is sent for one turn at most, in rows and in values of their inputs. */
const TURN_ROWS_MAX = 1_024;
const TURN_VALUES_MAX = 256 * 1024;

/** Opens the workshop; its processes start with their first tasks. */
export function openWorkshop(options: WorkshopOptions): ProcessWorkshop {
  return new ProcessWorkshop(options);
}

/**
 * See Workshop. Models are compiled one at a time, in the order in which they come; the time of one
 * that waits does not run yet. Evaluations and witnesses take turns in the order in which they come:
 * an evaluation of many rows goes to the end of the line after each turn, so that a small one waits
 * for no more than a turn of each that was there before it. What it may wait for longer is the
 * loading of a circuit, seconds for the largest, and evaluateTimeoutMs at the very most. More
 * than 1,000 that wait are refused.
 */
export class ProcessWorkshop implements Workshop {
  readonly #compileTimeoutMs: number;
  readonly #evaluateTimeoutMs: number;
  readonly #compiling: TaskQueue<WorkshopTasks>;
  readonly #evaluating: TaskQueue<WorkshopTasks>;
  /** Apart from evaluations, so that whoever has much verified delays nobody's answers. */
  readonly #verifying: TaskQueue<VerifyTasks>;

  constructor(options: WorkshopOptions) {
    const { memoryBytesMax } = options;
    this.#compileTimeoutMs = options.compileTimeoutMs;
    this.#evaluateTimeoutMs = options.evaluateTimeoutMs ?? EVALUATE_TIMEOUT_MS;
    const loadedBytes = Math.min(LOADED_BYTES_MAX, Math.floor(memoryBytesMax / LOADED_SHARE));
    const program: TaskProgram = {
      who: "workshop",
      main: MAIN,
      args: [String(loadedBytes)],
      heapMiB: Math.ceil(memoryBytesMax / MIB),
    };
    this.#compiling = new TaskQueue<WorkshopTasks>({
      program,
      memoryBytesMax,
      idleMs: 0,
      lastKinds: new Set(["compile"]),
      onFailure: "kill",
    });
    this.#evaluating = new TaskQueue<WorkshopTasks>({
      program,
      memoryBytesMax,
      idleMs: options.idleMs ?? IDLE_MS,
      onFailure: "keep",
    });
    const verifyBytesMax = Math.min(VERIFY_BYTES_MAX, memoryBytesMax);
    this.#verifying = new TaskQueue<VerifyTasks>({
      program: { who: "verifier", main: VERIFY_MAIN, heapMiB: Math.ceil(verifyBytesMax / MIB) },
      memoryBytesMax: verifyBytesMax,
      idleMs: options.idleMs ?? IDLE_MS,
      onFailure: "keep",
    });
  }

  /** Number of the process that compiles now, if one does. */
  get compilingId(): number | undefined {
    return this.#compiling.processId;
  }

  /** Number of the process that keeps circuits loaded, if there is one now. */
  get evaluatingId(): number | undefined {
    return this.#evaluating.processId;
  }

  /** Number of the process that verifies proofs, if there is one now. */
  get verifyingId(): number | undefined {
    return this.#verifying.processId;
  }

  async compile(task: CompileTask, options: TaskOptions = {}): Promise<CompiledFiles> {
    return await this.#compiling.run("compile", task, {
      ...queued(options),
      timeoutMs: this.#compileTimeoutMs,
    });
  }

  async evaluate(
    circuit: CircuitSource,
    rows: readonly RowInputs[],
    options: TaskOptions = {},
  ): Promise<readonly (readonly bigint[])[]> {
    const values: (readonly bigint[])[] = [];
    while (values.length < rows.length) {
      const input = {
        circuit,
        rows: rowsOfTurn(rows, values.length),
        firstRow: values.length,
        turnMs: TURN_MS,
      };
      const task = { ...queued(options), timeoutMs: this.#evaluateTimeoutMs };
      for (const row of await this.#evaluating.run("evaluate", input, task)) values.push(row);
    }
    return values;
  }

  async witness(
    circuit: CircuitSource,
    row: RowInputs,
    to: string,
    options: TaskOptions = {},
  ): Promise<{ readonly publicValues: readonly bigint[] }> {
    let isWanted = true;
    const remove = async (): Promise<void> => {
      if (!isWanted || options.signal?.aborted) await rm(to, { force: true });
    };
    try {
      return await this.#evaluating.run(
        "witness",
        { circuit, row, to },
        // Of a task that was cancelled the file may come later; it holds the inputs.
        { ...queued(options), timeoutMs: this.#evaluateTimeoutMs, onSettled: remove },
      );
    } catch (error) {
      isWanted = false;
      await remove();
      throw error;
    }
  }

  async verify(
    task: VerifyTask,
    options: TaskOptions = {},
  ): Promise<VerifiedInference | RefusedInference> {
    const how = { ...queued(options), timeoutMs: VERIFY_TIMEOUT_MS };
    return await this.#verifying.run("verify", task, how);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([
      this.#compiling[Symbol.asyncDispose](),
      this.#evaluating[Symbol.asyncDispose](),
      this.#verifying[Symbol.asyncDispose](),
    ]);
  }
}

/** The rows that are sent for a turn: the first, and more while they are few. */
function rowsOfTurn(rows: readonly RowInputs[], from: number): readonly RowInputs[] {
  let end = from;
  let valueCount = 0;
  while (end < rows.length && end - from < TURN_ROWS_MAX) {
    valueCount += rows[end]!.tensors.reduce((total, { length }) => total + length, 0);
    if (end > from && valueCount > TURN_VALUES_MAX) break;
    end += 1;
  }
  return rows.slice(from, end);
}

function queued({ signal, onProgress }: TaskOptions): Pick<QueuedTask, "signal" | "onProgress"> {
  return {
    signal: signal ?? new AbortController().signal,
    onProgress: onProgress ?? (() => undefined),
  };
}
