/// <reference lib="esnext.float16" />

import { describe, expect, it } from "vitest";
import { decodeBatch } from "./decode-batch.ts";
import { type BatchInit, bytesOf, captured, elementsOf, NOON_US } from "./testing.ts";

function decode(more: BatchInit = {}, columnsMax = 1024) {
  return decodeBatch(captured(more), { sender: "s", acknowledged: 0, columnsMax });
}

function columns(more: BatchInit) {
  return Object.fromEntries(
    Array.from(decode(more).columns, ([name, column]) => [
      name,
      column.kind === "counted"
        ? ["counted", column.rows]
        : [column.kind, ...column.values, ...Array.from(column.nulls ?? [], (bits) => -bits)],
    ]),
  );
}

const NO_OUTPUT = { outputs: [] };

describe("decode-batch", () => {
  it("takes over what is known of the batch", () => {
    const inferences = {
      ids: ["a", "x".repeat(257)],
      rows: [2, 1],
      eventTimesUs: [NOON_US, -1n],
      queueMs: [1, 2],
      computeMs: [3, 4],
    };
    const decoded = decode({
      inferences,
      featureService: "workspaces/w/featureServices/f/versions/1",
      featureStatuses: [
        {
          feature: "f",
          featureView: "workspaces/w/featureViews/v",
          statuses: Uint8Array.of(1, 2, 3),
        },
      ],
      entityKeys: [{ joinKey: "k", values: ["1", "2", "y".repeat(1025)] }],
      droppedRows: 7n,
      shadow: true,
    });
    expect(decoded).toMatchObject({
      sender: "s",
      sequence: 1,
      acknowledged: 0,
      target: { workspace: "w", deploymentUid: "du", modelVersionUid: "vu" },
      shadow: true,
      rows: 3,
      inferences: {
        count: 2,
        ids: ["a", ""],
        rows: [2, 1],
        eventUs: [Number(NOON_US), -1],
        queueMs: [1, 2],
        computeMs: [3, 4],
      },
      statuses: [{ feature: "f", statuses: Uint8Array.of(1, 2, 3) }],
      entityKeys: [{ joinKey: "k", values: ["1", "2", ""] }],
      droppedRows: 7,
    });
  });

  it.each([
    ["BOOL", Uint8Array.of(0, 1, 7), ["bool", 0, 1, 1]],
    ["INT8", Int8Array.of(-1, 0, 5), ["numeric", -1, 0, 5]],
    ["UINT8", Uint8Array.of(255, 0, 5), ["numeric", 255, 0, 5]],
    ["INT16", Int16Array.of(-300, 0, 5), ["numeric", -300, 0, 5]],
    ["UINT16", Uint16Array.of(65_535, 0, 5), ["numeric", 65_535, 0, 5]],
    ["INT32", Int32Array.of(-70_000, 0, 5), ["numeric", -70_000, 0, 5]],
    ["UINT32", Uint32Array.of(2 ** 32 - 1, 0, 5), ["numeric", 2 ** 32 - 1, 0, 5]],
    [
      "INT64",
      BigInt64Array.of(-1n, 2n ** 62n, -(2n ** 40n) - 1n),
      ["numeric", -1, 2 ** 62, -(2 ** 40) - 1],
    ],
    [
      "UINT64",
      BigUint64Array.of(2n ** 64n - 1n, 0n, 2n ** 53n - 1n),
      ["numeric", 2 ** 64, 0, 2 ** 53 - 1],
    ],
    ["FP16", Float16Array.of(0.5, -2, Number.NaN), ["numeric", 0.5, -2, Number.NaN]],
    ["FP32", Float32Array.of(0.5, -2, Infinity), ["numeric", 0.5, -2, Infinity]],
    ["FP64", Float64Array.of(0.1, -2, -0), ["numeric", 0.1, -2, -0]],
  ])("reads %s", (datatype, values, expected) => {
    const inputs = [{ name: "x", datatype, contents: bytesOf(values) }];
    expect(columns({ inputs, ...NO_OUTPUT })).toEqual({ x: expected });
  });

  it("reads BYTES as texts, and replaces what is no UTF-8", () => {
    const contents = elementsOf("é", "", Uint8Array.of(0x41, 0xff));
    const inputs = [{ name: "x", datatype: "BYTES", contents }];
    expect(columns({ inputs, ...NO_OUTPUT })).toEqual({ x: ["category", "é", "", "A\ufffd"] });
  });

  it("names columns as the version does, and never lets an input pass for a prediction", () => {
    const matrix = bytesOf(Float32Array.of(1, 2, 3, 4, 5, 6));
    const contents = elementsOf("a", "b", "c", "d", "e", "f");
    expect(
      columns({
        inputs: [
          {
            name: "m",
            datatype: "FP32",
            rowShape: [2],
            columns: ["u", "prediction.u"],
            contents: matrix,
          },
          { name: "t", datatype: "BYTES", rowShape: [1, 2], columns: ["t1", "t2"], contents },
          { name: "list", datatype: "FP32", rowShape: [2], contents: matrix },
          { name: "none", datatype: "FP32", rowShape: [0], contents: new Uint8Array() },
          {
            name: "prediction.p",
            datatype: "BOOL",
            rowShape: [1],
            contents: Uint8Array.of(1, 1, 0),
          },
        ],
        outputs: [{ name: "emb", datatype: "FP32", rowShape: [2], contents: matrix }],
      }),
    ).toEqual({
      u: ["numeric", 1, 3, 5],
      "input.prediction.u": ["numeric", 2, 4, 6],
      t1: ["category", "a", "c", "e"],
      t2: ["category", "b", "d", "f"],
      list: ["counted", 3],
      none: ["counted", 3],
      "input.prediction.p": ["bool", 1, 1, 0],
      "prediction.emb": ["counted", 3],
    });
  });

  it("makes scores of an output with one value a class, and the class of the highest", () => {
    const { NaN: nan } = Number;
    const contents = bytesOf(Float32Array.of(0.25, 0.75, 0.5, 0.5, nan, nan));
    const outputs = [{ name: "scores", datatype: "FP32", rowShape: [2], contents }];
    expect(columns({ inputs: [], outputs, classLabels: ["no", "yes"] })).toEqual({
      "prediction.scores.no": ["numeric", 0.25, 0.5, nan],
      "prediction.scores.yes": ["numeric", 0.75, 0.5, nan],
      "prediction.label": ["category", "yes", "no", "", -4],
    });
  });

  it("prefers an output that names the class", () => {
    const scores = {
      name: "scores",
      datatype: "FP32",
      rowShape: [2],
      contents: bytesOf(new Float32Array(6)),
    };
    const label = {
      name: "label",
      datatype: "INT64",
      contents: bytesOf(BigInt64Array.of(1n, 0n, 9n)),
    };
    const classLabels = ["no", "yes"];
    const numbered = columns({ inputs: [], outputs: [scores, label], classLabels });
    expect(Object.keys(numbered)).toEqual([
      "prediction.scores.no",
      "prediction.scores.yes",
      "prediction.label",
    ]);
    expect(numbered["prediction.label"]).toEqual(["category", "yes", "no", "9"]);
    const text = { name: "class", datatype: "BYTES", contents: elementsOf("yes", "other", "no") };
    expect(columns({ inputs: [], outputs: [text], classLabels })).toEqual({
      "prediction.class": ["category", "yes", "other", "no"],
      "prediction.label": ["category", "yes", "other", "no"],
    });
    // Labels that are numbers themselves: "10" is a label, not a place.
    const own = { name: "label", datatype: "INT32", contents: bytesOf(Int32Array.of(10, 20, 0)) };
    expect(columns({ inputs: [], outputs: [own], classLabels: ["10", "20"] })).toEqual({
      "prediction.label": ["category", "10", "20", "10"],
    });
  });

  it("only counts the scores of more than 64 classes", () => {
    const classLabels = Array.from({ length: 65 }, (_, i) => `c${i}`);
    const scores = new Float32Array(3 * 65);
    scores[64] = 1;
    const outputs = [{ name: "s", datatype: "FP32", rowShape: [65], contents: bytesOf(scores) }];
    expect(columns({ inputs: [], outputs, classLabels })).toEqual({
      "prediction.s": ["counted", 3],
      "prediction.label": ["category", "c64", "c0", "c0"],
    });
  });

  const x = { name: "x", datatype: "FP32" };
  const three = bytesOf(Float32Array.of(1, 2, 3));
  const two = { rows: [2, 1], eventTimesUs: [0n, 0n] };
  it.each<[string, BatchInit, RegExp]>([
    ["no rows", { rows: 0 }, /rows is 0; a batch has 1 to 65536/],
    ["too many rows", { rows: 65_537 }, /rows is 65537/],
    ["sequence 0", { sequence: 0n }, /sequence is 0/],
    ["a huge sequence", { sequence: 2n ** 60n }, /sequence is .* safe integer/],
    ["a name", { deployment: "workspaces/w/d" }, /deployment must look like/],
    ["a version", { modelVersion: "x".repeat(10_000) }, /model_version must look like/],
    ["two workspaces", { modelVersion: "workspaces/v/models/m/versions/1" }, /of workspace "v"/],
    ["an uid", { deploymentUid: "a/b" }, /deploymentUid "a\/b" does not match/],
    ["a long uid", { modelVersionUid: "a".repeat(65) }, /modelVersionUid/],
    ["a service", { featureService: "f" }, /feature_service "f" does not look like/],
    ["no inferences", { inferences: undefined } as never, /inferences is not set/],
    ["rows that do not add up", { inferences: { ...two, rows: [2, 2] } }, /are 4 rows in 2/],
    ["an empty inference", { inferences: { ...two, rows: [3, 0] } }, /each with at least 1/],
    ["no times", { inferences: { rows: [2, 1] } }, /event_times_us has 0 entries; expected 2/],
    [
      "ids of others",
      { inferences: { ...two, ids: ["a"] } },
      /ids has 1 entries; expected 2, or none/,
    ],
    ["times of others", { inferences: { ...two, queueMs: [1] } }, /queue_ms has 1/],
    ["keys of others", { inferences: { ...two, routingKeys: ["", "", ""] } }, /routing_keys has 3/],
    [
      "a time",
      { inferences: { ...two, eventTimesUs: [0n, 2n ** 53n] } },
      /event_times_us is .* safe/,
    ],
    [
      "a datatype",
      { inputs: [{ ...x, datatype: "BF16", contents: three }] },
      /"BF16" is none of BOOL/,
    ],
    [
      "short contents",
      { inputs: [{ ...x, contents: three.subarray(1) }] },
      /has 11 bytes; 3 rows of 1 FP32 have 12/,
    ],
    ["a shape", { inputs: [{ ...x, rowShape: [2], contents: three }] }, /3 rows of 2 FP32 have 24/],
    ["an overflow", { inputs: [{ ...x, rowShape: [4e9, 4e9, 4e9, 0] }] }, /row_shape has too many/],
    [
      "column names",
      { inputs: [{ ...x, columns: ["a", "b"], contents: three }] },
      /has 2 names for the 1 values/,
    ],
    [
      "an element too long",
      { inputs: [{ name: "t", datatype: "BYTES", contents: three }] },
      /is not 3 BYTES elements/,
    ],
    [
      "an element more",
      { inputs: [{ name: "t", datatype: "BYTES", contents: elementsOf("", "", "", "") }] },
      /is not 3 BYTES/,
    ],
    [
      "a column twice",
      {
        inputs: [
          { ...x, contents: three },
          { ...x, contents: three },
        ],
      },
      /the column "x" twice/,
    ],
    ["no name", { inputs: [{ ...x, name: "", contents: three }] }, /names have 1 to 512 bytes/],
    [
      "a long name",
      { inputs: [{ ...x, name: "é".repeat(257), contents: three }] },
      /names have 1 to 512/,
    ],
    [
      "statuses",
      { featureStatuses: [{ feature: "f", statuses: Uint8Array.of(1) }] },
      /statuses has 1 entries; expected 3/,
    ],
    [
      "a view",
      { featureStatuses: [{ feature: "f", featureView: "v", statuses: Uint8Array.of(1, 1, 1) }] },
      /feature_view "v"/,
    ],
    ["keys", { entityKeys: [{ joinKey: "k", values: ["1"] }] }, /entity_keys.values has 1/],
    [
      "join keys",
      { entityKeys: Array.from({ length: 33 }, () => ({ joinKey: "k" })) },
      /has 33 join keys/,
    ],
    ["labels", { classLabels: new Array<string>(10_001).fill("") }, /has 10001 labels/],
    ["a label", { classLabels: ["x".repeat(257)] }, /at most 256 characters/],
    ["5 MB", { inferences: { ...two, ids: ["x".repeat(5e6), ""] } }, /at most 4194304 are taken/],
  ])("refuses %s", (_what, more, message) => {
    expect(() => decode(more)).toThrow(message);
    try {
      decode(more);
    } catch (error) {
      expect(error).toMatchObject({ kind: "InvalidArgument" });
      expect(String((error as Error).message).length).toBeLessThan(400);
    }
  });

  it("refuses more columns than are counted, before it reads them", () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `c${i}`);
    const contents = bytesOf(new Float32Array(30_000));
    const inputs = [{ ...x, rowShape: [10_000], columns: names, contents }];
    expect(() => decode({ inputs })).toThrow(/have 10001 columns; at most 1024/);
    expect(() => decode({}, 1)).toThrow(/have 2 columns; at most 1/);
    const classLabels = ["a", "b"];
    const scores = { ...x, name: "s", rowShape: [2], contents: bytesOf(new Float32Array(6)) };
    expect(() => decode({ inputs: [], outputs: [scores], classLabels }, 2)).toThrow(
      /have 3 columns; at most 2/,
    );
  });
});
