// Makes the proofs that the verifier and the contract are tested with, by means that are not ours:
// powers of tau, keys and proofs are snarkjs'. The circuits are compiled by us from small graphs
// written by hand.
//
//   node test/proofs/make-verifier-vectors.ts
//
// writes services/proofs/verifier/testing/*.json anew, in about half a minute. Every run has other
// randomness and so other keys; what the tests expect of inputs and outputs stays.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBn128 } from "ffjavascript";
import { groth16, powersOfTau, zKey } from "snarkjs";
import { compileCircuit } from "../../services/proofs/circuit/compile-circuit.ts";
import type {
  CircuitInputs,
  CircuitOptions,
} from "../../services/proofs/circuit/compiled-circuit.ts";
import { writeR1cs } from "../../services/proofs/circuit/r1cs-file.ts";
import { writeWitness } from "../../services/proofs/circuit/witness-file.ts";
import type { IntegerGraph, IntegerInput } from "../../services/proofs/compiler/integer-graph.ts";

/** 2^9 constraints are enough for each. */
const POWER = 9;
const OUT = new URL("../../services/proofs/verifier/testing/", import.meta.url);

interface Vector {
  readonly file: string;
  readonly graph: IntegerGraph;
  readonly options: CircuitOptions;
  readonly inputs: CircuitInputs;
}

/** One row of weights an output: sum of weight times value, plus bias. */
function linearGraph(
  inputs: readonly IntegerInput[],
  weights: readonly (readonly number[])[],
  bias: readonly number[],
  classLabels: readonly string[] = [],
): IntegerGraph {
  const width = weights[0]!.length;
  return {
    compilerVersion: 1,
    inputs,
    steps: [
      {
        kind: "linear",
        name: "scores",
        rows: {
          rowStart: Int32Array.from({ length: weights.length + 1 }, (_, i) => i * width),
          columns: Int32Array.from({ length: weights.length * width }, (_, i) => i % width),
          weights: Float64Array.from(weights.flat()),
          bias: Float64Array.from(bias),
        },
      },
    ],
    output: {
      name: "scores",
      shape: [weights.length],
      values: Int32Array.from(weights, (_, i) => width + i),
      scaleBits: 8,
      after: "nothing",
      argmax: false,
      classLabels,
    },
  };
}

const four: IntegerInput = {
  name: "features",
  shape: [4],
  encoding: { kind: "fixed", scaleBits: 4, lo: -128, hi: 127 },
};

const vectors: readonly Vector[] = [
  {
    file: "one-public-value.json",
    graph: linearGraph([four], [[3, -5, 7, 2]], [16]),
    options: {
      inputMode: "private",
      outputMode: "threshold",
      threshold: 0.5,
      modelCommitment: "01".repeat(32),
    },
    inputs: { kind: "floats", tensors: [[1.5, -2, 0.25, 4]] },
  },
  {
    file: "three-public-values.json",
    graph: linearGraph([four], [[3, -5, 7, 2]], [-1000]),
    options: { context: true, modelCommitment: "03".repeat(32) },
    inputs: { kind: "floats", tensors: [[1.5, -2, 0.25, 4]], context: 20251120n },
  },
  {
    file: "thirty-six-public-values.json",
    graph: linearGraph(
      Array.from({ length: 26 }, (_, i) => ({
        name: `feature_${i}`,
        shape: [1],
        encoding: { kind: "fixed", scaleBits: 0, lo: 0, hi: 15 },
      })),
      Array.from({ length: 10 }, (_, k) => Array.from({ length: 26 }, (_, i) => (i % 10) - k || 7)),
      Array.from({ length: 10 }, (_, k) => 10 * k),
      Array.from({ length: 10 }, (_, k) => `digit ${k}`),
    ),
    options: { modelCommitment: "24".repeat(32) },
    inputs: { kind: "floats", tensors: Array.from({ length: 26 }, (_, i) => [(i * 7) % 16]) },
  },
];

async function powers(folder: string): Promise<string> {
  const curve = await buildBn128(false);
  const [empty, contributed, prepared] = ["0.ptau", "1.ptau", "2.ptau"].map((n) => join(folder, n));
  await powersOfTau.newAccumulator(curve, POWER, empty!);
  await powersOfTau.contribute(empty!, contributed!, "vectors", randomText());
  await powersOfTau.preparePhase2(contributed!, prepared!);
  return prepared!;
}

async function make(vector: Vector, ptau: string, folder: string): Promise<void> {
  const circuit = compileCircuit(vector.graph, vector.options);
  const [r1cs, witness, bare, zkey] = ["r1cs", "wtns", "0.zkey", "1.zkey"].map((n) =>
    join(folder, `${vector.file}.${n}`),
  );
  writeFileSync(r1cs!, writeR1cs(circuit.system));
  writeFileSync(witness!, writeWitness(circuit.program.run(circuit.encodeInputs(vector.inputs))));
  await zKey.newZKey(r1cs!, ptau, bare!);
  await zKey.contribute(bare!, zkey!, "vectors", randomText());
  write(vector.file, { schema: circuit.schema, ...(await proofWith(zkey!, witness!)) });
  if (vector.file.startsWith("three")) {
    // The set-up that was not finished: its gamma and delta are the same.
    write("no-contribution.json", {
      schema: circuit.schema,
      ...(await proofWith(bare!, witness!)),
    });
  }
}

async function proofWith(zkey: string, witness: string): Promise<Record<string, unknown>> {
  const { vk_alphabeta_12: _, ...verifyingKey } = await zKey.exportVerificationKey(zkey);
  const { proof, publicSignals } = await groth16.prove(zkey, witness);
  return { verifyingKey, proof, publicValues: publicSignals };
}

function write(file: string, content: unknown): void {
  writeFileSync(new URL(file, OUT), `${JSON.stringify(content, null, 2)}\n`);
}

function randomText(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
}

const folder = mkdtempSync(join(tmpdir(), "plinth-vectors-"));
try {
  const ptau = await powers(folder);
  for (const vector of vectors) await make(vector, ptau, folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
// snarkjs leaves its worker threads behind, and nothing of it is needed any more.
process.exit(0);
