// What the sandbox process tells its parent, as one line of JSON on a pipe. The parent does not
// trust it: the child has just run a file from a stranger, so every field is checked and bounded
// here.

import type { OnnxGraph } from "./onnx-graph.ts";
import type { Signature, TensorSpec } from "./signature.ts";

/** Stable reasons of `ValidationFailure.reason`; the proto lists them for callers. */
const FAILURE_REASONS = [
  "CORRUPT",
  "UNSUPPORTED_OPERATOR",
  "UNSUPPORTED_OPSET",
  "UNSUPPORTED_IR_VERSION",
  "NON_TENSOR_IO",
  "UNSUPPORTED_DATATYPE",
  "EXTERNAL_DATA",
  "LOAD_FAILED",
  "RUN_FAILED",
  "TIMEOUT",
  "MEMORY_LIMIT",
  "CRASHED",
  "BAD_METADATA",
] as const;

export type FailureReason = (typeof FAILURE_REASONS)[number];

/** Why a version cannot be served, for programs and for people. */
export interface ValidationFailure {
  readonly reason: FailureReason;
  readonly message: string;
}

/** The part of the graph that is kept with the version. */
export type GraphInfo = Omit<OnnxGraph, "inputs" | "outputs" | "externalFiles">;

/** Exactly one of `signature` and `failure` is there. */
export interface SandboxReport {
  readonly graph?: GraphInfo;
  readonly signature?: Signature;
  readonly failure?: ValidationFailure;
}

/** The line that the child writes once it could start; without it the fault is the machine's. */
export const HELLO = "plinth-sandbox-1";

const VALUES_MAX = 1000;
const RANK_MAX = 64;
const ENTRIES_MAX = 1000;
const MESSAGE_CHARACTERS_MAX = 4000;

/** The report in a text, or undefined when it is not one. */
export function parseSandboxReport(text: string): SandboxReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) {
    return undefined;
  }
  const graph = parseGraph(value.graph);
  const signature = parseSignature(value.signature);
  const failure = parseFailure(value.failure);
  if ((signature === undefined) === (failure === undefined)) {
    return undefined;
  }
  return {
    ...(graph === undefined ? {} : { graph }),
    ...(signature === undefined ? {} : { signature }),
    ...(failure === undefined ? {} : { failure }),
  };
}

function parseFailure(value: unknown): ValidationFailure | undefined {
  if (!isRecord(value) || typeof value.message !== "string") {
    return undefined;
  }
  const reason = FAILURE_REASONS.find((known) => known === value.reason);
  return reason === undefined
    ? undefined
    : { reason, message: value.message.slice(0, MESSAGE_CHARACTERS_MAX) };
}

function parseSignature(value: unknown): Signature | undefined {
  if (!isRecord(value) || typeof value.batchable !== "boolean") {
    return undefined;
  }
  const inputs = parseSpecs(value.inputs);
  const outputs = parseSpecs(value.outputs);
  return inputs === undefined || outputs === undefined
    ? undefined
    : { inputs, outputs, batchable: value.batchable };
}

function parseSpecs(value: unknown): readonly TensorSpec[] | undefined {
  if (!Array.isArray(value) || value.length > VALUES_MAX) {
    return undefined;
  }
  const specs = value.map(parseSpec);
  return specs.every((spec) => spec !== undefined) ? specs : undefined;
}

function parseSpec(value: unknown): TensorSpec | undefined {
  if (
    !isRecord(value) ||
    typeof value.name !== "string" ||
    typeof value.datatype !== "string" ||
    typeof value.anyRank !== "boolean" ||
    !isListOf(value.shape, isDimension, RANK_MAX) ||
    !isListOf(value.dimensionNames, isText, RANK_MAX)
  ) {
    return undefined;
  }
  const { name, datatype, shape, dimensionNames, anyRank } = value;
  return { name, datatype, shape, dimensionNames, anyRank };
}

function parseGraph(value: unknown): GraphInfo | undefined {
  if (
    !isRecord(value) ||
    !isCount(value.irVersion) ||
    !isCount(value.parameterCount) ||
    typeof value.producer !== "string" ||
    !isMapOf(value.opsets, isCount) ||
    !isMapOf(value.operators, isCount) ||
    !isMapOf(value.metadata, isText)
  ) {
    return undefined;
  }
  const { irVersion, parameterCount, producer, opsets, operators, metadata } = value;
  return { irVersion, parameterCount, producer, opsets, operators, metadata };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isDimension(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= -1;
}

function isListOf<T>(
  value: unknown,
  is: (item: unknown) => item is T,
  countMax: number,
): value is readonly T[] {
  return Array.isArray(value) && value.length <= countMax && value.every(is);
}

function isMapOf<T>(
  value: unknown,
  is: (item: unknown) => item is T,
): value is Readonly<Record<string, T>> {
  return (
    isRecord(value) &&
    Object.keys(value).length <= ENTRIES_MAX &&
    Object.values(value).every((item) => is(item))
  );
}
