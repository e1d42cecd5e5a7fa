// What the workshop's tests share: a workshop that ends with its test, and circuits of small models.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { encodeModel, floats, type Graph } from "../../../common/testing/onnx-writer.ts";
import { useFolder } from "../../../common/testing/use-folder.ts";
import { integerEvaluator } from "../../compiler/integer-evaluate.ts";
import { readCanonical } from "../../compiler/read-canonical.ts";
import { decodeSignals } from "../../verifier/decode-signals.ts";
import { openWorkshop, type ProcessWorkshop, type WorkshopOptions } from "../workshop.ts";
import type { CircuitSource, CompiledFiles, CompileTask } from "../workshop-port.ts";

const GIB = 1024 ** 3;

export function useWorkshop(options: Partial<WorkshopOptions> = {}): ProcessWorkshop {
  const workshop = openWorkshop({ memoryBytesMax: GIB, compileTimeoutMs: 60_000, ...options });
  onTestFinished(async () => await workshop[Symbol.asyncDispose]());
  return workshop;
}

/** One layer from x to y. */
export function layerModel(
  inputs: number,
  outputs: number,
  weightOf: (at: number) => number,
): Uint8Array {
  const weights = Array.from({ length: inputs * outputs }, (_, at) => weightOf(at));
  return encodeModel({
    nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
    inputs: [{ name: "x", shape: ["N", inputs] }],
    outputs: [{ name: "y" }],
    initializers: [floats("w", [inputs, outputs], weights)],
  });
}

/** A graph from x, of two values, to y. */
export function modelOf(graph: Pick<Graph, "nodes"> & Partial<Graph>): Uint8Array {
  const inputs = [{ name: "x", shape: ["N", 2] }];
  return encodeModel({ inputs, outputs: [{ name: "y" }], ...graph });
}

/** Whole numbers from -128 to 127 are taken. */
const BYTE_RANGE = { inputs: { x: { scaleBits: 0, lo: -128, hi: 127 } } } as const;

/** A task with its files in a folder of the test's. */
export function taskOf(
  model: Uint8Array,
  options: Partial<Pick<CompileTask, "model" | "circuit">> = {},
): CompileTask {
  const folder = useFolder();
  const onnx = join(folder, "model.onnx");
  writeFileSync(onnx, model);
  return { onnx, folder, model: BYTE_RANGE, circuit: {}, ...options };
}

/** A small circuit of its own for each seed, compiled. */
export async function useCircuit(
  workshop: ProcessWorkshop,
  seed: number,
  options: Partial<CompileTask> = {},
): Promise<{ readonly files: CompiledFiles; readonly source: CircuitSource }> {
  const model = layerModel(4, 3, (at) => ((at * 7 + seed * 13) % 11) / 4 - 1);
  const task = taskOf(model, options);
  const files = await workshop.compile(task);
  return { files, source: sourceOf(files, task.circuit) };
}

/** The compiled circuit as it is evaluated. */
export function sourceOf(files: CompiledFiles, circuit: CompileTask["circuit"]): CircuitSource {
  const { circuitHash, model, modelCommitment } = files;
  return { circuitHash, model, circuit: { ...circuit, modelCommitment } };
}

/** What the model in whole numbers says of whole inputs, beside what public values say. */
export function bothAnswers(
  files: CompiledFiles,
  values: readonly bigint[],
  whole: readonly number[],
): { readonly proved: readonly bigint[]; readonly expected: readonly bigint[] } {
  const { output } = decodeSignals(files.schema, values);
  if (output.mode !== "values") throw new Error(`the output shows as ${output.mode}`);
  const run = integerEvaluator(readCanonical(readFileSync(files.model)))(whole);
  return { proved: output.integers, expected: run.output.map(BigInt) };
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
