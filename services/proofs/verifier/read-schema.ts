// The schema of a circuit as it comes from a file or a wire: checked, bounded, with a hash of its
// own. It says what the public values of a proof mean, so whoever may choose it may choose the
// meaning; pin its hash, or take it from whom the verifying key is taken.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type {
  CircuitSchema,
  InputMode,
  OutputMode,
  SchemaInput,
  SchemaOutput,
} from "../circuit/circuit-schema.ts";
import { SAFE_BITS } from "../field.ts";
import { canonicalJson, type JsonObject, listOf, objectOf } from "./read-json.ts";
import { Refusal } from "./refusal.ts";
import { encodedRange, laneOffset, signalCount, valueEncoding } from "./signal-encoding.ts";
import { PUBLIC_VALUES_MAX } from "./verifying-key.ts";

const INPUT_MODES: readonly InputMode[] = ["public", "committed", "private"];
const OUTPUT_MODES: readonly OutputMode[] = ["values", "packed", "argmax", "threshold"];
const AFTERS: readonly SchemaOutput["after"][] = ["nothing", "sigmoid", "softmax", "tanh"];

const INPUTS_MAX = 64;
const DIMENSIONS_MAX = 16;
/** What fits into a key's public values at 31 a value; private inputs may not be more either. */
const VALUES_MAX: number = 31 * PUBLIC_VALUES_MAX;
const TEXT_LENGTH_MAX = 1024;
/** Of scales, in either direction: beyond it a float64 is 0 or infinite. */
const SCALE_BITS_MAX = 1000;

/**
 * Reads a schema: the known fields only, each within bounds and in agreement with the others.
 *
 * @throws Refusal with reason schema-mismatch, or malformed.
 */
export function readSchema(source: unknown): CircuitSchema {
  const json = objectOf("the schema", source);
  if (json.version !== 1) throw mismatch("version", "1: take a newer verifier");
  const inputs = listOf("the schema's inputs", json.inputs);
  if (inputs.length > INPUTS_MAX) throw mismatch("inputs", `at most ${INPUTS_MAX}`);
  if (typeof json.hasContext !== "boolean") throw mismatch("hasContext", "true or false");
  const commitment = json.modelCommitment;
  if (typeof commitment !== "string" || !/^[0-9a-f]{64}$/.test(commitment)) {
    throw mismatch("modelCommitment", "64 lower-case hex digits");
  }
  const outputMode = oneOf("outputMode", OUTPUT_MODES, json.outputMode);
  return {
    version: 1,
    inputMode: oneOf("inputMode", INPUT_MODES, json.inputMode),
    outputMode,
    hasContext: json.hasContext,
    inputs: inputs.map((input, i) => readInput(`inputs[${i}]`, objectOf(`inputs[${i}]`, input))),
    output: readOutput(objectOf("the schema's output", json.output), outputMode),
    modelCommitment: commitment,
  };
}

/** Lower-case hex SHA-256 of the schema as JSON with sorted fields and without spaces. */
export function schemaHash(schema: CircuitSchema): string {
  return bytesToHex(sha256(new TextEncoder().encode(canonicalJson(readSchema(schema)))));
}

/** Number of values of a shape. */
export function valueCount(shape: readonly number[]): number {
  return shape.reduce((total, size) => total * size, 1);
}

/** How many public values each part takes, in their order. */
export interface SignalCounts {
  readonly output: number;
  /** Signals of each input; empty where the inputs do not show. */
  readonly inputs: readonly number[];
  /** 1 with a commitment, else 0. */
  readonly commitment: number;
  readonly context: number;
  readonly total: number;
}

/** How the public values of a circuit with this schema are laid out. */
export function signalCounts(schema: CircuitSchema): SignalCounts {
  const output = outputSignals(schema);
  const inputs =
    schema.inputMode === "public"
      ? schema.inputs.map(({ shape, bits }) => signalCount(valueCount(shape), bits))
      : [];
  const commitment = schema.inputMode === "committed" ? 1 : 0;
  const context = schema.hasContext ? 1 : 0;
  const ofInputs = inputs.reduce((total, count) => total + count, 0);
  return { output, inputs, commitment, context, total: output + ofInputs + commitment + context };
}

function outputSignals({ outputMode, output }: CircuitSchema): number {
  switch (outputMode) {
    case "values":
      return valueCount(output.shape);
    case "packed":
      return signalCount(valueCount(output.shape), output.bits);
    case "argmax":
    case "threshold":
      return 1;
  }
}

function readInput(name: string, json: JsonObject): SchemaInput {
  const bits = json.bits;
  if (bits !== 8 && bits !== 16 && bits !== 32) throw mismatch(`${name}.bits`, "8, 16 or 32");
  const shape = readShape(`${name}.shape`, json.shape);
  const count = valueCount(shape);
  const encoding = objectOf(`${name}.encoding`, json.encoding);
  const input: SchemaInput = {
    name: textOf(`${name}.name`, json.name),
    shape,
    encoding: readEncoding(`${name}.encoding`, encoding, count),
    bits,
    offset: wholeOf(`${name}.offset`, json.offset, 0, 2 ** 32),
  };
  if (input.encoding.kind !== "fixed" && input.offset !== 0) {
    throw mismatch(`${name}.offset`, "0, as nothing that is packed is negative without it");
  }
  const distinct = input.encoding.kind === "fixed-each" ? count : 1;
  for (let i = 0; i < distinct; i += 1) {
    const { lo, hi } = encodedRange(valueEncoding(input.encoding, i));
    const offset = laneOffset(input, i);
    if (lo + offset < 0 || hi + offset >= 2 ** bits) {
      throw mismatch(name, `a range that fits ${bits} bits once ${offset} is added`);
    }
  }
  return input;
}

const ENCODINGS = ["fixed", "fixed-each", "ordered-float32"] as const;

function readEncoding(name: string, json: JsonObject, count: number): SchemaInput["encoding"] {
  const kind = oneOf(`${name}.kind`, ENCODINGS, json.kind);
  switch (kind) {
    case "ordered-float32":
      return { kind };
    case "fixed":
      return { kind, ...readRange(name, json) };
    case "fixed-each": {
      const [scaleBits, lo, hi] = (["scaleBits", "lo", "hi"] as const).map((field) =>
        listOf(`the schema's ${name}.${field}`, json[field], count),
      );
      const ranges = Array.from({ length: count }, (_, i) =>
        readRange(`${name}[${i}]`, { scaleBits: scaleBits![i], lo: lo![i], hi: hi![i] }),
      );
      return {
        kind,
        scaleBits: ranges.map((range) => range.scaleBits),
        lo: ranges.map((range) => range.lo),
        hi: ranges.map((range) => range.hi),
      };
    }
  }
}

function readRange(
  name: string,
  json: JsonObject,
): { readonly scaleBits: number; readonly lo: number; readonly hi: number } {
  const lo = wholeOf(`${name}.lo`, json.lo, -(2 ** 32), 2 ** 32);
  return {
    scaleBits: wholeOf(`${name}.scaleBits`, json.scaleBits, -SCALE_BITS_MAX, SCALE_BITS_MAX),
    lo,
    hi: wholeOf(`${name}.hi`, json.hi, lo, 2 ** 32),
  };
}

function readOutput(json: JsonObject, mode: OutputMode): SchemaOutput {
  const labels = listOf("the schema's class labels", json.classLabels);
  if (labels.length > VALUES_MAX) throw mismatch("output.classLabels", `at most ${VALUES_MAX}`);
  const output: SchemaOutput = {
    name: textOf("output.name", json.name),
    shape: readShape("output.shape", json.shape),
    scaleBits: wholeOf("output.scaleBits", json.scaleBits, -SCALE_BITS_MAX, SCALE_BITS_MAX),
    after: oneOf("output.after", AFTERS, json.after),
    classLabels: labels.map((label, i) => textOf(`output.classLabels[${i}]`, label)),
    bits: wholeOf("output.bits", json.bits, mode === "packed" ? 1 : 0, SAFE_BITS),
    offset: signedDecimalOf("output.offset", json.offset),
  };
  if (mode !== "threshold") return output;
  return { ...output, threshold: signedDecimalOf("output.threshold", json.threshold) };
}

function readShape(name: string, value: unknown): readonly number[] {
  const list = listOf(`the schema's ${name}`, value);
  if (list.length > DIMENSIONS_MAX) throw mismatch(name, `at most ${DIMENSIONS_MAX} dimensions`);
  const shape = list.map((size, i) => wholeOf(`${name}[${i}]`, size, 1, VALUES_MAX));
  if (valueCount(shape) > VALUES_MAX) throw mismatch(name, `at most ${VALUES_MAX} values`);
  return shape;
}

function wholeOf(name: string, value: unknown, lo: number, hi: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < lo || (value as number) > hi) {
    throw mismatch(name, `a whole number from ${lo} to ${hi}`);
  }
  return value as number;
}

function textOf(name: string, value: unknown): string {
  if (typeof value !== "string" || value.length > TEXT_LENGTH_MAX) {
    throw mismatch(name, `text of at most ${TEXT_LENGTH_MAX} characters`);
  }
  return value;
}

function signedDecimalOf(name: string, value: unknown): string {
  if (typeof value !== "string" || !/^(?:0|-?[1-9][0-9]{0,75})$/.test(value)) {
    throw mismatch(name, "a whole number in decimal digits");
  }
  return value;
}

function oneOf<T extends string>(name: string, choices: readonly T[], value: unknown): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw mismatch(name, `one of ${choices.join(", ")}`);
  return found;
}

function mismatch(field: string, expected: string): Refusal {
  return new Refusal("schema-mismatch", `the schema's ${field} is not ${expected}`);
}
