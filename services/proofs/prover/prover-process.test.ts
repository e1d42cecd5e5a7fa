// The prover's processes: stopped, killed, out of time or memory, replaced, ended; and no leak.

import { writeFileSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { residentBytes } from "../process/process-limits.ts";
import { TaskProcess } from "../process/task-process.ts";
import {
  type BuiltinProver,
  type BuiltinProverOptions,
  openBuiltinProver,
} from "./builtin-driver.ts";
import { proverProgram } from "./prover-process.ts";
import { denseGraph, writeCircuit } from "./testing/files.ts";

const MIB = 1024 * 1024;

function useProver(options: BuiltinProverOptions = {}): BuiltinProver {
  const prover = openBuiltinProver(options);
  onTestFinished(async () => await prover[Symbol.asyncDispose]());
  return prover;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function isThere(pid: number | undefined): boolean {
  return pid !== undefined && isRunning(pid);
}

describe("the prover's process", { timeout: 180_000 }, () => {
  it("is kept for the next proof, and replaced when it is lost", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2, 2]));
    await prover.devSetup(files);
    await prover.prove(files);
    const first = prover.processId!;
    await prover.prove(files);
    expect(prover.processId).toBe(first);

    const lost = prover.prove(files, { onProgress: () => process.kill(first, "SIGKILL") });
    await expect(lost).rejects.toMatchObject({ kind: "Unavailable" });
    await prover.prove(files);
    expect(prover.processId).not.toBe(first);
  });

  it("does one task at a time, in order", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2, 2]));
    await prover.devSetup(files);
    const words: string[] = [];
    const one = (name: string): Promise<unknown> =>
      prover.prove(files, { onProgress: (phase) => words.push(`${name} ${phase}`) });
    await Promise.all([one("a"), one("b"), one("c")]);
    const phases = ["checking the witness", "proving", "verifying"];
    expect(words).toEqual(["a", "b", "c"].flatMap((n) => phases.map((phase) => `${n} ${phase}`)));
  });

  it("proves while keys are made and checked, which is done in a process of its own", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2, 2]));
    const record = await prover.devSetup(files);
    await prover.verifyingKey(files.zkey);
    const keys = prover.keysProcessId!;
    // Whatever it is asked for now takes as long as a ceremony of the largest circuits.
    process.kill(keys, "SIGSTOP");
    onTestFinished(() => void (isRunning(keys) && process.kill(keys, "SIGCONT")));
    let isDescribed = false;
    const described = prover.verifyingKey(files.zkey).finally(() => {
      isDescribed = true;
    });
    expect((await prover.prove(files)).publicValues).toHaveLength(3);
    expect(isDescribed).toBe(false);
    expect(prover.processId).not.toBe(keys);
    process.kill(keys, "SIGCONT");
    expect((await described).verifyingKeyHash).toBe(record.verifyingKeyHash);
    await prover[Symbol.asyncDispose]();
    expect([keys, prover.processId, prover.keysProcessId].map(isThere)).toEqual([
      false,
      false,
      false,
    ]);
  });

  it("is killed when a task is no longer wanted; one that waits is just forgotten", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2, 2]));
    await prover.devSetup(files);
    await prover.prove(files);
    const pid = prover.processId!;
    const stopped = new AbortController();
    const forgotten = new AbortController();
    const running = prover.prove(files, {
      signal: stopped.signal,
      onProgress: () => stopped.abort(),
    });
    const waiting = prover.prove(files, { signal: forgotten.signal });
    const last = prover.prove(files);
    forgotten.abort();
    await expect(waiting).rejects.toMatchObject({ kind: "Cancelled" });
    await expect(running).rejects.toMatchObject({ kind: "Cancelled" });
    expect(isRunning(pid)).toBe(false);
    expect((await last).publicValues).toHaveLength(3);
  });

  it("is killed when a task takes too long", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([784, 64, 10]));
    await expect(prover.devSetup(files, { timeoutMs: 300 })).rejects.toMatchObject({
      kind: "DeadlineExceeded",
    });
    expect(prover.keysProcessId).toBeUndefined();
  });

  it("is killed when it takes too much memory", async () => {
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2]));
    await useProver().devSetup(files);
    const prover = useProver({ memoryBytesMax: 30 * MIB });
    await expect(prover.verifyingKey(files.zkey)).rejects.toMatchObject({
      kind: "ResourceExhausted",
      message: expect.stringContaining("more than 30 MiB"),
    });
    expect(prover.keysProcessId).toBeUndefined();
  });

  it("is not started for a circuit that is certain not to fit", async () => {
    const prover = useProver({ memoryBytesMax: 100 * MIB });
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2]));
    await expect(prover.devSetup(files)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      violations: [{ type: "PROVER_MEMORY" }],
    });
    expect(prover.keysProcessId).toBeUndefined();
  });

  it("ends by itself when it is asked to, threads and all", async () => {
    const folder = useFolder();
    const files = writeCircuit(folder, "c", denseGraph([2, 2, 2]));
    await useProver().devSetup(files);
    const one = new TaskProcess(proverProgram({ threads: 2, heapMiB: 512 }));
    const job = { timeoutMs: 60_000, memoryBytes: 2 ** 32, onProgress: () => undefined };
    await one.run({ ...job, kind: "prove", input: files, signal: new AbortController().signal });
    expect(await one.end()).toEqual({ code: 0, signal: null });
  });

  it("ends after a while with nothing to do, and with its owner", async () => {
    const prover = useProver({ idleMs: 0 });
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2]));
    await prover.devSetup(files);
    await prover.prove(files);
    await prover.verifyingKey(files.zkey);
    expect([prover.processId, prover.keysProcessId]).toEqual([undefined, undefined]);
    const other = useProver();
    await other.prove(files);
    const pid = other.processId!;
    await other[Symbol.asyncDispose]();
    expect(isRunning(pid)).toBe(false);
    await expect(other.prove(files)).rejects.toMatchObject({ kind: "Unavailable" });
  });

  it("does not grow over 50 proofs", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([8, 8, 4]));
    await prover.devSetup(files);
    const rssAfter = async (proofs: number): Promise<number> => {
      for (let i = 0; i < proofs; i += 1) await prover.prove(files);
      return await residentBytes(prover.processId);
    };
    const early = await rssAfter(15);
    expect(await rssAfter(35)).toBeLessThan(early + 40 * MIB);
  });

  it("reads a circuit and a key again when their files have changed", async () => {
    const prover = useProver();
    const folder = useFolder();
    const files = writeCircuit(folder, "c", denseGraph([2, 2, 2]));
    await prover.devSetup(files);
    await prover.prove(files);
    const changed = writeCircuit(folder, "c", denseGraph([2, 2, 2], { seed: 5 }));
    await expect(prover.prove(changed)).rejects.toThrow("does not verify");
    writeFileSync(files.zkey, "zkey");
    await expect(prover.prove(files)).rejects.toThrow("not a whole .zkey file");
  });
});
