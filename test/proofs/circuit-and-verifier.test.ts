// The circuit decides which public values there are and what they are; verifier and contract read
// them by the schema alone. Here they meet, in every mode, on proofs that are simulated: it is
// not the proving that is looked at.

import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../services/common/testing/seeded-random.ts";
import type { InputMode, OutputMode } from "../../services/proofs/circuit/circuit-schema.ts";
import { compileCircuit } from "../../services/proofs/circuit/compile-circuit.ts";
import type { CircuitOptions } from "../../services/proofs/circuit/compiled-circuit.ts";
import { publicValuesOf } from "../../services/proofs/circuit/constraint-system.ts";
import { commitmentOf } from "../../services/proofs/circuit/poseidon.ts";
import { encodeValue as encodedByCompiler } from "../../services/proofs/compiler/input-encoding.ts";
import type {
  FixedEncoding,
  InputEncoding,
  IntegerGraph,
  ValueEncoding,
} from "../../services/proofs/compiler/integer-graph.ts";
import { inferenceCalldata } from "../../services/proofs/contract/contract-abi.ts";
import { exportContract } from "../../services/proofs/contract/export-contract.ts";
import { inferenceCallOf } from "../../services/proofs/contract/inference-call.ts";
import { compiled, deployed } from "../../services/proofs/contract/testing/use-contract.ts";
import { toField } from "../../services/proofs/field.ts";
import { proofBytes } from "../../services/proofs/verifier/proof-format.ts";
import { encodeFloat, packValues } from "../../services/proofs/verifier/signal-encoding.ts";
import { simulatedSetup } from "../../services/proofs/verifier/testing/simulated-setup.ts";
import { verifyInference } from "../../services/proofs/verifier/verify-inference.ts";
import { verifyingKeyBytes } from "../../services/proofs/verifier/verifying-key.ts";

const SIGNED: InputEncoding = { kind: "fixed", scaleBits: 3, lo: -600, hi: 500 };
const BYTES: InputEncoding = { kind: "fixed", scaleBits: 0, lo: 0, hi: 255 };
const KEYS: ValueEncoding = { kind: "ordered-float32" };

/** A full lane, a narrow one, one below 0 and one that does not begin at 0. */
const EACH: InputEncoding = {
  kind: "fixed-each",
  scaleBits: [3, 12, -2, 0],
  lo: [0, 0, -500, 40],
  hi: [65_535, 255, 500, 300],
};

const TENSORS = [
  [1.5, -75, 62.5],
  Array.from({ length: 33 }, (_, i) => (i * 29) % 256),
  [-0.0, -1e30],
  [8191.875, 0.0498046875, -2000, 300],
];
const CONTEXT = 424242n;
const SALT = 987654321n;

/** Numbers of the values that are summed: all but the keys. */
const SUMMED = Array.from({ length: 42 }, (_, i) => i).filter((i) => i !== 36 && i !== 37);

/** Four inputs, each of another encoding; `outputs` sums of all but the keys, which are split on. */
function graphOf(outputs: number): IntegerGraph {
  const width = SUMMED.length;
  return {
    compilerVersion: 1,
    inputs: [
      { name: "signed", shape: [3], encoding: SIGNED },
      { name: "bytes", shape: [3, 11], encoding: BYTES },
      { name: "keys", shape: [2], encoding: KEYS },
      { name: "each", shape: [4], encoding: EACH },
    ],
    steps: [
      {
        kind: "linear",
        name: "sums",
        rows: {
          rowStart: Int32Array.from({ length: outputs + 1 }, (_, i) => i * width),
          columns: Int32Array.from({ length: outputs * width }, (_, i) => SUMMED[i % width]!),
          weights: Float64Array.from(weightsOf(outputs).flat()),
          bias: new Float64Array(outputs).fill(-1000),
        },
      },
    ],
    output: {
      name: "sums",
      shape: [outputs],
      values: Int32Array.from({ length: outputs }, (_, i) => 42 + i),
      scaleBits: 3,
      after: "nothing",
      argmax: false,
      classLabels: outputs > 1 ? Array.from({ length: outputs }, (_, i) => `class ${i}`) : [],
    },
  };
}

function weightsOf(outputs: number): number[][] {
  return Array.from({ length: outputs }, (_, k) =>
    SUMMED.map((_, i) => ((i * 5 + k * 7) % 11) - 5 || 3),
  );
}

function expectedSums(outputs: number): bigint[] {
  const integers = [...TENSORS[0]!.map((x) => x * 8), ...TENSORS[1]!, 65_535, 204, -500, 300];
  return weightsOf(outputs).map((row) =>
    BigInt(integers.reduce((sum, x, i) => sum + x * row[i]!, -1000)),
  );
}

const INPUT_MODES: readonly InputMode[] = ["public", "committed", "private"];
const OUTPUT_MODES: readonly OutputMode[] = ["values", "packed", "argmax", "threshold"];
const cases = INPUT_MODES.flatMap((inputMode) =>
  OUTPUT_MODES.flatMap((outputMode) =>
    [true, false].map((context) => ({ inputMode, outputMode, context })),
  ),
);

describe("circuit, verifier and contract", () => {
  it.each(cases)("agree on $inputMode inputs, $outputMode, context $context", async (modes) => {
    const outputs = modes.outputMode === "threshold" ? 1 : 12;
    const options: CircuitOptions = {
      ...modes,
      modelCommitment: "5a".repeat(32),
      ...(modes.outputMode === "threshold" ? { threshold: -3.3 } : {}),
    };
    const circuit = compileCircuit(graphOf(outputs), options);
    const inputs = circuit.encodeInputs({
      kind: "floats",
      tensors: TENSORS,
      ...(modes.context ? { context: CONTEXT } : {}),
      ...(modes.inputMode === "committed" ? { salt: SALT } : {}),
    });
    const witness = circuit.program.run(inputs);
    const values = publicValuesOf(circuit.system, witness).map((x) => toField(BigInt(x)));
    const setup = simulatedSetup(values.length, new SeededRandom(values.length));
    const proof = setup.prove(values);
    const signals = [
      ...packValues(
        [12, -600, 500].map((x) => x + 600),
        16,
      ),
      ...packValues(TENSORS[1]!, 8),
      ...packValues(
        TENSORS[2]!.map((x) => encodeFloat(KEYS, x)),
        32,
      ),
      ...packValues([65_535, 204, 0, 260], 16),
    ];
    const verdict = verifyInference({
      proof: proofBytes(proof),
      publicValues: values,
      verifyingKey: verifyingKeyBytes(setup.key),
      schema: JSON.parse(JSON.stringify(circuit.schema)),
      expected: {
        modelCommitment: "5a".repeat(32),
        ...(modes.context ? { context: CONTEXT } : {}),
        ...(modes.inputMode === "committed"
          ? { inputCommitment: commitmentOf(SALT, signals) }
          : {}),
      },
    });
    if (!verdict.valid) throw new Error(`${verdict.reason}: ${verdict.message}`);
    expect(verdict.output).toMatchObject(expectedOutput(modes.outputMode, expectedSums(outputs)));
    if (verdict.inputs.mode === "public") {
      const read = verdict.inputs.tensors.map((tensor) => tensor.values);
      expect(read).toEqual([TENSORS[0], TENSORS[1], [0, Math.fround(-1e30)], TENSORS[3]]);
    }

    const code = compiled(
      exportContract({
        verifyingKey: setup.key,
        schema: circuit.schema,
        isDevelopmentSetup: true,
      }),
    );
    const contract = await deployed(code);
    const call = inferenceCallOf(circuit.schema, values, proof);
    const outcomeOf = async (change: Partial<typeof call>): Promise<string> =>
      (await contract.call(inferenceCalldata("checkInference", { ...call, ...change }))).outcome;
    expect(await outcomeOf({})).toBe("true");
    const [first, ...others] = call.output;
    const output = [first === 0n ? 1n : first! - 1n, ...others];
    expect(await outcomeOf({ output })).toMatch(/^(false|reverted)$/);
  });

  it("encode floats in one way", () => {
    const random = new SeededRandom(3);
    const wide: FixedEncoding = { kind: "fixed", scaleBits: 7, lo: -(2 ** 31), hi: 2 ** 31 - 1 };
    const floats = [0, -0, 0.5 / 128, -0.5 / 128, 1.5 / 128, 2 ** -149, -(2 ** -149), 1e-30];
    for (let i = 0; i < 3000; i += 1) {
      const bits = Uint32Array.of(random.uint32());
      floats.push(new Float32Array(bits.buffer)[0]!, (random.uint32() - 2 ** 31) / 2 ** 16);
    }
    for (const value of floats.filter(Number.isFinite)) {
      const isInWide = Math.abs(value) < 2 ** 23;
      for (const encoding of isInWide ? [KEYS, wide] : [KEYS]) {
        const whole = encodeFloat(encoding, value);
        expect(encodedByCompiler(encoding, value)).toBe(whole);
      }
    }
  });
});

function expectedOutput(mode: OutputMode, sums: readonly bigint[]): Record<string, unknown> {
  const largest = sums.reduce((best, sum, i) => (sum > sums[best]! ? i : best), 0);
  switch (mode) {
    case "values":
    case "packed":
      return {
        integers: sums,
        values: sums.map((sum) => Number(sum) / 8),
        predicted: { index: largest, label: `class ${largest}` },
      };
    case "argmax":
      return { index: largest, label: `class ${largest}` };
    case "threshold":
      // The least number of eighths that is -3.3 or more: -26 / 8.
      return { reached: sums[0]! >= -26n, threshold: -3.25 };
  }
}
