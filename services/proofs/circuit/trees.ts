// Ensembles of trees. The decisions come from the intervals of the features; what is left is to
// select leaves. That is done from the leaves up (one product an inner node, none for a node of two
// leaves) or from the root down (path indicators, whatever the number of scores), as is cheaper.

import type { Tree, TreeNode, TreesStep } from "../compiler/integer-graph.ts";
import type { ChoiceGroup } from "./choice.ts";
import { atMost } from "./choice.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { Coefficient, Term } from "./combination.ts";
import { constantIn, constantOf, difference, sum, sumOf, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";
import { intervalChoice } from "./intervals.ts";
import type { Bounded } from "./maximum.ts";

type Split = Extract<TreeNode, { kind: "split" }>;

/** The scores, and the choices behind them. */
export interface TreeScores {
  readonly scores: readonly LinearCombination[];
  readonly choices: readonly ChoiceGroup[];
}

/**
 * The scores of an ensemble.
 *
 * @param features In the order of step.features.
 * @throws RangeError where a tree is no tree: a node that is missing, or reached twice.
 */
export function treeScores(
  builder: CircuitBuilder,
  step: TreesStep,
  features: readonly Bounded[],
): TreeScores {
  const orders = step.trees.map((tree) => rootFirst(tree, step.name));
  const decisions = decide(builder, step, orders, features);
  const parts: Term[][] = step.base.map((base) => [[1, constantOf(base)]]);
  for (const order of orders) {
    const splits = order.filter(({ node }) => node.kind === "split").length;
    const up = parts.reduce((total, _, score) => total + productsUp(order, score), 0);
    // Every split but the root gives a product; the root's indicators are its decision.
    if (up <= splits - 1) addUpwards(builder, order, decisions, parts);
    else addDownwards(builder, order, decisions, parts);
  }
  return { scores: parts.map((terms) => sumOf(terms)), choices: decisions.choices };
}

/** A node with where its children stand in the order; every parent is before its children. */
interface Placed {
  readonly node: TreeNode;
  readonly ifTrue: number;
  readonly ifFalse: number;
}

interface Decisions {
  /** 1 where the node goes to ifTrue. */
  readonly of: (node: Split) => LinearCombination;
  readonly choices: readonly ChoiceGroup[];
}

/** The nodes that the root reaches, parents first. */
function rootFirst(tree: Tree, name: string): readonly Placed[] {
  const order: number[] = [0];
  const place = new Map([[0, 0]]);
  const placed: Placed[] = [];
  const enqueue = (index: number): number => {
    if (place.has(index)) throw new RangeError(`${name}: node ${index} is reached twice`);
    place.set(index, order.length);
    return order.push(index) - 1;
  };
  for (let at = 0; at < order.length; at += 1) {
    const node = tree.nodes[order[at]!];
    if (!node) throw new RangeError(`${name}: there is no node ${order[at]}`);
    const isSplit = node.kind === "split";
    const ifTrue = isSplit ? enqueue(node.ifTrue) : -1;
    const ifFalse = isSplit ? enqueue(node.ifFalse) : -1;
    placed.push({ node, ifTrue, ifFalse });
  }
  return placed;
}

function decide(
  builder: CircuitBuilder,
  step: TreesStep,
  orders: readonly (readonly Placed[])[],
  features: readonly Bounded[],
): Decisions {
  const thresholds = features.map(() => new Set<number>());
  for (const { node } of orders.flat()) {
    if (node.kind !== "split") continue;
    const feature = features[node.feature];
    if (!feature) throw new RangeError(`${step.name}: there is no feature ${node.feature}`);
    if (isOpen(feature, node.threshold)) thresholds[node.feature]!.add(node.threshold);
  }
  const choices: ChoiceGroup[] = [];
  const known = features.map((feature, i) => {
    const sorted = [...thresholds[i]!].sort((a, b) => a - b);
    if (sorted.length === 0) return new Map<number, LinearCombination>();
    const choice = intervalChoice(builder, feature, sorted);
    choices.push(choice);
    return new Map(sorted.map((threshold, at) => [threshold, atMost(choice, at)]));
  });
  const of = (node: Split): LinearCombination => {
    const inside = known[node.feature]!.get(node.threshold);
    const always = BigInt(node.threshold) >= features[node.feature]!.interval.hi;
    return inside ?? constantOf(always ? 1 : 0);
  };
  return { of, choices };
}

/** Whether the decision depends on the value; a threshold at or above its highest is always met. */
function isOpen({ interval }: Bounded, threshold: number): boolean {
  return BigInt(threshold) >= interval.lo && BigInt(threshold) < interval.hi;
}

/** Products that a tree costs for one score from the leaves up; 0 where all leaves are the same. */
function productsUp(order: readonly Placed[], score: number): number {
  const constant: (number | undefined)[] = new Array(order.length);
  let products = 0;
  for (let at = order.length - 1; at >= 0; at -= 1) {
    const { node, ifTrue, ifFalse } = order[at]!;
    if (node.kind === "leaf") {
      constant[at] = node.scores[score]!;
      continue;
    }
    const both = constant[ifTrue] !== undefined && constant[ifFalse] !== undefined;
    if (both && constant[ifTrue] === constant[ifFalse]) constant[at] = constant[ifTrue];
    else if (!both) products += 1;
  }
  return products;
}

function addUpwards(
  builder: CircuitBuilder,
  order: readonly Placed[],
  decisions: Decisions,
  parts: readonly Term[][],
): void {
  const values: LinearCombination[] = new Array(order.length);
  parts.forEach((terms, score) => {
    for (let at = order.length - 1; at >= 0; at -= 1) {
      const { node, ifTrue, ifFalse } = order[at]!;
      values[at] =
        node.kind === "leaf"
          ? constantOf(node.scores[score]!)
          : select(builder, decisions.of(node), values[ifTrue]!, values[ifFalse]!);
    }
    terms.push([1, values[0]!]);
  });
}

/** `ifTrue` where the decision is 1, else `ifFalse`. */
function select(
  builder: CircuitBuilder,
  decision: LinearCombination,
  ifTrue: LinearCombination,
  ifFalse: LinearCombination,
): LinearCombination {
  const fixed = constantIn(decision);
  if (fixed !== undefined) return fixed === 1 ? ifTrue : ifFalse;
  const gain = difference(ifTrue, ifFalse);
  const constantGain = constantIn(gain);
  if (constantGain !== undefined) return sum([1, ifFalse], [constantGain, decision]);
  const magnitude = Math.max(builder.magnitudeOf(ifTrue), builder.magnitudeOf(ifFalse));
  return wireOf(builder.multiply(decision, gain, { added: ifFalse, magnitude }));
}

function addDownwards(
  builder: CircuitBuilder,
  order: readonly Placed[],
  decisions: Decisions,
  parts: readonly Term[][],
): void {
  // Whether a node is on the path of this input: 1 or 0.
  const reached: LinearCombination[] = new Array(order.length);
  reached[0] = constantOf(1);
  order.forEach(({ node, ifTrue, ifFalse }, at) => {
    if (node.kind === "leaf") {
      node.scores.forEach((value: Coefficient, score) => {
        if (value !== 0) parts[score]!.push([value, reached[at]!]);
      });
      return;
    }
    reached[ifTrue] = both(builder, reached[at]!, decisions.of(node));
    reached[ifFalse] = difference(reached[at]!, reached[ifTrue]!);
  });
}

/** 1 where both are. */
function both(
  builder: CircuitBuilder,
  a: LinearCombination,
  b: LinearCombination,
): LinearCombination {
  const fixedA = constantIn(a);
  if (fixedA !== undefined) return fixedA === 1 ? b : a;
  const fixedB = constantIn(b);
  if (fixedB !== undefined) return fixedB === 1 ? a : b;
  return wireOf(builder.multiply(a, b, { magnitude: 1 }));
}
