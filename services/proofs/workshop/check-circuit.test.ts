import { describe, expect, it } from "vitest";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import type { CompiledCircuit } from "../circuit/compiled-circuit.ts";
import { constraintAt } from "../circuit/constraint-system.ts";
import { isBooleanOf, without } from "../circuit/forging.ts";
import { compiled, fixedInput, forestGraph, graphOf, mlpGraph } from "../circuit/testing.ts";
import { COLUMNS } from "../verifier/testing/schemas.ts";
import { checkCircuit } from "./check-circuit.ts";
import { sampleInputs } from "./sample-inputs.ts";

const MLP = mlpGraph([6, 5, 4], { seed: 2, lo: -20, hi: 30 });
const KEYS = { kind: "ordered-float32" } as const;
const SHAPE = { seed: 4, trees: 5, depth: 3, features: 3, classes: 2, encoding: KEYS };
const FOREST = forestGraph(SHAPE);
const EACH = graphOf([COLUMNS], [], 5);

/** The circuit with rows cut out, as a fault of the compiler would leave it. */
function cut(circuit: CompiledCircuit, isCut: Parameters<typeof without>[1]): CompiledCircuit {
  return { ...circuit, system: without(circuit.system, isCut) };
}

describe("check-circuit", () => {
  it("passes sound circuits in every mode", () => {
    const one = mlpGraph([6, 5, 1], { seed: 3 });
    expect(() => checkCircuit(compiled(MLP), MLP)).not.toThrow();
    expect(() => checkCircuit(compiled(FOREST), FOREST)).not.toThrow();
    expect(() => checkCircuit(compiled(EACH), EACH)).not.toThrow();
    for (const outputMode of ["packed", "argmax"] as const) {
      const options = { outputMode, inputMode: "committed", context: true } as const;
      expect(() => checkCircuit(compiled(MLP, options), MLP)).not.toThrow();
    }
    const threshold = { outputMode: "threshold", threshold: 0, inputMode: "private" } as const;
    expect(() => checkCircuit(compiled(one, threshold), one)).not.toThrow();
  });

  it("says which wires a prover could choose", () => {
    const circuit = compiled(MLP);
    const bit = constraintAt(circuit.system, 100).a.wires[0]!;
    const loose = cut(circuit, (row) => isBooleanOf(row, bit));
    expect(() => checkCircuit(loose, MLP)).toThrow(
      expect.objectContaining({
        kind: "Internal",
        message: expect.stringMatching(/not determine [1-9]\d* of its wires \(.*Plinth/),
      }),
    );
  });

  it("says which wires nothing holds, besides", () => {
    const circuit = compiled(MLP);
    // The row that holds the bits of the last activation together.
    const { system } = circuit;
    const rows = Array.from({ length: system.constraintCount }, (_, row) => row);
    const isOfBits = (row: number): boolean => {
      const { a, c } = constraintAt(system, row);
      return a.wires.length === 0 && c.wires.length > 8;
    };
    const last = rows.filter(isOfBits).at(-1);
    const loose = cut(circuit, (_, row) => row === last);
    expect(() => checkCircuit(loose, MLP)).toThrow(
      /not determine [1-9]\d* of its wires .*no constraint holds [1-9]\d* of its wires/,
    );
  });

  it("says where a circuit gives something else than its model", () => {
    const other = mlpGraph([6, 5, 4], { seed: 99, lo: -20, hi: 30 });
    for (const outputMode of ["values", "argmax"] as const) {
      expect(() => checkCircuit(compiled(MLP, { outputMode }), other)).toThrow(
        /it says .* where the model says/,
      );
    }
    const program = {
      run: (inputs: readonly (number | bigint)[]) => {
        const witness = [...compiled(MLP).program.run(inputs)];
        witness[1] = BigInt(witness[1]!) + 1n;
        return witness;
      },
    };
    expect(() => checkCircuit({ ...compiled(MLP), program }, MLP)).toThrow(/breaks constraint/);
  });

  it("tries corners, and what lies close to thresholds, the same each time", () => {
    const rows = sampleInputs(graphOf([fixedInput(2, -3, 9)], [], 2), 4);
    expect(rows[1]).toEqual([Float64Array.of(-3, -3)]);
    expect(rows[2]).toEqual([Float64Array.of(9, 9)]);
    const each = sampleInputs(EACH, 3);
    expect(each[1]).toEqual([Float64Array.from(COLUMNS.encoding.lo)]);
    expect(each[2]).toEqual([Float64Array.from(COLUMNS.encoding.hi)]);
    expect(sampleInputs(FOREST, 20)).toEqual(sampleInputs(FOREST, 20));
    const thresholds = new Set<number>();
    for (const step of FOREST.steps) {
      if (step.kind !== "trees") continue;
      for (const node of step.trees.flatMap(({ nodes }) => nodes)) {
        if (node.kind === "split") thresholds.add(node.threshold);
      }
    }
    const tried = sampleInputs(FOREST, 20).flatMap(([values]) => Array.from(values!));
    const isClose = (value: number) => [-1, 0, 1].some((by) => thresholds.has(value + by));
    expect(tried.filter(isClose).length).toBeGreaterThan(15);
    const circuit = compileCircuit(FOREST, { modelCommitment: "0".repeat(64) });
    for (const tensors of sampleInputs(FOREST, 20)) {
      expect(() => circuit.encodeInputs({ tensors, kind: "integers" })).not.toThrow();
    }
  });
});
