// Which function does which task. Each is loaded when it is first asked for, so that a flush does
// not wait for the code of a join.

import type { TaskKind } from "../engine-tasks.ts";
import type { EngineTask } from "./task.ts";

/** A task's function, and the DuckDB settings that it wants other than usual. */
export interface RegisteredTask<K extends TaskKind> {
  readonly run: EngineTask<K>;
  /** They cannot be set later: the database is locked when the task begins. */
  readonly options: Readonly<Record<string, string>>;
}

type Registry = {
  readonly [K in TaskKind]: {
    readonly load: () => Promise<EngineTask<K>>;
    readonly options?: Readonly<Record<string, string>>;
  };
};

const REGISTRY: Registry = {
  "write-rows": { load: async () => (await import("./write-rows.ts")).writeRows },
  "describe-table": { load: async () => (await import("./describe-table.ts")).describeTable },
  "ingest-table": { load: async () => (await import("./ingest-table.ts")).ingestTable },
  "latest-rows": { load: async () => (await import("./latest-rows.ts")).latestRows },
  "compact-day": { load: async () => (await import("./compact-day.ts")).compactDay },
  "erase-keys": { load: async () => (await import("./erase-keys.ts")).eraseKeys },
  "count-keys": { load: async () => (await import("./count-keys.ts")).countKeys },
  "join-training-set": {
    load: async () => (await import("./join-training-set.ts")).joinTrainingSet,
  },
  "compare-reads": { load: async () => (await import("./compare-reads.ts")).compareReads },
};

/** The function of a task. */
export async function engineTask<K extends TaskKind>(kind: K): Promise<RegisteredTask<K>> {
  const { load, options } = REGISTRY[kind];
  return { run: await load(), options: options ?? {} };
}
