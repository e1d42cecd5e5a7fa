// The one way to write an integer graph as bytes, so that a model has one name: the SHA-256 of them.
// Whoever has the ONNX file and the options makes the same bytes on any machine.

import { createHash } from "node:crypto";
import type {
  ActivateStep,
  InputEncoding,
  IntegerGraph,
  Step,
  Tree,
  TreeNode,
} from "./integer-graph.ts";

/**
 * JSON in UTF-8 with a fixed order of members and no white space. The names of steps are left out:
 * they are for people, and another export of the same weights may name its nodes otherwise.
 */
export function canonicalBytes(graph: IntegerGraph): Uint8Array {
  return new TextEncoder().encode(Array.from(canonicalParts(graph)).join(""));
}

/** Lower-case hex SHA-256 of the canonical bytes. */
export function modelCommitment(graph: IntegerGraph): string {
  const hash = createHash("sha256");
  for (const part of canonicalParts(graph)) {
    hash.update(part, "utf8");
  }
  return hash.digest("hex");
}

/** Step by step, so that the text of a large model is never whole in memory. */
function* canonicalParts(graph: IntegerGraph): Generator<string> {
  const { output } = graph;
  yield `{"format":"plinth-integer-graph-1","compilerVersion":${graph.compilerVersion},"inputs":`;
  yield JSON.stringify(
    graph.inputs.map(({ name, shape, encoding }) => ({
      name,
      shape: [...shape],
      encoding: canonicalEncoding(encoding),
    })),
  );
  yield ',"steps":[';
  for (const [i, step] of graph.steps.entries()) {
    yield (i === 0 ? "" : ",") + canonicalStep(step);
  }
  yield '],"output":';
  const { name, shape, values, scaleBits, after, argmax, classLabels } = output;
  yield JSON.stringify({
    name,
    shape: [...shape],
    scaleBits,
    after,
    argmax,
    classLabels: [...classLabels],
  });
  yield `,"outputValues":${list(values)}`;
  yield "}";
}

/**
 * A list of numbers.
 *
 * @throws RangeError: not a safe integer, which JSON could write in more than one way
 */
function list(values: Int32Array | Float64Array | readonly number[]): string {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isSafeInteger(values[i])) {
      throw new RangeError(`${values[i]} is not a safe integer`);
    }
  }
  // A negative zero is joined as "0".
  return `[${values.join(",")}]`;
}

function canonicalEncoding(encoding: InputEncoding): object {
  const { kind } = encoding;
  if (kind === "ordered-float32") {
    return { kind };
  }
  const { scaleBits, lo, hi } = encoding;
  list([scaleBits, lo, hi]);
  return { kind, scaleBits: scaleBits + 0, lo: lo + 0, hi: hi + 0 };
}

function canonicalStep(step: Step): string {
  switch (step.kind) {
    case "linear": {
      const { rowStart, columns, weights, bias } = step.rows;
      return (
        `{"kind":"linear","rowStart":${list(rowStart)},"columns":${list(columns)},` +
        `"weights":${list(weights)},"bias":${list(bias)}}`
      );
    }
    case "activate":
      return (
        `{"kind":"activate","values":${list(step.values)},"shiftBits":${step.shiftBits},` +
        `"activation":${JSON.stringify(canonicalActivation(step))}}`
      );
    case "max":
      return `{"kind":"max","groupStart":${list(step.groupStart)},"values":${list(step.values)}}`;
    case "trees":
      return (
        `{"kind":"trees","features":${list(step.features)},"base":${list(step.base)},` +
        `"trees":[${step.trees.map(canonicalTree).join(",")}]}`
      );
  }
}

function canonicalActivation({ activation }: ActivateStep): readonly (string | number)[] {
  switch (activation.kind) {
    case "leaky-relu":
      return [activation.kind, activation.slopeBits];
    case "clip":
      list([activation.lo, activation.hi]);
      return [activation.kind, activation.lo + 0, activation.hi + 0];
    default:
      return [activation.kind];
  }
}

/** A leaf is a list of its scores, a split a list within a list. */
function canonicalTree({ nodes }: Tree): string {
  const texts = nodes.map((node: TreeNode) =>
    node.kind === "leaf"
      ? list(node.scores)
      : `[${list([node.feature, node.threshold, node.ifTrue, node.ifFalse])}]`,
  );
  return `[${texts.join(",")}]`;
}
