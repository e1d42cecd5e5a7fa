// Small ONNX files for tests, encoded by hand: what a training library would export, and what a
// broken or hostile one would. Nothing here runs in a server.

import { BinaryWriter } from "@bufbuild/protobuf/wire";

/** ONNX TensorProto.DataType numbers by name. */
export const ONNX_TYPE = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  COMPLEX64: 14,
  BFLOAT16: 16,
  INT4: 22,
} as const;

/** A number is a fixed dimension, a text a symbolic one, null an unnamed open one. */
export type TestDimension = number | string | null;

export interface TestValue {
  readonly name: string;
  readonly type?: number;
  readonly shape?: readonly TestDimension[];
  readonly kind?: "tensor" | "sequence" | "map" | "optional";
}

export interface TestTensor {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  readonly raw?: Uint8Array;
  /** Name of the file the bytes are said to be in. */
  readonly external?: string;
}

export interface TestAttribute {
  readonly name: string;
  readonly int?: number;
  readonly ints?: readonly number[];
  readonly float?: number;
  readonly graph?: TestGraph;
  readonly tensor?: TestTensor;
}

export interface TestNode {
  readonly op: string;
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: readonly TestAttribute[];
}

export interface TestGraph {
  readonly nodes: readonly TestNode[];
  readonly inputs: readonly TestValue[];
  readonly outputs: readonly TestValue[];
  readonly initializers?: readonly TestTensor[];
}

export interface TestModel {
  readonly graph: TestGraph;
  readonly irVersion?: number;
  readonly opsets?: Readonly<Record<string, number>>;
  readonly producer?: readonly [string, string];
  readonly metadata?: Readonly<Record<string, string>>;
}

const LENGTH_DELIMITED = 2;
const VARINT = 0;

function message(writer: BinaryWriter, field: number, write: (w: BinaryWriter) => void): void {
  writer.tag(field, LENGTH_DELIMITED).fork();
  write(writer);
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, LENGTH_DELIMITED).string(value);
}

function integer(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, VARINT).int64(value);
}

function writeTensor(w: BinaryWriter, tensor: TestTensor): void {
  for (const dim of tensor.dims) {
    integer(w, 1, dim);
  }
  integer(w, 2, tensor.type);
  text(w, 8, tensor.name);
  if (tensor.raw !== undefined) {
    w.tag(9, LENGTH_DELIMITED).bytes(tensor.raw);
  }
  if (tensor.external !== undefined) {
    const location = tensor.external;
    message(w, 13, (entry) => {
      text(entry, 1, "location");
      text(entry, 2, location);
    });
    integer(w, 14, 1);
  }
}

function writeTensorType(w: BinaryWriter, value: TestValue): void {
  integer(w, 1, value.type ?? ONNX_TYPE.FLOAT);
  const { shape } = value;
  if (shape === undefined) {
    return;
  }
  message(w, 2, (s) => {
    for (const dim of shape) {
      message(s, 1, (d) => {
        if (typeof dim === "number") {
          integer(d, 1, dim);
        } else if (dim !== null) {
          text(d, 2, dim);
        }
      });
    }
  });
}

function writeType(w: BinaryWriter, value: TestValue): void {
  switch (value.kind ?? "tensor") {
    case "tensor":
      message(w, 1, (t) => writeTensorType(t, value));
      break;
    case "sequence":
      message(w, 4, (s) => {
        message(s, 1, (e) => {
          message(e, 1, (t) => writeTensorType(t, value));
        });
      });
      break;
    case "map":
      message(w, 5, (m) => {
        integer(m, 1, ONNX_TYPE.INT64);
        message(m, 2, (e) => {
          message(e, 1, (t) => writeTensorType(t, value));
        });
      });
      break;
    case "optional":
      message(w, 9, (o) => {
        message(o, 1, (e) => {
          message(e, 1, (t) => writeTensorType(t, value));
        });
      });
  }
}

function writeValue(w: BinaryWriter, value: TestValue): void {
  text(w, 1, value.name);
  message(w, 2, (t) => writeType(t, value));
}

function writeAttribute(w: BinaryWriter, attribute: TestAttribute): void {
  const { graph, tensor, ints, int, float } = attribute;
  text(w, 1, attribute.name);
  if (float !== undefined) {
    w.tag(2, 5).float(float);
    integer(w, 20, 1);
  }
  if (int !== undefined) {
    integer(w, 3, int);
    integer(w, 20, 2);
  }
  if (tensor !== undefined) {
    message(w, 5, (t) => writeTensor(t, tensor));
    integer(w, 20, 4);
  }
  if (graph !== undefined) {
    message(w, 6, (g) => writeGraph(g, graph));
    integer(w, 20, 5);
  }
  if (ints !== undefined) {
    for (const value of ints) {
      integer(w, 8, value);
    }
    integer(w, 20, 7);
  }
}

function writeGraph(w: BinaryWriter, graph: TestGraph): void {
  for (const node of graph.nodes) {
    message(w, 1, (n) => {
      for (const name of node.inputs) {
        text(n, 1, name);
      }
      for (const name of node.outputs) {
        text(n, 2, name);
      }
      text(n, 4, node.op);
      for (const attribute of node.attributes ?? []) {
        message(n, 5, (a) => writeAttribute(a, attribute));
      }
      if (node.domain !== undefined) {
        text(n, 7, node.domain);
      }
    });
  }
  text(w, 2, "graph");
  for (const tensor of graph.initializers ?? []) {
    message(w, 5, (t) => writeTensor(t, tensor));
  }
  for (const value of graph.inputs) {
    message(w, 11, (v) => writeValue(v, value));
  }
  for (const value of graph.outputs) {
    message(w, 12, (v) => writeValue(v, value));
  }
}

/** The bytes of an ONNX file. Defaults: IR version 8, opset 17 of the default domain. */
export function encodeModel(model: TestModel): Uint8Array {
  const writer = new BinaryWriter();
  integer(writer, 1, model.irVersion ?? 8);
  if (model.producer !== undefined) {
    text(writer, 2, model.producer[0]);
    text(writer, 3, model.producer[1]);
  }
  message(writer, 7, (g) => writeGraph(g, model.graph));
  for (const [domain, version] of Object.entries(model.opsets ?? { "": 17 })) {
    message(writer, 8, (o) => {
      text(o, 1, domain);
      integer(o, 2, version);
    });
  }
  for (const [key, value] of Object.entries(model.metadata ?? {})) {
    message(writer, 14, (entry) => {
      text(entry, 1, key);
      text(entry, 2, value);
    });
  }
  return writer.finish();
}

/** Little-endian bytes of 32-bit floats. */
export function floatBytes(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

/** One node from inputs to outputs, the commonest test model. */
export function singleNode(
  op: string,
  options: {
    readonly inputs?: readonly TestValue[];
    readonly outputs?: readonly TestValue[];
    readonly domain?: string;
    readonly attributes?: readonly TestAttribute[];
    readonly initializers?: readonly TestTensor[];
  } & Omit<TestModel, "graph"> = {},
): Uint8Array {
  const inputs = options.inputs ?? [{ name: "x", shape: ["N", 4] }];
  const outputs = options.outputs ?? [{ name: "y", shape: ["N", 4] }];
  return encodeModel({
    ...options,
    graph: {
      nodes: [
        {
          op,
          inputs: [
            ...inputs.map((v) => v.name),
            ...(options.initializers ?? []).map((t) => t.name),
          ],
          outputs: outputs.map((v) => v.name),
          ...(options.domain === undefined ? {} : { domain: options.domain }),
          ...(options.attributes === undefined ? {} : { attributes: options.attributes }),
        },
      ],
      inputs,
      outputs,
      initializers: options.initializers ?? [],
    },
  });
}

/**
 * y = x times scale + offset over `columns` columns: a real model with weights, different per
 * scale.
 */
export function linearModel(
  options: {
    readonly columns?: number;
    readonly scale?: number;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly inputName?: string;
  } = {},
): Uint8Array {
  const columns = options.columns ?? 4;
  const weights = Array.from({ length: columns }, (_, i) => (options.scale ?? 1) * (i + 1));
  const input = options.inputName ?? "x";
  return encodeModel({
    producer: ["plinth-test", "1"],
    metadata: options.metadata ?? {},
    graph: {
      nodes: [{ op: "Gemm", inputs: [input, "w", "b"], outputs: ["y"] }],
      inputs: [{ name: input, shape: ["N", columns] }],
      outputs: [{ name: "y", shape: ["N", 1] }],
      initializers: [
        { name: "w", type: ONNX_TYPE.FLOAT, dims: [columns, 1], raw: floatBytes(weights) },
        { name: "b", type: ONNX_TYPE.FLOAT, dims: [1], raw: floatBytes([0.5]) },
      ],
    },
  });
}
