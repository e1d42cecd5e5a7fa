import { describe, expect, it } from "vitest";
import { argmax } from "./argmax.ts";
import { CircuitBuilder } from "./circuit-builder.ts";
import { wireOf } from "./combination.ts";
import { isAccepted } from "./forging.ts";
import { maximum } from "./maximum.ts";
import {
  between,
  compiled,
  fixedInput,
  graphOf,
  linearStep,
  outputsOf,
  provedOutputs,
  seeded,
} from "./testing.ts";

const INTERVAL = { lo: -128n, hi: 127n };

function choosing(count: number) {
  const shape = { outputs: 1, publicInputs: 0, privateInputs: count, constraintsMax: 10_000 };
  const builder = new CircuitBuilder(shape);
  const values = Array.from({ length: count }, (_, i) => ({
    value: wireOf(builder.privateInput(i)),
    interval: INTERVAL,
  }));
  const { index, choice } = argmax(builder, values);
  builder.assign(index, { into: builder.output(0) });
  return { choice, ...builder.finish() };
}

/** The greatest of single inputs, in a group that takes some of them. */
function maxGraph(count: number, groups: readonly (readonly number[])[]) {
  const groupStart = Int32Array.from([0, ...groups.map((group) => group.length)]);
  for (let i = 1; i < groupStart.length; i += 1) groupStart[i]! += groupStart[i - 1]!;
  const values = Int32Array.from(groups.flat());
  const step = { kind: "max", name: "max", groupStart, values } as const;
  return graphOf([fixedInput(count, -128, 127)], [step], groups.length);
}

describe("argmax", () => {
  it("gives the first of the greatest, on random values and with many ties", () => {
    const random = seeded(3);
    for (const count of [1, 2, 3, 5, 10]) {
      const rows = Array.from({ length: count }, (_, i) => [[i, 1] as const]);
      const graph = graphOf([fixedInput(count, -128, 127)], [linearStep(rows)], count);
      const circuit = compiled(graph, { outputMode: "argmax" });
      for (let round = 0; round < 60; round += 1) {
        const reach = [0, 1, 128][round % 3]!;
        const values = Array.from({ length: count }, () => between(random, -reach, reach - 1 || 0));
        const expected = values.indexOf(Math.max(...values));
        expect(provedOutputs(circuit, values)[0], values.join()).toBe(BigInt(expected));
      }
      const ends = [new Array<number>(count).fill(-128), new Array<number>(count).fill(127)];
      for (const values of ends) expect(provedOutputs(circuit, values)[0]).toBe(0n);
    }
  });

  it("accepts no other index, and no wires that are no choice", () => {
    const count = 4;
    const { system, choice } = choosing(count);
    const random = seeded(5);
    for (let round = 0; round < 25; round += 1) {
      const reach = round % 2 === 0 ? 1 : 128;
      const values = Array.from({ length: count }, () => between(random, -reach, reach - 1));
      const right = values.indexOf(Math.max(...values));
      for (let pattern = 0; pattern < 3 ** (count - 1); pattern += 1) {
        const digits = [pattern % 3, Math.floor(pattern / 3) % 3, Math.floor(pattern / 9)];
        const forced = new Map(digits.map((digit, i) => [choice!.first + i, digit] as const));
        const isRight = digits.every((digit, i) => digit === (i >= right ? 1 : 0));
        expect(isAccepted(system, values, forced), `${values} ${digits}`).toBe(isRight);
      }
    }
  });

  it("accepts no second of two equal greatest", () => {
    const { system, choice } = choosing(3);
    const second = new Map([
      [choice!.first, 0],
      [choice!.first + 1, 1],
    ]);
    expect(isAccepted(system, [5, 5, 1], second)).toBe(false);
    expect(isAccepted(system, [4, 5, 1], second)).toBe(true);
  });
});

describe("maximum", () => {
  it("gives the greatest of groups that overlap, with ties and at the ends", () => {
    const graph = maxGraph(6, [[0], [0, 1], [1, 2, 3, 4, 5], [2, 2, 2], [5, 0, 3, 1]]);
    const circuit = compiled(graph);
    const random = seeded(7);
    for (let round = 0; round < 100; round += 1) {
      const reach = [1, 128][round % 2]!;
      const values = Array.from({ length: 6 }, () => between(random, -reach, reach - 1));
      expect(provedOutputs(circuit, values)).toEqual(outputsOf(graph, values));
    }
    for (const end of [-128, 127, 0]) {
      expect(provedOutputs(circuit, new Array<number>(6).fill(end))[2]).toBe(BigInt(end));
    }
  });

  it("accepts neither the smaller nor anything greater", () => {
    const shape = { outputs: 1, publicInputs: 0, privateInputs: 2, constraintsMax: 1000 };
    const builder = new CircuitBuilder(shape);
    const values = [0, 1].map((i) => ({
      value: wireOf(builder.privateInput(i)),
      interval: INTERVAL,
    }));
    builder.assign(maximum(builder, values).value, { into: builder.output(0) });
    const { system } = builder.finish();
    for (const [a, b] of [
      [5, 3],
      [3, 5],
      [-128, 127],
      [4, 4],
      [-1, 0],
    ] as const) {
      expect(isAccepted(system, [a, b], new Map())).toBe(true);
      for (const wrong of [Math.min(a, b), Math.max(a, b) + 1, Math.max(a, b) - 1, 0n - 128n]) {
        const isRight = wrong === Math.max(a, b);
        expect(isAccepted(system, [a, b], new Map([[1, wrong]])), `${a} ${b}`).toBe(isRight);
      }
      // The other sign, with bits as they then would have to be.
      const sign = 4 + 8;
      const flipped = new Map([[sign, a >= b ? 0 : 1]]);
      expect(isAccepted(system, [a, b], flipped)).toBe(false);
    }
  });
});
