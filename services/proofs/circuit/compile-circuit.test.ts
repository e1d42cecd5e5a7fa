import { describe, expect, it } from "vitest";
import type { IntegerGraph, Step } from "../compiler/integer-graph.ts";
import { FIELD_ORDER, toField } from "../field.ts";
import { packValues } from "../verifier/signal-encoding.ts";
import { COLUMNS } from "../verifier/testing/schemas.ts";
import { circuitHash } from "./circuit-hash.ts";
import { packedPerSignal } from "./circuit-schema.ts";
import type { CompiledCircuit } from "./compiled-circuit.ts";
import { isAccepted } from "./forging.ts";
import { commitmentOf } from "./poseidon.ts";
import { checkSoundness } from "./soundness.ts";
import type { Random } from "./testing.ts";
import {
  activateStep,
  between,
  compiled,
  fixedInput,
  forestGraph,
  graphOf,
  linearStep,
  mlpGraph,
  outputsOf,
  provedOutputs,
  seeded,
  witnessOf,
} from "./testing.ts";

const MLP = mlpGraph([40, 6, 3], { seed: 5, weightBits: 8, lo: -128, hi: 127 });
const VALUES = Array.from({ length: 40 }, (_, i) => ((i * 37) % 256) - 128);

/** Some steps over random values of those before, with everything that may go together. */
function randomGraph(random: Random): IntegerGraph {
  const inputs = between(random, 1, 8);
  const steps: Step[] = [];
  let count = inputs;
  const any = (): number => random(count);
  for (let depth = between(random, 1, 6); depth > 0; depth -= 1) {
    const results = between(random, 1, 6);
    const kind = random(3);
    if (kind === 0) {
      const rows = Array.from({ length: results }, () => {
        const columns = [...new Set(Array.from({ length: random(6) }, any))].sort((a, b) => a - b);
        return columns.map((column) => [column, between(random, -200, 200) || 1] as const);
      });
      steps.push(
        linearStep(
          rows,
          rows.map(() => between(random, -500, 500)),
          `l${depth}`,
        ),
      );
    } else if (kind === 1) {
      const activations = [
        { kind: "none" },
        { kind: "relu" },
        { kind: "leaky-relu", slopeBits: between(random, 0, 4) },
        { kind: "clip", lo: -between(random, 0, 50), hi: between(random, 0, 50) },
      ] as const;
      const step = activateStep(0, results, between(random, 0, 9), activations[random(4)]!);
      steps.push({ ...step, values: Int32Array.from({ length: results }, any) });
    } else {
      const groupStart = Int32Array.from({ length: results + 1 }, (_, i) => i * 2);
      const values = Int32Array.from({ length: 2 * results }, any);
      steps.push({ kind: "max", name: `m${depth}`, groupStart, values });
    }
    count += results;
  }
  const last = steps.at(-1)!;
  const outputs =
    last.kind === "linear"
      ? last.rows.bias.length
      : last.kind === "max"
        ? last.groupStart.length - 1
        : last.kind === "activate"
          ? last.values.length
          : 1;
  return graphOf(
    [fixedInput(inputs, -between(random, 0, 128), between(random, 0, 127))],
    steps,
    outputs,
  );
}

function outputSignals(circuit: CompiledCircuit, values: readonly number[]): bigint[] {
  return provedOutputs(circuit, values);
}

describe("compile-circuit", () => {
  it("agrees with plain arithmetic on random graphs, at the ends and in between", () => {
    const random = seeded(31);
    for (let round = 0; round < 250; round += 1) {
      const graph = randomGraph(random);
      const { encoding, shape } = graph.inputs[0]!;
      if (encoding.kind !== "fixed") throw new Error("another encoding");
      const circuit = compiled(graph, { inputMode: (["public", "private"] as const)[round % 2]! });
      const { lo, hi } = encoding;
      for (const make of [() => lo, () => hi, () => 0, () => between(random, lo, hi)]) {
        const values = Array.from({ length: shape[0]! }, make);
        expect(outputSignals(circuit, values), `round ${round}`).toEqual(outputsOf(graph, values));
      }
    }
  });

  it("agrees where each value has a range of its own", () => {
    const random = seeded(32);
    for (let round = 0; round < 60; round += 1) {
      const graph = randomGraph(random);
      const count = graph.inputs[0]!.shape[0]!;
      const lo = Array.from({ length: count }, () => between(random, -(2 ** 9), 2 ** 5));
      const hi = lo.map((least) => least + between(random, 0, 2 ** between(random, 0, 11)));
      const encoding = { kind: "fixed-each", scaleBits: lo.map(() => 0), lo, hi } as const;
      const each = { ...graph, inputs: [{ ...graph.inputs[0]!, encoding }] };
      const circuit = compiled(each, { inputMode: (["public", "private"] as const)[round % 2]! });
      const any = (i: number) => between(random, lo[i]!, hi[i]!);
      for (const make of [(i: number) => lo[i]!, (i: number) => hi[i]!, any, any]) {
        const values = lo.map((_, i) => make(i));
        expect(outputSignals(circuit, values), `round ${round}`).toEqual(outputsOf(each, values));
      }
    }
  });

  it("agrees where values with ranges of their own are more than a signal holds", () => {
    const lo = Array.from({ length: 40 }, (_, i) => -7 * i);
    const hi = lo.map((least, i) => least + 100 + 1000 * (i % 3));
    const encoding = { kind: "fixed-each", scaleBits: lo.map(() => 0), lo, hi } as const;
    const row = lo.map((_, i) => [i, (i % 9) - 4 || 5] as const);
    const input = { name: "x", shape: [40], encoding };
    const graph = graphOf(
      [input],
      [linearStep([row]), activateStep(0, 40, 0, { kind: "relu" })],
      40,
    );
    const circuit = compiled(graph);
    expect(circuit.system.publicInputs).toBe(3);
    for (const values of [lo, hi, lo.map((least, i) => least + i)]) {
      expect(outputSignals(circuit, values)).toEqual(outputsOf(graph, values));
    }
  });

  it("proves no more bits of a value than its own range needs", () => {
    const graph = graphOf([COLUMNS], [], 5);
    const { program, report, schema, system } = compiled(graph);
    expect(schema.inputs).toEqual([COLUMNS]);
    // The bits of all values, their sum in the signal, and the outputs.
    expect(report.constraints).toBe(16 + 8 + 16 + 8 + 2 + 1 + 5);
    const signalOf = (lanes: readonly number[]) => packValues(lanes, 16)[0]!;
    const good = [65_535, 255, 65_535, 255, 3];
    expect(program.run([signalOf(good)]).slice(1, 6)).toEqual([65_535, 255, 32_767, 155, 10]);
    for (const [at, lane] of [
      [1, 256],
      [1, 65_535],
      [3, 256],
      [4, 4],
    ] as const) {
      const bad = signalOf(good.with(at, lane));
      expect(() => program.run([bad])).toThrow("signal 0 is not 5 values of 16 or 8 or 2 bits");
      expect(isAccepted(system, [bad], new Map())).toBe(false);
    }
  });

  it("agrees on networks of several layers", () => {
    const circuit = compiled(MLP);
    const random = seeded(33);
    for (let round = 0; round < 30; round += 1) {
      const values = VALUES.map(() => between(random, -128, 127));
      expect(outputSignals(circuit, values)).toEqual(outputsOf(MLP, values));
    }
  });

  it("packs inputs, first values highest, and takes them from public or private signals", () => {
    const open = compiled(MLP, { context: true });
    const inputs = { tensors: [VALUES], kind: "integers", context: 6n, salt: 8n } as const;
    const signals = open.encodeInputs(inputs);
    expect(signals.length).toBe(3);
    expect(BigInt(signals[0]!) >> 240n).toBe(BigInt(VALUES[0]! + 128));
    expect(BigInt(signals[0]!) & 255n).toBe(BigInt(VALUES[30]! + 128));
    expect(BigInt(signals[1]!) >> 240n).toBe(BigInt(VALUES[31]! + 128));
    expect(BigInt(signals[1]!) & ((1n << (8n * 22n)) - 1n)).toBe(0n);
    expect(open.system).toMatchObject({ outputs: 3, publicInputs: 3, privateInputs: 0 });
    const hidden = compiled(MLP, { context: true, inputMode: "private" });
    expect(hidden.encodeInputs(inputs)).toEqual([6n, signals[0], signals[1]]);
    expect(hidden.system).toMatchObject({ outputs: 3, publicInputs: 1, privateInputs: 2 });
    const committed = compiled(MLP, { context: true, inputMode: "committed" });
    expect(committed.encodeInputs(inputs)).toEqual([6n, 8n, signals[0], signals[1]]);
    expect(committed.system).toMatchObject({ outputs: 4, publicInputs: 1, privateInputs: 3 });
  });

  it("commits to the inputs after the outputs, with the salt", () => {
    const circuit = compiled(MLP, { inputMode: "committed" });
    const [salt, ...signals] = circuit
      .encodeInputs({ tensors: [VALUES], kind: "integers", salt: 4711n })
      .map(BigInt);
    const witness = witnessOf(circuit, VALUES, { salt: 4711n });
    expect(witness.slice(1, 4).map(BigInt)).toEqual(outputsOf(MLP, VALUES));
    expect(toField(BigInt(witness[4]!))).toBe(commitmentOf(salt!, signals));
    const other = witnessOf(circuit, VALUES, { salt: 4712n });
    expect(other[4]).not.toBe(witness[4]);
  });

  it("packs outputs into few signals", () => {
    const circuit = compiled(MLP, { outputMode: "packed" });
    const { bits, offset } = circuit.schema.output;
    const [packed] = outputSignals(circuit, VALUES);
    const perSignal = packedPerSignal(bits);
    const lanes = outputsOf(MLP, VALUES).map((_, i) => {
      const shift = BigInt(bits * (perSignal - 1 - i));
      return ((packed! >> shift) & ((1n << BigInt(bits)) - 1n)) - BigInt(offset);
    });
    expect(lanes).toEqual(outputsOf(MLP, VALUES));
  });

  it("says only whether a threshold is reached, on it too", () => {
    const graph = graphOf([fixedInput(1, -100, 100)], [linearStep([[[0, 3]]], [1])], 1, {
      scaleBits: 2,
    });
    // y = 3 x + 1 stands for y / 4; y / 4 >= 2.4 is y >= 9.6.
    const circuit = compiled(graph, { outputMode: "threshold", threshold: 2.4 });
    expect(circuit.schema.output.threshold).toBe("10");
    expect([2, 3, 4, -100, 100].map((x) => outputSignals(circuit, [x])[0])).toEqual([
      0n,
      1n,
      1n,
      0n,
      1n,
    ]);
    const reached = (threshold: number): bigint | undefined =>
      outputSignals(compiled(graph, { outputMode: "threshold", threshold }), [3])[0];
    expect([2.5, 2.500001, -1e6, 1e6].map(reached)).toEqual([1n, 0n, 1n, 0n]);
    const signals = circuit.encodeInputs({ tensors: [[3]], kind: "integers" });
    expect(isAccepted(circuit.system, signals, new Map([[1, 0]]))).toBe(false);
  });

  it("ends in an argmax where the graph does, and refuses to show more", () => {
    const graph: IntegerGraph = { ...MLP, output: { ...MLP.output, argmax: true } };
    const values = outputsOf(MLP, VALUES);
    const most = values.reduce((top, value, i) => (value > values[top]! ? i : top), 0);
    expect(outputSignals(compiled(graph), VALUES)).toEqual([BigInt(most)]);
    expect(() => compiled(graph, { outputMode: "values" })).toThrow(/ends in an ArgMax/);
  });

  it("gives the same circuit each time, and another for other options", () => {
    const forest = forestGraph({
      seed: 3,
      trees: 5,
      depth: 3,
      features: 4,
      classes: 2,
      encoding: { kind: "ordered-float32" },
    });
    expect(circuitHash(compiled(forest).system)).toBe(circuitHash(compiled(forest).system));
    expect(circuitHash(compiled(MLP).system)).toBe(
      "97aad2b2708899d587fc78ffff6f08e7bdd0c656c7f9ce0e10b73a8f66180e7c",
    );
    const hashes = [{}, { context: true }, { inputMode: "private" }, { outputMode: "packed" }].map(
      (options) => circuitHash(compiled(MLP, options as object).system),
    );
    expect(new Set(hashes).size).toBe(4);
  });

  it("spares constraints or, for PLONK, terms", () => {
    const [dense, sparse] = [compiled(MLP), compiled(MLP, { sparse: true })];
    const { constraints, entries } = dense.report;
    // Each of the 40 values is taken by 6 neurons; a wire is 8 bits and an offset.
    expect(sparse.report.constraints).toBe(constraints + 40);
    expect(sparse.report.entries).toBe(entries - 40 * (8 - 1) * 6 + 40 * (8 + 2));
    expect(outputSignals(sparse, VALUES)).toEqual(outputSignals(dense, VALUES));
    expect(checkSoundness(sparse, witnessOf(sparse, VALUES)).isSound).toBe(true);
  });

  it("refuses a circuit that is too large, an input that is too wide, and a missing threshold", () => {
    const { constraints } = compiled(MLP).report;
    expect(() => compiled(MLP, { constraintsMax: 300 })).toThrow(
      `needs ${constraints} constraints; at most 300`,
    );
    expect(compiled(MLP, { constraintsMax: constraints }).report.constraints).toBe(constraints);
    expect(() => compiled(MLP, { constraintsMax: constraints - 1 })).toThrow("constraints");
    const wide = graphOf([fixedInput(1, 0, 2 ** 33)], [], 1);
    expect(() => compiled(wide)).toThrow(/at most 32 bits/);
    const one = graphOf([fixedInput(1, 0, 9)], [], 1);
    expect(() => compiled(one, { outputMode: "threshold" })).toThrow(/finite threshold/);
    expect(() => compiled(MLP, { outputMode: "threshold", threshold: 1 })).toThrow(/one value/);
  });

  it("takes an aliased, too large or too wide signal for none of its inputs", () => {
    const graph = graphOf([fixedInput(2, 0, 9)], [], 2);
    const { program, system } = compiled(graph);
    const [good] = compiled(graph).encodeInputs({ tensors: [[3, 4]], kind: "integers" });
    expect(program.run([good!]).slice(1, 3)).toEqual([3, 4]);
    const high = 1n << 248n;
    const between4And8Bits = 16n << 240n;
    for (const bad of [BigInt(good!) + high, BigInt(good!) + 1n, between4And8Bits, -1n]) {
      expect(() => program.run([bad])).toThrow(/input x: signal 0/);
      expect(isAccepted(system, [bad], new Map())).toBe(false);
    }
    expect(() => program.run([BigInt(good!) + FIELD_ORDER])).toThrow(/outside of the field/);
    expect(() => program.run([])).toThrow(/takes 1 input signals/);
  });

  it("needs no more constraints than it should for a network and an ensemble of known size", () => {
    const network = mlpGraph([784, 128, 10], { seed: 1, weightBits: 8 });
    expect(compiled(network, { outputMode: "argmax" }).report.constraints).toBeLessThan(10_500);
    const trees = forestGraph({
      seed: 2,
      trees: 100,
      depth: 6,
      features: 30,
      classes: 1,
      encoding: { kind: "ordered-float32" },
      thresholdsEach: 185,
    });
    expect(compiled(trees).report.constraints).toBeLessThan(11_000);
  });

  it("reports sizes, headroom and dead neurons", () => {
    const graph = graphOf(
      [fixedInput(2, 0, 255)],
      [
        linearStep(
          [
            [[0, 16]],
            [[1, -16]],
            [
              [0, 16],
              [1, -16],
            ],
            [],
          ],
          [0, -1, 0, 0],
          "gemm",
        ),
        activateStep(2, 4, 4, { kind: "relu" }),
      ],
      4,
    );
    const { report, system } = compiled(graph);
    expect(report.deadNeurons).toBe(2);
    expect(report.headroom.map(({ step, bits }) => [step, bits])).toEqual([
      ["gemm", 12],
      ["relu", 8],
    ]);
    expect(report).toMatchObject({
      constraints: system.constraintCount,
      publicSignals: 5,
      domain: 64,
    });
  });
});
