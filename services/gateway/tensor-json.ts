// Tensor data between JSON and the raw form of the inference protocol (row-major, little-endian,
// BYTES with a 4-byte length each). JSON has no 16-bit floats, so FP16 and BF16 go in the binary
// extension only. It has no NaN and no infinities either: those are the strings "NaN", "Infinity"
// and "-Infinity", as in Protobuf's JSON. 64-bit integers keep all their digits both ways.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../common/errors/domain-error.ts";

type ArrayType =
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | Int8ArrayConstructor
  | Int16ArrayConstructor
  | Int32ArrayConstructor
  | Uint8ArrayConstructor
  | Uint16ArrayConstructor
  | Uint32ArrayConstructor;

const FLOATS: Readonly<Record<string, ArrayType>> = { FP32: Float32Array, FP64: Float64Array };

const INTEGERS: Readonly<Record<string, readonly [ArrayType, min: number, max: number]>> = {
  INT8: [Int8Array, -128, 127],
  INT16: [Int16Array, -32_768, 32_767],
  INT32: [Int32Array, -2_147_483_648, 2_147_483_647],
  UINT8: [Uint8Array, 0, 255],
  UINT16: [Uint16Array, 0, 65_535],
  UINT32: [Uint32Array, 0, 4_294_967_295],
};

const EXPECTED: Readonly<Record<string, string>> = {
  INT64: "an integer from -2^63 to 2^63-1",
  UINT64: "an integer from 0 to 2^64-1",
  BOOL: "true or false",
};

const NON_FINITE: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const DATATYPES =
  "BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FP32, FP64, BYTES";

/**
 * The raw form of a tensor's JSON elements.
 * @throws InvalidArgument that names `field`, the first element that does not fit, and what would.
 */
export function rawOfJson(
  field: string,
  datatype: string,
  elements: readonly unknown[],
): Uint8Array {
  const float = FLOATS[datatype];
  if (float !== undefined) {
    const read = (value: unknown): number | undefined => floatOf(value, float);
    const expected = `expected ${datatype}: a number, "NaN", "Infinity" or "-Infinity"`;
    return bytesOf(fill(new float(elements.length), { elements, read, field, expected }));
  }
  const integer = INTEGERS[datatype];
  if (integer !== undefined) {
    const [array, min, max] = integer;
    const read = (value: unknown): number | undefined =>
      Number.isInteger(value) && (value as number) >= min && (value as number) <= max
        ? (value as number)
        : undefined;
    const expected = `expected ${datatype}: an integer from ${min} to ${max}`;
    return bytesOf(fill(new array(elements.length), { elements, read, field, expected }));
  }
  const { length } = elements;
  const given = { elements, field, expected: `expected ${datatype}: ${EXPECTED[datatype]}` };
  switch (datatype) {
    case "INT64":
      return bytesOf(fill(new BigInt64Array(length), { ...given, read: int64Of }));
    case "UINT64":
      return bytesOf(fill(new BigUint64Array(length), { ...given, read: uint64Of }));
    case "BOOL":
      return fill(new Uint8Array(length), { ...given, read: booleanOf });
    case "BYTES":
      return rawStrings(elements, field);
    case "FP16":
    case "BF16":
      throw refusal(
        field,
        `is ${datatype}, which JSON cannot carry; use the binary extension (binary_data_size)`,
      );
    default:
      throw refusal(field, `has the unknown datatype ${shown(datatype)}; expected ${DATATYPES}`);
  }
}

/**
 * The elements of a raw tensor as JSON text, `[1,2.5]`.
 * @throws InvalidArgument for FP16, BF16 and strings that are not UTF-8, which need the binary
 *   form.
 */
export function jsonOfRaw(name: string, datatype: string, raw: Uint8Array): string {
  const float = FLOATS[datatype];
  if (float !== undefined) {
    const values = viewOf<Numbers>(float, raw);
    return `[${Array.from(values, (v) => (Number.isFinite(v) ? v : `"${v}"`)).join(",")}]`;
  }
  const integer = INTEGERS[datatype];
  if (integer !== undefined) {
    return `[${viewOf<Numbers>(integer[0], raw).join(",")}]`;
  }
  switch (datatype) {
    case "INT64":
      return `[${viewOf(BigInt64Array, raw).join(",")}]`;
    case "UINT64":
      return `[${viewOf(BigUint64Array, raw).join(",")}]`;
    case "BOOL":
      return `[${Array.from(raw, (v) => v !== 0).join(",")}]`;
    case "BYTES":
      return JSON.stringify(stringsOf(name, raw));
    default:
      throw refusal(
        `outputs.${name}`,
        `is ${datatype}, which JSON cannot carry; ask for it with {"binary_data": true}`,
      );
  }
}

interface Elements<V> {
  readonly elements: readonly unknown[];
  /** The element as the array takes it, or undefined when it is not one. */
  readonly read: (value: unknown) => V | undefined;
  readonly field: string;
  readonly expected: string;
}

function fill<V, A extends { [index: number]: V }>(array: A, from: Elements<V>): A {
  const { elements, read, field, expected } = from;
  for (let i = 0; i < elements.length; i += 1) {
    const value = read(elements[i]);
    if (value === undefined) {
      throw refusal(`${field}.data`, `has ${shown(elements[i])} as element ${i}; ${expected}`);
    }
    array[i] = value;
  }
  return array;
}

function floatOf(value: unknown, type: ArrayType): number | undefined {
  if (typeof value === "number" || typeof value === "bigint") {
    const number = Number(value);
    const fits = type === Float64Array || Number.isFinite(Math.fround(number));
    return fits && Number.isFinite(number) ? number : undefined;
  }
  return typeof value === "string" ? NON_FINITE[value] : undefined;
}

/** Integers come as numbers or, so that every JSON writer can send them, as strings of digits. */
function bigintOf(value: unknown): bigint | undefined {
  if (typeof value === "bigint") {
    return value;
  }
  const whole =
    Number.isInteger(value) || (typeof value === "string" && /^-?\d{1,20}$/.test(value));
  return whole ? BigInt(value as number | string) : undefined;
}

function int64Of(value: unknown): bigint | undefined {
  const integer = bigintOf(value);
  return integer !== undefined && BigInt.asIntN(64, integer) === integer ? integer : undefined;
}

function uint64Of(value: unknown): bigint | undefined {
  const integer = bigintOf(value);
  return integer !== undefined && BigInt.asUintN(64, integer) === integer ? integer : undefined;
}

function booleanOf(value: unknown): number | undefined {
  return value === true || value === 1 ? 1 : value === false || value === 0 ? 0 : undefined;
}

function rawStrings(elements: readonly unknown[], field: string): Uint8Array {
  let size = 0;
  for (const [i, element] of elements.entries()) {
    if (typeof element !== "string" || !element.isWellFormed()) {
      throw refusal(
        `${field}.data`,
        `has ${shown(element)} as element ${i}; expected BYTES: a string`,
      );
    }
    size += 4 + Buffer.byteLength(element);
  }
  const raw = Buffer.alloc(size);
  let at = 0;
  for (const element of elements as readonly string[]) {
    const length = raw.write(element, at + 4);
    raw.writeUInt32LE(length, at);
    at += 4 + length;
  }
  return raw;
}

function stringsOf(name: string, raw: Uint8Array): string[] {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const strings: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at + 4;
    at = start + bytes.readUInt32LE(at);
    try {
      strings.push(UTF8.decode(bytes.subarray(start, at)));
    } catch {
      throw refusal(
        `outputs.${name}`,
        'has bytes that are not UTF-8, which JSON cannot carry; ask with {"binary_data": true}',
      );
    }
  }
  return strings;
}

interface View<A> {
  new (buffer: ArrayBuffer, at: number, length: number): A;
  readonly BYTES_PER_ELEMENT: number;
}

type Numbers = InstanceType<ArrayType>;

/**
 * The elements of little-endian bytes, which every machine that runs onnxruntime reads as they are.
 */
function viewOf<A>(type: View<A>, raw: Uint8Array): A {
  const length = raw.byteLength / type.BYTES_PER_ELEMENT;
  const aligned = raw.byteOffset % type.BYTES_PER_ELEMENT === 0 ? raw : new Uint8Array(raw);
  return new type(aligned.buffer as ArrayBuffer, aligned.byteOffset, length);
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function shown(value: unknown): string {
  const text = typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? "nothing");
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** An InvalidArgument about one field. */
export function refusal(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`${field} ${description}.`, {
    reason: ErrorReason.TENSOR_MISMATCH,
    violations: [{ field, description }],
  });
}
