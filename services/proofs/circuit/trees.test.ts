import { describe, expect, it } from "vitest";
import type { InputEncoding, TreesStep } from "../compiler/integer-graph.ts";
import { encodedRange } from "../verifier/signal-encoding.ts";
import { CircuitBuilder } from "./circuit-builder.ts";
import { wireOf } from "./combination.ts";
import { isAccepted } from "./forging.ts";
import { intervalChoice } from "./intervals.ts";
import {
  between,
  compiled,
  fixedInput,
  forestGraph,
  graphOf,
  outputsOf,
  provedOutputs,
  seeded,
} from "./testing.ts";

const KEYS: InputEncoding = { kind: "ordered-float32" };
const BYTES: InputEncoding = { kind: "fixed", scaleBits: 0, lo: 0, hi: 255 };

function treesOf(...trees: TreesStep["trees"]): TreesStep {
  return { kind: "trees", name: "trees", features: Int32Array.of(0), base: [0], trees };
}

function stump(threshold: number): TreesStep["trees"][number] {
  return {
    nodes: [
      { kind: "split", feature: 0, threshold, ifTrue: 1, ifFalse: 2 },
      { kind: "leaf", scores: [1] },
      { kind: "leaf", scores: [-1] },
    ],
  };
}

describe("trees", () => {
  it("agrees with plain arithmetic, one score or several, whole numbers or float keys", () => {
    const random = seeded(1);
    for (const [classes, depth, encoding] of [
      [1, 1, BYTES],
      [1, 4, BYTES],
      [2, 3, BYTES],
      [3, 4, KEYS],
      [1, 5, KEYS],
    ] as const) {
      const graph = forestGraph({ seed: 9, trees: 6, depth, features: 4, classes, encoding });
      const circuit = compiled(graph);
      const thresholds = graph.steps.flatMap((step) =>
        step.kind === "trees"
          ? step.trees.flatMap(({ nodes }) =>
              nodes.flatMap((node) => (node.kind === "split" ? [node.threshold] : [])),
            )
          : [],
      );
      const { lo, hi: top } = encodedRange(encoding);
      const near = (): number => {
        const at = thresholds[random(thresholds.length)]! + between(random, -1, 1);
        return Math.min(top, Math.max(lo, at));
      };
      for (let round = 0; round < 60; round += 1) {
        const values = Array.from(
          { length: 4 },
          () => [near(), lo, top, between(random, lo, top)][random(4)]!,
        );
        expect(provedOutputs(circuit, values), values.join()).toEqual(outputsOf(graph, values));
      }
    }
  });

  it("decides x on a threshold, and thresholds at and beyond the ends, exactly", () => {
    const thresholds = [-1, 0, 0, 1, 127, 127, 128, 254, 255, 300];
    const graph = graphOf([fixedInput(1, 0, 255)], [treesOf(...thresholds.map(stump))], 1);
    const circuit = compiled(graph);
    for (const x of [0, 1, 2, 126, 127, 128, 129, 253, 254, 255]) {
      const met = thresholds.filter((threshold) => x <= threshold).length;
      expect(provedOutputs(circuit, [x])).toEqual([BigInt(met - (thresholds.length - met))]);
    }
  });

  it("takes a threshold at the greatest key as always met", () => {
    const { lo, hi } = encodedRange(KEYS);
    const graph = graphOf(
      [{ name: "x", shape: [1], encoding: KEYS }],
      [treesOf(stump(2 ** 32 - 1), stump(lo))],
      1,
    );
    const circuit = compiled(graph);
    expect(provedOutputs(circuit, [hi])).toEqual([0n]);
    expect(provedOutputs(circuit, [lo])).toEqual([2n]);
    expect(provedOutputs(circuit, [lo + 1])).toEqual([0n]);
  });

  it("leaves a dishonest prover no other interval, nor anything that is none", () => {
    const shape = { outputs: 0, publicInputs: 0, privateInputs: 1, constraintsMax: 1000 };
    const thresholds = [2, 3, 9];
    for (const x of [0, 1, 2, 3, 4, 8, 9, 10, 15]) {
      const builder = new CircuitBuilder(shape);
      const value = wireOf(builder.privateInput(0));
      const bounded = { value, interval: { lo: 0n, hi: 15n } };
      const { first } = intervalChoice(builder, bounded, thresholds);
      const { system } = builder.finish();
      let accepted = 0;
      for (let pattern = 0; pattern < 4 ** 3; pattern += 1) {
        const digits = [0, 1, 2].map((i) => ((pattern >> (2 * i)) & 3) - 1);
        const forced = new Map(digits.map((digit, i) => [first + i, digit] as const));
        const isRight = digits.every((digit, i) => digit === (x <= thresholds[i]! ? 1 : 0));
        if (isRight) accepted += 1;
        expect(isAccepted(system, [x], forced), `${x}: ${digits}`).toBe(isRight);
      }
      expect(accepted).toBe(1);
    }
  });

  it("costs as many constraints as the formula of the gadgets says", () => {
    const size = { trees: 10, depth: 4, features: 3, encoding: BYTES, thresholdsEach: 8 };
    const one = compiled(forestGraph({ seed: 4, classes: 1, ...size })).report;
    const three = compiled(forestGraph({ seed: 4, classes: 3, ...size })).report;
    // Up: 7 products a tree. Down: 14, whatever the number of classes.
    expect(three.constraints - one.constraints).toBe(10 * 7 + 2);
  });

  it("refuses nodes that make no tree", () => {
    const loop = treesOf({
      nodes: [
        { kind: "split", feature: 0, threshold: 5, ifTrue: 1, ifFalse: 0 },
        { kind: "leaf", scores: [1] },
      ],
    });
    const missing = treesOf({
      nodes: [
        { kind: "split", feature: 0, threshold: 5, ifTrue: 1, ifFalse: 7 },
        { kind: "leaf", scores: [1] },
      ],
    });
    const input = fixedInput(1, 0, 255);
    expect(() => compiled(graphOf([input], [loop], 1))).toThrow(/node 0 is reached twice/);
    expect(() => compiled(graphOf([input], [missing], 1))).toThrow(/there is no node 7/);
  });

  it("takes a chain of ten thousand nodes", () => {
    const nodes = Array.from({ length: 20_001 }, (_, at) =>
      at % 2 === 0 && at < 20_000
        ? ({
            kind: "split",
            feature: 0,
            threshold: at % 256,
            ifTrue: at + 1,
            ifFalse: at + 2,
          } as const)
        : ({ kind: "leaf", scores: [at] } as const),
    );
    const graph = graphOf([fixedInput(1, 0, 255)], [treesOf({ nodes })], 1);
    for (const x of [0, 7, 255])
      expect(provedOutputs(compiled(graph), [x])).toEqual(outputsOf(graph, [x]));
  });
});
