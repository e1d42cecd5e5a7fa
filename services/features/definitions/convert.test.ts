import { create, toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { FeatureServiceSchema } from "../../../gen/plinth/features/v1/feature_service_pb.js";
import { FeatureViewSchema } from "../../../gen/plinth/features/v1/feature_view_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { Cell, ValueType } from "../value.ts";
import { toFeatureService, toFeatureView } from "./convert.ts";
import { defaultCell, toDefault } from "./default-value.ts";
import { emptyDefinitions } from "./lookup.ts";
import { applyTo, defined, FLIGHTS, field, fields, type Request } from "./testing.ts";

/** What is wrong with a request, by field. */
function faults(request: Request): Readonly<Record<string, string>> {
  try {
    applyTo(emptyDefinitions("w"), request);
  } catch (error) {
    if (error instanceof InvalidArgument) {
      return Object.fromEntries(error.violations.map((one) => [one.field, one.description]));
    }
    throw error;
  }
  return {};
}

const ENTITY = { name: "e", joinKeys: fields("k STRING") };
const VIEW = { name: "v", entities: ["e"], features: fields("x DOUBLE") };

describe("definitions from messages", () => {
  it("takes full names of the workspace, and no others", () => {
    const named = (name: string) => faults({ entities: [{ ...ENTITY, name }] });
    expect(named("workspaces/w/entities/e")).toEqual({});
    expect(named("workspaces/v/entities/e")).toEqual({
      "entities[0].name": 'is of workspace "v", and parent "w"',
    });
    expect(Object.keys(named("workspaces/w/models/e"))).toEqual(["entities[0].name"]);
    expect(Object.keys(named("workspaces/w/featureViews/e"))).toEqual(["entities[0].name"]);
    expect(Object.keys(named(""))).toEqual(["entities[0].name"]);
    expect(Object.keys(named("__proto__"))).toEqual(["entities[0].name"]);
    expect(named("constructor")).toEqual({});
  });

  const names: readonly (readonly [string, string])[] = [
    ["1x", "must match"],
    ["x-y", "must match"],
    ["é", "must match"],
    ["", "must match"],
    ["x".repeat(64), "must match"],
    ["event_timestamp", "is the name of a time"],
    ["Created_Timestamp", "is the name of a time"],
    ["x__status", "begins with __ or ends with __status"],
    ["__proto__", "begins with __ or ends with __status"],
  ];
  it.each(names)("refuses a feature called %s", (name, said) => {
    const found = faults({
      entities: [ENTITY],
      featureViews: [{ ...VIEW, features: [{ ...field("x DOUBLE"), name }] }],
    });
    expect(found["feature_views[0].features[0].name"]).toContain(said);
  });

  it("refuses names that differ in letter case alone", () => {
    expect(faults({ entities: [{ name: "e", joinKeys: fields("a STRING", "A INT32") }] })).toEqual({
      "entities[0].join_keys[1].name": '"A" is taken by "a"',
    });
    const features = fields("x DOUBLE", "X DOUBLE");
    expect(faults({ entities: [ENTITY], featureViews: [{ ...VIEW, features }] })).toEqual({
      "feature_views[0].features[1].name": '"X" is taken by "x"',
    });
    const onDemand = {
      name: "o",
      inputs: fields("x DOUBLE"),
      features: [{ ...field("X DOUBLE"), expression: "x" }],
    };
    expect(faults({ onDemandFeatureViews: [onDemand] })).toEqual({
      "on_demand_feature_views[0].features[0].name": '"X" is taken by "x"',
    });
  });

  it("names every fault of every definition", () => {
    const found = faults({
      entities: [{ name: "e", joinKeys: fields("k DOUBLE") }, { name: "e" }],
      featureViews: [
        {
          name: "v",
          entities: [],
          features: [field("x NOTHING")],
          ttl: { seconds: -1n },
          online: false,
          offline: false,
          owner: "o".repeat(201),
          source: { fieldMapping: { a: "x", b: "x" }, createdTimestampColumn: "event_timestamp" },
        },
      ],
      onDemandFeatureViews: [
        {
          name: "o",
          inputs: fields("for DOUBLE"),
          features: [{ ...field("y DOUBLE"), expression: "1" }],
        },
      ],
      featureServices: [
        {
          name: "s",
          loggingSampleRate: 1.5,
          projections: [
            {
              featureView: "v",
              version: -1n,
              features: [{ feature: "x", alias: "y z" }],
              joinKeys: { k: "event_timestamp" },
            },
          ],
        },
      ],
    });
    expect(found).toEqual({
      "entities[0].join_keys[0].value_type":
        "is DOUBLE; a join key is one of STRING, INT32, INT64, TIMESTAMP",
      "entities[1].join_keys": "has 0 entries; 1 to 8",
      "entities[1].name": '"e" is defined twice',
      "feature_views[0].entities": "has 0 entries; 1 to 8",
      "feature_views[0].features[0].value_type":
        "must be one of BOOL, INT32, INT64, FLOAT, DOUBLE, STRING, BYTES, TIMESTAMP",
      "feature_views[0].online": "or offline must be true: rows go somewhere",
      "feature_views[0].owner": "has 201 characters; at most 200",
      "feature_views[0].source.created_timestamp_column":
        "is the column of the event time: name another one, or none",
      'feature_views[0].source.field_mapping["b"]': "is the second column for x",
      "feature_views[0].ttl": "must be whole microseconds, not negative, at most 100 years",
      "feature_services[0].logging_sample_rate": "is 1.5; a share is a number from 0 to 1",
      "feature_services[0].projections[0].features[0].alias":
        '"y z" must match [a-zA-Z_][a-zA-Z0-9_]{0,62}',
      'feature_services[0].projections[0].join_keys["k"]':
        'names the column "event_timestamp" is the name of a time that every row has',
      "feature_services[0].projections[0].version":
        "is -1; it is a version's number, or 0 for the newest",
      "on_demand_feature_views[0].features[0].expression":
        "gives int; DOUBLE needs a double: double(...) makes one",
      "on_demand_feature_views[0].inputs[0].name":
        '"for" is a word of CEL: give the feature an alias',
    });
  });

  const limits: readonly (readonly [string, Request, string])[] = [
    [
      "features",
      {
        featureViews: [
          { ...VIEW, features: fields(...Array.from({ length: 1001 }, (_, i) => `x${i} BOOL`)) },
        ],
      },
      "feature_views[0].features",
    ],
    [
      "projections",
      { featureServices: [{ name: "s", projections: Array(101).fill({ featureView: "v" }) }] },
      "feature_services[0].projections",
    ],
    [
      "definitions",
      { entities: Array.from({ length: 501 }, (_, i) => ({ ...ENTITY, name: `e${i}` })) },
      "entities",
    ],
    [
      "tags",
      {
        entities: [
          {
            ...ENTITY,
            tags: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`t${i}`, ""])),
          },
        ],
      },
      "entities[0].tags",
    ],
    [
      "sampling",
      { featureServices: [{ name: "s", loggingSampleRate: Number.NaN }] },
      "feature_services[0].logging_sample_rate",
    ],
    [
      "a time to live",
      { featureViews: [{ ...VIEW, ttl: { seconds: 315_576_000_000n } }] },
      "feature_views[0].ttl",
    ],
    [
      "parts of a microsecond",
      { featureViews: [{ ...VIEW, ttl: { seconds: 1n, nanos: 1 } }] },
      "feature_views[0].ttl",
    ],
  ];
  it.each(limits)("has a limit on %s", (_what, request, path) => {
    expect(Object.keys(faults(request))).toContain(path);
  });
});

type Given = {
  readonly case: "numberValue" | "stringValue" | "boolValue" | "nullValue";
  readonly value: unknown;
};

const number = (value: number): Given => ({ case: "numberValue", value });
const text = (value: string): Given => ({ case: "stringValue", value });

function withDefault(type: ValueType, given: Given): Request {
  const kind = given as { case: "numberValue"; value: number };
  const feature = { ...field(`x ${type}`), defaultValue: { kind } };
  return { entities: [ENTITY], featureViews: [{ ...VIEW, features: [feature] }] };
}

describe("default values", () => {
  const good: readonly (readonly [ValueType, Given, Cell])[] = [
    ["BOOL", { case: "boolValue", value: false }, false],
    ["INT32", number(-0), 0],
    ["INT64", number(12), 12],
    ["INT64", text("9007199254740993"), 9_007_199_254_740_993n],
    ["INT64", text("-12"), -12],
    ["FLOAT", number(0.1), Math.fround(0.1)],
    ["DOUBLE", number(0.1), 0.1],
    ["DOUBLE", text("NaN"), Number.NaN],
    ["FLOAT", text("-Infinity"), Number.NEGATIVE_INFINITY],
    ["STRING", text("NaN"), "NaN"],
    ["BYTES", text("AQID"), new Uint8Array([1, 2, 3])],
    ["TIMESTAMP", text("2001-01-31T06:00:00.000001Z"), 980_920_800_000_001],
    ["TIMESTAMP", text("2001-01-31T08:00:00+02:00"), 980_920_800_000_000],
    ["DOUBLE", { case: "nullValue", value: 0 }, null],
  ];
  it.each(good)("takes for a %s %o as %o", (type, given, cell) => {
    const current = applyTo(emptyDefinitions("w"), withDefault(type, given)).next;
    const [feature] = current.featureViews.v!.versions[0]!.features;
    expect(defaultCell(feature!)).toEqual(cell);
    expect(applyTo(current, withDefault(type, given)).next).toBe(current);
    const written = toDefault(type, feature!.defaultValue);
    const again = {
      ...field(`x ${type}`),
      ...(written === undefined ? {} : { defaultValue: written }),
    };
    const request: Request = { featureViews: [{ ...VIEW, features: [again] }] };
    expect(applyTo(current, request).next).toBe(current);
  });

  const bad: readonly (readonly [ValueType, Given, string])[] = [
    ["BOOL", number(1), "a BOOL is true or false"],
    ["INT32", number(2 ** 31), "an INT32 is a whole number"],
    ["INT32", number(1.5), "an INT32 is a whole number"],
    ["INT64", number(2 ** 53), "beyond 2^53 written as a text"],
    ["INT64", text("9223372036854775808"), "an INT64 is"],
    ["INT64", text("1e3"), "an INT64 is"],
    ["FLOAT", number(1e300), "a FLOAT is a number of 32 bits"],
    ["DOUBLE", text("1"), "a DOUBLE is a number"],
    ["STRING", number(1), "a STRING is a text"],
    ["BYTES", text("!"), "in base64"],
    ["TIMESTAMP", text("2001-01-31"), "a TIMESTAMP is a text like"],
    ["TIMESTAMP", text("2001-01-31T06:00:00.0000001Z"), "at most six decimals"],
  ];
  it.each(bad)("refuses for a %s %o", (type, given, said) => {
    const found = faults(withDefault(type, given));
    expect(found["feature_views[0].features[0].default_value"]).toContain(said);
  });
});

describe("definitions to messages", () => {
  it("gives a view as it can be applied again", () => {
    const rich: Request = {
      entities: [ENTITY],
      featureViews: [
        {
          ...VIEW,
          ttl: { seconds: 90n, nanos: 500_000_000 },
          source: { eventTimestampColumn: "at", fieldMapping: { c: "x" } },
          online: false,
          tags: { b: "2", a: "1" },
          description: "d",
          owner: "o",
        },
      ],
    };
    const current = defined(rich);
    const { v } = current.featureViews;
    const message = create(
      FeatureViewSchema,
      toFeatureView({ workspace: "w", id: "v" }, v!, v!.versions[0]!),
    );
    expect(toJson(FeatureViewSchema, message)).toEqual({
      name: "workspaces/w/featureViews/v",
      uid: "uid-2",
      createTime: "1970-01-01T00:00:00Z",
      updateTime: "1970-01-01T00:00:00Z",
      version: "1",
      entities: ["e"],
      features: [{ name: "x", valueType: "VALUE_TYPE_DOUBLE" }],
      ttl: "90.500s",
      description: "d",
      owner: "o",
      tags: { a: "1", b: "2" },
      source: { eventTimestampColumn: "at", fieldMapping: { c: "x" } },
      online: false,
      offline: true,
    });
    expect(applyTo(current, { featureViews: [message] }).next).toBe(current);
  });

  it("gives a service with what it takes and gives", () => {
    const current = defined(FLIGHTS);
    const service = current.featureServices.flight_delay!;
    const message = create(
      FeatureServiceSchema,
      toFeatureService(current, { id: "flight_delay", service, version: service.versions[0]! }),
    );
    expect(message.requestColumns.map(({ name }) => name)).toEqual([
      "origin",
      "destination",
      "distance",
      "departure",
    ]);
    const shown = toJson(FeatureServiceSchema, message) as { outputFeatures: unknown[] };
    expect(shown.outputFeatures[0]).toEqual({
      name: "origin_delay",
      valueType: "VALUE_TYPE_DOUBLE",
      featureView: "airport_delays",
      version: "1",
      defaultValue: 0.5,
    });
    expect(applyTo(current, { featureServices: [message] }).next).toBe(current);
  });
});
