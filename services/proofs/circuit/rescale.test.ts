import { describe, expect, it } from "vitest";
import type { ActivateStep } from "../compiler/integer-graph.ts";
import { FIELD_ORDER } from "../field.ts";
import { CircuitBuilder } from "./circuit-builder.ts";
import { constantIn, wireOf } from "./combination.ts";
import { isAccepted } from "./forging.ts";
import { activate } from "./rescale.ts";
import {
  activateStep,
  between,
  compiled,
  fixedInput,
  graphOf,
  linearStep,
  outputsOf,
  provedOutputs,
  seeded,
} from "./testing.ts";

type Activation = ActivateStep["activation"];

const KINDS: readonly Activation[] = [
  { kind: "none" },
  { kind: "relu" },
  { kind: "leaky-relu", slopeBits: 2 },
  { kind: "leaky-relu", slopeBits: 9 },
  { kind: "clip", lo: 0, hi: 6 },
  { kind: "clip", lo: -3, hi: 4 },
  { kind: "clip", lo: -1000, hi: 2 },
  { kind: "clip", lo: -2, hi: 1000 },
  { kind: "clip", lo: 5, hi: 5 },
];

/** A circuit of one activation over x from lo to lo + 2^bits - 1, without any unpacking. */
function small(lo: number, bits: number, step: Pick<ActivateStep, "shiftBits" | "activation">) {
  const shape = { outputs: 1, publicInputs: 0, privateInputs: 1, constraintsMax: 1000 };
  const builder = new CircuitBuilder(shape);
  const interval = { lo: BigInt(lo), hi: BigInt(lo + 2 ** bits - 1) };
  const value = activate(builder, wireOf(builder.privateInput(0)), interval, step);
  builder.assign(value, { into: builder.output(0) });
  return { value, ...builder.finish() };
}

describe("rescale", () => {
  it("agrees with plain arithmetic on every value of many small ranges", () => {
    for (const activation of KINDS) {
      for (const shiftBits of [0, 1, 3, 5]) {
        for (const lo of [-64, -63, -5, -1, 0, 1, 17, -200, 100]) {
          const input = fixedInput(1, lo, lo + 127);
          const graph = graphOf([input], [activateStep(0, 1, shiftBits, activation)], 1);
          const circuit = compiled(graph);
          for (let x = lo; x <= lo + 127; x += 1) {
            const got = provedOutputs(circuit, [x])[0];
            expect(got, `${activation.kind} >> ${shiftBits} of ${x}`).toBe(
              outputsOf(graph, [x])[0],
            );
          }
        }
      }
    }
  });

  it("agrees at the ends, at exact halves and around 0 of wide rows", () => {
    const random = seeded(11);
    for (let round = 0; round < 60; round += 1) {
      const weights = Array.from({ length: 4 }, () => between(random, -(2 ** 20), 2 ** 20) || 1);
      const shiftBits = between(random, 0, 24);
      const half = 2 ** Math.max(0, shiftBits - 1);
      const bias = [0, half, -half, between(random, -(2 ** 30), 2 ** 30)][random(4)]!;
      const row = weights.map((weight, i) => [i, weight] as const);
      const graph = graphOf(
        [fixedInput(4, -32768, 32767)],
        [linearStep([row], [bias]), activateStep(4, 1, shiftBits, KINDS[random(KINDS.length)]!)],
        1,
      );
      const circuit = compiled(graph);
      const highest = weights.map((weight) => (weight > 0 ? 32767 : -32768));
      const lowest = weights.map((weight) => (weight > 0 ? -32768 : 32767));
      const others = Array.from({ length: 3 }, () => weights.map(() => between(random, -300, 300)));
      for (const inputs of [highest, lowest, [0, 0, 0, 0], [-0, 0, -0, 0], ...others]) {
        expect(provedOutputs(circuit, inputs)).toEqual(outputsOf(graph, inputs));
      }
    }
  });

  it("rounds exact halves up, of either sign", () => {
    const step = { shiftBits: 3, activation: { kind: "none" } } as const;
    const graph = graphOf([fixedInput(1, -128, 127)], [activateStep(0, 1, 3, step.activation)], 1);
    const circuit = compiled(graph);
    const rounded = [-12, -4, 4, 12, -5, -3].map((x) => provedOutputs(circuit, [x])[0]);
    expect(rounded).toEqual([-1n, 0n, 1n, 2n, -1n, 0n]);
  });

  it("costs nothing for a dead neuron, and no sign for one that is always positive", () => {
    const step = { shiftBits: 4, activation: { kind: "relu" } } as const;
    expect(constantIn(small(-100, 6, step).value)).toBe(0);
    expect(small(-100, 6, step).system.constraintCount).toBe(1);
    // Bits of 0 to 63 + 8, their sum, and the output; no product.
    expect(small(0, 6, step).system.constraintCount).toBe(7 + 1 + 1);
  });

  it("accepts one assignment of the bits only, with the right result", () => {
    const cases = [
      { shiftBits: 2, activation: { kind: "relu" } },
      { shiftBits: 0, activation: { kind: "relu" } },
      { shiftBits: 2, activation: { kind: "none" } },
      { shiftBits: 1, activation: { kind: "leaky-relu", slopeBits: 1 } },
      { shiftBits: 2, activation: { kind: "clip", lo: -1, hi: 100 } },
    ] as const;
    for (const step of cases) {
      const { system, program } = small(-16, 5, step);
      for (const x of [-16, -7, -2, -1, 0, 1, 2, 6, 15]) {
        const honest = program.run([x]);
        const bits = Array.from({ length: system.wires - 3 }, (_, i) => 3 + i).filter(
          (wire) => !isProduct(system, wire),
        );
        let accepted = 0;
        for (let pattern = 0; pattern < 2 ** bits.length; pattern += 1) {
          const forced = new Map(bits.map((wire, i) => [wire, (pattern >> i) & 1] as const));
          if (!isAccepted(system, [x], forced)) continue;
          accepted += 1;
          expect(bits.every((wire) => forced.get(wire) === honest[wire])).toBe(true);
        }
        expect(accepted, `${step.activation.kind} of ${x}`).toBe(1);
        for (const wrong of [-1, 1, 4]) {
          const output = BigInt(honest[1]!) + BigInt(wrong);
          expect(isAccepted(system, [x], new Map([[1, output]]))).toBe(false);
        }
      }
    }
  });

  it("does not take the bits of v + p for v, and refuses to build where they would fit", () => {
    const { system } = small(-16, 5, { shiftBits: 0, activation: { kind: "relu" } });
    const alias = 7n + 16n + FIELD_ORDER;
    for (const digits of [alias, alias >> 249n, alias & 31n]) {
      const bits = Array.from(
        { length: 5 },
        (_, i) => [3 + i, (digits >> BigInt(i)) & 1n] as const,
      );
      const isHonest = (digits & 31n) === 23n;
      expect(isAccepted(system, [7], new Map(bits))).toBe(isHonest);
    }
    const shape = { outputs: 0, publicInputs: 1, privateInputs: 0, constraintsMax: 1000 };
    const builder = new CircuitBuilder(shape);
    for (const count of [253, 254, 255, 300]) {
      expect(() => builder.bits(wireOf(1), count, "too long")).toThrow(/252 bits/);
    }
    for (const places of [[252], [0, 253], [3, 3]]) {
      expect(() => builder.bitsAt(wireOf(1), places, "too high")).toThrow(/below 252, each once/);
    }
    expect(builder.bits(wireOf(1), 252, "long")).toBe(2);
  });
});

/** Whether a wire is the result of a product rather than a bit. */
function isProduct(system: ReturnType<typeof small>["system"], wire: number): boolean {
  for (let row = 0; row < system.constraintCount; row += 1) {
    const at = system.a.rowStart[row]!;
    const isBit = system.a.rowStart[row + 1] === at + 1 && system.c.wires[system.c.rowStart[row]!];
    if (isBit === wire && system.a.wires[at] === wire) return false;
  }
  return true;
}
