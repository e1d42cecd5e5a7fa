import { describe, expect, it } from "vitest";
import {
  encodeModel,
  floats,
  type Graph,
  type Initializer,
  type Node,
} from "../../common/testing/onnx-writer.ts";
import { compileModel } from "./compile-model.ts";
import { DEFAULT_LIMITS, readOnnx } from "./read-onnx.ts";
import { smallModel } from "./testing.ts";

const IO = { inputs: [{ name: "x", shape: ["N", 2] }], outputs: [{ name: "y" }] } as const;
const relu: Node = { op: "Relu", inputs: ["x"], outputs: ["y"] };
const encode = (graph: Partial<Graph>) => encodeModel({ nodes: [relu], ...IO, ...graph });
const grid = { inputs: { x: { scaleBits: 4, lo: -4, hi: 4 } } };

/** Bytes of memory that a call takes at least, beyond what was taken before. */
function growth(call: () => void): number {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  try {
    call();
  } catch (error) {
    most = process.memoryUsage().arrayBuffers - before;
    throw Object.assign(error as Error, { most });
  }
  return most;
}

describe("read-onnx", () => {
  it("reads weights of every type and both ways of writing them", () => {
    const of = (
      datatype: Initializer["datatype"],
      data: ArrayBufferView,
      shape: readonly number[],
    ) => ({
      name: `w${String(datatype)}`,
      datatype,
      shape,
      data: new Uint8Array(data.buffer),
    });
    const { initializers } = readOnnx(
      encode({
        initializers: [
          of("FP32", Float32Array.of(1.5, -2), [2]),
          of("FP64", Float64Array.of(1.25), []),
          of("INT64", BigInt64Array.of(-5n, 7n), [2]),
          of("INT32", Int32Array.of(-3), [1]),
          of("UINT8", Uint8Array.of(200, 1), [2]),
          of("INT8", Int8Array.of(-100), [1]),
          of("FP16", Uint16Array.of(0x3c00, 0xc100, 0x0001), [3]),
          of("BOOL", Uint8Array.of(1, 0), [2]),
        ],
      }),
    );
    const read = (name: string) => Array.from(initializers.get(name)!.data);
    expect(read("wFP32")).toEqual([1.5, -2]);
    expect(read("wFP64")).toEqual([1.25]);
    expect(read("wINT64")).toEqual([-5, 7]);
    expect(read("wINT32")).toEqual([-3]);
    expect(read("wUINT8")).toEqual([200, 1]);
    expect(read("wINT8")).toEqual([-100]);
    expect(read("wFP16")).toEqual([1, -2.5, 2 ** -24]);
    expect(read("wBOOL")).toEqual([1, 0]);
  });

  it("refuses a tensor that claims 10 GB before it takes memory for it", () => {
    const huge = {
      name: "w",
      datatype: "FP32" as const,
      shape: [50_000, 50_000],
      data: new Uint8Array(4),
    };
    const call = () => growth(() => readOnnx(encode({ initializers: [huge] })));
    expect(call).toThrow(/claims 2500000000 elements/);
    try {
      call();
    } catch (error) {
      expect((error as { most: number }).most).toBeLessThan(1e6);
    }
    const overflowing = { ...huge, shape: [2 ** 40, 2 ** 40, 2 ** 40] };
    expect(() => readOnnx(encode({ initializers: [overflowing] }))).toThrow(/claims/);
    const negative = { ...huge, shape: [-4, -1] };
    expect(() => readOnnx(encode({ initializers: [negative] }))).toThrow(/dimension -4/);
  });

  it("refuses a tensor whose bytes are not what its shape says", () => {
    const short = {
      name: "w",
      datatype: "FP32" as const,
      shape: [4000, 1000],
      data: new Uint8Array(8),
    };
    expect(() => readOnnx(encode({ initializers: [short] }))).toThrow(/8 bytes for float32/);
    const none = { name: "w", datatype: "FP32" as const, shape: [4000, 1000] };
    expect(() => readOnnx(encode({ initializers: [none] }))).toThrow(/at most 0 values/);
  });

  it("refuses weights in another file, NaN, infinities and odd types", () => {
    const external = {
      name: "w",
      datatype: "FP32" as const,
      shape: [2],
      external: "../../etc/passwd",
    };
    expect(() => readOnnx(encode({ initializers: [external] }))).toThrow(/another file/);
    const nan = floats("w", [2], [1, Number.NaN]);
    expect(() => readOnnx(encode({ initializers: [nan] }))).toThrow(/NaN at 1/);
    const infinite = floats("w", [2], [Number.NEGATIVE_INFINITY, 1]);
    expect(() => readOnnx(encode({ initializers: [infinite] }))).toThrow(/-Infinity at 0/);
    const odd = { name: "w", datatype: 16, shape: [1], data: new Uint8Array(2) };
    expect(() => readOnnx(encode({ initializers: [odd] }))).toThrow(/ONNX type 16/);
  });

  it("stops at a million nodes, initializers, inputs, attributes and values in a list", () => {
    const nodes = Array.from({ length: DEFAULT_LIMITS.nodes + 1 }, () => relu);
    expect(() => readOnnx(encode({ nodes }))).toThrow(/more than 10000 nodes/);
    const limits = {
      ...DEFAULT_LIMITS,
      initializers: 3,
      totalElements: 5,
      attributeValues: 4,
      fileBytes: 1000,
    };
    const four = Array.from({ length: 4 }, (_, i) => floats(`w${i}`, [1], [1]));
    expect(() => readOnnx(encode({ initializers: four }), limits)).toThrow(
      /more than 3 initializers/,
    );
    const six = [floats("w", [6], [1, 2, 3, 4, 5, 6])];
    expect(() => readOnnx(encode({ initializers: six }), limits)).toThrow(
      /more than 5 elements together/,
    );
    const long = { ...relu, attributes: { a: { integers: [1, 2, 3, 4, 5] } } };
    expect(() => readOnnx(encode({ nodes: [long] }), limits)).toThrow(
      /more than 4 values in the attribute/,
    );
    expect(() => readOnnx(new Uint8Array(1001), limits)).toThrow(/1001 bytes; at most 1000/);
    const attributes = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`a${i}`, 1]));
    expect(() => readOnnx(encode({ nodes: [{ ...relu, attributes }] }))).toThrow(/64 attributes/);
  });

  it.each([0, 1, 7, 100, 1000])("refuses a file cut off or scrambled at %i", (at) => {
    const bytes = smallModel({
      shape: [4],
      nodes: [{ op: "Gemm", inputs: ["x", "w"], outputs: ["y"] }],
      initializers: [floats("w", [4, 100], new Array<number>(400).fill(0.5))],
    });
    expect(() => compileModel(bytes.subarray(0, at), grid)).toThrow(/^model: /);
  });

  it("gives a clear error or a graph for any scrambled byte", () => {
    const bytes = smallModel({
      shape: [4],
      nodes: [{ op: "Gemm", inputs: ["x", "w"], outputs: ["y"], attributes: { transB: 1 } }],
      initializers: [floats("w", [3, 4], new Array<number>(12).fill(0.5))],
    });
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const changed = Uint8Array.from(bytes);
        changed[at]! ^= flip;
        try {
          compileModel(changed, grid);
        } catch (error) {
          expect((error as Error).name, `${at} ${flip}: ${error}`).toMatch(
            /InvalidArgument|UnsupportedModel/,
          );
        }
      }
    }
  });
});

describe("model-graph", () => {
  it("refuses cycles, missing tensors and names given twice", () => {
    const cycle = [
      { op: "Add", inputs: ["x", "b"], outputs: ["a"] },
      { op: "Relu", inputs: ["a"], outputs: ["b"] },
      { op: "Relu", inputs: ["b"], outputs: ["y"] },
    ];
    expect(() => compileModel(encode({ nodes: cycle }), grid)).toThrow(/cycle/);
    const missing = [{ op: "Relu", inputs: ["nowhere"], outputs: ["y"] }];
    expect(() => compileModel(encode({ nodes: missing }), grid)).toThrow(
      /nothing gives the tensor "nowhere"/,
    );
    expect(() => compileModel(encode({ nodes: [relu, relu] }), grid)).toThrow(/two nodes/);
  });

  it("takes a chain of thousands of nodes without running out of stack", () => {
    const nodes = Array.from({ length: 9000 }, (_, i) => ({
      op: "Identity",
      inputs: [i === 0 ? "x" : `t${i - 1}`],
      outputs: [i === 8999 ? "y" : `t${i}`],
    }));
    expect(compileModel(encode({ nodes }), grid).graph.steps).toEqual([]);
  });

  it("refuses what would grow without bound when it is folded", () => {
    const grow = Array.from({ length: 40 }, (_, i) => ({
      op: "Concat",
      inputs: [i === 0 ? "c" : `t${i - 1}`, i === 0 ? "c" : `t${i - 1}`],
      outputs: [`t${i}`],
      attributes: { axis: 0 },
    }));
    const nodes = [...grow, { op: "Add", inputs: ["x", "t39"], outputs: ["y"] }];
    const initializers = [floats("c", [64], new Array<number>(64).fill(1))];
    expect(() => compileModel(encode({ nodes, initializers }), grid)).toThrow(
      /claims 8388608 elements/,
    );
    const shape = { name: "s", datatype: "INT64" as const, shape: [2] };
    const data = new Uint8Array(BigInt64Array.of(1n << 31n, 2n).buffer);
    const expand = [
      { op: "Expand", inputs: ["c", "s"], outputs: ["e"] },
      { op: "Add", inputs: ["x", "e"], outputs: ["y"] },
    ];
    const wide = { nodes: expand, initializers: [floats("c", [1], [1]), { ...shape, data }] };
    expect(() => compileModel(encode(wide), grid)).toThrow(/claims 4294967296 elements/);
  });

  it("refuses open dimensions, fixed batches and unknown outputs with what to do", () => {
    const open = encode({ inputs: [{ name: "x", shape: ["N", "width"] }] });
    expect(() => compileModel(open, grid)).toThrow(
      /inputs\.x\.shape: dimension 1 of the input is open/,
    );
    const said = { inputs: { x: { ...grid.inputs.x, shape: [3] } } };
    expect(compileModel(open, said).graph.inputs[0]!.shape).toEqual([3]);
    const fixed = encode({ inputs: [{ name: "x", shape: [8, 2] }] });
    expect(() => compileModel(fixed, grid)).toThrow(/batch of 8 fixed/);
    expect(() => compileModel(encode({}), { ...grid, output: "z" })).toThrow(
      /no output "z"; the model has y/,
    );
  });
});
