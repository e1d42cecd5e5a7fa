import { describe, expect, it } from "vitest";
import type { IntegerGraph } from "../compiler/integer-graph.ts";
import { bitLength, boundsOf, type Interval } from "./bounds.ts";
import {
  activateStep,
  between,
  evaluate,
  fixedInput,
  graphOf,
  linearStep,
  mlpGraph,
  seeded,
} from "./testing.ts";

const KINDS = [
  { kind: "none" },
  { kind: "relu" },
  { kind: "leaky-relu", slopeBits: 3 },
  { kind: "clip", lo: -50, hi: 999 },
] as const;

/** The inputs that make row `row` of the first step as large as it can be, or as small. */
function corner(graph: IntegerGraph, row: number, sign: 1 | -1): number[] {
  const [input] = graph.inputs;
  const [step] = graph.steps;
  if (input?.encoding.kind !== "fixed" || step?.kind !== "linear") throw new Error("another graph");
  const { lo, hi } = input.encoding;
  const values = new Array<number>(input.shape[0]!).fill(lo);
  for (let at = step.rows.rowStart[row]!; at < step.rows.rowStart[row + 1]!; at += 1) {
    values[step.rows.columns[at]!] = sign * step.rows.weights[at]! > 0 ? hi : lo;
  }
  return values;
}

/** Of so many inputs. */
function alike(count: number, lo: bigint, hi: bigint): Interval[] {
  return new Array<Interval>(count).fill({ lo, hi });
}

describe("bounds", () => {
  it("are reached at the extreme corners of a row, exactly", () => {
    const random = seeded(21);
    for (let round = 0; round < 100; round += 1) {
      const lo = -between(random, 0, 2 ** 15);
      const hi = between(random, 0, 2 ** 15);
      const row = Array.from({ length: 5 }, (_, i) => {
        const weight = between(random, -(2 ** 40), 2 ** 40) || 1;
        return [i, weight] as const;
      });
      const bias = between(random, -(2 ** 50), 2 ** 50);
      const steps = [linearStep([row], [bias]), activateStep(5, 1, 9, KINDS[round % 4]!)];
      const graph = graphOf([fixedInput(5, lo, hi)], steps, 1);
      const all = boundsOf(graph, alike(5, BigInt(lo), BigInt(hi)));
      const least = evaluate(graph, corner(graph, 0, -1));
      const most = evaluate(graph, corner(graph, 0, 1));
      expect(all[5]).toEqual({ lo: least[5], hi: most[5] });
      expect(all[6]).toEqual({ lo: least[6], hi: most[6] });
    }
  });

  it("hold for every value of deep networks, at corners and in between", () => {
    const random = seeded(22);
    for (let seed = 0; seed < 12; seed += 1) {
      const graph = mlpGraph([6, 5, 4, 3], { seed, weightBits: 10, lo: -128, hi: 127 });
      const all = boundsOf(graph, alike(6, -128n, 127n));
      const corners = [0, 1, 2, 3, 4].flatMap((row) => [
        corner(graph, row, 1),
        corner(graph, row, -1),
      ]);
      const others = Array.from({ length: 20 }, () =>
        Array.from({ length: 6 }, () => between(random, -128, 127)),
      );
      for (const inputs of [...corners, ...others]) {
        evaluate(graph, inputs).forEach((value, i) => {
          expect(value >= all[i]!.lo && value <= all[i]!.hi).toBe(true);
        });
      }
    }
  });

  it("stay exact where doubles would not", () => {
    const weight = 2 ** 52 + 1;
    const row = [0, 1, 2].map((i) => [i, i === 1 ? -weight : weight] as const);
    const graph = graphOf([fixedInput(3, -3, 5)], [linearStep([row], [7])], 1);
    const [, , , last] = boundsOf(graph, alike(3, -3n, 5n));
    const big = BigInt(weight);
    expect(last).toEqual({ lo: 7n - 3n * big - 5n * big - 3n * big, hi: 7n + 13n * big });
  });

  it("refuse values that come near the order of the field, naming the step", () => {
    const wide = (steps: number) =>
      graphOf(
        [fixedInput(1, 0, 255)],
        Array.from({ length: steps }, (_, i) => linearStep([[[i, 2 ** 52]]], [0], `gemm${i}`)),
        1,
      );
    expect(
      boundsOf(wide(4), [{ lo: 0n, hi: 255n }])
        .map(({ hi }) => bitLength(hi))
        .at(-1),
    ).toBe(216);
    expect(() => boundsOf(wide(5), [{ lo: 0n, hi: 255n }])).toThrow(/gemm4 can have 268 bits/);
  });

  it("refuse steps that say nothing sensible", () => {
    const input = fixedInput(2, 0, 1);
    const bounds = (step: Parameters<typeof graphOf>[1][number]) =>
      boundsOf(graphOf([input], [step], 1), alike(2, 0n, 1n));
    expect(() => bounds(linearStep([[[0, 0.5]]]))).toThrow(/weight 0.5/);
    expect(() => bounds(linearStep([[[0, Number.NaN]]]))).toThrow(/weight NaN/);
    expect(() => bounds(linearStep([[[2, 1]]]))).toThrow(/value 2 before it is/);
    expect(() => bounds(activateStep(0, 1, -1, { kind: "relu" }))).toThrow(/2\^-1/);
    expect(() => bounds(activateStep(0, 1, 1e9, { kind: "relu" }))).toThrow(/0 to 128 bits/);
    expect(() => bounds(activateStep(0, 1, 0, { kind: "clip", lo: 2, hi: 1 }))).toThrow(/clips/);
    const empty = { groupStart: Int32Array.of(0, 0), values: Int32Array.of() };
    expect(() => bounds({ kind: "max", name: "m", ...empty })).toThrow(/largest of nothing/);
  });

  it("are of each input value by itself", () => {
    const graph = graphOf(
      [fixedInput(3, 0, 1)],
      [linearStep([[0, 1].map((i) => [i, 2 - i] as const)])],
      1,
    );
    const inputs = [
      { lo: -4n, hi: 1n },
      { lo: 0n, hi: 10n },
      { lo: -1000n, hi: 1000n },
    ];
    expect(boundsOf(graph, inputs)).toEqual([...inputs, { lo: -8n, hi: 12n }]);
  });

  it("are of a bias alone for an empty row", () => {
    const graph = graphOf([fixedInput(1, 0, 1)], [linearStep([[], []], [-4, 0])], 2);
    const all = boundsOf(graph, [{ lo: 0n, hi: 1n }]);
    expect(all.slice(1)).toEqual([
      { lo: -4n, hi: -4n },
      { lo: 0n, hi: 0n },
    ]);
  });
});
