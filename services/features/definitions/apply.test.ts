import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";
import { emptyDefinitions } from "./lookup.ts";
import { planFeatureService } from "./resolve.ts";
import {
  AIRPORT,
  applyTo,
  defined,
  FLIGHTS,
  field,
  fields,
  lines,
  type Request,
  refusal,
  service,
  type View,
  view,
} from "./testing.ts";

describe("apply", () => {
  it("creates everything of one request, whatever it refers to", () => {
    const { changes } = applyTo(emptyDefinitions("w"), FLIGHTS);
    expect(changes.map(({ id, action, version }) => [id, action, version])).toEqual([
      ["airport", "create", 0],
      ["airport_delays", "create", 1],
      ["route", "create", 1],
      ["flight_delay", "create", 1],
    ]);
  });

  it("changes nothing when it is applied again", () => {
    const current = defined(FLIGHTS);
    const { next, changes } = applyTo(current, FLIGHTS);
    expect(next).toBe(current);
    expect(changes.map(({ action }) => action)).toEqual(Array(4).fill("unchanged"));
  });

  const plans: readonly (readonly [string, Partial<View>, readonly string[], number])[] = [
    [
      "a feature added",
      { features: fields("mean_delay DOUBLE", "flights INT32", "mean_delay_7d DOUBLE") },
      ["features: + mean_delay_7d DOUBLE"],
      2,
    ],
    ["a feature gone", { features: fields("flights INT32") }, ["features: - mean_delay"], 2],
    [
      "a type wider",
      { features: fields("mean_delay DOUBLE", "flights INT64") },
      ["features: flights INT32 -> INT64"],
      2,
    ],
    [
      "features in another order",
      { features: fields("flights INT32", "mean_delay DOUBLE") },
      ["features: in another order"],
      2,
    ],
    [
      "a default declared",
      {
        features: [
          {
            ...field("mean_delay DOUBLE"),
            defaultValue: { kind: { case: "stringValue", value: "NaN" } },
          },
          field("flights INT32"),
        ],
      },
      ['features: mean_delay default_value none -> "NaN"'],
      2,
    ],
    ["a ttl", { ttl: { seconds: 129_600n } }, ["ttl: forever -> 1d12h"], 2],
    ["no rows online", { online: false }, ["online: true -> false"], 2],
    ["no history", { offline: false }, ["offline: true -> false"], 2],
    [
      "another source",
      { source: { eventTimestampColumn: "at", fieldMapping: { n: "flights" } } },
      ['source: event_timestamp_column "event_timestamp" -> "at"', "source: + n as flights"],
      2,
    ],
    [
      "other words",
      { description: "How late", owner: "ops", tags: { team: "a" } },
      ['description: "" -> "How late"', 'owner: "" -> "ops"', 'tags: + team "a"'],
      1,
    ],
    [
      "a feature described",
      {
        features: [
          { ...field("mean_delay DOUBLE"), description: "in minutes" },
          field("flights INT32"),
        ],
      },
      ['features: mean_delay description "" -> "in minutes"'],
      1,
    ],
  ];
  it.each(plans)("plans %s", (_what, change, differences, version) => {
    const current = defined(AIRPORT, view());
    const { next, changes } = applyTo(current, view(change), { now: new Date(5) });
    expect(changes).toEqual([
      { kind: "featureViews", id: "delays", action: "update", version, differences },
    ]);
    expect(next.featureViews.delays?.versions.map(({ number }) => number)).toEqual(
      version === 2 ? [1, 2] : [1],
    );
    expect(next.featureViews.delays?.uid).toBe(current.featureViews.delays?.uid);
    expect(applyTo(next, view(change)).next).toBe(next);
  });

  it("keeps older versions as they were", () => {
    const current = defined(AIRPORT, view());
    const first = current.featureViews.delays?.versions[0];
    const { next } = applyTo(current, view({ ttl: { seconds: 60n } }));
    expect(next.featureViews.delays?.versions[0]).toBe(first);
  });

  it("takes entities in another order for the same", () => {
    const two = {
      entities: [...AIRPORT.entities, { name: "carrier", joinKeys: fields("carrier STRING") }],
    };
    const current = defined(two, view({ entities: ["airport", "carrier"] }));
    expect(applyTo(current, view({ entities: ["carrier", "airport"] })).next).toBe(current);
  });

  it("names every fault at once", () => {
    const error = refusal(emptyDefinitions("w"), {
      featureViews: [
        { name: "a", entities: ["airprt"], features: fields("x DOUBLE") },
        { name: "b", entities: ["airport"], features: fields("airport STRING") },
      ],
      featureServices: [
        { name: "s", projections: [{ featureView: "nothing" }] },
        { name: "t", projections: [{ featureView: "a", features: [{ feature: "y" }] }] },
      ],
      ...AIRPORT,
    });
    expect(error).toBeInstanceOf(InvalidArgument);
    expect((error as InvalidArgument).violations).toEqual([
      {
        field: "feature_views[0].entities[0]",
        description:
          '"airprt" is no entity. Did you mean "airport"? Define it in the same request or before',
      },
      {
        field: "feature_views[1].features[0].name",
        description: '"airport" is a join key of the view',
      },
      {
        field: "feature_services[0].projections[0].feature_view",
        description: '"nothing" is no feature view. There are a, b.',
      },
      {
        field: "feature_services[1].projections[0].features[0].feature",
        description: '"y" is none of "a". Did you mean "x"?',
      },
    ]);
  });

  it("refuses one id for a view and an on-demand view", () => {
    const onDemand: Request = {
      onDemandFeatureViews: [
        { name: "delays", features: [{ ...field("one INT32"), expression: "1" }] },
      ],
    };
    const both = { ...AIRPORT, ...view(), ...onDemand };
    expect(refusal(emptyDefinitions("w"), both).message).toContain("feature_views[0].name");
    expect(refusal(defined(AIRPORT, view()), onDemand).message).toContain(
      "is a feature view already",
    );
    const error = refusal(defined(AIRPORT, onDemand), view());
    expect(error.message).toContain("is an on-demand feature view already");
  });

  it("refuses entities that do not agree on a join key", () => {
    const two: Request = {
      entities: [...AIRPORT.entities, { name: "field", joinKeys: fields("airport INT64") }],
    };
    const error = refusal(defined(two), view({ entities: ["airport", "field"] }));
    expect(error.message).toContain(
      "has the join key airport INT64, and airport has airport STRING",
    );
  });
});

describe("apply to what is in use", () => {
  const reading = (...features: readonly string[]) =>
    service([{ featureView: "delays", features: features.map((feature) => ({ feature })) }]);
  const inUse = defined(AIRPORT, view(), reading("flights"), {
    featureServices: [{ name: "other", projections: [{ featureView: "delays" }] }],
  });

  const breaking: readonly (readonly [string, Partial<View>, readonly string[]])[] = [
    [
      "removes what both read",
      { features: fields("mean_delay DOUBLE") },
      [
        "version 1 of it needs flights, which is gone then",
        "version 1 of it needs flights, which is gone then",
      ],
    ],
    [
      "removes what one reads",
      { features: fields("flights INT32") },
      ["version 1 of it needs mean_delay, which is gone then"],
    ],
    [
      "retypes what both read",
      { features: fields("mean_delay DOUBLE", "flights STRING") },
      [
        "version 1 of it needs flights as INT32, which is STRING then",
        "version 1 of it needs flights as INT32, which is STRING then",
      ],
    ],
    [
      "takes rows off line",
      { online: false },
      ["version 1 of it needs rows online", "version 1 of it needs rows online"],
    ],
  ];
  it.each(breaking)("refuses a change that %s", (_what, change, said) => {
    const error = refusal(inUse, view(change));
    expect(error).toBeInstanceOf(FailedPrecondition);
    expect(error.reason).toBe(ErrorReason.RESOURCE_IN_USE);
    const { violations } = error as FailedPrecondition;
    const services = ["workspaces/w/featureServices/model", "workspaces/w/featureServices/other"];
    expect(violations.map(({ subject }) => subject)).toEqual(
      said.length === 2 ? services : services.slice(1),
    );
    for (const [index, { description, type }] of violations.entries()) {
      expect(type).toBe("RESOURCE_IN_USE");
      expect(description).toContain(said[index]);
    }
    for (const { subject } of violations) {
      expect(error.message).toContain(subject);
    }
  });

  it("refuses it also for an older version of a service that still is there", () => {
    const current = defined(AIRPORT, view(), reading("flights"), reading("mean_delay"));
    const error = refusal(current, view({ features: fields("mean_delay DOUBLE") }));
    expect(error.message).toContain("version 1 of it needs flights, which is gone then");
  });

  it("refuses it also when the service changes in the same request", () => {
    const current = defined(AIRPORT, view(), reading("flights"));
    const both = { ...view({ features: fields("mean_delay DOUBLE") }), ...reading("mean_delay") };
    expect(refusal(current, both).reason).toBe(ErrorReason.RESOURCE_IN_USE);
  });

  it("takes what is wider, more or not read", () => {
    const current = defined(AIRPORT, view(), reading("flights"));
    const features = fields("flights INT64", "more STRING");
    expect(applyTo(current, view({ features })).changes[0]?.version).toBe(2);
    expect(refusal(inUse, view({ features })).message).not.toContain("featureServices/model");
  });

  it("never changes the entities of a view", () => {
    const carrier = { entities: [{ name: "carrier", joinKeys: fields("carrier STRING") }] };
    const error = refusal(defined(AIRPORT, carrier, view()), view({ entities: ["carrier"] }));
    expect(error.reason).toBe(ErrorReason.RESOURCE_IN_USE);
    expect((error as FailedPrecondition).violations[0]?.subject).toBe(
      "workspaces/w/featureViews/delays",
    );
  });

  it("changes join keys of an entity only while no view has it", () => {
    const retyped = { entities: [{ name: "airport", joinKeys: fields("airport INT64") }] };
    expect(lines(defined(AIRPORT), retyped)).toEqual(["join_keys: airport STRING -> INT64"]);
    const error = refusal(inUse, retyped);
    expect(error.reason).toBe(ErrorReason.RESOURCE_IN_USE);
    expect(error.message).toContain("workspaces/w/featureViews/delays");
  });

  it("lets on-demand views change: services keep the version that they pin", () => {
    const expression = (text: string): Request => ({
      onDemandFeatureViews: [
        {
          name: "math",
          inputs: fields("x DOUBLE"),
          features: [{ ...field("y DOUBLE"), expression: text }],
        },
      ],
    });
    const current = defined(expression("x + 1.0"), service([{ featureView: "math" }]));
    const { next, changes } = applyTo(current, expression("x + 2.0"));
    expect(changes[0]?.differences).toEqual(['features: y "x + 1.0" -> "x + 2.0"']);
    const plan = planFeatureService(next, { workspace: "w", name: "model" });
    expect(plan.transforms[0]?.version.features[0]?.expression).toBe("x + 1.0");
  });
});
