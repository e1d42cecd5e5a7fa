import type { JsonValue } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import type { Datatype } from "../tensor.ts";
import { entity, SERVICE, thrownBy, useEntities } from "../testing/entities.ts";
import type { TestCell, TestFeatureService } from "../testing/test-features.ts";
import { mixedModel, sameModels, scalarModel } from "../testing/test-models.ts";

interface Pair {
  readonly type: ValueType;
  readonly cells: readonly [TestCell, TestCell];
  readonly default?: JsonValue;
}

/** What the model of a datatype gives back for two features of a type, one row. */
async function throughModel(datatype: Datatype, pair: Pair) {
  const model = sameModels.find(({ deployment }) => deployment === `same-${datatype}`)!;
  const { client, features } = await useEntities({
    ...model,
    columns: ["u", "v"],
    featureService: SERVICE,
  });
  const output = {
    type: pair.type,
    ...(pair.default !== undefined && { default: pair.default }),
  };
  features.define(service({ u: output, v: output }, { u: pair.cells[0], v: pair.cells[1] }));
  const { predictions } = await client.predict({
    deployment: model.deployment,
    entities: [{ cell: "k" }],
  });
  return predictions[0]?.outputs?.x_out;
}

function service(
  outputs: Readonly<Record<string, { readonly type: ValueType; readonly default?: JsonValue }>>,
  row: Readonly<Record<string, TestCell>>,
): TestFeatureService {
  return {
    name: SERVICE,
    requestColumns: [["cell", ValueType.STRING]],
    outputs: Object.entries(outputs).map(([name, output]) => ({ name, ...output })),
    table: { k: row },
  };
}

const { BOOL, INT32, INT64, FLOAT, DOUBLE, STRING, BYTES, TIMESTAMP } = ValueType;
const MAX = 2n ** 63n - 1n;

describe("features as tensors", () => {
  it.each<[ValueType, Datatype, [TestCell, TestCell], [JsonValue, JsonValue]]>([
    [BOOL, "BOOL", [true, false], [true, false]],
    [BOOL, "FP32", [true, false], [1, 0]],
    [BOOL, "INT64", [true, false], [1, 0]],
    [BOOL, "UINT8", [true, false], [1, 0]],
    [INT32, "INT32", [-5, 2147483647], [-5, 2147483647]],
    [INT32, "INT8", [-128, 127], [-128, 127]],
    [INT32, "FP16", [3, -3], [3, -3]],
    [INT64, "INT64", [MAX, -MAX], [`${MAX}`, `${-MAX}`]],
    [INT64, "UINT64", [MAX, 0], [`${MAX}`, 0]],
    [INT64, "FP64", [2n ** 53n, -1], [2 ** 53, -1]],
    [INT64, "FP32", [16777216, 1], [16777216, 1]],
    [INT64, "INT16", [-32768, 32767], [-32768, 32767]],
    [FLOAT, "FP32", [0.5, Number.NaN], [0.5, "NaN"]],
    [DOUBLE, "FP32", [0.25, Number.POSITIVE_INFINITY], [0.25, "Infinity"]],
    [DOUBLE, "FP64", [0.1, Number.NaN], [0.1, "NaN"]],
    [DOUBLE, "FP16", [65504, Number.NaN], [65504, "NaN"]],
    [STRING, "BYTES", ["漢", ""], ["漢", ""]],
    [
      TIMESTAMP,
      "INT64",
      [new Date("2001-01-31T09:30:00.123Z"), new Date("1969-12-31T23:59:59.999Z")],
      [980_933_400_123_000, -1000],
    ],
    [TIMESTAMP, "FP64", [new Date(1), new Date(-1)], [1000, -1000]],
  ])("makes %s of %s", async (type, datatype, cells, expected) => {
    expect(await throughModel(datatype, { type, cells })).toEqual(expected);
  });

  it.each<[ValueType, Datatype, JsonValue, JsonValue]>([
    [DOUBLE, "FP32", "NaN", "NaN"],
    [DOUBLE, "FP64", "-Infinity", "-Infinity"],
    [FLOAT, "FP32", 0.5, 0.5],
    [INT64, "INT64", "9223372036854775807", "9223372036854775807"],
    [INT32, "FP32", 7, 7],
    [BOOL, "FP32", true, 1],
    [STRING, "BYTES", "unknown", "unknown"],
    [STRING, "BYTES", "NaN", "NaN"],
    [TIMESTAMP, "INT64", "1970-01-01T00:00:00.000001Z", 1],
  ])("puts the default of %s into %s: %j", async (type, datatype, value, expected) => {
    const pair = { type, cells: [null, null] as [TestCell, TestCell], default: value };
    expect(await throughModel(datatype, pair)).toEqual([expected, expected]);
  });

  it.each<[ValueType, Datatype, TestCell, string]>([
    [INT64, "INT32", 2n ** 31n, '"u" is 2147483648; INT32 holds -2147483648 to 2147483647'],
    [INT64, "UINT64", -1, '"u" is -1; UINT64 holds 0 to 18446744073709551615'],
    [INT64, "FP16", 70000, '"u" is 70000, beyond the range of FP16'],
    [DOUBLE, "FP32", -1e39, '"u" is -1e+39, beyond the range of FP32'],
    [STRING, "BYTES", "a\0b", '"u" holds a NUL character'],
  ])("fails the row where %s is no %s: %s", async (type, datatype, cell, text) => {
    const { kind, message } = (await thrownBy(
      throughModel(datatype, { type, cells: [cell, null], default: type === STRING ? "" : 1 }),
    )) as Error & { kind: string };
    expect(kind).toBe("InvalidArgument");
    expect(message).toContain(text);
  });

  it.each<[ValueType, Datatype, string]>([
    [DOUBLE, "INT64", "DOUBLE may become FP16, FP32 and FP64"],
    [INT32, "BOOL", "INT32 may become every number"],
    [STRING, "FP32", "STRING may become BYTES"],
    [BYTES, "BYTES", "BYTES may become no tensor"],
    [TIMESTAMP, "FP32", "TIMESTAMP may become INT64 and FP64, as microseconds since 1970"],
    [BOOL, "BYTES", "BOOL may become BOOL and, as 0 and 1, every number"],
  ])("never makes %s of %s", async (type, datatype, text) => {
    const { kind, message } = (await thrownBy(
      throughModel(datatype, { type, cells: [null, null] }),
    )) as Error & { kind: string };
    expect(kind).toBe("FailedPrecondition");
    expect(message).toContain(text);
  });

  it("fills several inputs by name, strings and all, and one without a batch dimension", async () => {
    const { client, features } = await useEntities(
      { ...mixedModel, featureService: SERVICE },
      { ...scalarModel, featureService: SERVICE },
    );
    const x = { type: DOUBLE };
    const outputs = { b: { type: BOOL }, n: { type: INT64 }, s: { type: STRING }, x };
    features.define(service(outputs, { x: 0.5, s: "ä", n: 2n ** 60n, b: true }));
    const entities = [{ cell: "k" }];
    const mixed = await client.predict({ deployment: "mixed", entities });
    expect(mixed.predictions[0]?.outputs).toEqual({
      x_out: [0.5],
      s_out: "ä",
      n_out: [`${2n ** 60n}`],
      b_out: true,
    });
    const scalar = await client.predict({ deployment: "scalar", entities });
    expect(scalar.predictions[0]?.outputs).toEqual({ x_out: 0.5 });
  });

  it("wants columns for an input of several values, and names inputs that are missing", async () => {
    const { client, features } = await useEntities(
      {
        ...sameModels.find(({ deployment }) => deployment === "same-FP32")!,
        featureService: SERVICE,
      },
      { ...mixedModel, featureService: SERVICE },
    );
    features.define(service({ x: { type: DOUBLE } }, { x: 1 }));
    const entities = [{ cell: "k" }];
    await expect(client.predict({ deployment: "same-FP32", entities })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining('its input "x" takes [2] a row and a feature is one value'),
    });
    await expect(client.predict({ deployment: "mixed", entities })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringMatching(/input "s" is not a feature.*"n" is not.*"b" is not/),
    });
  });
});

describe("entities as columns", () => {
  it("carries every type, exactly", async () => {
    const { features, client } = await useEntities();
    features.define({
      name: SERVICE,
      requestColumns: [
        ["long", INT64],
        ["int", INT32],
        ["time", TIMESTAMP],
        ["text", STRING],
        ["yes", BOOL],
        ["bytes", BYTES],
        ["double", DOUBLE],
        ["float", FLOAT],
      ],
      outputs: ["radius", "texture", "mean area"].map((name) => ({
        name,
        type: FLOAT,
        default: 0,
      })),
      table: {},
    });
    const good = {
      long: "9223372036854775807",
      int: -7,
      time: "1969-12-31T23:59:59.999999Z",
      text: "漢\0",
      yes: true,
      bytes: "/w==",
      double: "NaN",
      float: 0.5,
    };
    const predict = (change: Record<string, JsonValue>) =>
      client.predict({ deployment: "mean", entities: [{ ...good, ...change }] });
    await predict({});
    expect(features.reads[0]?.request.entities).toMatchObject([
      { ints: [MAX] },
      { ints: [-7n] },
      { timestamps: [{ seconds: -1n, nanos: 999_999_000 }] },
      { strings: ["漢\0"] },
      { bools: [true] },
      { bytesValues: [Buffer.of(255)] },
      { doubles: [Number.NaN] },
      { doubles: [0.5] },
    ]);
    await predict({ time: "2001-01-31T10:30:00+01:00", long: 5 });
    expect(features.reads[1]?.request.entities.slice(0, 3)).toMatchObject([
      { ints: [5n] },
      {},
      { timestamps: [{ seconds: 980_933_400n, nanos: 0 }] },
    ]);
    for (const [change, text] of [
      [{ long: 2 ** 60 }, "entities[0].long: 1152921504606847000 is beyond 2^53"],
      [{ int: 1.5 }, "entities[0].int: expected a whole number, got 1.5"],
      [{ int: "1" }, 'expected a whole number, got "1"'],
      [{ time: "yesterday" }, 'expected a time such as "2001-01-31T09:30:00Z", got "yesterday"'],
      [{ time: 7 }, "got 7"],
      [{ yes: 1 }, "expected true or false, got 1"],
      [{ bytes: "?" }, 'expected bytes in base64, got "?"'],
      [{ double: [1] }, "expected a number, got a list of 1"],
      [{ float: 1e39 }, "1e+39 is beyond the range of FLOAT"],
      [{ text: {} }, "expected a text, got an object"],
    ] as [Record<string, JsonValue>, string][]) {
      await expect(predict(change)).rejects.toThrow(text);
    }
    expect(features.reads).toHaveLength(2);
  });

  it("takes an entity that is named twice as two rows", async () => {
    const { client } = await useEntities();
    const { predictions } = await client.predict({
      deployment: "mean",
      entities: [entity("a"), entity("b"), entity("a")],
    });
    expect(predictions.map(({ label }) => label)).toEqual(["malignant", "benign", "malignant"]);
  });
});
