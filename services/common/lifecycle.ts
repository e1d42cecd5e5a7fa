// How a service lives: made, started once the server listens, drained, disposed. The mesh and the
// single-service mains run any set of modules the same way.

import type { ServiceBinding } from "./rpc/context.ts";

/** One service of the mesh, ready to be put behind a server. */
export interface ServiceModule extends AsyncDisposable {
  /** "registry", "inference", ... */
  readonly name: string;
  readonly bindings: readonly ServiceBinding[];
  /**
   * Called once the server listens: begins background work. Resolves when that is under way, not
   * done.
   */
  start(): Promise<void>;
  /** Whether it can do its work now; feeds `/readyz` and grpc.health. */
  ready(): boolean;
  /**
   * The first half of draining: hands other services what is theirs, while they and this one still
   * take calls. Absent: nothing is theirs.
   */
  handOver?(): Promise<void>;
  /** Takes no new background work; resolves when what was begun is finished. Disposal follows. */
  drain(): Promise<void>;
}

/**
 * Resolves with the signal's name at the first SIGINT or SIGTERM; a second one ends the process at
 * once. Takes these signals over from whoever listened before. The end is SIGKILL and not
 * process.exit, which waits for native calls on other threads and then aborts them.
 */
export function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    let first = true;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.removeAllListeners(signal);
      process.on(signal, () => {
        if (!first) {
          process.kill(process.pid, "SIGKILL");
        }
        first = false;
        resolve(signal);
      });
    }
  });
}
