// What a server holds of memory. Its resident memory alone says little: V8 lets garbage stand until
// there is enough of it, so that a server under load swings by a hundred megabytes within seconds. A
// collection that is forced through Node's inspector leaves what is referenced, and what malloc keeps.

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { residentBytes } from "./process.ts";

/** Where Node listens after SIGUSR1. */
const INSPECTOR = "127.0.0.1:9229";
const LISTENS_WITHIN_MS = 10_000;
const ATTEMPT_PAUSE_MS = 50;
/** A server that ended meanwhile says nothing any more. */
const ANSWERS_WITHIN_MS = 30_000;

/** Buffers are freed after the collection that finds them, at the next one at the latest. */
const COLLECTIONS = 2;

/**
 * Resident memory of a Node process after a forced collection, in bytes.
 * @throws Error when its inspector cannot be reached.
 */
export async function heldBytes(pid: number): Promise<number> {
  process.kill(pid, "SIGUSR1");
  const socket = new WebSocket(await inspectorUrl());
  try {
    await heard(socket, "open");
    const { value } = await ask(socket, "Runtime.evaluate", { expression: "process.pid" });
    if (value !== pid) {
      throw new Error(`${INSPECTOR} is the inspector of process ${value}, not of ${pid}.`);
    }
    for (let i = 0; i < COLLECTIONS; i++) {
      await ask(socket, "HeapProfiler.collectGarbage");
    }
    return await residentBytes(pid);
  } finally {
    socket.close();
  }
}

async function inspectorUrl(): Promise<string> {
  const deadline = performance.now() + LISTENS_WITHIN_MS;
  for (;;) {
    try {
      const response = await fetch(`http://${INSPECTOR}/json/list`);
      const targets = (await response.json()) as readonly { webSocketDebuggerUrl: string }[];
      return targets[0]!.webSocketDebuggerUrl;
    } catch (cause) {
      if (performance.now() > deadline) {
        throw new Error(`No inspector listens at ${INSPECTOR}.`, { cause });
      }
      await sleep(ATTEMPT_PAUSE_MS);
    }
  }
}

/** One command at a time. Gives what an expression came to, where it has one. */
async function ask(
  socket: WebSocket,
  method: string,
  params: Readonly<Record<string, unknown>> = {},
): Promise<{ readonly value?: unknown }> {
  const answered = heard(socket, "message");
  socket.send(JSON.stringify({ id: 1, method, params }));
  const [{ data }] = (await answered) as [{ readonly data: string }];
  const { error, result } = JSON.parse(data) as {
    readonly error?: { readonly message: string };
    readonly result?: { readonly result?: { readonly value?: unknown } };
  };
  if (error !== undefined) {
    throw new Error(`${method} failed: ${error.message}`);
  }
  return { value: result?.result?.value };
}

function heard(socket: WebSocket, event: string): Promise<unknown[]> {
  return once(socket, event, { signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) });
}
