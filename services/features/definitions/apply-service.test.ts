import { describe, expect, it } from "vitest";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import {
  AIRPORT,
  applyTo,
  defined,
  field,
  fields,
  lines,
  type Projections,
  type Request,
  refusal,
  service,
  type View,
  view,
} from "./testing.ts";

describe("apply of a feature service", () => {
  const all = { featureServices: [{ name: "model", projections: [{ featureView: "delays" }] }] };

  it("pins the newest version of its views", () => {
    const current = defined(AIRPORT, view(), view({ ttl: { seconds: 60n } }), all);
    expect(current.featureServices.model?.versions[0]?.projections).toEqual([
      {
        view: "delays",
        kind: "view",
        version: 2,
        features: [
          ["mean_delay", "mean_delay"],
          ["flights", "flights"],
        ],
        joinKeys: [],
      },
    ]);
  });

  const followed: readonly (readonly [string, Partial<View>, Request, boolean])[] = [
    ["a ttl", { ttl: { seconds: 60n } }, all, true],
    [
      "a feature more, taking all",
      { features: fields("mean_delay DOUBLE", "flights INT32", "z BOOL") },
      all,
      true,
    ],
    [
      "a feature more, taking one",
      { features: fields("mean_delay DOUBLE", "flights INT32", "z BOOL") },
      service([{ featureView: "delays", features: [{ feature: "flights" }] }]),
      false,
    ],
    ["a type wider", { features: fields("mean_delay DOUBLE", "flights INT64") }, all, true],
    ["another source", { source: { eventTimestampColumn: "at" } }, all, false],
    ["history only added", { offline: false }, all, true],
  ];
  it.each(followed)("follows %s only where it matters", (_what, change, wanted, isNew) => {
    const current = defined(AIRPORT, view(), wanted, view(change));
    const { changes, next } = applyTo(current, wanted);
    expect(changes[0]?.action).toBe(isNew ? "update" : "unchanged");
    const pinned = next.featureServices.model?.versions.at(-1)?.projections[0]?.version;
    expect(pinned).toBe(isNew ? 2 : 1);
    expect(applyTo(next, wanted).next).toBe(next);
  });

  it("stays where it is told to", () => {
    const pinned = service([{ featureView: "delays", version: 1n }]);
    const current = defined(AIRPORT, view(), pinned, view({ ttl: { seconds: 60n } }));
    expect(applyTo(current, pinned).next).toBe(current);
    expect(refusal(current, service([{ featureView: "delays", version: 3n }])).message).toContain(
      '3 is none of "delays"; the newest is 2',
    );
  });

  it("cannot be pinned to what new rows no longer have", () => {
    const current = defined(AIRPORT, view(), view({ features: fields("flights STRING") }));
    const old = service([{ featureView: "delays", version: 1n }]);
    expect(refusal(current, old).message).toContain(
      '1 of "delays" has what version 2 has no longer: mean_delay, which is gone then; ' +
        "flights as INT32, which is STRING then",
    );
    const together = { ...view({ features: fields("flights STRING") }), ...old };
    expect(refusal(defined(AIRPORT, view()), together)).toBeInstanceOf(InvalidArgument);
  });

  it("says what differs", () => {
    const current = defined(AIRPORT, view(), all);
    const changed = service([
      { featureView: "delays", features: [{ feature: "flights", alias: "n" }] },
      { featureView: "delays", features: [{ feature: "flights" }], joinKeys: { airport: "to" } },
    ]);
    expect(lines(current, changed)).toEqual([
      "delays: + flights as n",
      "delays: - mean_delay",
      "delays: - flights",
      "projections: + delays (airport: to) version 1",
    ]);
  });

  it("keeps its version when only the share of kept reads changes", () => {
    const current = defined(AIRPORT, view(), all);
    const sampled = { featureServices: [{ ...all.featureServices[0]!, loggingSampleRate: 0.25 }] };
    const { changes } = applyTo(current, sampled);
    expect(changes).toEqual([
      {
        kind: "featureServices",
        id: "model",
        action: "update",
        version: 1,
        differences: ["logging_sample_rate: 0 -> 0.25"],
      },
    ]);
  });

  it("goes on after the number of a service of its name that was deleted", () => {
    const current = { ...defined(AIRPORT, view()), retiredNumbers: { model: 4 } };
    expect(applyTo(current, all).changes[0]?.version).toBe(5);
  });

  const unfit: readonly (readonly [string, Projections, string])[] = [
    [
      "gives a name twice",
      [{ featureView: "delays" }, { featureView: "delays", joinKeys: { airport: "to" } }],
      'takes "mean_delay" of delays a second time',
    ],
    [
      "gives a name twice but for letter case",
      [
        { featureView: "delays", features: [{ feature: "flights" }] },
        { featureView: "delays", features: [{ feature: "mean_delay", alias: "Flights" }] },
      ],
      'gives "Flights" of delays, and delays gives "flights"',
    ],
    [
      "gives what it takes",
      [{ featureView: "delays", features: [{ feature: "flights", alias: "Airport" }] }],
      '"airport" is a column that the caller gives',
    ],
    [
      "takes a join key that is none",
      [{ featureView: "delays", joinKeys: { airprt: "to" } }],
      '"airprt" is no join key of "delays". Did you mean "airport"?',
    ],
    [
      "takes what comes later",
      [{ featureView: "twice" }, { featureView: "delays" }],
      'takes "flights", which comes later',
    ],
    [
      "takes a text for a number",
      [
        { featureView: "delays", features: [{ feature: "mean_delay", alias: "flights" }] },
        { featureView: "twice" },
      ],
      'takes "flights" as INT64, and it is DOUBLE',
    ],
  ];
  it.each(unfit)("refuses one that %s", (_what, projections, said) => {
    const twice: Request = {
      onDemandFeatureViews: [
        {
          name: "twice",
          inputs: fields("flights INT64"),
          features: [{ ...field("double_flights INT64"), expression: "flights * 2" }],
        },
      ],
    };
    const error = refusal(defined(AIRPORT, view(), twice), service(projections));
    expect(error).toBeInstanceOf(InvalidArgument);
    expect(error.message).toContain(said);
  });
});
