// Reads the trees of a TreeEnsembleClassifier or TreeEnsembleRegressor out of their lists, and
// checks that they are trees: a file can say that a node is its own grandchild.

import { floatsOf, integerOf, integersOf, type OnnxNode, textOf, textsOf } from "../onnx-model.ts";
import { NodeRefusal } from "../unsupported.ts";

export interface TreeEnsemble {
  readonly trees: readonly EnsembleTree[];
  /** How many targets or classes there are. */
  readonly scores: number;
  readonly aggregate: "SUM" | "AVERAGE";
  /** As the file has it; undefined where it has none. */
  readonly base: readonly number[] | undefined;
  readonly postTransform: string;
}

/** Nodes by index, the root first; leaves and splits. */
export interface EnsembleTree {
  readonly nodes: readonly EnsembleNode[];
}

export type SplitMode = "BRANCH_LEQ" | "BRANCH_LT" | "BRANCH_GTE" | "BRANCH_GT";

export type EnsembleNode =
  | {
      readonly kind: "split";
      readonly mode: SplitMode;
      readonly feature: number;
      readonly value: number;
      readonly ifTrue: number;
      readonly ifFalse: number;
    }
  | { readonly kind: "leaf"; readonly weights: ReadonlyMap<number, number> };

const MODES: ReadonlySet<string> = new Set(["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]);

/** What the lists say of one node, before the trees are put together. */
interface RawNode {
  readonly mode: string;
  readonly feature: number;
  readonly value: number;
  readonly ifTrue: number;
  readonly ifFalse: number;
  readonly weights: Map<number, number>;
}

/**
 * @param prefix "class" or "target": how the lists of the leaves are called
 * @throws NodeRefusal: not trees, or a kind of trees that is not proved
 */
export function treeEnsembleOf(node: OnnxNode, prefix: "class" | "target"): TreeEnsemble {
  const aggregate = textOf(node, "aggregate_function", "SUM");
  if (aggregate !== "SUM" && aggregate !== "AVERAGE") {
    throw new NodeRefusal(`it aggregates its trees by ${aggregate}`, "use SUM or AVERAGE");
  }
  for (const name of [
    "nodes_values_as_tensor",
    "base_values_as_tensor",
    `${prefix}_weights_as_tensor`,
  ]) {
    if (node.attributes.has(name)) {
      throw new NodeRefusal("its values are float64", "convert the model with float32 inputs");
    }
  }
  const scores =
    prefix === "target"
      ? integerOf(node, "n_targets", 1)
      : (integersOf(node, "classlabels_int64s") ?? textsOf(node, "classlabels_strings") ?? [])
          .length;
  if (!(scores >= 1 && scores <= SCORES_MAX)) {
    throw new NodeRefusal(`it has ${scores} classes or targets`, `1 to ${SCORES_MAX} are taken`);
  }
  const raw = rawTrees(node);
  addWeights(node, prefix, { raw, scores });
  return {
    trees: [...raw.values()].map(assemble),
    scores,
    aggregate,
    base: floatsOf(node, "base_values"),
    postTransform: textOf(node, "post_transform", "NONE"),
  };
}

/** A leaf has a number for each. */
const SCORES_MAX = 1000;

function broken(what: string): NodeRefusal {
  return new NodeRefusal(what, "export the trees again; the file contradicts itself");
}

/** By tree, then by node. */
function rawTrees(node: OnnxNode): Map<number, Map<number, RawNode>> {
  const list = (name: string) => integersOf(node, name) ?? [];
  const trees = list("nodes_treeids");
  const ids = list("nodes_nodeids");
  const features = list("nodes_featureids");
  const ifTrue = list("nodes_truenodeids");
  const ifFalse = list("nodes_falsenodeids");
  const values = floatsOf(node, "nodes_values") ?? [];
  const modes = textsOf(node, "nodes_modes") ?? [];
  const lengths = [ids, features, ifTrue, ifFalse, values, modes].map(({ length }) => length);
  if (trees.length === 0 || lengths.some((length) => length !== trees.length)) {
    throw broken(`its lists of nodes have ${trees.length} and ${lengths} entries`);
  }
  const raw = new Map<number, Map<number, RawNode>>();
  trees.forEach((tree, i) => {
    const nodes = raw.get(tree) ?? new Map<number, RawNode>();
    raw.set(tree, nodes);
    if (nodes.has(ids[i]!)) {
      throw broken(`tree ${tree} has two nodes ${ids[i]}`);
    }
    nodes.set(ids[i]!, {
      mode: modes[i]!,
      feature: features[i]!,
      value: values[i]!,
      ifTrue: ifTrue[i]!,
      ifFalse: ifFalse[i]!,
      weights: new Map(),
    });
  });
  return raw;
}

function addWeights(
  node: OnnxNode,
  prefix: string,
  into: { readonly raw: Map<number, Map<number, RawNode>>; readonly scores: number },
): void {
  const list = (name: string) => integersOf(node, `${prefix}_${name}`) ?? [];
  const trees = list("treeids");
  const nodes = list("nodeids");
  const ids = list("ids");
  const weights = floatsOf(node, `${prefix}_weights`) ?? [];
  if ([nodes, ids, weights].some(({ length }) => length !== trees.length)) {
    throw broken("its lists of leaves are not of one length");
  }
  trees.forEach((tree, i) => {
    const leaf = into.raw.get(tree)?.get(nodes[i]!);
    const id = ids[i]!;
    if (leaf?.mode !== "LEAF" || !(id >= 0 && id < into.scores) || !Number.isFinite(weights[i])) {
      throw broken(
        `weight ${weights[i]} of class or target ${id} at node ${nodes[i]} of tree ${tree}`,
      );
    }
    leaf.weights.set(id, (leaf.weights.get(id) ?? 0) + weights[i]!);
  });
}

/** Numbers the nodes from the root down. */
function assemble(raw: Map<number, RawNode>): EnsembleTree {
  const children = new Set<number>();
  for (const { mode, ifTrue, ifFalse } of raw.values()) {
    if (mode !== "LEAF") {
      children.add(ifTrue).add(ifFalse);
    }
  }
  const roots = [...raw.keys()].filter((id) => !children.has(id));
  if (roots.length !== 1) {
    throw broken(`a tree has ${roots.length} roots`);
  }
  const order = [roots[0]!];
  const numbers = new Map([[roots[0]!, 0]]);
  const nodes: EnsembleNode[] = [];
  const numberOf = (id: number): number => {
    if (!raw.has(id) || numbers.has(id)) {
      throw broken(`node ${id} of a tree is missing or has two parents`);
    }
    numbers.set(id, order.length);
    return order.push(id) - 1;
  };
  for (let at = 0; at < order.length; at++) {
    const node = raw.get(order[at]!)!;
    if (node.mode === "LEAF") {
      nodes.push({ kind: "leaf", weights: node.weights });
      continue;
    }
    if (!MODES.has(node.mode)) {
      throw new NodeRefusal(
        `it splits by ${node.mode}`,
        "use splits by BRANCH_LEQ, BRANCH_LT, BRANCH_GTE or BRANCH_GT",
      );
    }
    if (Number.isNaN(node.value) || node.feature < 0) {
      throw broken(`it splits feature ${node.feature} at ${node.value}`);
    }
    const mode = node.mode as SplitMode;
    const { feature, value } = node;
    const ifTrue = numberOf(node.ifTrue);
    nodes.push({ kind: "split", mode, feature, value, ifTrue, ifFalse: numberOf(node.ifFalse) });
  }
  if (nodes.length !== raw.size) {
    throw broken(`the root of a tree reaches ${nodes.length} of its ${raw.size} nodes`);
  }
  return { nodes };
}

/** Whether a split takes its true branch for a float32, as onnxruntime decides it. */
export function takesTrue(mode: SplitMode, feature: number, value: number): boolean {
  switch (mode) {
    case "BRANCH_LEQ":
      return feature <= value;
    case "BRANCH_LT":
      return feature < value;
    case "BRANCH_GTE":
      return feature >= value;
    case "BRANCH_GT":
      return feature > value;
  }
}

/**
 * How the scores of a classifier with two classes come to be, as onnxruntime has it: "single" is
 * one score for both, "both" two of their own. undefined: it would depend on the row.
 */
export function binaryScores(ensemble: TreeEnsemble): "single" | "both" | undefined {
  const has = ({ nodes }: EnsembleTree, test: "some" | "every") =>
    nodes.filter((node) => node.kind === "leaf")[test]((leaf) => leaf.weights.has(1));
  if (!ensemble.trees.some((tree) => has(tree, "some"))) {
    return "single";
  }
  return ensemble.trees.some((tree) => has(tree, "every")) ? "both" : undefined;
}

/** Whether all weights of all leaves are at least 0, and which classes have any. */
export function weightsOf(ensemble: TreeEnsemble): {
  readonly arePositive: boolean;
  readonly classes: ReadonlySet<number>;
} {
  const classes = new Set<number>();
  let arePositive = true;
  for (const { nodes } of ensemble.trees) {
    for (const node of nodes) {
      if (node.kind === "leaf") {
        for (const [id, weight] of node.weights) {
          classes.add(id);
          arePositive &&= weight >= 0;
        }
      }
    }
  }
  return { arePositive, classes };
}
