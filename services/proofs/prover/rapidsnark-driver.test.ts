// The driver of an operator's binary, with scripts in its place: one that does its work, and many
// that do not.

import { randomUUID } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { writeWitness } from "../circuit/witness-file.ts";
import { residentBytes } from "../process/process-limits.ts";
import { openBuiltinProver } from "./builtin-driver.ts";
import type { Prover } from "./prover-port.ts";
import { openRapidsnarkProver } from "./rapidsnark-driver.ts";
import {
  type CircuitFiles,
  denseGraph,
  runSnarkjs,
  smallPtau,
  writeCircuit,
} from "./testing/files.ts";

const RUN_SNARKJS = fileURLToPath(new URL("./testing/run-snarkjs.ts", import.meta.url));

interface Setting {
  readonly files: CircuitFiles;
  readonly scratchDir: string;
  /** A driver whose binary is a shell script: $1 zkey, $2 witness, $3 proof, $4 public values. */
  binary(script: string): Prover;
  /** Writes JSON where a script can copy it from; gives the path, quoted. */
  json(value: unknown): string;
}

let good: { readonly proof: { readonly pi_a: unknown }; readonly publicSignals: readonly string[] };

async function useSetting(): Promise<Setting> {
  const folder = useFolder();
  const scratchDir = useFolder();
  const files = writeCircuit(folder, "c", denseGraph([2, 2, 2]));
  await using prover = openBuiltinProver();
  await prover.devSetup(files);
  good = (await runSnarkjs("groth16.prove", files.zkey, files.witness)) as typeof good;
  return {
    files,
    scratchDir,
    binary: (script) => {
      const binary = join(folder, "prover.sh");
      writeFileSync(binary, `#!/bin/sh\n${script}\n`);
      chmodSync(binary, 0o700);
      const driver = openRapidsnarkProver({ binary, scratchDir });
      onTestFinished(async () => await driver[Symbol.asyncDispose]());
      return driver;
    },
    json: (value) => {
      const path = join(folder, randomUUID());
      writeFileSync(path, JSON.stringify(value));
      return `"${path}"`;
    },
  };
}

describe("a rapidsnark binary", { timeout: 180_000 }, () => {
  it("proves, and its proof is verified", async () => {
    const { files, binary, scratchDir } = await useSetting();
    // rapidsnark leaves the curve out, and some versions end their files in zero bytes.
    const run = `"${process.execPath}" --no-warnings "${RUN_SNARKJS}" groth16.prove`;
    const split =
      "const made = JSON.parse(require('fs').readFileSync(0)); delete made.proof.curve; " +
      "const { writeFileSync } = require('fs'); " +
      "writeFileSync(process.argv[1], JSON.stringify(made.proof) + '\\0\\0'); " +
      "writeFileSync(process.argv[2], JSON.stringify(made.publicSignals));";
    const driver = binary(
      `${run} "[\\"$1\\",\\"$2\\"]" | "${process.execPath}" -e "${split}" "$3" "$4"`,
    );
    const phases: string[] = [];
    const result = await driver.prove(files, { onProgress: (phase) => phases.push(phase) });
    expect(result.publicValues).toEqual(good.publicSignals);
    expect(result.proof.protocol).toBe("groth16");
    expect(phases).toEqual(["checking the witness", "proving", "verifying"]);
    expect(readdirSync(scratchDir)).toEqual([]);
  });

  it("is not believed: a wrong proof, other public values, garbage, too much, nothing", async () => {
    const { files, binary, json, scratchDir } = await useSetting();
    const wrong = { ...good.proof, pi_c: good.proof.pi_a };
    const offCurve = { ...good.proof, pi_a: ["1", "1", "1"] };
    const others = [...good.publicSignals.slice(1), "7"];
    const copy = (proof: unknown, values: unknown): string =>
      `cp ${json(proof)} "$3"; cp ${json(values)} "$4"`;
    const scripts = [
      [copy(wrong, good.publicSignals), "does not verify"],
      [copy(offCurve, good.publicSignals), "not on the curve"],
      [copy({}, good.publicSignals), "no proof"],
      [copy(good.proof, others), "other public values"],
      [copy(good.proof, []), "other public values"],
      [copy(good.proof, { length: 3 }), "no list of public values"],
      ['echo "not json" > "$3"; echo "[]" > "$4"', "no output that can be read"],
      ['head -c 4000000 /dev/zero > "$4"', "no output that can be read"],
      ["exit 0", "no output that can be read"],
      ["echo sorry >&2; exit 1", "exit code 1"],
      ["kill -SEGV $$", "signal SIGSEGV"],
    ] as const;
    for (const [script, reason] of scripts) {
      await expect(binary(script).prove(files), script).rejects.toMatchObject({
        kind: "Internal",
        message: expect.stringContaining(reason),
      });
    }
    const missing = openRapidsnarkProver({ binary: "/no/such/prover" });
    onTestFinished(async () => await missing[Symbol.asyncDispose]());
    await expect(missing.prove(files)).rejects.toThrow("exit code 127");
    expect(readdirSync(scratchDir)).toEqual([]);
  });

  it("is killed when it hangs or is no longer wanted, with what it started", async () => {
    const { files, binary, scratchDir } = await useSetting();
    const pidFile = `${files.witness}.pid`;
    const hang = `sleep 300 & echo $! > "${pidFile}"; wait`;
    const startedProcess = (): Promise<number> =>
      vi.waitFor(() => Number(readFileSync(pidFile, "utf8").match(/^\d+\n$/)![0]), 10_000);
    const isGone = (pid: number): Promise<void> =>
      vi.waitFor(async () => expect(await residentBytes(pid)).toBe(0), 10_000);

    await expect(binary(hang).prove(files, { timeoutMs: 4_000 })).rejects.toMatchObject({
      kind: "DeadlineExceeded",
    });
    await isGone(await startedProcess());
    rmSync(pidFile);
    const stop = new AbortController();
    const running = binary(hang).prove(files, { signal: stop.signal });
    const pid = await startedProcess();
    expect(await residentBytes(pid)).toBeGreaterThan(0);
    stop.abort();
    await expect(running).rejects.toMatchObject({ kind: "Cancelled" });
    await isGone(pid);
    expect(readdirSync(scratchDir)).toEqual([]);
  });

  it("is not asked with a witness that breaks a constraint or a key that is forgeable", async () => {
    const { files, binary, scratchDir } = await useSetting();
    const marker = join(scratchDir, "called");
    const driver = binary(`touch "${marker}"; exit 1`);
    const wrong = files.values.map((value, i) => (i === 1 ? BigInt(value) + 1n : value));
    const witness = `${files.witness}.wrong`;
    writeFileSync(witness, writeWitness(wrong));
    await expect(driver.prove({ ...files, witness })).rejects.toThrow("breaks constraint");
    const zkey = `${files.zkey}.first`;
    await driver.newPhase2({ ...files, zkey, ptau: await smallPtau(8) });
    await expect(driver.prove({ ...files, zkey })).rejects.toMatchObject({
      violations: [{ type: "NO_CONTRIBUTION" }],
    });
    expect(readdirSync(scratchDir)).not.toContain("called");
  });
});
