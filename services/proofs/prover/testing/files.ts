// Files for tests of the prover: small circuits with witnesses, and small powers of tau.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { compileCircuit } from "../../circuit/compile-circuit.ts";
import type { Witness } from "../../circuit/constraint-system.ts";
import { writeR1cs } from "../../circuit/r1cs-file.ts";
import { writeWitness } from "../../circuit/witness-file.ts";
import type { IntegerGraph, SparseRows, Step } from "../../compiler/integer-graph.ts";

/** Files of a circuit in a folder, with one witness. */
export interface CircuitFiles {
  readonly r1cs: string;
  readonly zkey: string;
  readonly witness: string;
  readonly values: Witness;
}

const CACHE = fileURLToPath(
  new URL("../../../../node_modules/.cache/plinth-proofs/", import.meta.url),
);
const RUN_SNARKJS = fileURLToPath(new URL("./run-snarkjs.ts", import.meta.url));

/** A network of dense layers with ReLU between them; weights from `seed`. */
export function denseGraph(
  sizes: readonly number[],
  options: { readonly scaleBits?: number; readonly seed?: number } = {},
): IntegerGraph {
  const { scaleBits = 4, seed = 1 } = options;
  const steps: Step[] = [];
  let state = seed;
  const weight = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return ((state >>> 8) % 2 ** (scaleBits + 1)) - 2 ** scaleBits;
  };
  let first = 0;
  let next = sizes[0]!;
  sizes.slice(1).forEach((size, layer) => {
    const rows = denseRows(first, next, size, weight);
    steps.push({ kind: "linear", name: `dense ${layer}`, rows });
    first = next;
    next += size;
    if (layer + 2 === sizes.length) return;
    const values = Int32Array.from({ length: size }, (_, i) => first + i);
    const activation = { kind: "relu" } as const;
    steps.push({
      kind: "activate",
      name: `relu ${layer}`,
      values,
      shiftBits: scaleBits,
      activation,
    });
    first = next;
    next += size;
  });
  return {
    compilerVersion: 1,
    inputs: [
      {
        name: "x",
        shape: [sizes[0]!],
        encoding: { kind: "fixed", scaleBits: 0, lo: 0, hi: 255 },
      },
    ],
    steps,
    output: {
      name: "y",
      shape: [sizes.at(-1)!],
      values: Int32Array.from({ length: sizes.at(-1)! }, (_, i) => first + i),
      scaleBits: 2 * scaleBits,
      after: "nothing",
      argmax: false,
      classLabels: [],
    },
  };
}

/** Compiles a graph and writes its circuit and a witness into a folder. */
export function writeCircuit(folder: string, name: string, graph: IntegerGraph): CircuitFiles {
  const circuit = compileCircuit(graph, { modelCommitment: "0".repeat(64) });
  const count = graph.inputs[0]!.shape[0]!;
  const tensor = Array.from({ length: count }, (_, i) => (i * 37 + 11) % 256);
  const values = circuit.program.run(circuit.encodeInputs({ tensors: [tensor], kind: "integers" }));
  const path = (end: string): string => join(folder, `${name}.${end}`);
  writeFileSync(path("r1cs"), writeR1cs(circuit.system));
  writeFileSync(path("wtns"), writeWitness(values));
  return {
    r1cs: path("r1cs"),
    zkey: path("zkey"),
    witness: path("wtns"),
    values,
  };
}

/** Powers of tau up to 2^power by one party; made once and kept. */
export async function smallPtau(power: number): Promise<string> {
  const path = join(CACHE, `test-${power}.ptau`);
  if (existsSync(path)) return path;
  mkdirSync(CACHE, { recursive: true });
  const made = join(CACHE, `${process.pid}-${power}.ptau`);
  await runSnarkjs("make-ptau", made, power);
  renameSync(made, path);
  return path;
}

/** Calls a function of snarkjs in another process. */
export async function runSnarkjs(
  name: string,
  ...parameters: readonly unknown[]
): Promise<unknown> {
  const args = ["--no-warnings", RUN_SNARKJS, name, JSON.stringify(parameters)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return stdout === "" ? undefined : JSON.parse(stdout);
}

function denseRows(first: number, end: number, size: number, weight: () => number): SparseRows {
  const columns: number[] = [];
  const weights: number[] = [];
  const rowStart = new Int32Array(size + 1);
  const bias = new Float64Array(size);
  for (let row = 0; row < size; row += 1) {
    for (let column = first; column < end; column += 1) {
      const value = weight();
      if (value === 0) continue;
      columns.push(column);
      weights.push(value);
    }
    rowStart[row + 1] = columns.length;
    bias[row] = weight();
  }
  return {
    rowStart,
    columns: Int32Array.from(columns),
    weights: Float64Array.from(weights),
    bias,
  };
}
