// What the offline engine is asked to do: files in, files out. The engine is a process of its own
// that runs DuckDB (engine-main.ts), so that a heavy join, a crash or its memory stay out of the
// process that serves; these are the messages between the two. Paths are of this machine.

import type { ReadPlan } from "../definitions/read-plan.ts";
import type { Cell, Field, RowBatch } from "../value.ts";

/** A file of a view and the columns it has besides event_timestamp and created_timestamp. */
export interface SourceFile {
  readonly path: string;
  readonly columns: readonly Field[];
}

/** The columns of a view's rows, as a task is to see them. */
export interface Shape {
  /** Sorted by name. */
  readonly joinKeys: readonly Field[];
  readonly features: readonly Field[];
}

/** A Parquet file that a task wrote: rows of one day. */
export interface WrittenFile {
  readonly path: string;
  readonly day: string;
  readonly rows: number;
  readonly sizeBytes: number;
  readonly minEventUs: number;
  readonly maxEventUs: number;
  readonly maxCreatedUs: number;
}

/** How a file is laid out. */
export type TableFormat = "parquet" | "csv" | "ndjson";

/** A file of a caller. */
export interface TableFile {
  readonly path: string;
  readonly format: TableFormat;
}

/** Why one row of a file was not taken. */
export interface Refusal {
  /** From 0. */
  readonly row: number;
  /** Empty: the row as a whole. */
  readonly column: string;
  readonly reason: string;
}

/** Every kind of task: what goes in, what comes out, what is streamed meanwhile. */
export interface EngineTasks {
  /** Writes pushed rows as one file a day. */
  readonly "write-rows": {
    readonly input: {
      readonly shape: Shape;
      readonly batches: readonly RowBatch[];
      readonly outDir: string;
    };
    readonly output: { readonly files: readonly WrittenFile[] };
    readonly chunk: never;
  };
  /** Finds out the format (where absent), the columns and the rows of a file. */
  readonly "describe-table": {
    readonly input: { readonly path: string; readonly format: TableFormat | undefined };
    readonly output: {
      readonly format: TableFormat;
      readonly rows: number;
      readonly columns: readonly { readonly name: string; readonly type: string }[];
    };
    readonly chunk: never;
  };
  /** Checks the rows of a file against a view and writes the good ones as one file a day. */
  readonly "ingest-table": {
    readonly input: {
      readonly table: TableFile;
      readonly shape: Shape;
      readonly eventTimestampColumn: string;
      /** Empty: `created_timestamp` where the file has it, else `defaultCreatedUs`. */
      readonly createdTimestampColumn: string;
      readonly defaultCreatedUs: number;
      /** Column of the file to field. */
      readonly fieldMapping: readonly (readonly [string, string])[];
      /** False: writes nothing where a row is bad. */
      readonly skipBadRows: boolean;
      readonly outDir: string;
    };
    readonly output: {
      readonly rowsRead: number;
      readonly rowsRefused: number;
      /** The first 100. */
      readonly refusals: readonly Refusal[];
      readonly files: readonly WrittenFile[];
    };
    readonly chunk: never;
  };
  /**
   * The newest row of each key (event time, then creation time) among the files' rows, in the order
   * of the keys, streamed in chunks of at most 5,000 rows; each chunk is asked for (back-pressure).
   */
  readonly "latest-rows": {
    readonly input: {
      readonly files: readonly SourceFile[];
      readonly shape: Shape;
      /** Inclusive; absent: from the first. */
      readonly startUs?: number;
      /** Exclusive; absent: to the last. */
      readonly endUs?: number;
      /** Only keys after this one, in the order of the join keys: where a run goes on. */
      readonly afterKey?: readonly Cell[];
    };
    readonly output: { readonly rowsRead: number; readonly keys: number };
    readonly chunk: RowBatch;
  };
  /** Writes files of one day as one, without rows that are there twice, in the given shape. */
  readonly "compact-day": {
    readonly input: {
      readonly files: readonly SourceFile[];
      readonly shape: Shape;
      readonly day: string;
      readonly outDir: string;
    };
    readonly output: { readonly files: readonly WrittenFile[]; readonly rowsBefore: number };
    readonly chunk: never;
  };
  /**
   * Counts rows of the keys in each file and, unless `countOnly`, writes the files that have some
   * anew without them, each in its own columns. `keys` are columns by join key; a view may have
   * further join keys, which match anything.
   */
  readonly "erase-keys": {
    readonly input: {
      readonly files: readonly SourceFile[];
      readonly keys: Readonly<Record<string, readonly Cell[]>>;
      readonly keyFields: readonly Field[];
      readonly countOnly: boolean;
      readonly outDir: string;
    };
    readonly output: {
      /** One a file of the input, in order; undefined where it has none of the keys. */
      readonly results: readonly (
        | {
            readonly rows: number;
            /** Undefined: nothing is left of the file (or countOnly). */
            readonly file: WrittenFile | undefined;
          }
        | undefined
      )[];
    };
    readonly chunk: never;
  };
  /** Counts the rows of a table (a training set) that have one of the keys in the columns named. */
  readonly "count-keys": {
    readonly input: {
      readonly table: TableFile;
      /** Columns of one length, by column of the table. */
      readonly keys: Readonly<Record<string, readonly Cell[]>>;
      /** Columns of the table, and the types of the keys. */
      readonly keyFields: readonly Field[];
    };
    readonly output: { readonly rows: number };
    readonly chunk: never;
  };
  /** The point-in-time join (point-in-time.ts). */
  readonly "join-training-set": {
    readonly input: {
      readonly table: TableFile;
      readonly plan: ReadPlan;
      readonly eventTimestampColumn: string;
      readonly ignoreCreatedTimestamp: boolean;
      /** One a view of the plan, in its order. */
      readonly files: readonly (readonly SourceFile[])[];
      readonly out: { readonly path: string; readonly format: "parquet" | "csv" };
    };
    readonly output: {
      readonly rows: number;
      readonly columns: readonly { readonly name: string; readonly type: string }[];
      /** One an output of the plan, in its order. */
      readonly features: readonly StatusCounts[];
    };
    readonly chunk: never;
  };
  /** Joins kept reads with history and compares (see jobs/check-skew.ts). */
  readonly "compare-reads": {
    readonly input: {
      /** Files of kept reads: request columns, event_timestamp (the time of the read), and for each
       * output its value under its name and its status under `<name>__status`. */
      readonly reads: readonly SourceFile[];
      readonly plan: ReadPlan;
      readonly files: readonly (readonly SourceFile[])[];
      readonly startUs?: number;
      readonly endUs?: number;
    };
    readonly output: {
      readonly rowsChecked: number;
      readonly rowsDiffering: number;
      /** The first 100. */
      readonly differences: readonly {
        readonly entity: readonly Cell[];
        readonly readUs: number;
        readonly feature: string;
        readonly onlineValue: string;
        readonly offlineValue: string;
        readonly onlineStatus: string;
      }[];
    };
    readonly chunk: never;
  };
}

/** How often a feature had a value. */
export interface StatusCounts {
  readonly present: number;
  readonly nullValue: number;
  readonly notFound: number;
  readonly outsideMaxAge: number;
}

/** What the engine can do. */
export type TaskKind = keyof EngineTasks;

/** How far a task is; `total` 0: not known. */
export interface EngineProgress {
  readonly phase: string;
  readonly done: number;
  /** 0: not known. */
  readonly total: number;
  readonly unit: string;
}

/** How a task is followed and stopped. */
export interface RunOptions<K extends TaskKind> {
  /** Aborting ends the engine's process at once. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: EngineProgress) => void;
  /** The next chunk is made when this has resolved. */
  readonly onChunk?: (chunk: EngineTasks[K]["chunk"]) => Promise<void>;
}

/** The parent's end (engine.ts). */
export interface OfflineEngine extends AsyncDisposable {
  /**
   * Runs one task; waits while as many run as may (`engineProcessesMax`).
   * @throws InvalidArgument for a fault of the caller's file; Cancelled when the signal aborts;
   *   ResourceExhausted when memory or disk do not suffice; Unavailable (INSTANCE_LOST) when the
   *   process died.
   */
  run<K extends TaskKind>(
    kind: K,
    input: EngineTasks[K]["input"],
    options: RunOptions<K>,
  ): Promise<EngineTasks[K]["output"]>;
}
