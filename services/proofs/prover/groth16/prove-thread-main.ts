// The main module of a thread that makes its share of proofs.

import { closeSync, openSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { KeyFault } from "./constraint-rows.ts";
import type { FromThread, ThreadCode, ThreadStart, ToThread } from "./prove-messages.ts";
import { ProveShare } from "./prove-share.ts";

const start = workerData as ThreadStart;
const shares = new Map<number, ProveShare>();
let code: ThreadCode | undefined;

parentPort?.on("message", (message: ToThread) => {
  const answered = answer(message);
  if (answered) parentPort?.postMessage(answered);
});

function answer(message: ToThread): FromThread | undefined {
  switch (message.kind) {
    case "code":
      code = message.code;
      return undefined;
    case "load":
      return load(message);
    case "prove": {
      const share = shares.get(message.key);
      if (!share) throw new Error(`there is no key ${message.key} in this thread`);
      const sums = share.sums(message.job);
      return { kind: "proved", sums, bytes: share.bytes };
    }
    case "drop":
      shares.delete(message.key);
      // What WebAssembly holds counts little for the collector, which would come late.
      globalThis.gc?.();
      return undefined;
  }
}

function load({ key, description }: Extract<ToThread, { kind: "load" }>): FromThread {
  if (!code) throw new Error("this thread was given no code");
  const file = openSync(description.path, "r");
  try {
    shares.set(key, new ProveShare(file, description, { ...start, code }));
    return { kind: "loaded" };
  } catch (error) {
    if (!(error instanceof KeyFault)) throw error;
    return { kind: "refused", fault: error.message };
  } finally {
    closeSync(file);
  }
}
