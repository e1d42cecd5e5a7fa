import { describe, expect, it } from "vitest";
import type { IntegerGraph } from "../compiler/integer-graph.ts";
import { FIELD_ORDER } from "../field.ts";
import { valueEncoding } from "../verifier/signal-encoding.ts";
import { COLUMNS } from "../verifier/testing/schemas.ts";
import { CircuitBuilder } from "./circuit-builder.ts";
import { binarySum, sum, wireOf } from "./combination.ts";
import type { CircuitOptions, CompiledCircuit } from "./compiled-circuit.ts";
import { constraintAt } from "./constraint-system.ts";
import { isAccepted, isBooleanOf, without } from "./forging.ts";
import { survivingWires } from "./mutation.ts";
import { checkSoundness } from "./soundness.ts";
import {
  activateStep,
  between,
  compiled,
  fixedInput,
  forestGraph,
  graphOf,
  linearStep,
  mlpGraph,
  seeded,
  witnessOf,
} from "./testing.ts";
import { undeterminedWires } from "./uniqueness.ts";

const MLP = mlpGraph([20, 8, 5], { seed: 2, weightBits: 8 });
const MIXED = graphOf(
  [fixedInput(6, -100, 127)],
  [
    linearStep(
      [0, 1, 2, 3].map(
        (i) =>
          [
            [i, 700 - 300 * i],
            [i + 1, -250],
            [i + 2, 33],
          ] as const,
      ),
    ),
    activateStep(6, 4, 6, { kind: "leaky-relu", slopeBits: 3 }),
    activateStep(6, 4, 4, { kind: "clip", lo: -10, hi: 40 }),
    {
      kind: "max",
      name: "max",
      groupStart: Int32Array.of(0, 3, 8),
      values: Int32Array.of(10, 11, 12, 13, 14, 15, 16, 17),
    },
  ],
  2,
);
const FOREST = forestGraph({
  seed: 6,
  trees: 8,
  depth: 4,
  features: 3,
  classes: 3,
  encoding: { kind: "ordered-float32" },
});

const EACH = graphOf(
  [COLUMNS],
  [
    linearStep([
      [0, 1, 2, 3, 4].map((i) => [i, 37 * i - 60] as const),
      [0, 1, 2, 3, 4].map((i) => [i, 21 - 11 * i] as const),
    ]),
    activateStep(5, 2, 5, { kind: "relu" }),
  ],
  2,
);

function randomWitness(graph: IntegerGraph, circuit: CompiledCircuit) {
  const random = seeded(8);
  const [input] = graph.inputs;
  const { encoding } = input!;
  const values = Array.from({ length: input!.shape[0]! }, (_, i) => {
    const own = valueEncoding(encoding, i);
    return own.kind === "fixed" ? between(random, own.lo, own.hi) : random(2 ** 32);
  });
  return { values, witness: witnessOf(circuit, values, { salt: 77n, context: 99n }) };
}

describe("soundness", () => {
  const cases: readonly [string, IntegerGraph, Omit<CircuitOptions, "modelCommitment">][] = [
    ["an MLP", MLP, {}],
    ["an MLP, argmax, with a context", MLP, { outputMode: "argmax", context: true }],
    ["an MLP, committed and packed", MLP, { inputMode: "committed", outputMode: "packed" }],
    ["an MLP, private", MLP, { inputMode: "private", context: true }],
    ["leaky ReLU, clip and max", MIXED, {}],
    ["leaky ReLU, clip and max, argmax", MIXED, { outputMode: "argmax" }],
    ["values with ranges of their own", EACH, {}],
    ["values with ranges of their own, committed", EACH, { inputMode: "committed" }],
    ["trees", FOREST, {}],
    ["trees, committed, argmax", FOREST, { inputMode: "committed", outputMode: "argmax" }],
  ];
  it.each(cases)("finds nothing in the circuit of %s", (_, graph, options) => {
    const circuit = compiled(graph, options);
    const { witness } = randomWitness(graph, circuit);
    expect(checkSoundness(circuit, witness)).toEqual({
      isSound: true,
      undetermined: [],
      survivors: [],
    });
  });

  it("finds a threshold circuit sound too", () => {
    const graph = graphOf(
      [fixedInput(2, -8, 7)],
      [
        linearStep([
          [
            [0, 3],
            [1, -2],
          ],
        ]),
      ],
      1,
    );
    const circuit = compiled(graph, { outputMode: "threshold", threshold: 4 });
    expect(checkSoundness(circuit, witnessOf(circuit, [2, 1])).isSound).toBe(true);
  });

  it("finds every bit whose range is not checked, by uniqueness", () => {
    const circuit = compiled(MLP);
    const bits = booleanWires(circuit);
    expect(bits.length).toBeGreaterThan(200);
    for (const bit of bits.filter((_, i) => i % 17 === 0)) {
      const system = without(circuit.system, (row) => isBooleanOf(row, bit));
      expect(undeterminedWires(system, circuit.choices)).toContain(bit);
    }
  });

  it("finds bits that are of no value, by uniqueness and by mutation", () => {
    const circuit = compiled(MLP);
    const { witness } = randomWitness(MLP, circuit);
    const bits = new Set(booleanWires(circuit));
    // The row that holds the last neuron's bits together.
    const last = Math.max(...bits);
    const system = without(circuit.system, (row) => {
      return row.a.wires.length === 0 && row.c.wires.includes(last);
    });
    expect(undeterminedWires(system, circuit.choices)).toContain(last);
    const survivors = survivingWires(system, witness);
    expect(survivors.length).toBeGreaterThan(0);
    // What every circuit is checked with reports both.
    const report = checkSoundness({ system, choices: circuit.choices }, witness);
    expect(report).toMatchObject({ isSound: false, survivors });
    expect(report.undetermined).toContain(last);
  });

  it("finds a remainder that is not range-checked, as in circomlib-ml's Dense", () => {
    const shape = { outputs: 1, publicInputs: 1, privateInputs: 0, constraintsMax: 100 };
    const builder = new CircuitBuilder(shape);
    // x = 1000 y + r, with y and r the prover's.
    const remainder = builder.hint(2, { greatestOf: [wireOf(2), wireOf(2)] });
    builder.multiply(wireOf(0), sum([1, wireOf(2)], [-1, wireOf(remainder)]));
    const { system } = builder.finish();
    expect(undeterminedWires(system)).toContain(remainder);
    expect(isAccepted(system, [5000], new Map([[remainder, 4001]]))).toBe(true);
  });

  it("finds a decomposition of all 254 bits, as in circomlib-ml's ReLU", () => {
    const decomposition = (count: number) => {
      const shape = { outputs: 0, publicInputs: 1, privateInputs: 0, constraintsMax: 1000 };
      const builder = new CircuitBuilder(shape);
      // The builder refuses to take so many bits.
      const first = builder.hint(count + 1, { value: wireOf(1), thresholds: [] });
      const bits = Array.from({ length: count }, (_, i) => first + i);
      for (const bit of bits) builder.boolean(wireOf(bit));
      builder.assign(binarySum(first, count), { into: 1 });
      const bitsOf = (value: bigint) =>
        new Map(bits.map((bit, i) => [bit, (value >> BigInt(i)) & 1n] as const));
      return { system: builder.finish().system, bitsOf };
    };
    const whole = decomposition(254);
    expect(isAccepted(whole.system, [7], whole.bitsOf(7n))).toBe(true);
    expect(isAccepted(whole.system, [7], whole.bitsOf(7n + FIELD_ORDER))).toBe(true);
    expect(undeterminedWires(whole.system).length).toBe(254);
    expect(undeterminedWires(decomposition(253).system)).toEqual([]);
  });

  it("misses each single constraint of an argmax, a maximum, a tree and a hash", () => {
    const rows = [0, 1, 2, 3].map((i) => [[i, 1 + i] as const]);
    const linear = graphOf([fixedInput(4, 0, 7)], [linearStep(rows)], 4);
    const max = { kind: "max", name: "max", groupStart: Int32Array.of(0, 3) } as const;
    const encoding = { kind: "fixed", scaleBits: 0, lo: 0, hi: 63 } as const;
    const shape = { seed: 7, trees: 3, depth: 3, features: 2, classes: 2, encoding };
    const circuits = [
      compiled(linear, { outputMode: "argmax", context: true }),
      compiled(graphOf([fixedInput(3, 0, 7)], [{ ...max, values: Int32Array.of(0, 1, 2) }], 1)),
      compiled(forestGraph(shape)),
      compiled(graphOf([fixedInput(1, 0, 7)], [], 1), { inputMode: "committed" }),
    ];
    for (const { system, choices } of circuits) {
      expect(undeterminedWires(system, choices)).toEqual([]);
      for (let cut = 0; cut < system.constraintCount; cut += 1) {
        const less = without(system, (_, row) => row === cut);
        expect(undeterminedWires(less, choices).length, `without ${cut}`).toBeGreaterThan(0);
      }
    }
  });

  it("finds an argmax whose choice is not one of many, or not held to the greatest", () => {
    const { system, choices } = compiled(MLP, { outputMode: "argmax" });
    const [choice] = choices;
    const wires = Array.from({ length: choice!.count - 1 }, (_, i) => choice!.first + i);
    const booleans = Array.from({ length: system.constraintCount }, (_, row) => row).filter(
      (row) => {
        const { a, c } = constraintAt(system, row);
        return c.wires.length > 0 && a.wires.some((wire) => wires.includes(wire));
      },
    );
    expect(booleans.length).toBe(5 + 4);
    for (const cut of booleans) {
      const open = undeterminedWires(
        without(system, (_, row) => row === cut),
        choices,
      );
      expect(open, `without row ${cut}`).toEqual(expect.arrayContaining(wires));
    }
  });

  it("finds an interval that is not held to its value", () => {
    const circuit = compiled(FOREST);
    const bits = new Set(booleanWires(circuit));
    for (const { first, count } of circuit.choices) {
      const wires = Array.from({ length: count - 1 }, (_, i) => first + i);
      const isRangeRow = (row: { readonly wires: readonly number[] }): boolean =>
        row.wires.some((wire) => wires.includes(wire)) &&
        row.wires.filter((wire) => bits.has(wire) && !wires.includes(wire)).length > 8;
      const ranges = Array.from({ length: circuit.system.constraintCount }, (_, row) => row).filter(
        (row) => {
          const { a, c } = constraintAt(circuit.system, row);
          return a.wires.length === 0 && isRangeRow(c);
        },
      );
      expect(ranges.length).toBe(2);
      for (const cut of ranges) {
        const system = without(circuit.system, (_, row) => row === cut);
        expect(undeterminedWires(system, circuit.choices)).toEqual(expect.arrayContaining(wires));
      }
    }
  });

  it("believes no list of choices", () => {
    const circuit = compiled(MLP);
    const bit = booleanWires(circuit)[100]!;
    const system = without(circuit.system, (row) => isBooleanOf(row, bit));
    expect(undeterminedWires(system, [{ first: bit, count: 2 }])).toContain(bit);
    expect(undeterminedWires(compiled(FOREST).system, []).length).toBeGreaterThan(0);
  });

  it("refuses to look at a circuit with a witness that is none", () => {
    const circuit = compiled(MLP);
    const { witness } = randomWitness(MLP, circuit);
    const wrong = witness.map((value, wire) => (wire === 1 ? BigInt(value) + 1n : value));
    expect(() => checkSoundness(circuit, wrong)).toThrow(/breaks constraint/);
  });
});

/** The wires that a row of their own says are 0 or 1. */
function booleanWires({ system }: CompiledCircuit): number[] {
  const wires: number[] = [];
  for (let row = 0; row < system.constraintCount; row += 1) {
    const constraint = constraintAt(system, row);
    const wire = constraint.a.wires[0];
    if (wire !== undefined && isBooleanOf(constraint, wire)) wires.push(wire);
  }
  return wires;
}
