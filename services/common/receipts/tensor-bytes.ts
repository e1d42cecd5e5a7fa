// What a receipt's input and output digests are taken over: the tensors of a request or a reply, in
// one order and one form, whatever the order and form they travelled in.
//
// The bytes: 16 of ASCII "plinth.tensors/1", the number of tensors (4 bytes), then the tensors in
// the order of their names' UTF-8 bytes, each as
//   name (2 bytes of length, then UTF-8), datatype of the Open Inference Protocol (likewise),
//   number of dimensions (2 bytes), the dimensions (8 bytes each), length of the data (8 bytes),
//   data.
// These numbers are big-endian. The data is what the protocol calls raw contents: elements
// row-major and little-endian; BYTES elements each as a length of 4 bytes, little-endian, and so
// many bytes. No number is rounded or made canonical: 0 and -0, and two NaNs, have two digests.

/** A tensor as raw bytes. */
export interface RawTensor {
  readonly name: string;
  /** Of the Open Inference Protocol: "FP32". */
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const MAGIC = "plinth.tensors/1";

/** More tensors would not be a request that the inference server takes. */
const TENSORS_MAX = 65_535;
const TEXT_BYTES_MAX = 65_535;
const DIMENSIONS_MAX = 65_535;

const utf8 = new TextEncoder();

/** The pieces whose concatenation the digest is taken over. @throws RangeError */
export function* tensorBytes(tensors: readonly RawTensor[]): Generator<Uint8Array> {
  const named = inOrder(tensors);
  const start = new Uint8Array(MAGIC.length + 4);
  start.set(utf8.encode(MAGIC));
  new DataView(start.buffer).setUint32(MAGIC.length, named.length);
  yield start;
  for (const { tensor, name } of named) {
    yield tensorHeader(tensor, name);
    yield tensor.data;
  }
}

/** The contents of a BYTES tensor as they are hashed; text stands for its UTF-8. */
export function bytesTensorData(elements: readonly (string | Uint8Array)[]): Uint8Array {
  const encoded = elements.map((element) => {
    return typeof element === "string" ? utf8.encode(element) : element;
  });
  const data = new Uint8Array(encoded.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(data.buffer);
  let offset = 0;
  for (const element of encoded) {
    view.setUint32(offset, element.length, true);
    data.set(element, offset + 4);
    offset += 4 + element.length;
  }
  return data;
}

interface NamedTensor {
  readonly tensor: RawTensor;
  readonly name: Uint8Array;
}

function inOrder(tensors: readonly RawTensor[]): readonly NamedTensor[] {
  if (tensors.length > TENSORS_MAX) {
    throw new RangeError(
      `${tensors.length} tensors; a digest is taken over ${TENSORS_MAX} at most`,
    );
  }
  const named = tensors.map((tensor) => ({ tensor, name: utf8.encode(tensor.name) }));
  named.sort((one, other) => compareBytes(one.name, other.name));
  for (let i = 1; i < named.length; i++) {
    if (compareBytes(named[i - 1]!.name, named[i]!.name) === 0) {
      throw new RangeError(`Two tensors are named ${JSON.stringify(named[i]!.tensor.name)}`);
    }
  }
  return named;
}

function tensorHeader({ datatype, shape, data }: RawTensor, name: Uint8Array): Uint8Array {
  const type = utf8.encode(datatype);
  if (name.length > TEXT_BYTES_MAX || type.length > TEXT_BYTES_MAX) {
    throw new RangeError(`A tensor's name or datatype has more than ${TEXT_BYTES_MAX} bytes`);
  }
  if (
    shape.length > DIMENSIONS_MAX ||
    !shape.every((size) => size >= 0 && Number.isSafeInteger(size))
  ) {
    throw new RangeError(`A tensor's shape is not one: ${shape.slice(0, 10).join(", ")}`);
  }
  const header = new Uint8Array(2 + name.length + 2 + type.length + 2 + 8 * shape.length + 8);
  const view = new DataView(header.buffer);
  view.setUint16(0, name.length);
  header.set(name, 2);
  let offset = 2 + name.length;
  view.setUint16(offset, type.length);
  header.set(type, offset + 2);
  offset += 2 + type.length;
  view.setUint16(offset, shape.length);
  offset += 2;
  for (const size of [...shape, data.length]) {
    view.setBigUint64(offset, BigInt(size));
    offset += 8;
  }
  return header;
}

function compareBytes(one: Uint8Array, other: Uint8Array): number {
  const shared = Math.min(one.length, other.length);
  for (let i = 0; i < shared; i++) {
    if (one[i] !== other[i]) return one[i]! - other[i]!;
  }
  return one.length - other.length;
}
