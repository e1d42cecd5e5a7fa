// What tests of the offline engine share: the real engine, its parent and its process, on folders
// that go with the test, and files made and read by a DuckDB of the test's own.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DuckDBInstance, type Json } from "@duckdb/node-api";
import { onTestFinished } from "vitest";
import { useFolder } from "../../../common/testing/use-folder.ts";
import type { Field, RowBatch, ValueType } from "../../value.ts";
import { type EngineConfig, openOfflineEngine } from "../engine.ts";
import type { EngineTasks, OfflineEngine, RunOptions, Shape, TaskKind } from "../engine-tasks.ts";
import { literal } from "./sql.ts";

const CONFIG: EngineConfig = {
  engineMemoryBytes: 2 ** 30,
  engineSpillBytes: 2 ** 33,
  engineThreads: 2,
  engineProcessesMax: 1,
  engineIdleMs: 30_000,
};

/** An engine of the running test and its folders. */
export interface TestEngine {
  readonly engine: OfflineEngine;
  readonly folder: string;
  readonly scratchDir: string;
  readonly outDir: string;
  run<K extends TaskKind>(
    kind: K,
    input: EngineTasks[K]["input"],
    options?: Partial<RunOptions<K>>,
  ): Promise<EngineTasks[K]["output"]>;
  /** Writes a file into the folder and returns its path. */
  file(name: string, content: string | Uint8Array): string;
}

/** An engine that is disposed of when the running test has finished. */
export function useEngine(config: Partial<EngineConfig> = {}): TestEngine {
  const folder = useFolder();
  const [scratchDir, outDir] = [join(folder, "scratch"), join(folder, "out")];
  mkdirSync(outDir);
  const engine = openOfflineEngine({ config: { ...CONFIG, ...config }, scratchDir });
  onTestFinished(() => engine[Symbol.asyncDispose]());
  return {
    engine,
    folder,
    scratchDir,
    outDir,
    run: (kind, input, options) => {
      return engine.run(kind, input, { signal: new AbortController().signal, ...options });
    },
    file: (name, content) => {
      const path = join(folder, name);
      writeFileSync(path, content);
      return path;
    },
  };
}

/** Rows of an SQL query, on a database of the test's own. */
export async function query(sql: string): Promise<readonly Record<string, Json>[]> {
  const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  const connection = await instance.connect();
  try {
    await connection.run("SET TimeZone = 'UTC'");
    return (await connection.runAndReadAll(sql)).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** Writes a query as a Parquet file. */
export async function writeParquet(path: string, sql: string): Promise<string> {
  await query(`COPY (${sql}) TO ${literal(path)} (FORMAT parquet)`);
  return path;
}

/** The rows of Parquet files in order; times as texts in UTC. */
export async function readParquet(...paths: string[]): Promise<readonly Record<string, Json>[]> {
  const rows = [];
  for (const path of paths) {
    rows.push(...(await query(`SELECT * FROM read_parquet(${literal(path)})`)));
  }
  return rows;
}

/** A shape from "name TYPE" texts. */
export function shape(joinKeys: readonly string[], features: readonly string[]): Shape {
  return { joinKeys: joinKeys.map(field), features: features.map(field) };
}

/** The columns of files in a shape. */
export function columnsOf({ joinKeys, features }: Shape): readonly Field[] {
  return [...joinKeys, ...features];
}

/** Rows as a batch: [key..., event in seconds, created in seconds, feature...]. */
export function batch(
  { joinKeys, features }: Shape,
  rows: readonly (readonly unknown[])[],
): RowBatch {
  const column = (index: number): never[] => rows.map((row) => row[index] ?? null) as never[];
  const micros = (index: number): number[] => rows.map((row) => Number(row[index]) * 1e6);
  const [keys, after] = [joinKeys.length, joinKeys.length + 2];
  return {
    rows: rows.length,
    keys: Object.fromEntries(joinKeys.map(({ name }, index) => [name, column(index)])),
    features: Object.fromEntries(features.map(({ name }, at) => [name, column(after + at)])),
    eventUs: micros(keys),
    createdUs: micros(keys + 1),
  };
}

/** Process ids of this process's children that run the engine; Linux only. */
export function enginePids(parent = process.pid): readonly number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    const path = `/proc/${pid}/cmdline`;
    try {
      const command = readFileSync(path, "utf8");
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      return (
        command.includes("engine-main.ts") &&
        !/^State:\s+Z/m.test(status) &&
        Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]) === parent
      );
    } catch {
      return false;
    }
  });
}

/** Whether the system tells about processes. */
export const hasProc = existsSync("/proc/self/status");

function field(text: string): Field {
  const [name = "", type] = text.split(" ");
  return { name, type: type as ValueType };
}
