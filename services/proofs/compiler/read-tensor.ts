// Reads one TensorProto. What a tensor claims of itself is held against the bytes that are there
// before anything is allocated: a claim of ten gigabytes costs nothing.

import { signed, type WireField, type WireReader } from "../../common/onnx-wire.ts";
import type { ElementType, Tensor } from "./tensor.ts";
import { invalidModel } from "./unsupported.ts";

/** What a model may have at most. */
export interface ModelLimits {
  readonly fileBytes: number;
  readonly nodes: number;
  readonly initializers: number;
  /** Of one tensor in the file. */
  readonly tensorElements: number;
  /** Of one tensor that a node gives. */
  readonly computedElements: number;
  /** Of all tensors that nodes give together, and of the weights that they unroll to. */
  readonly computedTotal: number;
  /** Of all tensors in the file together. */
  readonly totalElements: number;
  /** Numbers or texts in one attribute. */
  readonly attributeValues: number;
}

/** TensorProto.DataType by number. */
export const ELEMENT_TYPES: Readonly<Record<number, ElementType>> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  6: "int32",
  7: "int64",
  8: "string",
  9: "bool",
  10: "float16",
  11: "float64",
  12: "uint32",
  13: "uint64",
};

export const RANK_MAX = 8;
const NAME_CHARACTERS_MAX = 1024;
const TEXT_CHARACTERS_MAX = 4096;

const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  bool: 1,
  string: 0,
};

/** Fields of a TensorProto as they were found. */
interface TensorParts {
  name: string;
  type: number;
  shape: number[];
  isExternal: boolean;
  raw: WireField | undefined;
  /** float_data, int32_data, int64_data, double_data, uint64_data and string_data by number. */
  readonly lists: WireField[];
}

/** Counts what all tensors of a file hold together. */
export interface TensorBudget {
  left: number;
}

/**
 * @throws InvalidArgument that names the tensor: too large, outside of the file, of an odd type,
 *   of another size than its shape says, with a NaN.
 */
export function readTensor(
  reader: WireReader,
  field: WireField,
  budget: { readonly limits: ModelLimits; readonly total: TensorBudget },
): { readonly name: string; readonly tensor: Tensor } {
  const parts = partsOf(reader, field);
  const of = `tensor "${parts.name}"`;
  if (parts.isExternal) {
    throw invalidModel(
      `${of} has its values in another file; save the model with its weights in one file`,
    );
  }
  const type = ELEMENT_TYPES[parts.type];
  if (type === undefined) {
    throw invalidModel(`${of} is of ONNX type ${parts.type}; use float32 or an integer type`);
  }
  const elements = checkedSize(parts.shape, of, budget.limits.tensorElements);
  budget.total.left -= elements;
  if (budget.total.left < 0) {
    throw invalidModel(
      `its tensors have more than ${budget.limits.totalElements} elements together`,
    );
  }
  if (type === "string") {
    return { name: parts.name, tensor: textTensor(reader, parts, elements) };
  }
  const data =
    parts.raw === undefined
      ? listed(reader, parts, { type, elements })
      : rawData(reader.bytes(parts.raw), { type, elements, of });
  refuseNotNumbers(data, of);
  return { name: parts.name, tensor: { type, shape: parts.shape, data } };
}

/** Number of elements, where it is at most `max`; computed so that no claim overflows. */
export function checkedSize(shape: readonly number[], of: string, max: number): number {
  let size = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw invalidModel(`${of} has the dimension ${dimension}`);
    }
    size *= dimension;
  }
  if (!(size <= max)) {
    throw invalidModel(`${of} claims ${size} elements; at most ${max} are taken`);
  }
  return size;
}

function partsOf(reader: WireReader, tensor: WireField): TensorParts {
  const parts: TensorParts = {
    name: "",
    type: 0,
    shape: [],
    isExternal: false,
    raw: undefined,
    lists: [],
  };
  for (const field of reader.fields(tensor.start, tensor.end)) {
    if (field.number === 1) {
      parts.shape.push(...reader.integers(field, RANK_MAX + 1));
      if (parts.shape.length > RANK_MAX) {
        throw invalidModel(`tensor "${parts.name}" has more than ${RANK_MAX} dimensions`);
      }
    } else if (field.number === 2 && field.type === "varint") {
      parts.type = signed(field);
    } else if (field.number === 8 && field.type === "bytes") {
      parts.name = reader.text(field, NAME_CHARACTERS_MAX);
    } else if (field.number === 9 && field.type === "bytes") {
      parts.raw = field;
    } else if (field.number === 13 || (field.number === 14 && signed(field) === 1)) {
      parts.isExternal = true;
    } else if ([4, 5, 6, 7, 10, 11].includes(field.number)) {
      parts.lists.push(field);
    }
  }
  return parts;
}

function wrongSize(of: string, has: number | string, elements: number): Error {
  return invalidModel(`${of} has ${has} values where its shape says ${elements}`);
}

function rawData(
  bytes: Uint8Array,
  claim: { readonly type: ElementType; readonly elements: number; readonly of: string },
): Float64Array {
  const { type, elements, of } = claim;
  const width = ELEMENT_BYTES[type];
  if (bytes.length !== elements * width) {
    throw wrongSize(of, `${bytes.length} bytes for ${type}`, elements);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = READERS[type];
  const data = new Float64Array(elements);
  for (let i = 0; i < elements; i++) {
    data[i] = read(view, i * width);
  }
  return data;
}

const READERS: Readonly<Record<ElementType, (view: DataView, at: number) => number>> = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  float16: (view, at) => halfToNumber(view.getUint16(at, true)),
  uint8: (view, at) => view.getUint8(at),
  int8: (view, at) => view.getInt8(at),
  uint16: (view, at) => view.getUint16(at, true),
  int16: (view, at) => view.getInt16(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  int32: (view, at) => view.getInt32(at, true),
  uint64: (view, at) => Number(view.getBigUint64(at, true)),
  int64: (view, at) => Number(view.getBigInt64(at, true)),
  bool: (view, at) => (view.getUint8(at) === 0 ? 0 : 1),
  string: () => Number.NaN,
};

/** Values from the typed lists of a tensor that has no raw bytes. */
function listed(
  reader: WireReader,
  parts: TensorParts,
  claim: { readonly type: ElementType; readonly elements: number },
): Float64Array {
  const { type, elements } = claim;
  const of = `tensor "${parts.name}"`;
  const available = parts.lists.reduce(
    (sum, field) => sum + Math.max(1, field.end - field.start),
    0,
  );
  // A value takes at least one byte in the file, so this is checked before the array is made.
  if (elements > available) {
    throw wrongSize(of, `at most ${available}`, elements);
  }
  const data = new Float64Array(elements);
  let at = 0;
  for (const field of parts.lists) {
    for (const value of Array.from(listValues(reader, field, elements - at + 1))) {
      if (at >= elements) {
        throw wrongSize(of, "more", elements);
      }
      data[at++] = type === "float16" ? halfToNumber(value) : value;
    }
  }
  if (at !== elements) {
    throw wrongSize(of, at, elements);
  }
  return data;
}

function listValues(reader: WireReader, field: WireField, countMax: number): ArrayLike<number> {
  if (field.number === 4) {
    return floatValues(reader, field);
  }
  if (field.number === 10) {
    const bytes = reader.bytes(field);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = Math.floor(bytes.length / 8);
    return Float64Array.from({ length: count }, (_, i) => view.getFloat64(i * 8, true));
  }
  return reader.integers(field, countMax);
}

/** Floats of a repeated field, packed or one. */
export function floatValues(reader: WireReader, field: WireField): Float64Array {
  const bytes = reader.bytes(field);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = new Float64Array(Math.floor(bytes.length / 4));
  for (let i = 0; i < data.length; i++) {
    data[i] = view.getFloat32(i * 4, true);
  }
  return data;
}

function textTensor(reader: WireReader, parts: TensorParts, elements: number): Tensor {
  const fields = parts.lists.filter((field) => field.number === 6);
  if (fields.length !== elements) {
    throw wrongSize(`tensor "${parts.name}"`, fields.length, elements);
  }
  const texts = fields.map((field) => reader.text(field, TEXT_CHARACTERS_MAX));
  return { type: "string", shape: parts.shape, data: new Float64Array(0), texts };
}

/** A lone infinity may be the bound of a Clip; anywhere else it is no weight. */
function refuseNotNumbers(data: Float64Array, of: string): void {
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (Number.isNaN(value) || (!Number.isFinite(value) && data.length > 1)) {
      throw invalidModel(`${of} has the value ${value} at ${i}; every weight must be finite`);
    }
  }
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) {
    return sign * fraction * 2 ** -24;
  }
  if (exponent === 31) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
