// Runs a statement and tells how far it is, as DuckDB reckons it.

import type { DuckDBConnection } from "@duckdb/node-api";
import type { EngineProgress } from "../engine-tasks.ts";

const POLL_MS = 250;

/** Runs a statement; its progress is told in percent. */
export async function runTracked(
  connection: DuckDBConnection,
  sql: string,
  tell: { readonly phase: string; readonly progress: (progress: EngineProgress) => void },
): Promise<void> {
  const { phase, progress } = tell;
  const report = (): void => {
    const percent = Math.min(100, Math.max(0, Math.floor(connection.progress.percentage)));
    progress({ phase, done: percent, total: 100, unit: "percent" });
  };
  progress({ phase, done: 0, total: 100, unit: "percent" });
  const timer = setInterval(report, POLL_MS);
  try {
    await connection.run(sql);
  } finally {
    clearInterval(timer);
  }
}
