// Small ONNX files written by hand, so that tests can have a model of any datatype, shape or
// behaviour without a training library. Field numbers are those of onnx.proto3.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Datatype } from "../tensor.ts";

/** onnx.TensorProto.DataType by Open Inference Protocol datatype. */
export const ELEMENT_TYPE: Readonly<Record<Datatype, number>> = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
};

/** A number is fixed, a text is the name of an open dimension. */
export interface ValueInfo {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly (number | string)[];
}

export interface Initializer {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Little-endian elements. */
  readonly data: Uint8Array;
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, number | Graph>>;
}

export interface Graph {
  readonly nodes: readonly Node[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers?: readonly Initializer[];
}

/** The bytes of a model file: IR version 8, default operator set 17. */
export function encodeModel(graph: Graph): Uint8Array {
  const model = new BinaryWriter();
  model.tag(1, WireType.Varint).int64(8);
  message(model, 7, (w) => writeGraph(w, graph));
  message(model, 8, (w) => {
    w.tag(1, WireType.LengthDelimited).string("");
    w.tag(2, WireType.Varint).int64(17);
  });
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
  const data = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
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

function writeGraph(writer: BinaryWriter, graph: Graph): void {
  for (const node of graph.nodes) {
    message(writer, 1, (w) => writeNode(w, node));
  }
  text(writer, 2, "graph");
  for (const initializer of graph.initializers ?? []) {
    message(writer, 5, (w) => {
      for (const dimension of initializer.shape) {
        w.tag(1, WireType.Varint).int64(dimension);
      }
      w.tag(2, WireType.Varint).int32(ELEMENT_TYPE[initializer.datatype]);
      text(w, 8, initializer.name);
      w.tag(9, WireType.LengthDelimited).bytes(initializer.data);
    });
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
      if (typeof value === "number") {
        w.tag(3, WireType.Varint).int64(value);
        w.tag(20, WireType.Varint).int32(2);
      } else {
        message(w, 6, (g) => writeGraph(g, value));
        w.tag(20, WireType.Varint).int32(5);
      }
    });
  }
}

function writeValueInfo(writer: BinaryWriter, value: ValueInfo): void {
  text(writer, 1, value.name);
  message(writer, 2, (type) =>
    message(type, 1, (tensor) => {
      tensor.tag(1, WireType.Varint).int32(ELEMENT_TYPE[value.datatype]);
      message(tensor, 2, (shape) => {
        for (const dimension of value.shape) {
          message(shape, 1, (w) => {
            if (typeof dimension === "number") {
              w.tag(1, WireType.Varint).int64(dimension);
            } else {
              text(w, 2, dimension);
            }
          });
        }
      });
    }),
  );
}
