import { describe, expect, it } from "vitest";
import { InvalidArgument, NotFound } from "../../common/errors/domain-error.ts";
import { emptyDefinitions } from "./lookup.ts";
import { PlanCache } from "./plan-cache.ts";
import { planFeatureService, planFeatures, viewOf } from "./resolve.ts";
import { applyTo, defined, FLIGHTS, field, fields } from "./testing.ts";

const current = defined(FLIGHTS);
const list = (refs: readonly string[], fullNames = false) =>
  planFeatures(current, { workspace: "w", refs, fullNames });

describe("plan of a feature service", () => {
  it("reads one view by two columns, and computes from outputs and request data", () => {
    const plan = planFeatureService(current, { workspace: "w", name: "flight_delay" });
    expect(plan.featureService).toBe("workspaces/w/featureServices/flight_delay/versions/1");
    expect(plan.requestColumns).toEqual([
      { name: "origin", type: "STRING" },
      { name: "destination", type: "STRING" },
      { name: "distance", type: "DOUBLE" },
      { name: "departure", type: "TIMESTAMP" },
    ]);
    expect(plan.keyColumns).toBe(2);
    expect(plan.keys).toEqual([
      { parts: [{ joinKey: "airport", column: 0 }] },
      { parts: [{ joinKey: "airport", column: 1 }] },
    ]);
    expect(plan.views.map(({ source, key }) => [source.view, source.version.number, key])).toEqual([
      ["airport_delays", 1, 0],
      ["airport_delays", 1, 1],
    ]);
    expect(plan.transforms.map(({ view, inputs }) => [view, inputs])).toEqual([
      [
        "route",
        [
          { from: "request", index: 2 },
          { from: "output", index: 0 },
          { from: "request", index: 3 },
        ],
      ],
    ]);
    expect(
      plan.outputs.map(({ name, type, from, defaultValue }) => [name, type, from, defaultValue]),
    ).toEqual([
      ["origin_delay", "DOUBLE", { kind: "view", read: 0, feature: 0 }, 0.5],
      ["destination_delay", "DOUBLE", { kind: "view", read: 1, feature: 0 }, 0.5],
      ["hours", "DOUBLE", { kind: "transform", transform: 0, feature: 0 }, null],
      ["delay_per_hour", "DOUBLE", { kind: "transform", transform: 0, feature: 1 }, null],
      ["hour", "INT32", { kind: "transform", transform: 0, feature: 2 }, null],
    ]);
  });

  it("reads each entity key once, in whatever order its join keys come", () => {
    const two = defined({
      entities: [
        { name: "to", joinKeys: fields("to STRING") },
        { name: "from", joinKeys: fields("from INT64") },
      ],
      featureViews: [
        { name: "a", entities: ["to", "from"], features: fields("x BOOL") },
        { name: "b", entities: ["from", "to"], features: fields("y BOOL") },
        { name: "c", entities: ["from"], features: fields("z BOOL") },
      ],
    });
    const plan = planFeatures(two, {
      workspace: "w",
      refs: ["a:x", "c:z", "b:y"],
      fullNames: false,
    });
    expect(plan.requestColumns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "from INT64",
      "to STRING",
    ]);
    expect(plan.keys).toEqual([
      {
        parts: [
          { joinKey: "from", column: 0 },
          { joinKey: "to", column: 1 },
        ],
      },
      { parts: [{ joinKey: "from", column: 0 }] },
    ]);
    expect(plan.views.map(({ key }) => key)).toEqual([0, 1, 0]);
  });

  it("takes names in full, with a version, and the id alone", () => {
    const name = "workspaces/w/featureServices/flight_delay";
    const plans = [name, `${name}/versions/1`, "flight_delay"].map((one) =>
      planFeatureService(current, { workspace: "w", name: one }),
    );
    expect(new Set(plans.map((plan) => JSON.stringify(plan))).size).toBe(1);
  });

  it("reads the version in the name", () => {
    const changed = applyTo(current, {
      featureServices: [{ name: "flight_delay", projections: [{ featureView: "airport_delays" }] }],
    }).next;
    const outputs = (name: string) =>
      planFeatureService(changed, { workspace: "w", name }).outputs.map((output) => output.name);
    expect(outputs("flight_delay")).toEqual(["mean_delay", "flights"]);
    expect(outputs("workspaces/w/featureServices/flight_delay/versions/1")).toHaveLength(5);
  });

  it("says what was probably meant", () => {
    const plan = (name: string) => () => planFeatureService(current, { workspace: "w", name });
    expect(plan("flight_dely")).toThrow('Did you mean "flight_delay"?');
    expect(plan("flight_dely")).toThrow(NotFound);
    expect(plan("constructor")).toThrow(NotFound);
    expect(plan("workspaces/w/featureServices/flight_delay/versions/2")).toThrow(
      "has no version 2; it has 1.",
    );
    expect(plan("workspaces/w/featureServices/flight_delay/versions/01")).toThrow(NotFound);
    expect(plan("workspaces/v/featureServices/flight_delay")).toThrow(InvalidArgument);
    expect(plan("workspaces/w/models/flight_delay")).toThrow(InvalidArgument);
    const empty = emptyDefinitions("v");
    expect(() => planFeatureService(empty, { workspace: "v", name: "x" })).toThrow("none yet");
  });
});

describe("plan of a list of features", () => {
  it("takes features, whole views, and full names", () => {
    const names = (refs: readonly string[], fullNames = false) =>
      list(refs, fullNames).outputs.map(({ name }) => name);
    expect(names(["airport_delays:flights", "route:hours"])).toEqual(["flights", "hours"]);
    expect(names(["airport_delays:*"])).toEqual(["mean_delay", "flights"]);
    expect(names(["airport_delays:*"], true)).toEqual([
      "airport_delays__mean_delay",
      "airport_delays__flights",
    ]);
    expect(list(["airport_delays:flights"]).featureService).toBeUndefined();
  });

  it("computes from features of the list by their own names, also when names are full", () => {
    const od = applyTo(current, {
      onDemandFeatureViews: [
        {
          name: "late",
          inputs: fields("mean_delay DOUBLE", "limit DOUBLE"),
          features: [{ ...field("is_late BOOL"), expression: "mean_delay > limit" }],
        },
      ],
    }).next;
    for (const fullNames of [false, true]) {
      const refs = ["airport_delays:mean_delay", "late:is_late"];
      const plan = planFeatures(od, { workspace: "w", refs, fullNames });
      expect(plan.transforms[0]?.inputs).toEqual([
        { from: "output", index: 0 },
        { from: "request", index: 1 },
      ]);
    }
    const alone = planFeatures(od, { workspace: "w", refs: ["late:is_late"], fullNames: false });
    expect(alone.requestColumns.map(({ name }) => name)).toEqual(["mean_delay", "limit"]);
    expect(alone.keyColumns).toBe(0);
    const turned = ["late:is_late", "airport_delays:mean_delay"];
    expect(() => planFeatures(od, { workspace: "w", refs: turned, fullNames: false })).toThrow(
      'takes "mean_delay", which comes later',
    );
  });

  it("names every reference that is none, or that there is not", () => {
    expect(() => list(["mean_delay", ":x", "airport_delays:"])).toThrow(
      'features[0] "mean_delay" is not like view:feature or view:*; features[1] ":x"',
    );
    expect(() => list(["airport_delay:flights", "airport_delays:flihgts"])).toThrow(
      'There is no feature view "airport_delay" in workspace "w". Did you mean "airport_delays"? ' +
        'Feature view "airport_delays" has no feature "flihgts". Did you mean "flights"?',
    );
    expect(() => list([])).toThrow("names 0 features; 1 to 1000");
    expect(() => list(["airport_delays:*", "airport_delays:flights"])).toThrow(
      'takes "flights" of airport_delays a second time',
    );
  });

  it("refuses join keys of one name and two types", () => {
    const two = defined({
      entities: [
        { name: "text", joinKeys: fields("id STRING") },
        { name: "number", joinKeys: fields("id INT64") },
      ],
      featureViews: [
        { name: "a", entities: ["text"], features: fields("x BOOL") },
        { name: "b", entities: ["number"], features: fields("y BOOL") },
      ],
    });
    expect(() =>
      planFeatures(two, { workspace: "w", refs: ["a:x", "b:y"], fullNames: false }),
    ).toThrow('takes "id" as INT64, and another projection as STRING');
  });
});

describe("viewOf", () => {
  it("gives the newest version or the one asked for", () => {
    const changed = applyTo(current, {
      featureViews: [{ ...FLIGHTS.featureViews![0]!, ttl: { seconds: 60n } } as never],
    }).next;
    const ttl = (version?: number) =>
      viewOf(changed, {
        workspace: "w",
        view: "airport_delays",
        ...(version === undefined ? {} : { version }),
      }).version.ttlUs;
    expect([ttl(), ttl(1), ttl(2)]).toEqual([60e6, 7 * 86_400e6, 60e6]);
    expect(() => ttl(3)).toThrow("has no version 3; it has 1, 2.");
    expect(() => viewOf(changed, { workspace: "w", view: "route" })).toThrow(
      "is an on-demand feature view",
    );
  });
});

describe("PlanCache", () => {
  it("keeps a plan for as long as the definitions are the same", () => {
    const plans = new PlanCache();
    const ref = { workspace: "w", name: "flight_delay" };
    const lists = [false, true].map((fullNames) => ({
      workspace: "w",
      refs: ["airport_delays:flights"],
      fullNames,
    }));
    expect(plans.featureService(current, ref)).toBe(plans.featureService(current, ref));
    expect(plans.features(current, lists[0]!)).toBe(plans.features(current, lists[0]!));
    expect(plans.features(current, lists[0]!)).not.toBe(plans.features(current, lists[1]!));
    const changed = { ...current };
    expect(plans.featureService(changed, ref)).not.toBe(plans.featureService(current, ref));
  });

  it("does not take one malformed reference for two good ones", () => {
    const plans = new PlanCache();
    const refs = ["airport_delays:flights", "airport_delays:mean_delay"];
    plans.features(current, { workspace: "w", refs, fullNames: false });
    const joined = { workspace: "w", refs: [refs.join("\n")], fullNames: false };
    expect(() => plans.features(current, joined)).toThrow(NotFound);
  });
});
