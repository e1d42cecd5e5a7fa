import { describe, expect, it } from "vitest";
import { DomainError } from "../../common/errors/domain-error.ts";
import { buildPlan } from "./build-plan.ts";
import { type Definitions, isReadableAs } from "./definitions.ts";
import { emptyDefinitions, newestOf, versionOf } from "./lookup.ts";
import { sourcesOf } from "./resolve.ts";
import { applyTo, field, type Request } from "./testing.ts";

const RUNS = 60;
const STEPS = 12;

/** Numbers below `n` from a seed (mulberry32). */
function chance(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

function someOf<T>(draw: (n: number) => number, items: readonly T[]): T[] {
  const some = items.filter(() => draw(2) === 0);
  return some.length > 0 ? some : [items[draw(items.length)]!];
}

function randomRequest(draw: (n: number) => number): Request {
  const types = ["INT32", "INT64", "DOUBLE", "FLOAT", "STRING"];
  const type = () => types[draw(types.length)];
  return {
    entities: someOf(draw, ["a", "b"]).map((name) => ({
      name,
      joinKeys: [field(`${name}_id ${draw(4) === 0 ? "INT64" : "STRING"}`)],
      description: draw(2) === 0 ? "" : "words",
    })),
    featureViews: someOf(draw, ["u", "v"]).map((name) => ({
      name,
      entities: draw(6) === 0 ? ["a", "b"] : [name === "u" ? "a" : "b"],
      features: someOf(draw, ["x", "y", "z"]).map((feature) =>
        field(`${name}_${feature} ${type()}`),
      ),
      ttl: { seconds: BigInt(draw(2) * 60) },
      online: draw(4) !== 0,
    })),
    onDemandFeatureViews: someOf(draw, ["o"]).map((name) => ({
      name,
      inputs: [field(`u_x ${type()}`)],
      features: [{ ...field("o_y INT64"), expression: draw(2) === 0 ? "1" : "2" }],
    })),
    featureServices: someOf(draw, ["s", "t"]).map((name) => ({
      name,
      projections: someOf(draw, ["u", "v", "o"]).map((featureView) => ({
        featureView,
        version: draw(5) === 0 ? 1n : 0n,
      })),
    })),
  };
}

function reversed(request: Request): Request {
  const {
    entities = [],
    featureViews = [],
    onDemandFeatureViews = [],
    featureServices = [],
  } = request;
  return {
    entities: [...entities].reverse(),
    featureViews: [...featureViews].reverse(),
    onDemandFeatureViews: [...onDemandFeatureViews].reverse(),
    featureServices: [...featureServices].reverse(),
  };
}

function attempt(current: Definitions, request: Request): Definitions | undefined {
  try {
    return applyTo(current, request).next;
  } catch (error) {
    if (error instanceof DomainError) {
      return undefined;
    }
    throw error;
  }
}

function withoutUids(definitions: Definitions): string {
  const sorted = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([key]) => key !== "uid")
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, item]) => [key, sorted(item)]),
        )
      : Array.isArray(value)
        ? value.map(sorted)
        : value;
  return JSON.stringify(sorted(definitions));
}

/** Every version of every service can be read, from rows that its views still take. */
function checkServices(definitions: Definitions, seed: string): void {
  for (const service of Object.values(definitions.featureServices)) {
    for (const version of service.versions) {
      const sources = sourcesOf(definitions, version);
      expect(buildPlan({ workspace: "w" }, sources).faults, seed).toEqual([]);
      for (const { kind, view, version: number, features } of version.projections) {
        const definition = kind === "view" ? definitions.featureViews[view] : undefined;
        const pinned = definition === undefined ? undefined : versionOf(definition, number);
        for (const [name] of definition === undefined ? [] : features) {
          const [was, now] = [pinned, newestOf(definition!)].map((one) =>
            one?.features.find((feature) => feature.name === name),
          );
          expect(was !== undefined && now !== undefined, seed).toBe(true);
          expect(isReadableAs(was!.type, now!.type), seed).toBe(true);
        }
      }
    }
  }
}

describe("apply, at random", () => {
  it("comes to the same twice as once, in any order, and breaks no service", () => {
    let applied = 0;
    for (let run = 1; run <= RUNS; run++) {
      const draw = chance(run);
      let current: Definitions = emptyDefinitions("w");
      for (let step = 0; step < STEPS; step++) {
        const seed = `seed ${run}, step ${step}`;
        const request = randomRequest(draw);
        const next = attempt(current, request);
        const other = attempt(current, reversed(request));
        expect(other === undefined, seed).toBe(next === undefined);
        if (next === undefined || other === undefined) {
          continue;
        }
        applied += next === current ? 0 : 1;
        expect(withoutUids(other), seed).toBe(withoutUids(next));
        expect(attempt(next, request), seed).toBe(next);
        checkServices(next, seed);
        current = next;
      }
    }
    // Else the requests are too wild to show anything.
    expect(applied).toBeGreaterThan(RUNS);
  });
});
