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

/** The text of canonicalBytes in parts, so that a large model's is never whole in memory. */
export function* canonicalParts(graph: IntegerGraph): Generator<string> {
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
    if (i > 0) yield ",";
    yield* canonicalStep(step);
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
  yield ',"outputValues":';
  yield* list(values);
  yield "}";
}

/** Numbers in one part. */
const LIST_PART = 1 << 16;

/** A long list, in parts. */
function* list(values: Int32Array | Float64Array): Generator<string> {
  if (values.length <= LIST_PART) {
    yield `[${joined(values)}]`;
    return;
  }
  for (let at = 0; at < values.length; at += LIST_PART) {
    yield (at === 0 ? "[" : ",") + joined(values.subarray(at, at + LIST_PART));
  }
  yield "]";
}

/**
 * Numbers with commas between them.
 *
 * @throws RangeError: not a safe integer, which JSON could write in more than one way
 */
function joined(values: Int32Array | Float64Array | readonly number[]): string {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isSafeInteger(values[i])) {
      throw new RangeError(`${values[i]} is not a safe integer`);
    }
  }
  // A negative zero is joined as "0".
  return values.join(",");
}

function canonicalEncoding(encoding: InputEncoding): object {
  switch (encoding.kind) {
    case "ordered-float32":
      return { kind: encoding.kind };
    case "fixed": {
      const { kind, scaleBits, lo, hi } = encoding;
      joined([scaleBits, lo, hi]);
      return { kind, scaleBits: scaleBits + 0, lo: lo + 0, hi: hi + 0 };
    }
    case "fixed-each": {
      const { kind } = encoding;
      const [scaleBits, lo, hi] = [encoding.scaleBits, encoding.lo, encoding.hi].map((values) => {
        joined(values);
        return values.map((value) => value + 0);
      });
      return { kind, scaleBits, lo, hi };
    }
  }
}

function* canonicalStep(step: Step): Generator<string> {
  switch (step.kind) {
    case "linear": {
      const { rowStart, columns, weights, bias } = step.rows;
      yield '{"kind":"linear","rowStart":';
      yield* list(rowStart);
      yield ',"columns":';
      yield* list(columns);
      yield ',"weights":';
      yield* list(weights);
      yield ',"bias":';
      yield* list(bias);
      break;
    }
    case "activate":
      yield '{"kind":"activate","values":';
      yield* list(step.values);
      yield `,"shiftBits":${step.shiftBits},"activation":${canonicalActivation(step)}`;
      break;
    case "max":
      yield '{"kind":"max","groupStart":';
      yield* list(step.groupStart);
      yield ',"values":';
      yield* list(step.values);
      break;
    case "trees":
      yield '{"kind":"trees","features":';
      yield* list(step.features);
      yield `,"base":[${joined(step.base)}],"trees":[`;
      for (const [i, tree] of step.trees.entries()) {
        yield (i === 0 ? "" : ",") + canonicalTree(tree);
      }
      yield "]";
      break;
  }
  yield "}";
}

function canonicalActivation({ activation }: ActivateStep): string {
  switch (activation.kind) {
    case "leaky-relu":
      return JSON.stringify([activation.kind, activation.slopeBits]);
    case "clip":
      joined([activation.lo, activation.hi]);
      return JSON.stringify([activation.kind, activation.lo + 0, activation.hi + 0]);
    default:
      return JSON.stringify([activation.kind]);
  }
}

/** A leaf is a list of its scores, a split a list within a list. */
function canonicalTree({ nodes }: Tree): string {
  const texts = nodes.map((node: TreeNode) =>
    node.kind === "leaf"
      ? `[${joined(node.scores)}]`
      : `[[${joined([node.feature, node.threshold, node.ifTrue, node.ifFalse])}]]`,
  );
  return `[${texts.join(",")}]`;
}
