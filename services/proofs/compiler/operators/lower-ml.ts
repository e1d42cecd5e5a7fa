// Turns classifiers and regressors of ai.onnx.ml into scores, just as onnxruntime computes them:
// with one score for two classes it makes two of it, in ways that depend on the transform.

import type { After } from "../float-program.ts";
import { type FloatRows, RowBuilder } from "../float-rows.ts";
import { type Lowered, type LoweredValues, type Lowering, plain, values } from "../lowering.ts";
import { integersOf, type OnnxNode, operatorName, textOf, textsOf } from "../onnx-model.ts";
import { NodeRefusal } from "../unsupported.ts";
import type { LinearMap } from "./linear-map.ts";
import { lowerLinearMap } from "./lower-linear.ts";
import { checkFeatures, lowerEnsemble } from "./lower-trees.ts";
import type { NodeContext } from "./node-context.ts";
import { binaryScores, type TreeEnsemble, treeEnsembleOf, weightsOf } from "./tree-ensemble.ts";

type Inputs = readonly (Lowered | undefined)[];

const TRANSFORMS: Readonly<Record<string, After>> = {
  NONE: "nothing",
  LOGISTIC: "sigmoid",
  SOFTMAX: "softmax",
};

function transformOf(node: OnnxNode): After {
  const name = textOf(node, "post_transform", "NONE");
  const after = TRANSFORMS[name];
  if (after === undefined) {
    throw new NodeRefusal(`its post_transform is ${name}`, "use NONE, LOGISTIC or SOFTMAX");
  }
  return after;
}

/** The labels of a classifier, in the order of its scores. */
export function labelsOf(node: OnnxNode): readonly string[] {
  const numbers = integersOf(node, "classlabels_int64s") ?? integersOf(node, "classlabels_ints");
  const texts = textsOf(node, "classlabels_strings");
  return numbers !== undefined && numbers.length > 0 ? numbers.map(String) : (texts ?? []);
}

function ended(source: LoweredValues, after: After, node: OnnxNode): LoweredValues {
  return after === "nothing" ? source : { ...source, after, afterNode: node };
}

function labelOf(of: LoweredValues, node: OnnxNode): Lowered {
  const type = textsOf(node, "classlabels_strings") ? "string" : "int64";
  const { features: _, afterNode: __, ...rest } = of;
  return { kind: "argmax", type, shape: [1], of: { ...rest, after: "nothing" }, node };
}

/** From one score s: [offset - s, s]. */
function twoOfOne(scores: LoweredValues, offset: number): LoweredValues {
  const { rows } = scores;
  const builder = new RowBuilder();
  for (const sign of [-1, 1]) {
    for (let entry = 0; entry < rows.columns.length; entry++) {
      builder.entry(rows.columns[entry]!, sign * rows.weights[entry]!);
    }
    builder.end(sign * rows.bias[0]! + (sign < 0 ? offset : 0));
  }
  return values("float32", [1, 2], builder.rows());
}

function singleRow(rows: FloatRows, row: number): FloatRows {
  const builder = new RowBuilder();
  for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
    builder.entry(rows.columns[entry]!, rows.weights[entry]!);
  }
  builder.end(rows.bias[row]!);
  return builder.rows();
}

export function lowerLinearRegressor(
  context: NodeContext,
  inputs: Inputs,
  options: { readonly map: LinearMap; readonly lowering: Lowering },
): Lowered[] {
  const { features: _, ...scores } = lowerLinearMap(context, inputs, options);
  return [ended(scores, transformOf(context.node), context.node)];
}

/** The label and the scores. */
export function lowerLinearClassifier(
  context: NodeContext,
  inputs: Inputs,
  options: { readonly map: LinearMap; readonly lowering: Lowering },
): Lowered[] {
  const { node } = context;
  const after = transformOf(node);
  const classLabels = labelsOf(node);
  const { features: _, ...found } = lowerLinearMap(context, inputs, options);
  const count = found.rows.bias.length;
  if (count === 1 && classLabels.length === 2) {
    // onnxruntime transforms a single score by LOGISTIC only; else it gives [1 - s, s].
    const signs = { ...twoOfOne(found, 0), classLabels };
    const scores = after === "sigmoid" ? signs : { ...twoOfOne(found, 1), classLabels };
    return [labelOf(signs, node), ended(scores, after === "sigmoid" ? after : "nothing", node)];
  }
  if (count !== classLabels.length || count === 1) {
    throw new NodeRefusal(
      `it has ${count} scores for ${classLabels.length} classes`,
      "give it two classes or more with one score each, or one score for two classes",
    );
  }
  const scores = { ...found, classLabels };
  return [labelOf(scores, node), ended(scores, after, node)];
}

/** The scores of an ensemble as values. */
function treeScores(
  context: NodeContext,
  inputs: Inputs,
  options: {
    readonly ensemble: TreeEnsemble;
    readonly base: readonly number[];
    readonly lowering: Lowering;
  },
): FloatRows {
  const { ensemble, base, lowering } = options;
  const source = plain(inputs[0]!, context.node);
  if (source.features === undefined) {
    throw new NodeRefusal(
      "its input is computed from the model's inputs by more than arithmetic with constants",
      "put the trees first; only scalers, casts and selections may stand before them",
    );
  }
  if (source.type !== "float32") {
    throw new NodeRefusal(`its input is ${source.type}`, "cast it to float32 in the model");
  }
  const used = new Set<number>();
  for (const { nodes } of ensemble.trees) {
    for (const node of nodes) {
      if (node.kind === "split") {
        used.add(node.feature);
      }
    }
  }
  checkFeatures([...used].flatMap((feature) => source.features?.[feature] ?? []));
  const { features, trees } = lowerEnsemble(ensemble, source.features);
  return lowering.trees({ features, base, trees }, context.node.name);
}

export function lowerTreeRegressor(
  context: NodeContext,
  inputs: Inputs,
  lowering: Lowering,
): Lowered[] {
  const { node } = context;
  const ensemble = treeEnsembleOf(node, "target");
  const base = ensemble.base ?? new Array<number>(ensemble.scores).fill(0);
  if (base.length !== ensemble.scores) {
    throw new NodeRefusal(
      `it has ${base.length} base values for ${ensemble.scores} targets`,
      "give it one base value a target",
    );
  }
  const after = transformOf(node);
  if (after === "softmax" && ensemble.scores === 1) {
    throw new NodeRefusal("it has a softmax over one target", "use NONE or LOGISTIC");
  }
  const rows = treeScores(context, inputs, { ensemble, base, lowering });
  return [ended(values("float32", [1, ensemble.scores], rows), after, node)];
}

/** The label and the scores. */
export function lowerTreeClassifier(
  context: NodeContext,
  inputs: Inputs,
  lowering: Lowering,
): Lowered[] {
  const { node } = context;
  const ensemble = treeEnsembleOf(node, "class");
  const after = transformOf(node);
  const classLabels = labelsOf(node);
  if (ensemble.scores === 2) {
    return lowerBinaryTrees(context, inputs, { ensemble, after, classLabels, lowering });
  }
  const base = ensemble.base ?? new Array<number>(ensemble.scores).fill(0);
  if (ensemble.scores === 1 || base.length !== ensemble.scores) {
    throw new NodeRefusal(
      `it has ${ensemble.scores} classes and ${base.length} base values`,
      "give it two classes or more, and one base value for each",
    );
  }
  const rows = treeScores(context, inputs, { ensemble, base, lowering });
  const scores = { ...values("float32", [1, ensemble.scores], rows), classLabels };
  return [labelOf(scores, node), ended(scores, after, node)];
}

function lowerBinaryTrees(
  context: NodeContext,
  inputs: Inputs,
  options: {
    readonly ensemble: TreeEnsemble;
    readonly after: After;
    readonly classLabels: readonly string[];
    readonly lowering: Lowering;
  },
): Lowered[] {
  const { ensemble, after, classLabels, lowering } = options;
  const { node } = context;
  const kind = binaryScores(ensemble);
  const base = ensemble.base ?? [];
  if (kind === undefined) {
    throw new NodeRefusal(
      "some of its leaves have no score of the second class, and every tree has such leaves",
      "give every leaf a score of each class; onnxruntime's result depends on the path otherwise",
    );
  }
  if (base.length > (kind === "single" ? 1 : 0)) {
    throw new NodeRefusal(
      `it has ${base.length} base values for two classes`,
      "put the base values into the leaves of one tree; onnxruntime adds them to the wrong class",
    );
  }
  const rows = treeScores(context, inputs, { ensemble, base: [base[0] ?? 0, 0], lowering });
  const { arePositive, classes } = weightsOf(ensemble);
  const single = (row: number) => values("float32", [1, 1], singleRow(rows, row));
  const two = (row: number, offset: number) => ({ ...twoOfOne(single(row), offset), classLabels });
  // With weights of one class only, onnxruntime's label is that of the score against 1/2 or 0.
  const deciding = two(kind === "single" ? 0 : 1, arePositive ? 1 : 0);
  const label: Lowered = classes.size === 1 ? labelOf(deciding, node) : unusable(node);
  if (kind === "both") {
    const scores = { ...values("float32", [1, 2], rows), classLabels };
    return [label, ended(scores, after, node)];
  }
  // onnxruntime transforms a single score by LOGISTIC only.
  return after === "sigmoid"
    ? [label, ended(two(0, 0), after, node)]
    : [label, two(0, arePositive ? 1 : 0)];
}

/** A label that is refused where it is used: onnxruntime's is not the class of the best score. */
function unusable(node: OnnxNode): Lowered {
  const why = "its label is 1 wherever the second score is above 0, whatever the first one is";
  return {
    kind: "refused",
    type: "int64",
    shape: [1],
    refusal: new NodeRefusal(why, "take its scores as the output", {
      name: node.name,
      operator: operatorName(node),
    }),
  };
}

/**
 * A Normalizer that changes nothing: of probabilities that sum to 1 already, which is what
 * converters of scikit-learn put behind classifiers.
 */
export function lowerNormalizer(context: NodeContext, input: Lowered): Lowered {
  const norm = textOf(context.node, "norm", "MAX");
  if (norm === "L1" && input.kind === "values") {
    const { after, rows } = input;
    if (after === "softmax" || (after === "sigmoid" && areOpposite(rows))) {
      return input;
    }
  }
  throw new NodeRefusal(
    `it divides by the ${norm} norm of its input`,
    "leave it out, or train with multi_class softmax; the class of the largest score is the same",
  );
}

/** Two rows that are each other's negative. */
function areOpposite(rows: FloatRows): boolean {
  const half = rows.columns.length / 2;
  return (
    rows.bias.length === 2 &&
    rows.rowStart[1] === half &&
    rows.bias[0] === -rows.bias[1]! + 0 &&
    rows.columns.slice(0, half).every((column, i) => column === rows.columns[half + i]) &&
    rows.weights.slice(0, half).every((weight, i) => weight === -rows.weights[half + i]!)
  );
}
