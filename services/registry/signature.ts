// What a model takes and gives, and when two models can answer the same calls.

/** One input or output. -1 stands for an open dimension. */
export interface TensorSpec {
  readonly name: string;
  /** Open Inference Protocol datatype. */
  readonly datatype: string;
  readonly shape: readonly number[];
  /** One entry a dimension: the symbolic name of an open one, else empty. */
  readonly dimensionNames: readonly string[];
  /** The graph does not even say how many dimensions; `shape` is then empty. */
  readonly anyRank: boolean;
}

export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Requests may be put together along dimension 0. */
  readonly batchable: boolean;
}

/** The elements that onnxruntime-node carries, by its own names. */
const DATATYPE_OF: Readonly<Record<string, string>> = {
  bool: "BOOL",
  uint8: "UINT8",
  uint16: "UINT16",
  uint32: "UINT32",
  uint64: "UINT64",
  int8: "INT8",
  int16: "INT16",
  int32: "INT32",
  int64: "INT64",
  float16: "FP16",
  float32: "FP32",
  float64: "FP64",
  string: "BYTES",
};

/** The datatype by onnxruntime's name of it, or undefined when it is not carried. */
export function datatypeOf(runtimeName: string): string | undefined {
  return Object.hasOwn(DATATYPE_OF, runtimeName) ? DATATYPE_OF[runtimeName] : undefined;
}

/**
 * Why a caller of `first` could not be answered by `second`, or undefined when it could: the same
 * names and datatypes, and shapes that can be equal (an open dimension goes with any).
 */
export function signatureDifference(first: Signature, second: Signature): string | undefined {
  return (
    sideDifference("input", first.inputs, second.inputs) ??
    sideDifference("output", first.outputs, second.outputs)
  );
}

function sideDifference(
  side: "input" | "output",
  first: readonly TensorSpec[],
  second: readonly TensorSpec[],
): string | undefined {
  for (const spec of first) {
    const other = second.find((candidate) => candidate.name === spec.name);
    if (other === undefined) {
      return `${side} "${spec.name}" is missing in the second; it has ${namesOf(second)}`;
    }
    const difference = specDifference(spec, other);
    if (difference !== undefined) {
      return `${side} "${spec.name}" ${difference}`;
    }
  }
  const extra = second.find((spec) => !first.some((known) => known.name === spec.name));
  return extra === undefined
    ? undefined
    : `${side} "${extra.name}" is missing in the first; it has ${namesOf(first)}`;
}

function specDifference(first: TensorSpec, second: TensorSpec): string | undefined {
  if (first.datatype !== second.datatype) {
    return `is ${first.datatype} in the first and ${second.datatype} in the second`;
  }
  if (first.anyRank || second.anyRank) {
    return undefined;
  }
  const fits =
    first.shape.length === second.shape.length &&
    first.shape.every(
      (size, i) => size === -1 || second.shape[i] === -1 || size === second.shape[i],
    );
  return fits
    ? undefined
    : `has shape ${shapeText(first)} in the first and ${shapeText(second)} in the second`;
}

function shapeText(spec: TensorSpec): string {
  const sizes = spec.shape.map((size, i) => (size === -1 ? spec.dimensionNames[i] || "-1" : size));
  return `[${sizes.join(", ")}]`;
}

function namesOf(specs: readonly TensorSpec[]): string {
  return specs.map((spec) => `"${spec.name}"`).join(", ") || "none";
}
