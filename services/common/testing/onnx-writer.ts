// Small ONNX files written by hand, so that tests can have a model of any datatype, shape or
// behaviour without a training library, and files that are broken or hostile. Field numbers are
// those of onnx.proto3. Nothing here runs in a server.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** onnx.TensorProto.DataType by Open Inference Protocol datatype. */
export const ELEMENT_TYPE = {
  BOOL: 9,
  UINT8: 2,
  UINT16: 4,
  UINT32: 12,
  UINT64: 13,
  INT8: 3,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  FP16: 10,
  FP32: 1,
  FP64: 11,
  BYTES: 8,
} as const;

/** Element types that no call can carry. */
export const ODD_ELEMENT_TYPE = { COMPLEX64: 14, BFLOAT16: 16, INT4: 22 } as const;

/** A datatype of the Open Inference Protocol, or the ONNX number of any other. */
export type ElementType = keyof typeof ELEMENT_TYPE | number;

/** An input or output. */
export interface ValueInfo {
  readonly name: string;
  /** Absent: FP32. */
  readonly datatype?: ElementType;
  /** A number is fixed, a text names an open dimension, null is an open one; absent: any rank. */
  readonly shape?: readonly (number | string | null)[];
  /** What holds the elements; absent: a tensor. */
  readonly kind?: "tensor" | "sequence" | "map" | "optional";
}

export interface Initializer {
  readonly name: string;
  readonly datatype: ElementType;
  readonly shape: readonly number[];
  /** Little-endian elements. */
  readonly data?: Uint8Array;
  /** Name of the file the elements are said to be in. */
  readonly external?: string;
}

export interface Node {
  readonly op: string;
  /** Absent: the operators of ONNX itself. */
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** A plain number is a whole one. */
  readonly attributes?: Readonly<Record<string, number | Graph | AttributeValue>>;
}

/** An attribute of any other type. */
export type AttributeValue =
  | { readonly float: number }
  | { readonly text: string }
  | { readonly floats: readonly number[] }
  | { readonly integers: readonly number[] }
  | { readonly texts: readonly string[] }
  | { readonly tensor: Initializer };

export interface Graph {
  readonly nodes: readonly Node[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers?: readonly Initializer[];
}

/** What a model file says beside its graph. */
export interface ModelFacts {
  /** Absent: 8. */
  readonly irVersion?: number;
  /** Version by domain; absent: 17 of the default domain. */
  readonly opsets?: Readonly<Record<string, number>>;
  /** Name and version. */
  readonly producer?: readonly [string, string];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The bytes of a model file. */
export function encodeModel(graph: Graph, facts: ModelFacts = {}): Uint8Array {
  const model = new BinaryWriter();
  integer(model, 1, facts.irVersion ?? 8);
  if (facts.producer !== undefined) {
    text(model, 2, facts.producer[0]);
    text(model, 3, facts.producer[1]);
  }
  message(model, 7, (w) => writeGraph(w, graph));
  for (const [domain, version] of Object.entries(facts.opsets ?? { "": 17 })) {
    message(model, 8, (w) => {
      text(w, 1, domain);
      integer(w, 2, version);
    });
  }
  for (const [key, value] of Object.entries(facts.metadata ?? {})) {
    message(model, 14, (w) => writeEntry(w, key, value));
  }
  return model.finish();
}

/** A FP32 initializer. */
export function floats(
  name: string,
  shape: readonly number[],
  values: Float32Array | readonly number[],
): Initializer {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return { name, datatype: "FP32", shape, data };
}

/** An INT64 initializer. */
export function integers(
  name: string,
  shape: readonly number[],
  values: readonly number[],
): Initializer {
  const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return { name, datatype: "INT64", shape, data };
}

function message(writer: BinaryWriter, field: number, write: (w: BinaryWriter) => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function integer(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function writeEntry(writer: BinaryWriter, key: string, value: string): void {
  text(writer, 1, key);
  text(writer, 2, value);
}

function writeElementType(writer: BinaryWriter, field: number, type: ElementType): void {
  integer(writer, field, typeof type === "number" ? type : ELEMENT_TYPE[type]);
}

function writeGraph(writer: BinaryWriter, graph: Graph): void {
  for (const node of graph.nodes) {
    message(writer, 1, (w) => writeNode(w, node));
  }
  text(writer, 2, "graph");
  for (const initializer of graph.initializers ?? []) {
    message(writer, 5, (w) => writeInitializer(w, initializer));
  }
  for (const value of graph.inputs) {
    message(writer, 11, (w) => writeValueInfo(w, value));
  }
  for (const value of graph.outputs) {
    message(writer, 12, (w) => writeValueInfo(w, value));
  }
}

function writeNode(writer: BinaryWriter, node: Node): void {
  for (const name of node.inputs) {
    text(writer, 1, name);
  }
  for (const name of node.outputs) {
    text(writer, 2, name);
  }
  text(writer, 4, node.op);
  for (const [name, value] of Object.entries(node.attributes ?? {})) {
    message(writer, 5, (w) => {
      text(w, 1, name);
      writeAttribute(w, value);
    });
  }
  if (node.domain !== undefined) {
    text(writer, 7, node.domain);
  }
}

function writeAttribute(writer: BinaryWriter, value: number | Graph | AttributeValue): void {
  if (typeof value === "number") {
    integer(writer, 3, value);
    integer(writer, 20, 2);
  } else if ("nodes" in value) {
    message(writer, 6, (g) => writeGraph(g, value));
    integer(writer, 20, 5);
  } else if ("float" in value) {
    writer.tag(2, WireType.Bit32).float(value.float);
    integer(writer, 20, 1);
  } else if ("text" in value) {
    text(writer, 4, value.text);
    integer(writer, 20, 3);
  } else if ("tensor" in value) {
    message(writer, 5, (t) => writeInitializer(t, value.tensor));
    integer(writer, 20, 4);
  } else if ("floats" in value) {
    for (const one of value.floats) {
      writer.tag(7, WireType.Bit32).float(one);
    }
    integer(writer, 20, 6);
  } else if ("integers" in value) {
    for (const one of value.integers) {
      integer(writer, 8, one);
    }
    integer(writer, 20, 7);
  } else {
    for (const one of value.texts) {
      text(writer, 9, one);
    }
    integer(writer, 20, 8);
  }
}

function writeInitializer(writer: BinaryWriter, initializer: Initializer): void {
  const { name, datatype, shape, data, external } = initializer;
  for (const dimension of shape) {
    integer(writer, 1, dimension);
  }
  writeElementType(writer, 2, datatype);
  text(writer, 8, name);
  if (data !== undefined) {
    writer.tag(9, WireType.LengthDelimited).bytes(data);
  }
  if (external !== undefined) {
    message(writer, 13, (w) => writeEntry(w, "location", external));
    integer(writer, 14, 1);
  }
}

function writeValueInfo(writer: BinaryWriter, value: ValueInfo): void {
  text(writer, 1, value.name);
  message(writer, 2, (w) => writeType(w, value));
}

function writeType(writer: BinaryWriter, value: ValueInfo): void {
  const tensor = (w: BinaryWriter) => message(w, 1, (t) => writeTensorType(t, value));
  switch (value.kind ?? "tensor") {
    case "tensor":
      tensor(writer);
      break;
    case "sequence":
      message(writer, 4, (w) => message(w, 1, tensor));
      break;
    case "map":
      message(writer, 5, (w) => {
        writeElementType(w, 1, "INT64");
        message(w, 2, tensor);
      });
      break;
    case "optional":
      message(writer, 9, (w) => message(w, 1, tensor));
  }
}

function writeTensorType(writer: BinaryWriter, value: ValueInfo): void {
  const { datatype = "FP32", shape } = value;
  writeElementType(writer, 1, datatype);
  if (shape !== undefined) {
    message(writer, 2, (w) => {
      for (const dimension of shape) {
        message(w, 1, (d) => writeDimension(d, dimension));
      }
    });
  }
}

function writeDimension(writer: BinaryWriter, dimension: number | string | null): void {
  if (typeof dimension === "number") {
    integer(writer, 1, dimension);
  } else if (dimension !== null) {
    text(writer, 2, dimension);
  }
}
