import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { Servable } from "../engine.ts";
import type { Datatype, Tensor } from "../tensor.ts";
import { ComputingEngine, type TestModel } from "../testing/computing-engine.ts";
import { decoded, meanRequest, type RequestInit } from "../testing/requests.ts";
import {
  fp32,
  int64,
  meanModel,
  mixedModel,
  sameModels,
  scalarModel,
} from "../testing/test-models.ts";
import { checkInputs } from "./check-inputs.ts";
import { checkOutputs } from "./check-outputs.ts";
import { Violations } from "./violations.ts";

const LIMITS = { requestRowsMax: 1000 };

const engine = new ComputingEngine([meanModel, mixedModel, scalarModel, ...sameModels]);

describe("check-inputs accepts", () => {
  it("raw contents as they came", () => {
    const request = decoded(meanRequest());
    const result = check(meanModel, request);
    expect(result.rows).toBe(1);
    expect(result.tensors[0]?.data).toBe(request.rawInputContents[0]);
  });

  it("inputs in any order and puts them in the signature's", () => {
    const request = decoded(mixedRequest());
    const names = check(mixedModel, request).tensors.map(({ name }) => name);
    expect(names).toEqual(["x", "s", "n", "b"]);
  });

  it("NaN and infinities", () => {
    const raw = fp32(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    const request = decoded(meanRequest({ rawInputContents: [raw] }));
    expect(check(meanModel, request).tensors[0]?.data).toEqual(raw);
  });

  it("a batch of no rows", () => {
    const request = decoded(
      meanRequest({
        inputs: [{ name: "features", datatype: "FP32", shape: [0n, 3n] }],
        rawInputContents: [new Uint8Array(0)],
      }),
    );
    expect(check(meanModel, request)).toMatchObject({ rows: 0, tensors: [{ shape: [0, 3] }] });
  });

  it("any shape where the graph does not say how many dimensions there are", () => {
    const scalar = servableOf(scalarModel);
    const input = { name: "x", datatype: "FP64", shape: [], anyRank: true } as const;
    const servable = { ...scalar, signature: { ...scalar.signature, inputs: [input] } };
    for (const shape of [[], [2n], [2n, 3n]]) {
      const count = shape.reduce((product, size) => product * Number(size), 1);
      const inputs = [{ name: "x", datatype: "FP64", shape }];
      const request = decoded({ inputs, rawInputContents: [new Uint8Array(count * 8)] });
      const violations = new Violations();
      const { tensors } = checkInputs(request, servable, LIMITS, violations);
      violations.throwIfAny(ErrorReason.TENSOR_MISMATCH);
      expect(tensors[0]?.shape).toEqual(shape.map(Number));
    }
  });

  it("a scalar, raw and typed", () => {
    const raw = new Uint8Array(new Float64Array([2.5]).buffer);
    const inputs = [{ name: "x", datatype: "FP64", shape: [] }];
    const expected = { rows: 1, tensors: [{ name: "x", shape: [], data: raw }] };
    expect(check(scalarModel, decoded({ inputs, rawInputContents: [raw] }))).toMatchObject(
      expected,
    );
    const typed = [{ ...inputs[0]!, contents: { fp64Contents: [2.5] } }];
    expect(check(scalarModel, decoded({ inputs: typed }))).toMatchObject(expected);
  });

  it.each<[Datatype, object, number[] | string[]]>([
    ["BOOL", { boolContents: [true, false] }, [1, 0]],
    ["INT8", { intContents: [-128, 127] }, [0x80, 0x7f]],
    ["INT16", { intContents: [-2, 258] }, [0xfe, 0xff, 2, 1]],
    ["INT32", { intContents: [-2, 1] }, [0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0]],
    ["INT64", { int64Contents: [-1n, 2n] }, [...Array(8).fill(255), 2, ...Array(7).fill(0)]],
    ["UINT8", { uintContents: [255, 1] }, [255, 1]],
    ["UINT16", { uintContents: [65535, 1] }, [255, 255, 1, 0]],
    ["UINT32", { uintContents: [4294967295, 1] }, [255, 255, 255, 255, 1, 0, 0, 0]],
    [
      "UINT64",
      { uint64Contents: [2n ** 64n - 1n, 1n] },
      [...Array(8).fill(255), 1, ...Array(7).fill(0)],
    ],
    ["FP32", { fp32Contents: [1, -2] }, [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]],
    ["FP64", { fp64Contents: [1, 0] }, [0, 0, 0, 0, 0, 0, 0xf0, 0x3f, ...Array(8).fill(0)]],
    ["BYTES", { bytesContents: [Buffer.from("é"), new Uint8Array(0)] }, ["é", ""]],
  ])("typed contents of %s as little-endian bytes", (datatype, contents, data) => {
    const tensor = same(datatype, { contents });
    expect(Array.from<number | string>(tensor.data)).toEqual(data);
  });

  it("raw FP16 and raw BYTES", () => {
    expect(same("FP16", {}, new Uint8Array([0, 0x3c, 0, 0xc0])).data).toHaveLength(4);
    expect(same("BYTES", {}, rawStrings("a", "漢")).data).toEqual(["a", "漢"]);
  });
});

/** What comes, and a part of what the sender is told. */
const REFUSED: [string, TestModel, RequestInit, string][] = [
  [
    "a wrong dimension",
    meanModel,
    features([2n, 2n], fp32(1, 2, 3, 4)),
    'input "features": shape [2,2] does not fit [-1,3]: dimension 1 must be 3',
  ],
  [
    "a wrong rank",
    meanModel,
    features([3n], fp32(1, 2, 3)),
    'input "features": shape [3] does not fit [-1,3]: 2 dimensions are expected, 1 came',
  ],
  [
    "a negative dimension",
    meanModel,
    features([-1n, 3n], fp32(1, 2, 3)),
    "dimension 0 is -1; a request gives every dimension its size",
  ],
  [
    "too few bytes",
    meanModel,
    features([1n, 3n], fp32(1, 2)),
    'input "features": 8 bytes came; shape [1,3] of FP32 needs 12 (3 elements of 4)',
  ],
  ["too many bytes", meanModel, features([1n, 3n], fp32(1, 2, 3, 4)), "16 bytes came"],
  [
    "a shape beyond 2^63",
    meanModel,
    features([9223372036854775807n, 3n], fp32(1, 2, 3)),
    "dimension 0 is larger than 2147483647",
  ],
  [
    "a product beyond 2^53",
    mixedModel,
    { inputs: [{ name: "x", datatype: "FP32", shape: [2147483647n, 2147483647n] }] },
    'input "x": shape [2147483647,2147483647] means more elements than any message can carry',
  ],
  [
    "another datatype",
    meanModel,
    { ...features([1n, 3n], fp32(1, 2, 3), "FP64") },
    'input "features": datatype "FP64" came, "FP32" is expected',
  ],
  [
    "an unknown name",
    meanModel,
    { inputs: [{ name: "x", datatype: "FP32", shape: [1n, 3n] }], rawInputContents: [fp32(1)] },
    'input "x": is not an input of the model, which takes "features"; ' +
      'input "features" (FP32) is missing',
  ],
  ["no inputs", meanModel, {}, 'input "features" (FP32) is missing'],
  [
    "an input twice",
    meanModel,
    {
      inputs: [features([1n, 3n], fp32()).inputs![0]!, features([1n, 3n], fp32()).inputs![0]!],
      rawInputContents: [fp32(1, 2, 3), fp32(1, 2, 3)],
    },
    'input "features": comes more than once',
  ],
  [
    "raw and typed at once",
    meanModel,
    {
      inputs: [
        { name: "features", datatype: "FP32", shape: [1n, 3n], contents: { fp32Contents: [1] } },
      ],
      rawInputContents: [fp32(1, 2, 3)],
    },
    'input "features": contents must not be set where raw_input_contents are',
  ],
  [
    "more raw contents than inputs",
    meanModel,
    meanRequest({ rawInputContents: [fp32(1, 2, 3), fp32(1)] }),
    "raw_input_contents has 2 entries for 1 inputs",
  ],
  [
    "typed contents in another list",
    meanModel,
    typed("features", "FP32", [1n, 3n], { fp64Contents: [1, 2, 3] }),
    'input "features": FP32 values belong in fp32_contents; fp64_contents came',
  ],
  [
    "too few typed elements",
    meanModel,
    typed("features", "FP32", [1n, 3n], { fp32Contents: [1, 2] }),
    'input "features": 2 elements came in fp32_contents; shape [1,3] needs 3',
  ],
  ["no data at all", meanModel, typed("features", "FP32", [1n, 3n], {}), "0 elements came"],
  ["typed FP16", sameOf("FP16"), typed("x", "FP16", [1n, 2n], {}), "FP16 has no typed contents"],
  [
    "an INT8 out of range",
    sameOf("INT8"),
    typed("x", "INT8", [1n, 2n], { intContents: [1, 128] }),
    'input "x": element 1 is 128; INT8 holds -128 to 127',
  ],
  [
    "a UINT16 out of range",
    sameOf("UINT16"),
    typed("x", "UINT16", [1n, 2n], { uintContents: [65536, 0] }),
    "element 0 is 65536; UINT16 holds 0 to 65535",
  ],
  [
    "a BOOL of 2",
    sameOf("BOOL"),
    raw("BOOL", new Uint8Array([1, 2])),
    "element 1 is 2; a BOOL is a byte of 0 or 1",
  ],
  [
    "half a string length",
    sameOf("BYTES"),
    raw("BYTES", new Uint8Array([...rawStrings("a"), 1, 0])),
    "incomplete string length indicator for element 1: 2 of 4 bytes are there",
  ],
  [
    "a string longer than the rest",
    sameOf("BYTES"),
    raw("BYTES", new Uint8Array([255, 255, 255, 255, 97])),
    "incomplete string data for element 0: its length says 4294967295 bytes, 1 are left",
  ],
  [
    "too few strings",
    sameOf("BYTES"),
    raw("BYTES", rawStrings("a")),
    "unexpected number of string elements: 1 came, the shape needs 2",
  ],
  [
    "too many strings",
    sameOf("BYTES"),
    raw("BYTES", rawStrings("a", "b", "c")),
    "unexpected number of string elements: 5 bytes are left after the 2 elements",
  ],
  [
    "raw text that is not UTF-8",
    sameOf("BYTES"),
    raw("BYTES", new Uint8Array([...rawStrings("a"), 2, 0, 0, 0, 0xc3, 0x28])),
    'input "x": element 1 is not UTF-8 text without NUL',
  ],
  [
    "text with a NUL, at which the runtime would cut it",
    sameOf("BYTES"),
    raw("BYTES", rawStrings("a", "b\0c")),
    'input "x": element 1 is not UTF-8 text without NUL',
  ],
  [
    "typed text that is not UTF-8",
    sameOf("BYTES"),
    typed("x", "BYTES", [1n, 2n], { bytesContents: [new Uint8Array([0xff]), new Uint8Array()] }),
    "element 0 is not UTF-8 text without NUL",
  ],
  [
    "different batch sizes",
    mixedModel,
    { ...mixedRequest([2n]), rawInputContents: mixedRaw(2) },
    'input "s" has 2 rows and input "x" has 1; all inputs must have the same number',
  ],
  [
    "more rows than one request may have",
    meanModel,
    features([1001n, 3n], new Uint8Array(1001 * 12)),
    "1001 rows came; one request may have 1000, split it",
  ],
  [
    "shared memory",
    meanModel,
    {
      inputs: [
        {
          name: "features",
          datatype: "FP32",
          shape: [1n, 3n],
          parameters: {
            shared_memory_region: { parameterChoice: { case: "stringParam", value: "r" } },
          },
        },
      ],
    },
    'input "features": parameter "shared_memory_region" asks for shared memory',
  ],
];

describe("check-inputs refuses", () => {
  it.each(REFUSED)("%s", (_, model, init, text) => {
    expect(refusal(model, init).message).toContain(text);
  });

  it("everything at once, up to 20 violations", () => {
    const inputs = Array.from({ length: 30 }, (_, i) => ({ name: `x${i}`, datatype: "FP32" }));
    const error = refusal(meanModel, { inputs, outputs: [{ name: "nothing" }] });
    expect(error.violations).toHaveLength(20);
    expect(error.violations[0]).toEqual({
      field: "inputs[0]",
      description: 'input "x0": is not an input of the model, which takes "features"',
    });
    expect(error.message).toMatch(/and 16 more\.$/);
  });

  it("long names and shapes without repeating all of them", () => {
    const error = refusal(meanModel, {
      inputs: [
        { name: "n".repeat(100_000), datatype: "d" },
        { name: "features", datatype: "FP32", shape: Array(100_000).fill(1n) },
      ],
    });
    expect(error.message.length).toBeLessThan(600);
  });
});

function servableOf(model: TestModel): Servable {
  return engine.route({ workspace: "default", deployment: model.deployment }, undefined);
}

function check(model: TestModel, request: ReturnType<typeof decoded>) {
  const violations = new Violations();
  const result = checkInputs(request, servableOf(model), LIMITS, violations);
  checkOutputs(request, model.signature, violations);
  violations.throwIfAny(ErrorReason.TENSOR_MISMATCH);
  return result;
}

function refusal(model: TestModel, init: RequestInit): InvalidArgument {
  try {
    check(model, decoded(init));
  } catch (error) {
    if (error instanceof InvalidArgument) {
      expect(error.violations.length).toBeGreaterThan(0);
      return error;
    }
    throw error;
  }
  throw new Error("nothing was refused");
}

function same(datatype: Datatype, input: object, bytes?: Uint8Array): Tensor {
  const request = decoded({
    inputs: [{ name: "x", datatype, shape: [1n, 2n], ...input }],
    rawInputContents: bytes === undefined ? [] : [bytes],
  });
  return check(sameOf(datatype), request).tensors[0]!;
}

function sameOf(datatype: Datatype): TestModel {
  return sameModels.find(({ deployment }) => deployment === `same-${datatype}`)!;
}

function features(shape: bigint[], bytes: Uint8Array, datatype = "FP32"): RequestInit {
  return { inputs: [{ name: "features", datatype, shape }], rawInputContents: [bytes] };
}

function typed(name: string, datatype: string, shape: bigint[], contents: object): RequestInit {
  return { inputs: [{ name, datatype, shape, contents }] };
}

function raw(datatype: Datatype, bytes: Uint8Array): RequestInit {
  return { inputs: [{ name: "x", datatype, shape: [1n, 2n] }], rawInputContents: [bytes] };
}

function mixedRequest(rows: bigint[] = [1n]): RequestInit {
  return {
    inputs: [
      { name: "b", datatype: "BOOL", shape: rows },
      { name: "n", datatype: "INT64", shape: [...rows, 1n] },
      { name: "x", datatype: "FP32", shape: [1n, 2n] },
      { name: "s", datatype: "BYTES", shape: rows },
    ],
    rawInputContents: mixedRaw(1),
  };
}

function mixedRaw(rows: number): Uint8Array[] {
  const ones = Array(rows).fill(1);
  return [new Uint8Array(ones), int64(...ones), fp32(1, 2), rawStrings(...ones.map(String))];
}

function rawStrings(...texts: string[]): Uint8Array {
  return Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );
}
