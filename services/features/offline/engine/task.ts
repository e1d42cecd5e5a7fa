// What a task of the offline engine is: a function that runs in the engine's process, on a database
// of its own that is empty at the start and may see no files but those of its input, its outDir and
// its scratch folder (database.ts).

import type { DuckDBConnection } from "@duckdb/node-api";
import type { RowBatch } from "../../value.ts";
import type { EngineProgress, EngineTasks, TaskKind } from "../engine-tasks.ts";

/** What a task has besides its input. */
export interface TaskContext<K extends TaskKind> {
  /** Tells how far it is; sent at most a few times a second, so call it as often as you like. */
  progress(progress: EngineProgress): void;
  /** Hands a chunk to who asked for the task; resolves when the next one is wanted. */
  chunk(chunk: EngineTasks[K]["chunk"]): Promise<void>;
  /** write-rows only: the rows, which come piece by piece; `input.batches` is empty. */
  batches(): AsyncIterable<RowBatch>;
  /** A folder of this task alone; it goes with the task, however that ends. */
  readonly scratchDir: string;
}

/**
 * Does one task. The connection's TimeZone is UTC; its memory, disk and threads are limited; nothing
 * can be changed of that.
 * @throws DomainError, which reaches the caller as it is; what DuckDB throws is mapped by faults.ts.
 */
export type EngineTask<K extends TaskKind> = (
  connection: DuckDBConnection,
  input: EngineTasks[K]["input"],
  task: TaskContext<K>,
) => Promise<EngineTasks[K]["output"]>;
