// The reference interpreter's classifiers and regressors of ai.onnx.ml: trees are walked with
// float32 comparisons, and one score for two classes is treated as onnxruntime does.

import { integerOf, operatorName, textOf, textsOf } from "../onnx-model.ts";
import { numbers, sizeOf, type Tensor } from "../tensor.ts";
import { ML_LINEAR_MAPS } from "./linear-maps.ts";
import { labelsOf } from "./lower-ml.ts";
import { type NodeContext, required } from "./node-context.ts";
import {
  binaryScores,
  type EnsembleTree,
  takesTrue,
  treeEnsembleOf,
  weightsOf,
} from "./tree-ensemble.ts";

type Inputs = readonly (Tensor | undefined)[];

/** LinearRegressor and TreeEnsembleRegressor. */
export function evaluateRegressor(context: NodeContext, inputs: Inputs): Tensor[] {
  const { node } = context;
  const isTree = operatorName(node) === "ai.onnx.ml.TreeEnsembleRegressor";
  const rows = isTree
    ? treeRows(context, inputs, "target")
    : linearRows(context, inputs, integerOf(node, "targets", 1));
  const after = textOf(node, "post_transform", "NONE");
  return [stacked(rows.map((row) => transformed(row, after)))];
}

/** LinearClassifier and TreeEnsembleClassifier: labels and scores. */
export function evaluateClassifier(context: NodeContext, inputs: Inputs): Tensor[] {
  const { node } = context;
  const isTree = operatorName(node) === "ai.onnx.ml.TreeEnsembleClassifier";
  const names = labelsOf(node);
  const after = textOf(node, "post_transform", "NONE");
  const found = isTree
    ? treeRows(context, inputs, "class").map((row) => treeClass(context, row, after))
    : linearRows(context, inputs, undefined).map((row) => linearClass(row, names.length, after));
  const picked = found.map(({ best }) => names[best] ?? "");
  const scores = stacked(found.map(({ scores: row }) => row));
  const label: Tensor = textsOf(node, "classlabels_strings")
    ? { type: "string", shape: [picked.length], data: new Float64Array(0), texts: picked }
    : numbers("int64", [picked.length], picked.map(Number));
  return [label, scores];
}

function stacked(rows: readonly (readonly number[])[]): Tensor {
  return numbers("float32", [rows.length, rows[0]?.length ?? 0], rows.flat());
}

function transformed(row: readonly number[], transform: string): readonly number[] {
  if (transform === "LOGISTIC") {
    return row.map((value) => 1 / (1 + Math.exp(-value)));
  }
  if (transform === "SOFTMAX") {
    const largest = Math.max(...row);
    const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
    return row.map((value) => Math.exp(value - largest) / sum);
  }
  return row;
}

function firstLargest(row: readonly number[]): number {
  return row.indexOf(Math.max(...row));
}

function linearClass(row: readonly number[], classes: number, transform: string) {
  const [score = 0] = row;
  if (row.length === 1 && classes === 2) {
    const scores =
      transform === "LOGISTIC" ? transformed([-score, score], transform) : [1 - score, score];
    return { best: score > 0 ? 1 : 0, scores };
  }
  return { best: firstLargest(row), scores: transformed(row, transform) };
}

function treeClass(context: NodeContext, row: readonly number[], transform: string) {
  const ensemble = treeEnsembleOf(context.node, "class");
  if (ensemble.scores !== 2) {
    return { best: firstLargest(row), scores: transformed(row, transform) };
  }
  const { arePositive } = weightsOf(ensemble);
  const isSingle = binaryScores(ensemble) === "single";
  const score = row[isSingle ? 0 : 1]!;
  const best = score > (arePositive ? 0.5 : 0) ? 1 : 0;
  if (!isSingle) {
    return { best, scores: transformed(row, transform) };
  }
  const scores =
    transform === "LOGISTIC"
      ? transformed([-score, score], transform)
      : [(arePositive ? 1 : 0) - score, score];
  return { best, scores };
}

function linearRows(context: NodeContext, inputs: Inputs, targets: number | undefined): number[][] {
  const operands = inputs.map(
    (input) => input && { type: input.type, shape: input.shape, constant: input },
  );
  const map = ML_LINEAR_MAPS[context.node.operator]!(context, operands);
  const source = required(context, inputs, 0).data;
  const all = Array.from({ length: sizeOf(map.shape) }, (_, output) => {
    let sum = 0;
    const bias = map.row(output, (at, weight) => {
      sum += weight * source[at]!;
    });
    return sum + bias;
  });
  const columns = targets ?? map.shape[1]!;
  return Array.from({ length: map.shape[0]! }, (_, row) =>
    all.slice(row * columns, (row + 1) * columns),
  );
}

function treeRows(context: NodeContext, inputs: Inputs, prefix: "class" | "target"): number[][] {
  const ensemble = treeEnsembleOf(context.node, prefix);
  const { data, shape } = required(context, inputs, 0);
  const rows = shape.length > 1 ? shape[0]! : 1;
  const columns = data.length / Math.max(rows, 1);
  const divisor = ensemble.aggregate === "AVERAGE" ? ensemble.trees.length : 1;
  return Array.from({ length: rows }, (_, row) => {
    const features = data.subarray(row * columns, (row + 1) * columns);
    const scores = Array.from({ length: ensemble.scores }, (__, i) => ensemble.base?.[i] ?? 0);
    for (const tree of ensemble.trees) {
      for (const [id, weight] of leafOf(tree, features)) {
        scores[id]! += weight / divisor;
      }
    }
    return scores;
  });
}

function leafOf(tree: EnsembleTree, features: Float64Array): ReadonlyMap<number, number> {
  let node = tree.nodes[0]!;
  while (node.kind === "split") {
    const feature = Math.fround(features[node.feature]!);
    node = tree.nodes[takesTrue(node.mode, feature, node.value) ? node.ifTrue : node.ifFalse]!;
  }
  return node.weights;
}
