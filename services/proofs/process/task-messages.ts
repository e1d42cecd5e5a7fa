// What a process of ours and its owner say to each other over Node's IPC channel. Everything large
// is a file, named by its path.

/** Inputs and outputs by kind of task. */
export type TaskMap<Tasks> = {
  readonly [K in keyof Tasks]: { readonly input: unknown; readonly output: unknown };
};

/** From the owner. One task at a time. */
export type ToProcess =
  | { readonly type: "task"; readonly kind: string; readonly input: unknown }
  /** The process is to end by itself. */
  | { readonly type: "end" };

/** From the process: any number of progress, then done or failed. */
export type FromProcess =
  | { readonly type: "progress"; readonly phase: string }
  | { readonly type: "done"; readonly output: unknown }
  | {
      readonly type: "failed";
      /** google.rpc.Status in binary; undefined: nobody foresaw it. */
      readonly status: Uint8Array | undefined;
      /** For the log. */
      readonly cause: string;
    };
