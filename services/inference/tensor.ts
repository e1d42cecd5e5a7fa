// Tensors as they travel through the server: named, typed, shaped, and as raw little-endian bytes
// from the wire to the batch, so that nothing is decoded that need not be.

/** Open Inference Protocol datatypes that onnxruntime-node carries. */
export const DATATYPES = [
  "BOOL",
  "UINT8",
  "UINT16",
  "UINT32",
  "UINT64",
  "INT8",
  "INT16",
  "INT32",
  "INT64",
  "FP16",
  "FP32",
  "FP64",
  "BYTES",
] as const;

export type Datatype = (typeof DATATYPES)[number];

/** Bytes of one element; BYTES elements vary and are counted as 0. */
export const ELEMENT_BYTES: Readonly<Record<Datatype, number>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: 0,
};

/** A tensor whose elements have one width: row-major, little-endian, not necessarily aligned. */
export interface FixedTensor {
  readonly name: string;
  readonly datatype: Exclude<Datatype, "BYTES">;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A tensor of strings; onnxruntime takes and gives them as UTF-8 text. */
export interface BytesTensor {
  readonly name: string;
  readonly datatype: "BYTES";
  readonly shape: readonly number[];
  readonly data: readonly string[];
}

export type Tensor = FixedTensor | BytesTensor;

/** One input or output of a model's signature; -1 for an open dimension. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** True: the graph does not say how many dimensions there are; `shape` is empty and any fits. */
  readonly anyRank?: boolean;
}

/** What a model takes and gives, in the graph's order. */
export interface Signature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}
