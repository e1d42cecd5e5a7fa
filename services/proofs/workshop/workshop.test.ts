// The workshop's processes: what they give, and that they start late, end early and leave nothing.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { firstViolation } from "../circuit/check-witness.ts";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { readR1cs } from "../circuit/r1cs-file.ts";
import { readWitness } from "../circuit/witness-file.ts";
import { proofBytes, readProof } from "../verifier/proof-format.ts";
import { schemaHash } from "../verifier/read-schema.ts";
import { vector } from "../verifier/testing/vectors.ts";
import { verifyInference } from "../verifier/verify-inference.ts";
import { readVerifyingKey, verifyingKeyHash } from "../verifier/verifying-key.ts";
import {
  bothAnswers,
  isRunning,
  layerModel,
  sourceOf,
  taskOf,
  useCircuit,
  useWorkshop,
} from "./testing/use-workshop.ts";
import type { RowInputs, VerifyTask } from "./workshop-port.ts";

const row = (...values: number[]): RowInputs => ({ tensors: [Float64Array.from(values)] });
const sha256 = (path: string): string =>
  createHash("sha256").update(readFileSync(path)).digest("hex");

describe("compile", { timeout: 120_000 }, () => {
  it("writes files whose hashes it tells, in a process that is gone afterwards", async () => {
    const workshop = useWorkshop();
    const task = taskOf(layerModel(4, 3, (at) => at / 8 - 0.5));
    const phases: string[] = [];
    const pids = new Set<number | undefined>();
    const onProgress = (phase: string): void => {
      phases.push(phase);
      pids.add(workshop.compilingId);
    };
    const files = await workshop.compile(task, { onProgress });
    expect(phases).toEqual(["compiling", "checking soundness"]);
    expect(sha256(files.constraints)).toBe(files.circuitHash);
    expect(sha256(files.model)).toBe(files.modelCommitment);
    expect(statSync(files.constraints).size).toBe(files.constraintsBytes);
    expect(files.schema.modelCommitment).toBe(files.modelCommitment);
    expect(files.schemaHash).toBe(schemaHash(files.schema));
    expect(readR1cs(readFileSync(files.constraints)).constraintCount).toBe(
      files.report.constraints,
    );
    expect(readdirSync(task.folder).sort()).toEqual(["circuit.r1cs", "model.json", "model.onnx"]);
    expect(pids.size).toBe(1);
    expect(isRunning([...pids][0]!)).toBe(false);
    expect(workshop.evaluatingId).toBeUndefined();
    const again = await workshop.compile({ ...task, folder: useFolder() });
    expect(again.circuitHash).toBe(files.circuitHash);
  });

  it("is killed when it is no longer wanted; one that waits is just forgotten", async () => {
    const workshop = useWorkshop();
    const task = taskOf(layerModel(4, 3, (at) => at / 8 - 0.5));
    const [stopped, forgotten] = [new AbortController(), new AbortController()];
    let pid = 0;
    const onProgress = (): void => {
      pid = workshop.compilingId!;
      stopped.abort();
    };
    const running = workshop.compile(task, { signal: stopped.signal, onProgress });
    const waiting = workshop.compile(task, { signal: forgotten.signal });
    const last = workshop.compile(task);
    forgotten.abort();
    await expect(waiting).rejects.toMatchObject({ kind: "Cancelled" });
    await expect(running).rejects.toMatchObject({ kind: "Cancelled" });
    expect(isRunning(pid)).toBe(false);
    expect((await last).report.constraints).toBeGreaterThan(0);
  });
});

describe("evaluate and witness", { timeout: 120_000 }, () => {
  it("give what the model in whole numbers gives, from one process that is kept", async () => {
    const workshop = useWorkshop();
    const { files, source } = await useCircuit(workshop, 1);
    const inputs = [
      [1, 2, 3, 4],
      [-128, 127, 0, -1],
      [0, 0, 0, 0],
    ];
    const values = await workshop.evaluate(
      source,
      inputs.map((one) => row(...one)),
    );
    const pid = workshop.evaluatingId;
    inputs.forEach((whole, i) => {
      const { proved, expected } = bothAnswers(files, values[i]!, whole);
      expect(proved).toEqual(expected);
    });
    const to = join(useFolder(), "row.wtns");
    const { publicValues } = await workshop.witness(source, row(...inputs[1]!), to);
    expect(publicValues).toEqual(values[1]);
    const system = readR1cs(readFileSync(files.constraints));
    expect(firstViolation(system, readWitness(readFileSync(to)))).toBeUndefined();
    expect(statSync(to).mode & 0o777).toBe(0o600);
    expect(await workshop.evaluate(source, [])).toEqual([]);
    expect(workshop.evaluatingId).toBe(pid);
  });

  it("refuse bad rows by their index, their input and what it takes", async () => {
    const workshop = useWorkshop();
    const { source } = await useCircuit(workshop, 1, { circuit: { context: true } });
    const good = { ...row(1, 2, 3, 4), context: 5n };
    const many = Array.from({ length: 1_500 }, () => good);
    const pid = (await workshop.evaluate(source, [good])) && workshop.evaluatingId;
    const cases: [RowInputs, RegExp][] = [
      [{ ...good, tensors: [Float64Array.of(1, 2, 128, 4)] }, /x\[2\] is 128.* -128 to 127/],
      [{ ...good, tensors: [Float64Array.of(Number.NaN, 2, 3, 4)] }, /x\[0\]: NaN/],
      [{ ...good, tensors: [Float64Array.of(1)] }, /x has 4 values, not 1/],
      [{ ...good, tensors: [] }, /takes 1 inputs, not 0/],
      [row(1, 2, 3, 4), /needs a context/],
    ];
    for (const [bad, message] of cases) {
      const failure = workshop.evaluate(source, [...many, bad]);
      await expect(failure).rejects.toMatchObject({
        kind: "InvalidArgument",
        message: expect.stringMatching(message),
        violations: [{ field: "rows[1500]" }],
      });
    }
    expect(workshop.evaluatingId).toBe(pid);
  });

  it("do a cancelled task to its end, which nobody hears of and which leaves no file", async () => {
    const workshop = useWorkshop();
    const { source } = await useCircuit(workshop, 2);
    await workshop.evaluate(source, [row(1, 2, 3, 4)]);
    const pid = workshop.evaluatingId;
    const other = await useCircuit(workshop, 3);
    const to = join(useFolder(), "row.wtns");
    const stopped = new AbortController();
    const cancelled = workshop.witness(other.source, row(1, 2, 3, 4), to, {
      signal: stopped.signal,
      onProgress: () => stopped.abort(),
    });
    await expect(cancelled).rejects.toMatchObject({ kind: "Cancelled" });
    const [values] = await workshop.evaluate(source, [row(1, 2, 3, 4)]);
    expect(values).toHaveLength(4);
    expect(workshop.evaluatingId).toBe(pid);
    expect(existsSync(to)).toBe(false);
  });

  it("take another circuit for none: a damaged model, another model, other options", async () => {
    const workshop = useWorkshop();
    const { files, source } = await useCircuit(workshop, 1);
    const other = await useCircuit(workshop, 2);
    const evaluate = (changed: object) =>
      workshop.evaluate({ ...source, ...changed }, [row(1, 2, 3, 4)]);
    const damaged = join(useFolder(), "model.json");
    writeFileSync(damaged, readFileSync(files.model, "utf8").replace("1", "2"));
    for (const model of [damaged, other.files.model, "/nowhere/model.json"]) {
      await expect(evaluate({ model })).rejects.toMatchObject({ kind: "DataLoss" });
    }
    const circuit = { ...source.circuit, context: true };
    await expect(evaluate({ circuit })).rejects.toMatchObject({
      kind: "Internal",
      message: expect.stringContaining(`not ${files.circuitHash}`),
    });
    expect(await evaluate({})).toHaveLength(1);
  });

  it("salt what is committed to, and tell apart models of the same constraints", async () => {
    const workshop = useWorkshop();
    const circuit = { inputMode: "committed" } as const;
    const { source } = await useCircuit(workshop, 1, { circuit });
    const salted = (salt: bigint): RowInputs => ({ ...row(1, 2, 3, 4), salt });
    const [a, b, c] = await workshop.evaluate(source, [salted(1n), salted(2n), salted(1n)]);
    expect(a).toEqual(c);
    expect(a!.filter((value, i) => value !== b![i])).toHaveLength(1);

    const inputs = (scaleBits: number, size: number) => ({
      model: { inputs: { x: { scaleBits, lo: -size, hi: size - 2 ** -scaleBits } } },
    });
    const coarse = taskOf(
      layerModel(2, 1, () => 1),
      inputs(0, 128),
    );
    const fine = taskOf(
      layerModel(2, 1, () => 1),
      inputs(3, 16),
    );
    const [whole, eighths] = [await workshop.compile(coarse), await workshop.compile(fine)];
    expect(whole.circuitHash).toBe(eighths.circuitHash);
    const [ofWhole] = await workshop.evaluate(sourceOf(whole, {}), [row(3, 4)]);
    const [ofEighths] = await workshop.evaluate(sourceOf(eighths, {}), [row(3, 4)]);
    expect(ofEighths![0]).toBe(8n * ofWhole![0]!);
  });
});

describe("verify", { timeout: 120_000 }, () => {
  const { verifyingKey, schema, proof, publicValues } = vector(3);
  const task: VerifyTask = {
    keyHash: verifyingKeyHash(readVerifyingKey(verifyingKey)),
    verifyingKey,
    schema: schema as CircuitSchema,
    proof: proofBytes(readProof(proof)),
    publicValues: publicValues as string[],
  };

  it("says what a proof proves, in a process that is kept and is no other's", async () => {
    const workshop = useWorkshop();
    expect(workshop.verifyingId).toBeUndefined();
    const expected = verifyInference({ ...vector(3), proof: task.proof });
    expect(expected.valid).toBe(true);
    expect(await workshop.verify(task)).toEqual(expected);
    const pid = workshop.verifyingId;
    const json = Buffer.from(JSON.stringify(proof));
    expect(await workshop.verify({ ...task, proof: json })).toEqual(expected);
    expect(workshop.verifyingId).toBe(pid);
    expect(workshop.evaluatingId).toBeUndefined();
    await workshop[Symbol.asyncDispose]();
    expect(isRunning(pid!)).toBe(false);
  });

  it("refuses what does not verify, a context that is another's, and what is no key", async () => {
    const workshop = useWorkshop();
    const other = vector(1);
    const refusals: [Partial<VerifyTask>, string][] = [
      [{ publicValues: task.publicValues.with(0, "5") }, "proof-invalid"],
      [{ publicValues: task.publicValues.slice(1) }, "wrong-number-of-public-values"],
      [{ proof: task.proof.subarray(1) }, "malformed"],
      [{ proof: Buffer.from("[]") }, "malformed"],
      [{ context: 1n }, "context-mismatch"],
      [{ keyHash: "none", verifyingKey: {} }, "malformed"],
      [{ keyHash: "other", verifyingKey: other.verifyingKey }, "schema-mismatch"],
    ];
    for (const [changed, reason] of refusals) {
      const verdict = await workshop.verify({ ...task, ...changed });
      expect(verdict).toMatchObject({ valid: false, reason });
    }
    expect(await workshop.verify({ ...task, context: 20251120n })).toMatchObject({ valid: true });
  });
});

describe("the process with loaded circuits", { timeout: 120_000 }, () => {
  it("ends when it is idle, and with the workshop", async () => {
    const workshop = useWorkshop({ idleMs: 0 });
    const { source } = await useCircuit(workshop, 1);
    expect(await workshop.evaluate(source, [row(1, 2, 3, 4)])).toHaveLength(1);
    expect(workshop.evaluatingId).toBeUndefined();
    const other = useWorkshop();
    await other.evaluate(source, [row(1, 2, 3, 4)]);
    const pid = other.evaluatingId!;
    await other[Symbol.asyncDispose]();
    expect(isRunning(pid)).toBe(false);
    const late = other.evaluate(source, [row(1, 2, 3, 4)]);
    await expect(late).rejects.toMatchObject({ kind: "Unavailable" });
  });

  it("does not keep its owner from ending, and ends with it", async () => {
    const { source } = await useCircuit(useWorkshop(), 1);
    const main = fileURLToPath(new URL("./testing/evaluate-once.ts", import.meta.url));
    const args = ["--no-warnings", main, JSON.stringify(source)];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
    const [pid, count] = stdout.trim().split(" ").map(Number);
    expect(count).toBe(4);
    await vi.waitFor(() => expect(isRunning(pid!)).toBe(false), 10_000);
  });
});
