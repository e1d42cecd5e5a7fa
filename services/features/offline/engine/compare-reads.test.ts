import { describe, expect, it } from "vitest";
import { buildPlan, type PlanSource } from "../../definitions/build-plan.ts";
import type { ReadPlan } from "../../definitions/read-plan.ts";
import type { Cell } from "../../value.ts";
import type { Shape, SourceFile } from "../engine-tasks.ts";
import { batch, columnsOf, shape, type TestEngine, useEngine } from "./testing.ts";

const WEATHER = shape(["airport STRING"], ["wind DOUBLE", "sky STRING"]);
const CREATED = 1000;

/** One view, and a feature computed of it and of request data. */
function plan(ttlSeconds = 0): ReadPlan {
  const view: PlanSource = {
    kind: "view",
    source: {
      view: "weather",
      uid: "u1",
      version: {
        number: 1,
        createTime: new Date(0),
        entities: [],
        joinKeys: WEATHER.joinKeys,
        features: WEATHER.features.map((field) => ({
          ...field,
          description: "",
          defaultValue: null,
        })),
        ttlUs: ttlSeconds * 1e6,
        source: { eventTimestampColumn: "", createdTimestampColumn: "", fieldMapping: [] },
        online: true,
        offline: true,
      },
    },
    features: [
      ["wind", "wind"],
      ["sky", "sky"],
    ],
    joinKeys: [],
  };
  const computed: PlanSource = {
    kind: "on-demand",
    view: "computed",
    version: {
      number: 1,
      createTime: new Date(0),
      inputs: [
        { name: "wind", type: "DOUBLE" },
        { name: "parts", type: "INT64" },
      ],
      features: [
        { name: "gust", type: "DOUBLE", expression: "wind + double(60 / parts)", description: "" },
      ],
    },
    features: [["gust", "gust"]],
  };
  const built = buildPlan({ workspace: "test" }, [view, computed]);
  expect(built.faults).toEqual([]);
  return built.plan;
}

const READS = shape(
  ["airport STRING"],
  [
    "parts INT64",
    "wind DOUBLE",
    "sky STRING",
    "gust DOUBLE",
    "wind__status STRING",
    "sky__status STRING",
    "gust__status STRING",
  ],
);

async function write(test: TestEngine, of: Shape, rows: readonly (readonly unknown[])[]) {
  const input = { shape: of, batches: [batch(of, rows)], outDir: test.outDir };
  const { files } = await test.run("write-rows", input);
  return files.map(({ path }): SourceFile => ({ path, columns: columnsOf(of) }));
}

/** A kept read at a time in seconds. */
function read(
  at: number,
  [wind, sky, gust]: readonly Cell[],
  statuses: readonly [string, string, string] = ["PRESENT", "PRESENT", "PRESENT"],
  parts = 6,
): readonly unknown[] {
  return ["SFO", at, at, parts, wind, sky, gust, ...statuses];
}

async function compare(
  stored: readonly (readonly unknown[])[],
  reads: readonly (readonly unknown[])[],
  options: { readonly ttl?: number; readonly startUs?: number; readonly endUs?: number } = {},
) {
  const test = useEngine();
  const { ttl, ...times } = options;
  return await test.run("compare-reads", {
    reads: await write(test, READS, reads),
    plan: plan(ttl),
    files: [await write(test, WEATHER, stored)],
    ...times,
  });
}

const NOT_FOUND = ["NOT_FOUND", "NOT_FOUND", "NULL_VALUE"] as const;

describe("compare-reads", () => {
  it("finds nothing where reads are what history gives", async () => {
    const stored = [
      ["SFO", CREATED, CREATED, 5, "clear"],
      ["SFO", CREATED + 100, CREATED + 100, Number.NaN, null],
    ];
    const result = await compare(
      stored,
      [
        read(500, [null, null, null], NOT_FOUND),
        read(1050, [5, "clear", 15]),
        read(1060, [5, "clear", null], ["PRESENT", "PRESENT", "UNSPECIFIED"], 0),
        read(1150, [Number.NaN, null, Number.NaN], ["PRESENT", "NULL_VALUE", "PRESENT"]),
        read(1300, [null, null, null], ["OUTSIDE_MAX_AGE", "OUTSIDE_MAX_AGE", "NULL_VALUE"]),
      ],
      { ttl: 150 },
    );
    expect(result).toEqual({ rowsChecked: 5, rowsDiffering: 0, differences: [] });
  });

  it("tells each value and status that differs", async () => {
    const { rowsChecked, rowsDiffering, differences } = await compare(
      [["SFO", CREATED, CREATED, 5, null]],
      [
        read(1050, [5, "clear", 15]),
        read(1060, [5.0000001, null, 15], ["PRESENT", "NULL_VALUE", "PRESENT"]),
        read(1070, [5, null, 15], ["PRESENT", "NOT_FOUND", "PRESENT"]),
        read(1080, [5, null, 15], ["PRESENT", "NULL_VALUE", "PRESENT"]),
      ],
    );
    expect({ rowsChecked, rowsDiffering }).toEqual({ rowsChecked: 4, rowsDiffering: 3 });
    const entity = ["SFO"];
    expect(differences).toEqual([
      {
        entity,
        readUs: 1050e6,
        feature: "sky",
        onlineValue: "clear",
        offlineValue: "null",
        onlineStatus: "PRESENT",
      },
      {
        entity,
        readUs: 1060e6,
        feature: "wind",
        onlineValue: "5.0000001",
        offlineValue: "5.0",
        onlineStatus: "PRESENT",
      },
      {
        entity,
        readUs: 1070e6,
        feature: "sky",
        onlineValue: "null",
        offlineValue: "null",
        onlineStatus: "NOT_FOUND",
      },
    ]);
  });

  it("takes either answer of a read that raced a write, and no other", async () => {
    const stored = [
      ["SFO", 900, 900, 4, "dark"],
      ["SFO", CREATED, CREATED, 5, "clear"],
      ["SFO", CREATED + 0.5, CREATED + 0.5, 6, "clear"],
    ];
    const { rowsChecked, differences } = await compare(stored, [
      read(1000.9, [4, "dark", 14]),
      read(1000.91, [5, "clear", 15]),
      read(1000.92, [6, "clear", 16]),
      read(999.9, [5, "clear", 15]),
      read(1000.93, [4, "clear", 14]),
      read(1000.94, [7, "clear", 17]),
      read(1002.1, [4, "dark", 14]),
      read(1002.6, [5, "clear", 15]),
      read(997.9, [5, "clear", 15]),
    ]);
    expect(rowsChecked).toBe(9);
    expect(differences.map(({ readUs, feature }) => [readUs / 1e6, feature])).toEqual([
      [997.9, "wind"],
      [997.9, "sky"],
      [997.9, "gust"],
      [1000.93, "wind"],
      [1000.93, "gust"],
      [1000.94, "wind"],
      [1000.94, "gust"],
      [1002.1, "wind"],
      [1002.1, "sky"],
      [1002.1, "gust"],
      [1002.6, "wind"],
      [1002.6, "gust"],
    ]);
  });

  it("takes a read that did not see the first row yet", async () => {
    const stored = [["SFO", CREATED, CREATED, 5, "clear"]];
    const { rowsDiffering } = await compare(stored, [
      read(1001, [null, null, null], NOT_FOUND),
      read(1003, [null, null, null], NOT_FOUND),
    ]);
    expect(rowsDiffering).toBe(1);
  });

  it("does not take an older event that was written close to the read", async () => {
    const stored = [
      ["SFO", 900, 900, 4, "dark"],
      ["SFO", 800, CREATED, 3, "late"],
    ];
    const { rowsDiffering } = await compare(stored, [read(1001, [3, "late", 13])]);
    expect(rowsDiffering).toBe(1);
  });

  it("looks at the reads of the interval alone, and tells at most 100 differences", async () => {
    const reads = Array.from({ length: 300 }, (_, at) => read(2000 + at, [1, "x", 11]));
    const result = await compare([["SFO", CREATED, CREATED, 5, "clear"]], reads, {
      startUs: 2010e6,
      endUs: 2250e6,
    });
    expect(result).toMatchObject({ rowsChecked: 240, rowsDiffering: 240 });
    expect(result.differences).toHaveLength(100);
    expect(result.differences[0]).toMatchObject({ readUs: 2010e6, feature: "wind" });
  });

  it("takes no reads at all", async () => {
    const result = await compare([["SFO", CREATED, CREATED, 5, "clear"]], []);
    expect(result).toEqual({ rowsChecked: 0, rowsDiffering: 0, differences: [] });
  });
});
