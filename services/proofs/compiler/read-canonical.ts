// Reads a canonical integer graph back, from bytes that nobody has vouched for: a circuit is made
// of it again, so whatever is not a graph that the compiler could have written is refused here.

import { canonicalParts } from "./canonical.ts";
import {
  type ActivateStep,
  type FixedEncoding,
  type InputEncoding,
  type IntegerGraph,
  type IntegerInput,
  type IntegerOutput,
  resultCount,
  type SparseRows,
  type Step,
  type Tree,
  type TreeNode,
} from "./integer-graph.ts";
import { CanonicalReading, type JsonMembers } from "./read-canonical-values.ts";
import { invalidModel } from "./unsupported.ts";

/** A text of this length is still one string; its weights make a circuit of some gigabytes. */
export const CANONICAL_BYTES_MAX: number = 256 * 1024 * 1024;

const FORMAT = "plinth-integer-graph-1";
const INPUTS_MAX = 1024;
const STEPS_MAX = 100_000;
const DIMENSIONS_MAX = 64;
const VALUES_MAX = 2 ** 28;
const TREES_MAX = 1_000_000;
const SCORES_MAX = 100_000;
const LABELS_MAX = 1_000_000;
const SCALE_BITS_MAX = 4096;
const SHIFT_BITS_MAX = 1024;
const AFTERS: readonly IntegerOutput["after"][] = ["nothing", "sigmoid", "softmax", "tanh"];

/**
 * The graph of which these are the canonical bytes. The names of its steps, which are not in them,
 * are made up.
 *
 * @throws InvalidArgument: too long, not JSON, not a graph, or another way to write one
 */
export function readCanonical(bytes: Uint8Array): IntegerGraph {
  if (bytes.length > CANONICAL_BYTES_MAX) {
    throw invalidModel(
      `the canonical model has ${bytes.length} bytes; at most ${CANONICAL_BYTES_MAX} are taken`,
    );
  }
  let source: unknown;
  try {
    source = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw invalidModel("the canonical model is not JSON in UTF-8", error);
  }
  const graph = graphOf(new CanonicalReading().members("the canonical model", source));
  checkBytes(graph, bytes);
  return graph;
}

function graphOf(json: JsonMembers): IntegerGraph {
  const reading = new CanonicalReading();
  if (json.format !== FORMAT) throw reading.broken("format", FORMAT);
  const compilerVersion = reading.whole("compilerVersion", json.compilerVersion, 1, 2 ** 31);
  const inputs = reading
    .list("inputs", json.inputs, INPUTS_MAX)
    .map((input, i) => inputOf(reading, `inputs[${i}]`, input));
  const inputValues = reading.values;
  const steps = reading.list("steps", json.steps, STEPS_MAX).map((step, i) => {
    const read = stepOf(reading, `steps[${i}]`, { source: step, inputValues });
    reading.addValues(`steps[${i}]`, resultCount(read), VALUES_MAX);
    return read;
  });
  return { compilerVersion, inputs, steps, output: outputOf(reading, json) };
}

function inputOf(reading: CanonicalReading, name: string, source: unknown): IntegerInput {
  const json = reading.members(name, source);
  const shape = shapeOf(reading, `${name}.shape`, json.shape);
  const count = shape.reduce((total, size) => total * size, 1);
  reading.addValues(`${name}.shape`, count, VALUES_MAX);
  return {
    name: reading.text(`${name}.name`, json.name),
    shape,
    encoding: encodingOf(reading, `${name}.encoding`, { source: json.encoding, count }),
  };
}

function encodingOf(
  reading: CanonicalReading,
  name: string,
  { source, count }: { readonly source: unknown; readonly count: number },
): InputEncoding {
  const json = reading.members(name, source);
  switch (json.kind) {
    case "ordered-float32":
      return { kind: json.kind };
    case "fixed":
      return fixedOf(reading, name, json);
    case "fixed-each": {
      const [scaleBits, lo, hi] = (["scaleBits", "lo", "hi"] as const).map((field) => {
        const list = reading.list(`${name}.${field}`, json[field], count);
        if (list.length !== count) throw reading.broken(`${name}.${field}`, "one a value");
        return list;
      });
      const values = Array.from({ length: count }, (_, i) =>
        fixedOf(reading, `${name}[${i}]`, { scaleBits: scaleBits![i], lo: lo![i], hi: hi![i] }),
      );
      return {
        kind: "fixed-each",
        scaleBits: values.map((value) => value.scaleBits),
        lo: values.map((value) => value.lo),
        hi: values.map((value) => value.hi),
      };
    }
    default:
      throw reading.broken(`${name}.kind`, "fixed, fixed-each or ordered-float32");
  }
}

function fixedOf(reading: CanonicalReading, name: string, json: JsonMembers): FixedEncoding {
  const lo = reading.safe(`${name}.lo`, json.lo);
  return {
    kind: "fixed",
    scaleBits: reading.whole(`${name}.scaleBits`, json.scaleBits, -SCALE_BITS_MAX, SCALE_BITS_MAX),
    lo,
    hi: reading.whole(`${name}.hi`, json.hi, lo, Number.MAX_SAFE_INTEGER),
  };
}

function stepOf(
  reading: CanonicalReading,
  name: string,
  { source, inputValues }: { readonly source: unknown; readonly inputValues: number },
): Step {
  const json = reading.members(name, source);
  const step = { name };
  switch (json.kind) {
    case "linear":
      return { ...step, kind: "linear", rows: rowsOf(reading, name, json) };
    case "activate":
      return {
        ...step,
        kind: "activate",
        values: reading.indexes(`${name}.values`, json.values, reading.values),
        shiftBits: reading.whole(`${name}.shiftBits`, json.shiftBits, 0, SHIFT_BITS_MAX),
        activation: activationOf(reading, `${name}.activation`, json.activation),
      };
    case "max": {
      const values = reading.indexes(`${name}.values`, json.values, reading.values);
      const groupStart = reading.starts(`${name}.groupStart`, json.groupStart, values.length);
      if (groupStart.some((start, i) => i > 0 && start === groupStart[i - 1])) {
        throw reading.broken(`${name}.groupStart`, "groups with something in them");
      }
      return { ...step, kind: "max", groupStart, values };
    }
    case "trees": {
      const features = reading.indexes(`${name}.features`, json.features, inputValues);
      const base = Array.from(reading.safes(`${name}.base`, json.base, SCORES_MAX));
      const sizes = { features: features.length, scores: base.length };
      const trees = reading
        .list(`${name}.trees`, json.trees, TREES_MAX)
        .map((tree, i) => treeOf(reading, `${name}.trees[${i}]`, { source: tree, ...sizes }));
      return { ...step, kind: "trees", features, base, trees };
    }
    default:
      throw reading.broken(`${name}.kind`, "linear, activate, max or trees");
  }
}

function rowsOf(reading: CanonicalReading, name: string, json: JsonMembers): SparseRows {
  const columns = reading.indexes(`${name}.columns`, json.columns, reading.values);
  const rowStart = reading.starts(`${name}.rowStart`, json.rowStart, columns.length);
  const weights = reading.safes(`${name}.weights`, json.weights, columns.length);
  const bias = reading.safes(`${name}.bias`, json.bias, rowStart.length - 1);
  if (weights.length !== columns.length || weights.includes(0)) {
    throw reading.broken(`${name}.weights`, "a weight other than 0 for each column");
  }
  if (bias.length !== rowStart.length - 1) throw reading.broken(`${name}.bias`, "one a row");
  for (let row = 0; row < bias.length; row++) {
    for (let at = rowStart[row]! + 1; at < rowStart[row + 1]!; at++) {
      if (columns[at]! <= columns[at - 1]!) {
        throw reading.broken(`${name}.columns`, `ascending in row ${row}`);
      }
    }
  }
  return { rowStart, columns, weights, bias };
}

function activationOf(
  reading: CanonicalReading,
  name: string,
  source: unknown,
): ActivateStep["activation"] {
  const [kind, ...numbers] = reading.list(name, source, 3);
  switch (kind) {
    case "none":
    case "relu":
      return { kind };
    case "leaky-relu":
      return { kind, slopeBits: reading.whole(name, numbers[0], 0, SHIFT_BITS_MAX) };
    case "clip": {
      const lo = reading.safe(name, numbers[0]);
      return { kind, lo, hi: reading.whole(name, numbers[1], lo, Number.MAX_SAFE_INTEGER) };
    }
    default:
      throw reading.broken(name, "none, relu, leaky-relu or clip");
  }
}

/** Every node but the root is the child of one node before it: nothing else is a tree. */
function treeOf(
  reading: CanonicalReading,
  name: string,
  given: { readonly source: unknown; readonly features: number; readonly scores: number },
): Tree {
  const list = reading.list(name, given.source, VALUES_MAX);
  const isChild = new Uint8Array(list.length);
  const nodes = list.map((source, at): TreeNode => {
    const node = reading.list(`${name}[${at}]`, source, Math.max(1, given.scores));
    if (!Array.isArray(node[0])) {
      const scores = Array.from(reading.safes(`${name}[${at}]`, node, given.scores));
      if (scores.length !== given.scores) throw reading.broken(`${name}[${at}]`, "one a score");
      return { kind: "leaf", scores };
    }
    const [feature, threshold, ifTrue, ifFalse] = node[0] as unknown[];
    const child = (index: unknown): number => {
      const found = reading.whole(`${name}[${at}]`, index, at + 1, list.length - 1);
      if (isChild[found] === 1) throw reading.broken(`${name}[${found}]`, "of one parent");
      isChild[found] = 1;
      return found;
    };
    return {
      kind: "split",
      feature: reading.whole(`${name}[${at}]`, feature, 0, given.features - 1),
      threshold: reading.safe(`${name}[${at}]`, threshold),
      ifTrue: child(ifTrue),
      ifFalse: child(ifFalse),
    };
  });
  if (nodes.length === 0 || isChild.subarray(1).includes(0)) {
    throw reading.broken(name, "one tree: a node, and every other below it");
  }
  return { nodes };
}

function outputOf(reading: CanonicalReading, json: JsonMembers): IntegerOutput {
  const output = reading.members("output", json.output);
  const after = AFTERS.find((one) => one === output.after);
  if (after === undefined) throw reading.broken("output.after", AFTERS.join(", "));
  if (typeof output.argmax !== "boolean") throw reading.broken("output.argmax", "true or false");
  return {
    name: reading.text("output.name", output.name),
    shape: shapeOf(reading, "output.shape", output.shape),
    values: reading.indexes("outputValues", json.outputValues, reading.values),
    scaleBits: reading.whole("output.scaleBits", output.scaleBits, -SCALE_BITS_MAX, SCALE_BITS_MAX),
    after,
    argmax: output.argmax,
    classLabels: reading
      .list("output.classLabels", output.classLabels, LABELS_MAX)
      .map((label, i) => reading.text(`output.classLabels[${i}]`, label)),
  };
}

function shapeOf(reading: CanonicalReading, name: string, source: unknown): readonly number[] {
  return reading
    .list(name, source, DIMENSIONS_MAX)
    .map((size) => reading.whole(name, size, 0, VALUES_MAX));
}

/** What is written another way, or has more in it, is not what its hash was made of. */
function checkBytes(graph: IntegerGraph, bytes: Uint8Array): void {
  let at = 0;
  const encoder = new TextEncoder();
  for (const part of canonicalParts(graph)) {
    const expected = encoder.encode(part);
    if (Buffer.compare(expected, bytes.subarray(at, at + expected.length)) !== 0) {
      throw invalidModel(`the canonical model is written another way near byte ${at}`);
    }
    at += expected.length;
  }
  if (at !== bytes.length) {
    throw invalidModel(`the canonical model has more after byte ${at}`);
  }
}
