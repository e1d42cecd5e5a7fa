// What the public values of a proof say, read by the circuit's schema.

import type { CircuitSchema, SchemaInput, SchemaOutput } from "../circuit/circuit-schema.ts";
import { fromField } from "../field.ts";
import { signalCounts, valueCount } from "./read-schema.ts";
import { Refusal } from "./refusal.ts";
import { decodeWhole, laneOffset, unpackValues, valueEncoding } from "./signal-encoding.ts";

/** One input tensor, row-major. */
export interface DecodedInput {
  readonly name: string;
  readonly shape: readonly number[];
  /** As the circuit takes them. */
  readonly integers: readonly number[];
  /** What they stand for. */
  readonly values: readonly number[];
}

/** What a proof says of the inputs: all, that they are those of a commitment, or nothing. */
export type DecodedInputs =
  | { readonly mode: "public"; readonly tensors: readonly DecodedInput[] }
  | { readonly mode: "committed"; readonly commitment: bigint }
  | { readonly mode: "private" };

/** Which class; its label where the circuit has labels. */
export interface DecodedClass {
  readonly index: number;
  readonly label?: string;
}

/** What a proof says of the output. */
export type DecodedOutput =
  | {
      readonly mode: "values" | "packed";
      readonly name: string;
      readonly shape: readonly number[];
      /** Proved exactly. */
      readonly integers: readonly bigint[];
      /** integers / 2^scaleBits, to the nearest float64. */
      readonly values: readonly number[];
      /** The schema's function `after` of the values, in floats; absent with "nothing". */
      readonly after?: readonly number[];
      /** The first largest; only where each value has a label. */
      readonly predicted?: DecodedClass;
    }
  | ({ readonly mode: "argmax"; readonly name: string } & DecodedClass)
  | {
      readonly mode: "threshold";
      readonly name: string;
      /** Whether the output is at least the threshold. */
      readonly reached: boolean;
      readonly threshold: number;
    };

export interface DecodedSignals {
  readonly inputs: DecodedInputs;
  readonly output: DecodedOutput;
  /** Absent where the circuit has none. */
  readonly context?: bigint;
}

/**
 * Reads public values, which are in the field.
 *
 * @throws Refusal: schema-mismatch where their number is not that of the schema, undecodable where
 *   they are nothing that it describes.
 */
export function decodeSignals(
  schema: CircuitSchema,
  publicValues: readonly bigint[],
): DecodedSignals {
  const counts = signalCounts(schema);
  if (publicValues.length !== counts.total) {
    throw new Refusal(
      "schema-mismatch",
      `the schema describes ${counts.total} public values, and there are ${publicValues.length}`,
    );
  }
  let at = 0;
  const take = (count: number): readonly bigint[] => {
    at += count;
    return publicValues.slice(at - count, at);
  };
  const output = decodeOutput(schema, take(counts.output));
  const inputs = decodeInputs(schema, counts.inputs, take);
  const context = take(counts.context)[0];
  return { inputs, output, ...(context === undefined ? {} : { context }) };
}

function decodeInputs(
  schema: CircuitSchema,
  counts: readonly number[],
  take: (count: number) => readonly bigint[],
): DecodedInputs {
  switch (schema.inputMode) {
    case "public": {
      const tensors = schema.inputs.map((input, i) => decodeInput(input, take(counts[i]!)));
      return { mode: "public", tensors };
    }
    case "committed":
      return { mode: "committed", commitment: take(1)[0]! };
    case "private":
      return { mode: "private" };
  }
}

function decodeInput(input: SchemaInput, signals: readonly bigint[]): DecodedInput {
  const { name, shape, encoding, bits } = input;
  const lanes = decoded(`input ${name}`, () => unpackValues(signals, valueCount(shape), bits));
  const integers = lanes.map((lane, i) => Number(lane) - laneOffset(input, i));
  const values = integers.map((whole, i) =>
    decoded(`input ${name}[${i}]`, () => decodeWhole(valueEncoding(encoding, i), whole)),
  );
  return { name, shape, integers, values };
}

function decodeOutput(schema: CircuitSchema, signals: readonly bigint[]): DecodedOutput {
  const { output, outputMode: mode } = schema;
  const { name } = output;
  switch (mode) {
    case "values":
      return { mode, ...decodedValues(output, signals.map(fromField)) };
    case "packed": {
      const lanes = decoded(`output ${name}`, () =>
        unpackValues(signals, valueCount(output.shape), output.bits),
      );
      const offset = BigInt(output.offset);
      return {
        mode,
        ...decodedValues(
          output,
          lanes.map((lane) => lane - offset),
        ),
      };
    }
    case "argmax": {
      // Where the model itself ends in an ArgMax, its shape does not tell the number of classes.
      const classes = Math.max(output.classLabels.length, valueCount(output.shape));
      const most = classes > 1 ? classes : Number.MAX_SAFE_INTEGER;
      if (signals[0]! >= BigInt(most)) {
        throw new Refusal("undecodable", `output ${name}: class ${signals[0]} of ${most}`);
      }
      return { mode, name, ...classOf(output, Number(signals[0])) };
    }
    case "threshold": {
      if (signals[0]! > 1n) {
        throw new Refusal("undecodable", `output ${name}: ${signals[0]} is neither 0 nor 1`);
      }
      const threshold = Number(BigInt(output.threshold ?? "0")) / 2 ** output.scaleBits;
      return { mode, name, reached: signals[0] === 1n, threshold };
    }
  }
}

function decodedValues(
  output: SchemaOutput,
  integers: readonly bigint[],
): Omit<Extract<DecodedOutput, { mode: "values" | "packed" }>, "mode"> {
  const { name, shape, after } = output;
  const values = integers.map((whole) => Number(whole) / 2 ** output.scaleBits);
  const isLabelled = integers.length > 1 && output.classLabels.length === integers.length;
  return {
    name,
    shape,
    integers,
    values,
    ...(after === "nothing" ? {} : { after: applied(after, values, shape) }),
    ...(isLabelled ? { predicted: classOf(output, indexOfLargest(integers)) } : {}),
  };
}

function classOf({ classLabels }: SchemaOutput, index: number): DecodedClass {
  const label = classLabels[index];
  return { index, ...(label === undefined ? {} : { label }) };
}

function indexOfLargest(integers: readonly bigint[]): number {
  return integers.reduce((best, whole, i) => (whole > integers[best]! ? i : best), 0);
}

/** The last operator of the model, which is not proved; softmax along the last dimension. */
function applied(
  after: Exclude<SchemaOutput["after"], "nothing">,
  values: readonly number[],
  shape: readonly number[],
): number[] {
  switch (after) {
    case "sigmoid":
      return values.map((x) => 1 / (1 + Math.exp(-x)));
    case "tanh":
      return values.map(Math.tanh);
    case "softmax": {
      const width = shape.at(-1) ?? 1;
      return values.map((x, i) => {
        const row = values.slice(i - (i % width), i - (i % width) + width);
        // Relative to this value: no exponential overflows into infinity over infinity.
        return 1 / row.reduce((total, other) => total + Math.exp(other - x), 0);
      });
    }
  }
}

function decoded<T>(name: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Refusal("undecodable", `${name}: ${error.message}`);
  }
}
