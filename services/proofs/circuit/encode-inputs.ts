// From what a caller gives to what the circuit takes: floats become whole numbers by the encoding
// of their input, whole numbers are packed. Nothing is clamped: a value outside is refused.

import type { ValueEncoding } from "../compiler/integer-graph.ts";
import { FIELD_ORDER } from "../field.ts";
import {
  encodedRange,
  encodeFloat,
  laneOffset,
  NEGATIVE_ZERO_KEY,
  packValues,
  valueEncoding,
} from "../verifier/signal-encoding.ts";
import type { CircuitSchema } from "./circuit-schema.ts";
import type { CircuitInputs } from "./compiled-circuit.ts";
import type { InputLayout } from "./packing.ts";

/** Public inputs, then private ones, in the order of the circuit's wires. */
export function encodeInputs(
  schema: Pick<CircuitSchema, "inputMode" | "hasContext">,
  layouts: readonly InputLayout[],
  inputs: CircuitInputs,
): (number | bigint)[] {
  if (inputs.tensors.length !== layouts.length) {
    throw new RangeError(
      `the circuit takes ${layouts.length} inputs, not ${inputs.tensors.length}`,
    );
  }
  const packed = layouts.flatMap((layout, i) =>
    packTensor(layout, inputs.tensors[i]!, inputs.kind),
  );
  const context = schema.hasContext ? [element("context", inputs.context)] : [];
  const isCommitted = schema.inputMode === "committed";
  const salt = isCommitted ? [element("salt", inputs.salt)] : [];
  return schema.inputMode === "public" ? [...packed, ...context] : [...context, ...salt, ...packed];
}

function packTensor(
  layout: InputLayout,
  tensor: ArrayLike<number>,
  kind: CircuitInputs["kind"],
): bigint[] {
  const { name, encoding: inputEncoding, bits } = layout.schema;
  if (tensor.length !== layout.count) {
    throw new RangeError(`input ${name} has ${layout.count} values, not ${tensor.length}`);
  }
  const values = Array.from(tensor, (value, i) => {
    const encoding = valueEncoding(inputEncoding, i);
    const { lo, hi } = encodedRange(encoding);
    const whole = kind === "floats" ? named(name, i, () => encodeFloat(encoding, value)) : value;
    const isNoKey = encoding.kind === "ordered-float32" && whole === NEGATIVE_ZERO_KEY;
    if (!Number.isSafeInteger(whole) || whole < lo || whole > hi || isNoKey) {
      const taken = takenBy(encoding, kind);
      throw new RangeError(`input ${name}[${i}] is ${value}; the circuit takes ${taken}`);
    }
    return whole + laneOffset(layout.schema, i);
  });
  return packValues(values, bits);
}

function takenBy(encoding: ValueEncoding, kind: CircuitInputs["kind"]): string {
  const { lo, hi } = encodedRange(encoding);
  if (kind === "integers") return `whole numbers from ${lo} to ${hi}`;
  if (encoding.kind === "ordered-float32") return "finite float32 numbers";
  const step = 2 ** -encoding.scaleBits;
  return `${lo * step} to ${hi * step}, in steps of ${step}`;
}

function named(name: string, index: number, encode: () => number): number {
  try {
    return encode();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`input ${name}[${index}]: ${error.message}`);
  }
}

function element(name: string, value: bigint | undefined): bigint {
  if (value === undefined) throw new RangeError(`the circuit needs a ${name}`);
  if (value < 0n || value >= FIELD_ORDER) {
    throw new RangeError(`the ${name} must be from 0 to ${FIELD_ORDER - 1n}`);
  }
  return value;
}
