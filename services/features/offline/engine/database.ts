// The database of one task: in memory, empty, and shut in. It reads the files of the task's input,
// writes to its output folder, spills to its scratch folder, and nothing else of the machine can be
// reached from it, so that a file that a user sent cannot make it read another.

import { dirname, join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import type { EngineLimits } from "../engine-messages.ts";
import type { EngineTasks, SourceFile, TaskKind } from "../engine-tasks.ts";
import { literal, literals } from "./sql.ts";

/** Of the memory of the process, what DuckDB's buffers may take; the rest is Node and what DuckDB
 * holds beside its buffers (readers, writers, threads). */
const BUFFER_SHARE = 0.7;

/** A task's database. */
export interface TaskDatabase {
  readonly connection: DuckDBConnection;
  close(): void;
}

/** Opens the database of a task. */
export async function openDatabase<K extends TaskKind>(task: {
  readonly kind: K;
  readonly input: EngineTasks[K]["input"];
  readonly limits: EngineLimits;
  readonly options: Readonly<Record<string, string>>;
  readonly scratchDir: string;
}): Promise<TaskDatabase> {
  const { limits, scratchDir } = task;
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: `${Math.floor(limits.memoryBytes * BUFFER_SHARE)}B`,
    threads: String(limits.threads),
    temp_directory: join(scratchDir, "spill"),
    max_temp_directory_size: `${limits.spillBytes}B`,
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
    allow_community_extensions: "false",
    allow_persistent_secrets: "false",
    ...task.options,
  });
  const connection = await instance.connect();
  const { files, folders } = pathsOf(task.kind, task.input);
  await connection.run("SET TimeZone = 'UTC'");
  await connection.run(`SET home_directory = ${literal(scratchDir)}`);
  await connection.run("SET enable_progress_bar = true");
  await connection.run("SET enable_progress_bar_print = false");
  await connection.run(`SET allowed_directories = ${literals([...folders, scratchDir])}`);
  if (files.length > 0) {
    await connection.run(`SET allowed_paths = ${literals(files)}`);
  }
  await connection.run("SET enable_external_access = false");
  await connection.run("SET lock_configuration = true");
  return {
    connection,
    close: () => {
      connection.closeSync();
      instance.closeSync();
    },
  };
}

interface TaskPaths {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

function pathsOf<K extends TaskKind>(kind: K, input: EngineTasks[K]["input"]): TaskPaths {
  const of = <T extends TaskKind>(): EngineTasks[T]["input"] => input as EngineTasks[T]["input"];
  switch (kind) {
    case "write-rows":
      return { files: [], folders: [of<"write-rows">().outDir] };
    case "describe-table":
      return { files: [of<"describe-table">().path], folders: [] };
    case "ingest-table":
      return { files: [of<"ingest-table">().table.path], folders: [of<"ingest-table">().outDir] };
    case "latest-rows":
      return { files: paths(of<"latest-rows">().files), folders: [] };
    case "compact-day":
      return { files: paths(of<"compact-day">().files), folders: [of<"compact-day">().outDir] };
    case "erase-keys":
      return { files: paths(of<"erase-keys">().files), folders: [of<"erase-keys">().outDir] };
    case "count-keys":
      return { files: [of<"count-keys">().table.path], folders: [] };
    case "join-training-set": {
      const { table, files, out } = of<"join-training-set">();
      return { files: [table.path, ...paths(files.flat())], folders: [dirname(out.path)] };
    }
    case "compare-reads": {
      const { reads, files } = of<"compare-reads">();
      return { files: [...paths(reads), ...paths(files.flat())], folders: [] };
    }
  }
  throw new Error(`no such task: ${kind}`);
}

function paths(files: readonly SourceFile[]): readonly string[] {
  return files.map(({ path }) => path);
}
