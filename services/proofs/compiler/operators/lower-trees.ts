// Turns tree ensembles into trees over the keys of float32 inputs. What a Scaler or other arithmetic
// does to a feature in front of the trees goes into the thresholds, exactly: a split of a computed
// float32 is a split of the input at another float32, which is searched for.

import type { FloatTree, FloatTreeNode } from "../float-program.ts";
import type { Feature } from "../lowering.ts";
import { floatOfKey, KEY_MAX, KEY_MIN } from "../ordered-float.ts";
import { NodeRefusal } from "../unsupported.ts";
import {
  type EnsembleNode,
  type EnsembleTree,
  type TreeEnsemble,
  takesTrue,
} from "./tree-ensemble.ts";

type Split = Extract<EnsembleNode, { kind: "split" }>;

/** A split in terms of the input's key: `swapped` where keys up to the threshold take false. */
type KeySplit =
  | { readonly kind: "threshold"; readonly key: number; readonly swapped: boolean }
  | { readonly kind: "always"; readonly outcome: boolean };

/** The trees as a step takes them; `features` are numbers of inputs. */
export function lowerEnsemble(
  ensemble: TreeEnsemble,
  features: readonly Feature[],
): { readonly features: Int32Array; readonly trees: readonly FloatTree[] } {
  const divisor = ensemble.aggregate === "AVERAGE" ? ensemble.trees.length : 1;
  const inputs = new Map<number, number>();
  const known = new Map<string, KeySplit>();
  const splitOf = (node: Split): KeySplit => {
    const feature = features[node.feature];
    if (feature === undefined) {
      throw new NodeRefusal(
        `it splits feature ${node.feature} of ${features.length}`,
        "correct the model; the input has fewer columns",
      );
    }
    const name = `${node.feature} ${node.mode} ${node.value}`;
    const split = known.get(name) ?? keySplit(node, feature);
    known.set(name, split);
    return split;
  };
  const indexOf = (node: Split): number => {
    const { input } = features[node.feature]!;
    const index = inputs.get(input) ?? inputs.size;
    inputs.set(input, index);
    return index;
  };
  const trees = ensemble.trees.map((tree) =>
    lowerTree(tree, {
      splitOf,
      indexOf,
      leaf: (weights) =>
        Array.from({ length: ensemble.scores }, (_, id) => (weights.get(id) ?? 0) / divisor),
    }),
  );
  return { features: Int32Array.from(inputs.keys()), trees };
}

function lowerTree(
  tree: EnsembleTree,
  by: {
    readonly splitOf: (node: Split) => KeySplit;
    readonly indexOf: (node: Split) => number;
    readonly leaf: (weights: ReadonlyMap<number, number>) => readonly number[];
  },
): FloatTree {
  /** Follows splits that always go one way. */
  const resolve = (start: number): number => {
    let at = start;
    for (let node = tree.nodes[at]!; node.kind === "split"; node = tree.nodes[at]!) {
      const split = by.splitOf(node);
      if (split.kind === "threshold") {
        break;
      }
      at = split.outcome ? node.ifTrue : node.ifFalse;
    }
    return at;
  };
  const order = [resolve(0)];
  const nodes: FloatTreeNode[] = [];
  for (let at = 0; at < order.length; at++) {
    const node = tree.nodes[order[at]!]!;
    if (node.kind === "leaf") {
      nodes.push({ kind: "leaf", scores: by.leaf(node.weights) });
      continue;
    }
    const split = by.splitOf(node);
    if (split.kind === "always") {
      throw new Error("A split that always goes one way was not resolved.");
    }
    const low = split.swapped ? node.ifFalse : node.ifTrue;
    const high = split.swapped ? node.ifTrue : node.ifFalse;
    const ifTrue = order.push(resolve(low)) - 1;
    const ifFalse = order.push(resolve(high)) - 1;
    nodes.push({ kind: "split", feature: by.indexOf(node), threshold: split.key, ifTrue, ifFalse });
  }
  return { nodes };
}

function keySplit(node: Split, feature: Feature): KeySplit {
  const outcome = (key: number) =>
    takesTrue(node.mode, computed(feature, floatOfKey(key)), node.value);
  const first = outcome(KEY_MIN);
  if (first === outcome(KEY_MAX)) {
    return { kind: "always", outcome: first };
  }
  // Every operation of the chain is monotone in float32, so there is one change, which is found by
  // halving.
  let low = KEY_MIN;
  let high = KEY_MAX;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (outcome(middle) === first) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return { kind: "threshold", key: low, swapped: !first };
}

/** The feature of an input, in float32 as onnxruntime computes it. */
function computed(feature: Feature, input: number): number {
  let value = input;
  for (const { kind, constant } of feature.chain) {
    switch (kind) {
      case "add":
        value = Math.fround(value + constant);
        break;
      case "subtract":
        value = Math.fround(value - constant);
        break;
      case "subtract-from":
        value = Math.fround(constant - value);
        break;
      case "multiply":
        value = Math.fround(value * constant);
        break;
      case "divide":
        value = Math.fround(value / constant);
    }
  }
  return value;
}

/** Refuses features that are 0 or not a number whatever the input. */
export function checkFeatures(features: readonly Feature[]): void {
  const isFlat = features.some(({ chain }) =>
    chain.some(
      ({ kind, constant }) =>
        !Number.isFinite(constant) ||
        (constant === 0 && (kind === "multiply" || kind === "divide")),
    ),
  );
  if (isFlat) {
    throw new NodeRefusal(
      "a feature is multiplied with or divided by 0 in front of it",
      "leave the column out, or scale it by 1",
    );
  }
}
