// Turns the operators that move values and those that are linear into rows over values.

import { addRows, type FloatRows, RowBuilder, selectRows } from "../float-rows.ts";
import {
  type Feature,
  type Lowered,
  type LoweredValues,
  type Lowering,
  operandOf,
  plain,
  type ScalarOperation,
  values,
} from "../lowering.ts";
import { operatorName } from "../onnx-model.ts";
import { broadcastIndexes, broadcastShape, type ElementType, isFloat, sizeOf } from "../tensor.ts";
import { NodeRefusal } from "../unsupported.ts";
import type { IndexMap } from "./index-maps.ts";
import type { LinearMap } from "./linear-map.ts";
import { scalerOf } from "./linear-maps.ts";
import { mismatch, type NodeContext } from "./node-context.ts";

type Inputs = readonly (Lowered | undefined)[];

/** A node that moves values; one of its inputs at least is not constant. */
export function lowerIndexMap(context: NodeContext, inputs: Inputs, map: IndexMap): Lowered {
  const sources = map.sources.map((at) => inputs[at]!);
  const [first] = sources;
  if (sources.length === 1 && first?.kind === "argmax") {
    if (sizeOf(map.shape) !== 1) {
      throw new NodeRefusal("it repeats or drops the result of an ArgMax", "leave it out");
    }
    return { ...first, shape: map.shape };
  }
  if (sources.length === 1 && first?.kind === "values" && isAllowedAfter(first, map)) {
    const features = featuresOf(first, map);
    const { features: _, ...rest } = first;
    const rows = selectRows([first.rows], map.from, map.fill);
    return { ...rest, shape: map.shape, rows, ...(features && { features }) };
  }
  const parts = sources.map((source) => plain(source, context.node));
  const lists = parts.map((part) => part.features);
  const all = lists.every((list) => list !== undefined) ? lists.flat() : undefined;
  const from = map.from ?? Int32Array.from({ length: sizeOf(map.shape) }, (_, i) => i);
  const rows = selectRows(
    parts.map((part) => part.rows),
    from,
    map.fill,
  );
  const features = all && select(all, from);
  return { ...values(parts[0]!.type, map.shape, rows), ...(features && { features }) };
}

/** What a softmax is over must stay together; what is done to single values may be reordered. */
function isAllowedAfter(source: LoweredValues, map: IndexMap): boolean {
  return (
    source.after === "nothing" ||
    map.from === undefined ||
    (source.after !== "softmax" && map.from.every((at) => at >= 0))
  );
}

function featuresOf(source: LoweredValues, map: IndexMap): readonly Feature[] | undefined {
  return map.from === undefined
    ? source.features
    : source.features && select(source.features, map.from);
}

function select(features: readonly Feature[], from: Int32Array): readonly Feature[] | undefined {
  return from.every((at) => at >= 0) ? Array.from(from, (at) => features[at]!) : undefined;
}

/** A node that is linear in its only input that is not constant. */
export function lowerLinearMap(
  context: NodeContext,
  inputs: Inputs,
  options: { readonly map: LinearMap; readonly lowering: Lowering },
): LoweredValues {
  const { map, lowering } = options;
  const source = plain(inputs[map.source]!, context.node);
  const rows = lowering.compose(outerRows(map), source.rows, context.node.name);
  const features = source.features && chained(context, inputs, { map, source });
  return { ...values(resultType(source.type), map.shape, rows), ...(features && { features }) };
}

function resultType(type: ElementType): ElementType {
  return isFloat(type) ? type : "float32";
}

/** Rows over the elements of the source. */
function outerRows(map: LinearMap): FloatRows {
  const builder = new RowBuilder();
  const size = sizeOf(map.shape);
  const term = (input: number, weight: number) => builder.entry(input, weight);
  for (let output = 0; output < size; output++) {
    builder.end(map.row(output, term));
  }
  return builder.rows();
}

const SCALAR_OPERATIONS: Readonly<
  Record<string, readonly [ScalarOperation["kind"], ScalarOperation["kind"]]>
> = {
  Add: ["add", "add"],
  Sub: ["subtract", "subtract-from"],
  Mul: ["multiply", "multiply"],
  Div: ["divide", "divide"],
};

/** Features go on through arithmetic with constants, element by element. */
function chained(
  context: NodeContext,
  inputs: Inputs,
  of: { readonly map: LinearMap; readonly source: LoweredValues },
): readonly Feature[] | undefined {
  const { map, source } = of;
  const features = source.features!;
  const name = operatorName(context.node);
  if (name === "ai.onnx.ml.Scaler") {
    const columns = source.shape[source.shape.length - 1] ?? 1;
    const { offset, scale } = scalerOf(context, columns);
    return features.map(({ input, chain }, i) => {
      const steps: ScalarOperation[] = [
        { kind: "subtract", constant: offset(i % columns) },
        { kind: "multiply", constant: scale(i % columns) },
      ];
      return { input, chain: [...chain, ...steps] };
    });
  }
  const kinds = SCALAR_OPERATIONS[name];
  const other = inputs[1 - map.source];
  if (kinds === undefined || other?.kind !== "constant" || source.type !== "float32") {
    return undefined;
  }
  const mine = broadcastIndexes(source.shape, map.shape);
  const its = broadcastIndexes(other.tensor.shape, map.shape);
  const kind = kinds[map.source]!;
  return Array.from(mine, (at, i) => {
    const { input, chain } = features[at]!;
    return { input, chain: [...chain, { kind, constant: other.tensor.data[its[i]!]! }] };
  });
}

/** Add, Sub or Sum where no input is constant, or more than two are given. */
export function lowerSum(context: NodeContext, inputs: Inputs): LoweredValues {
  const parts = inputs.map((input) => plain(input!, context.node));
  let sum = parts[0]!;
  for (const part of parts.slice(1)) {
    const shape = broadcastShape(sum.shape, part.shape);
    if (shape === undefined) {
      throw mismatch(`[${sum.shape}] and [${part.shape}]`);
    }
    const spread = (of: LoweredValues) =>
      selectRows([of.rows], broadcastIndexes(of.shape, shape), 0);
    const factor = context.node.operator === "Sub" ? -1 : 1;
    const rows = addRows({ rows: spread(sum), factor: 1 }, { rows: spread(part), factor });
    sum = values(sum.type, shape, rows);
  }
  return sum;
}

/** A cast that changes no value. */
export function lowerCast(context: NodeContext, input: Lowered, type: ElementType): Lowered {
  const from = operandOf(input).type;
  if (input.kind === "argmax") {
    return { ...input, type };
  }
  const source =
    input.kind === "values" && input.after !== "nothing" ? input : plain(input, context.node);
  if (type === "string" || type === "bool" || (isFloat(from) && !isFloat(type))) {
    throw new NodeRefusal(
      `it turns ${from} into ${type}`,
      "leave the cast out: only casts that keep every value are proved",
    );
  }
  // What is not float32 all along is compared otherwise than a tree would.
  const keepsFeatures =
    type === "float32" &&
    (from !== "float64" || source.features?.every((f) => f.chain.length === 0));
  const { features, ...rest } = source;
  return { ...rest, type, ...(keepsFeatures && features && { features }) };
}
