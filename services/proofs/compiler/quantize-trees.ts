// Rounds the leaves of trees to whole numbers; decisions are whole numbers already.

import { exponentAbove, powerOfTwo } from "./binary-scale.ts";
import type { FloatTrees } from "./float-program.ts";
import type { Tree } from "./integer-graph.ts";
import { invalidOption } from "./unsupported.ts";

export interface QuantizedTrees {
  readonly base: readonly number[];
  readonly trees: readonly Tree[];
  /** A score stands for score / 2^scaleBits. */
  readonly scaleBits: number;
  /** How far a score can be from its float: half a unit for each tree and for the base. */
  readonly error: number;
  /** By score. */
  readonly ranges: readonly { readonly lo: number; readonly hi: number }[];
}

/** @throws InvalidArgument: the base values are too large beside the leaves */
export function quantizeTrees(step: FloatTrees, leafBits: number): QuantizedTrees {
  const scaleBits = Math.min(leafBits - exponentAbove(leafSize(step)), 1000);
  const scale = powerOfTwo(scaleBits);
  const whole = (value: number) => {
    const nearest = Math.floor(value * scale);
    return (value * scale - nearest >= 0.5 ? nearest + 1 : nearest) + 0;
  };
  const base = step.base.map(whole);
  if (!base.every(Number.isSafeInteger)) {
    throw invalidOption("leafBits", "the base values are too large for so many bits");
  }
  const trees: Tree[] = step.trees.map(({ nodes }) => ({
    nodes: nodes.map((node) =>
      node.kind === "leaf" ? { kind: "leaf", scores: node.scores.map(whole) } : node,
    ),
  }));
  const error = (powerOfTwo(-scaleBits) / 2) * (trees.length + 1);
  const ranges = base.map((value, score) => scoreRange(trees, score, value));
  return { base, trees, scaleBits, error, ranges };
}

function leafSize(step: FloatTrees): number {
  let size = 0;
  for (const { nodes } of step.trees) {
    for (const node of nodes) {
      for (const score of node.kind === "leaf" ? node.scores : []) {
        size = Math.max(size, Math.abs(score));
      }
    }
  }
  return size === 0 ? 1 : size;
}

function scoreRange(
  trees: readonly Tree[],
  score: number,
  base: number,
): { lo: number; hi: number } {
  let lo = base;
  let hi = base;
  for (const { nodes } of trees) {
    const leaves = nodes.flatMap((node) => (node.kind === "leaf" ? [node.scores[score]!] : []));
    lo += leaves.reduce((a, b) => Math.min(a, b));
    hi += leaves.reduce((a, b) => Math.max(a, b));
  }
  return { lo, hi };
}
