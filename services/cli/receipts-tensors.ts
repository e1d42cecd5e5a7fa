// The tensors of an Open Inference call as JSON, in the form that the digests of receipts are taken
// over: elements row-major and little-endian.

import { bytesTensorData, type RawTensor } from "../common/receipts/tensor-bytes.ts";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { readBounded } from "./proof-verify.ts";

const FILE_BYTES_MAX = 256 * 1024 * 1024;

type Numbers = { readonly buffer: ArrayBuffer } & { [index: number]: number };
type NumbersOf = new (length: number) => Numbers;

/** Types whose elements are JSON numbers that a double holds exactly. */
const NUMBERS: Readonly<Record<string, NumbersOf>> = {
  FP32: Float32Array,
  FP64: Float64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
} as Readonly<Record<string, NumbersOf>>;

const NON_FINITE: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

/**
 * The tensors of a file.
 * @throws CommandError that names what is not as it should be; the file system's error.
 */
export async function readTensors(
  path: string,
  field: "inputs" | "outputs",
): Promise<readonly RawTensor[]> {
  const bytes = await readBounded(path, FILE_BYTES_MAX);
  const document = parsed(path, bytes.toString("utf8"));
  const list = (document as Readonly<Record<string, unknown>> | null)?.[field];
  if (!Array.isArray(list)) {
    throw refused(path, `it has no list "${field}"`);
  }
  return list.map((tensor: unknown, i) => tensorOf(path, `${field}[${i}]`, tensor));
}

function parsed(path: string, text: string): unknown {
  // Integers beyond 2^53 keep their digits.
  const exact = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)
      ? context?.source
      : value;
  try {
    return JSON.parse(text, exact);
  } catch (error) {
    throw refused(path, `it is not JSON: ${(error as Error).message}`);
  }
}

function tensorOf(path: string, place: string, tensor: unknown): RawTensor {
  const { name, datatype, shape, data } = (tensor ?? {}) as Readonly<Record<string, unknown>>;
  const isShape =
    Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (
    typeof name !== "string" ||
    typeof datatype !== "string" ||
    !isShape ||
    !Array.isArray(data)
  ) {
    throw refused(path, `${place} needs name, datatype, shape and data`);
  }
  const elements = data.flat(Number.POSITIVE_INFINITY) as readonly unknown[];
  const count = (shape as readonly number[]).reduce((total, size) => total * size, 1);
  if (elements.length !== count) {
    throw refused(path, `${place} has ${elements.length} elements; its shape is of ${count}`);
  }
  return { name, datatype, shape, data: dataOf(path, place, { datatype, elements }) };
}

function dataOf(
  path: string,
  place: string,
  { datatype, elements }: { readonly datatype: string; readonly elements: readonly unknown[] },
): Uint8Array {
  const fault = (i: number): CommandError =>
    refused(
      path,
      `${place}.data[${i}] is ${JSON.stringify(elements[i])?.slice(0, 60)}, no ${datatype}`,
    );
  const make = NUMBERS[datatype];
  if (make !== undefined) {
    const array = new make(elements.length);
    elements.forEach((element, i) => {
      const value = typeof element === "string" ? NON_FINITE[element] : element;
      const isFloat = datatype.startsWith("FP");
      if (typeof value !== "number" || (!isFloat && !Number.isInteger(value))) throw fault(i);
      array[i] = value;
      if (!isFloat && array[i] !== value) throw fault(i);
    });
    return new Uint8Array(array.buffer);
  }
  switch (datatype) {
    case "INT64":
    case "UINT64":
      return integers(elements, datatype, fault);
    case "BOOL":
      return Uint8Array.from(elements, (element, i) => {
        if (typeof element !== "boolean") throw fault(i);
        return element ? 1 : 0;
      });
    case "BYTES":
      return bytesTensorData(
        elements.map((element, i) => {
          if (typeof element !== "string") throw fault(i);
          return element;
        }),
      );
    default:
      throw refused(path, `${place} is of ${datatype}, which JSON does not carry`);
  }
}

function integers(
  elements: readonly unknown[],
  datatype: "INT64" | "UINT64",
  fault: (i: number) => CommandError,
): Uint8Array {
  const array = new BigInt64Array(elements.length);
  elements.forEach((element, i) => {
    if (!/^-?\d{1,20}$/.test(String(element)) || typeof element === "boolean") throw fault(i);
    const value = BigInt(String(element));
    const wrapped = datatype === "INT64" ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
    if (wrapped !== value) throw fault(i);
    array[i] = BigInt.asIntN(64, value);
  });
  return new Uint8Array(array.buffer);
}

function refused(path: string, what: string): CommandError {
  return new CommandError(`"${path}" holds no tensors: ${what}.`, {
    exitCode: ExitCode.invalidInput,
    advice: [
      'Expected as {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}.',
    ],
  });
}
