// The bytes that a receipt's digests are taken over (services/common/receipts/tensor-bytes.ts),
// written into a chunk without anything made on the way: what of them does not change with the
// request is made once for a version.

import { tensorBytes } from "../../common/receipts/tensor-bytes.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import type { ReceiptChunk } from "./receipt-chunk.ts";

/** "plinth.tensors/1" and the number of tensors. */
const START_BYTES = 20;
/** Number of dimensions and length of the data. */
const HEAD_BYTES = 2 + 8;
const DIMENSION_BYTES = 8;
/** A UTF-16 unit becomes at most three bytes. */
const UTF8_BYTES_MAX = 3;
const ELEMENT_HEAD_BYTES = 4;

interface NamedTensor {
  /** Its place in the signature. */
  readonly place: number;
  /** Its name and datatype as they are hashed. */
  readonly name: Uint8Array;
}

/** Writes the inputs, or the outputs, of one version. */
export class TensorWriter {
  /** In the order of the names' bytes. */
  readonly #tensors: readonly NamedTensor[];
  readonly #starts: readonly Uint8Array[];
  readonly #all: readonly number[];

  constructor(specs: readonly TensorSpec[]) {
    const named = specs.map((spec, place) => ({ place, name: nameBytes(spec), text: spec.name }));
    named.sort((one, other) => Buffer.compare(Buffer.from(one.text), Buffer.from(other.text)));
    this.#tensors = named;
    this.#starts = Array.from({ length: specs.length + 1 }, (_, count) => startBytes(count));
    this.#all = specs.map((_, place) => place);
  }

  /** What they take at most. */
  sizeMax(tensors: readonly Tensor[]): number {
    let size = START_BYTES;
    for (let i = 0; i < tensors.length; i++) {
      const tensor = tensors[i]!;
      size += HEAD_BYTES + DIMENSION_BYTES * tensor.shape.length + dataSizeMax(tensor);
    }
    for (let i = 0; i < this.#tensors.length; i++) {
      size += this.#tensors[i]!.name.length;
    }
    return size;
  }

  /**
   * Writes the tensors, of which there is room for `sizeMax`.
   * @param places the place in the signature of each; absent: all, in its order
   */
  write(chunk: ReceiptChunk, tensors: readonly Tensor[], places = this.#all): void {
    chunk.raw(this.#starts[tensors.length]!);
    for (let i = 0; i < this.#tensors.length; i++) {
      const { place, name } = this.#tensors[i]!;
      const index = places === this.#all ? place : places.indexOf(place);
      if (index >= 0) {
        chunk.raw(name);
        writeTensor(chunk, tensors[index]!);
      }
    }
  }
}

function writeTensor(chunk: ReceiptChunk, tensor: Tensor): void {
  const { shape } = tensor;
  chunk.uint16(shape.length);
  for (let i = 0; i < shape.length; i++) {
    chunk.uint64(shape[i]!);
  }
  if (tensor.datatype !== "BYTES") {
    chunk.uint64(tensor.data.length);
    chunk.raw(tensor.data);
    return;
  }
  const { data } = tensor;
  const start = chunk.at;
  chunk.uint64(0);
  for (let i = 0; i < data.length; i++) {
    chunk.element(data[i]!);
  }
  chunk.uint64At(start, chunk.at - start - DIMENSION_BYTES);
}

function dataSizeMax(tensor: Tensor): number {
  if (tensor.datatype !== "BYTES") {
    return tensor.data.length;
  }
  let size = 0;
  for (let i = 0; i < tensor.data.length; i++) {
    size += ELEMENT_HEAD_BYTES + UTF8_BYTES_MAX * tensor.data[i]!.length;
  }
  return size;
}

/** What comes before any tensor. */
function startBytes(count: number): Uint8Array {
  const empty = Array.from({ length: count }, (_, i) => emptyTensor(String(i), "FP32"));
  return first(tensorBytes(empty));
}

function nameBytes({ name, datatype }: TensorSpec): Uint8Array {
  const [, header] = tensorBytes([emptyTensor(name, datatype)]);
  return header!.slice(0, header!.length - HEAD_BYTES);
}

function emptyTensor(name: string, datatype: string) {
  return { name, datatype, shape: [], data: new Uint8Array(0) };
}

function first(pieces: Iterable<Uint8Array>): Uint8Array {
  const [piece] = pieces;
  return piece!;
}
