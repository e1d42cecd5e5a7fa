// Files of definitions, as people write them.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { loadDefinitions } from "./features-load.ts";
import { fileFolder } from "./testing.ts";

const folder = fileFolder();

async function load(text: string, name = "f.yaml") {
  const path = join(folder, name);
  writeFileSync(path, text);
  const shaped = await loadDefinitions([path]);
  return shaped.map(({ list, value }) => [list, value] as const);
}

const VIEW = "kind: FeatureView\nname: delays\nentities: [airport]\n";

describe("features-load, what is well", () => {
  it("reads all four kinds in their short forms", async () => {
    const text = `
kind: Entity
name: airport
joinKeys: {airport: string}
description: where planes land
tags: {tier: 1}
---
kind: FeatureView
name: delays
entities: airport
ttl: 1d12h
features:
  mean: double
  flights: {type: INT64, default: 0, description: departures}
source: {eventTimestampColumn: time, fieldMapping: {m: mean}}
offline: false
---
kind: OnDemandFeatureView
name: departure
inputs: {departure: timestamp}
expressions: {hour: {type: int64, expression: "departure.getHours()"}}
---
kind: FeatureService
name: delay_model
projections:
  - view: delays
    joinKeys: {airport: origin}
    features: {mean: origin_mean}
  - departure@2
  - delays:flights
loggingSampleRate: 0.5
`;
    const about = { description: "", owner: "", tags: {} };
    expect(await load(text)).toEqual([
      [
        "entities",
        {
          ...about,
          name: "airport",
          description: "where planes land",
          tags: { tier: "1" },
          joinKeys: [{ name: "airport", valueType: ValueType.STRING }],
        },
      ],
      [
        "featureViews",
        {
          ...about,
          name: "delays",
          entities: ["airport"],
          ttl: expect.objectContaining({ seconds: 129_600n, nanos: 0 }),
          features: [
            { name: "mean", valueType: ValueType.DOUBLE, description: "" },
            {
              name: "flights",
              valueType: ValueType.INT64,
              description: "departures",
              defaultValue: { kind: { case: "numberValue", value: 0 } },
            },
          ],
          source: {
            eventTimestampColumn: "time",
            createdTimestampColumn: "",
            fieldMapping: { m: "mean" },
          },
          offline: false,
        },
      ],
      [
        "onDemandFeatureViews",
        {
          ...about,
          name: "departure",
          inputs: [{ name: "departure", valueType: ValueType.TIMESTAMP }],
          features: [
            {
              name: "hour",
              valueType: ValueType.INT64,
              expression: "departure.getHours()",
              description: "",
            },
          ],
        },
      ],
      [
        "featureServices",
        {
          ...about,
          name: "delay_model",
          loggingSampleRate: 0.5,
          projections: [
            {
              featureView: "delays",
              version: 0n,
              features: [{ feature: "mean", alias: "origin_mean" }],
              joinKeys: { airport: "origin" },
            },
            { featureView: "departure", version: 2n, features: [], joinKeys: {} },
            {
              featureView: "delays",
              version: 0n,
              features: [{ feature: "flights", alias: "" }],
              joinKeys: {},
            },
          ],
        },
      ],
    ]);
  });

  it("takes what Feast calls the same, snake_case, and protobuf JSON", async () => {
    const feast = `
kind: FeatureView
name: delays
entities: [airport]
ttl: 604800s
schema: [{name: mean, dtype: Float32}, {name: last, dtype: UnixTimestamp}]
source: {timestamp_field: time, created_timestamp_column: known}
`;
    const json = JSON.stringify({
      kind: "FeatureView",
      name: "delays",
      uid: "7f",
      version: "3",
      updateTime: "2001-01-01T00:00:00Z",
      status: { offlineRows: "3" },
      entities: ["airport"],
      ttl: "604800s",
      features: [
        { name: "mean", valueType: "VALUE_TYPE_FLOAT", description: "" },
        { name: "last", value_type: "VALUE_TYPE_TIMESTAMP" },
      ],
      source: { eventTimestampColumn: "time", createdTimestampColumn: "known", fieldMapping: {} },
    });
    expect(await load(feast)).toEqual(await load(json, "f.json"));
    expect(await load("kind: Entity\nname: day\nvalue_type: int64\n")).toEqual([
      [
        "entities",
        expect.objectContaining({ joinKeys: [{ name: "day", valueType: ValueType.INT64 }] }),
      ],
    ]);
  });

  it("follows anchors and merge keys, and passes over empty documents", async () => {
    const text = `
- &base
  kind: FeatureView
  name: a
  entities: [airport]
  features: {mean: double}
- <<: *base
  name: b
---
---
`;
    const shaped = await load(text);
    expect(shaped.map(([, value]) => value.name)).toEqual(["a", "b"]);
    expect(shaped[1]?.[1]).toMatchObject({ entities: ["airport"], features: [{ name: "mean" }] });
  });

  it("keeps numbers that JavaScript cannot, NaN and the words of defaults", async () => {
    const text = `${VIEW}features:
  a: {type: int64, default: 9007199254740993}
  b: {type: double, default: .nan}
  c: {type: double, default: -.inf}
  d: {type: string, default: "7"}
  e: {type: bool, default: false}
  f: {type: double, default: ~}
`;
    const [[, view] = []] = await load(text);
    const features = (view as { features: { defaultValue?: { kind: unknown } }[] }).features;
    expect(features.map(({ defaultValue }) => defaultValue?.kind)).toEqual([
      { case: "stringValue", value: "9007199254740993" },
      { case: "stringValue", value: "NaN" },
      { case: "stringValue", value: "-Infinity" },
      { case: "stringValue", value: "7" },
      { case: "boolValue", value: false },
      undefined,
    ]);
  });

  it("runs a TypeScript module, by default export or by name", async () => {
    const typed = `
import type { DefinitionFile } from "./types.ts";
const ids: readonly string[] = ["airport", "carrier"];
export default ids.map((name) => ({ kind: "Entity" as const, name, valueType: "string" as const })) satisfies DefinitionFile;
`;
    expect((await load(typed, "typed.ts")).map(([, value]) => value.name)).toEqual([
      "airport",
      "carrier",
    ]);
    const named = `export const definitions = [{kind: "Entity", name: "day", valueType: "int32"}];`;
    expect(await load(named, "named.mjs")).toHaveLength(1);
  });
});
