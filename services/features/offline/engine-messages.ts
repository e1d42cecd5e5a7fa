// What the offline engine's process and its parent say to each other, over Node's IPC channel with
// structured clones. One task at a time: `task`, then any number of parts, chunks and progress, then
// `done` or `failed`.

import type { RowBatch } from "../value.ts";
import type { EngineProgress, TaskKind } from "./engine-tasks.ts";

/** What one engine process may use. */
export interface EngineLimits {
  readonly memoryBytes: number;
  readonly spillBytes: number;
  readonly threads: number;
}

/** From the parent. */
export type ToEngine =
  | {
      readonly type: "task";
      readonly kind: TaskKind;
      /** The task's input; rows to write come as parts instead, one message each. */
      readonly input: unknown;
      readonly parts: number;
      readonly scratchDir: string;
      readonly limits: EngineLimits;
    }
  | { readonly type: "part"; readonly batch: RowBatch }
  /** The next chunk is wanted. */
  | { readonly type: "next" };

/** From the engine. */
export type FromEngine =
  /** The next part is wanted. */
  | { readonly type: "next" }
  | { readonly type: "chunk"; readonly chunk: unknown }
  | { readonly type: "progress"; readonly progress: EngineProgress }
  | { readonly type: "done"; readonly output: unknown }
  | {
      readonly type: "failed";
      /** google.rpc.Status in binary, as status.ts writes it; undefined: nobody foresaw it. */
      readonly status: Uint8Array | undefined;
      /** For the log. */
      readonly cause: string;
    };
