import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { GetOnlineFeaturesResponseSchema } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { columnOf, timestampOf } from "../columns.ts";
import type { Output, ReadPlan } from "../definitions/read-plan.ts";
import type { Cell, ValueType } from "../value.ts";
import { encodeOnlineRead } from "./online-codec.ts";
import type { OnlineRead } from "./read-online.ts";
import { testView } from "./testing.ts";

const TYPES: readonly ValueType[] = [
  "BOOL",
  "INT32",
  "INT64",
  "FLOAT",
  "DOUBLE",
  "STRING",
  "BYTES",
  "TIMESTAMP",
];

describe("encodeOnlineRead", () => {
  it("writes the bytes that protobuf-es writes, for 2000 random answers", () => {
    const random = new SeededRandom(3);
    for (let round = 0; round < 2_000; round++) {
      const read = randomRead(random);
      const expected = toBinary(GetOnlineFeaturesResponseSchema, message(read));
      expect(encodeOnlineRead(read).equals(expected), `round ${round}`).toBe(true);
    }
  });
});

/** The answer as protobuf-es takes it. */
function message({ plan, outputs, eventUs }: OnlineRead) {
  return create(GetOnlineFeaturesResponseSchema, {
    results: outputs.map(({ cells, statuses }, index) => ({
      values: columnOf(plan.outputs[index]!, cells),
      statuses: [...statuses],
    })),
    views: plan.views.map(({ source, key }, index) => ({
      featureView: source.view,
      version: BigInt(source.version.number),
      entityColumns: plan.keys[key]!.parts.map(({ column }) => plan.requestColumns[column]!.name),
      eventTimes: Array.from(eventUs[index]!, timestampOf),
    })),
    featureService: plan.featureService ?? "",
  });
}

function randomRead(random: SeededRandom): OnlineRead {
  const rows = random.below(5) === 0 ? random.below(300) : random.below(4);
  const requestColumns = list(random, 4, () => ({
    name: random.text(70),
    type: "STRING" as const,
  }));
  const keys = [{ parts: requestColumns.map((_, column) => ({ joinKey: "k", column })) }];
  const views = list(random, 3, () => {
    const number = random.below(3) === 0 ? random.uint32() : random.below(3);
    const source = testView({ view: random.text(40), number, joinKeys: {}, features: {} });
    return { source, key: 0 };
  });
  const outputs = list(
    random,
    6,
    (): Output => ({
      name: random.text(70),
      type: random.pick(TYPES),
      view: "",
      viewVersion: 1,
      defaultValue: null,
      from: { kind: "view", read: 0, feature: 0 },
    }),
  );
  const plan: ReadPlan = {
    workspace: "w",
    featureService: random.below(2) === 0 ? undefined : random.text(90),
    loggingSampleRate: 0,
    requestColumns,
    keyColumns: requestColumns.length,
    keys,
    views,
    transforms: [],
    outputs,
  };
  return {
    plan,
    rows,
    nowUs: 0,
    outputs: outputs.map(({ type }) => ({
      cells: Array.from({ length: rows }, () => randomCell(random, type)),
      statuses: Uint8Array.from({ length: rows }, () => random.below(5)),
    })),
    eventUs: views.map(() => Float64Array.from({ length: rows }, () => micros(random))),
  };
}

function list<T>(random: SeededRandom, max: number, make: () => T): T[] {
  return Array.from({ length: random.below(max + 1) }, make);
}

function micros(random: SeededRandom): number {
  return random.below(4) === 0 ? 0 : Number(random.int64() >> 11n);
}

function randomCell(random: SeededRandom, type: ValueType): Cell {
  if (random.below(4) === 0) return null;
  switch (type) {
    case "BOOL":
      return random.below(2) === 1;
    case "INT32":
      return Number(BigInt.asIntN(32, random.int64()));
    case "INT64": {
      const int = random.int64();
      return Number.isSafeInteger(Number(int)) ? Number(int) : int;
    }
    case "FLOAT":
    case "DOUBLE":
      return random.pick([0, -0, Number.NaN, Number.NEGATIVE_INFINITY, random.uint32() / 7]);
    case "STRING":
      return random.text(100);
    case "BYTES":
      return random.bytes(random.below(150));
    case "TIMESTAMP":
      return micros(random);
  }
}
