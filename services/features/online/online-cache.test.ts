import { describe, expect, it } from "vitest";
import { collectInstruments } from "../../common/telemetry/instruments.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { OnlineCache } from "./online-cache.ts";

const document = (id: string) => ({ _id: id, views: {}, keys: {} });

function cache(entriesMax: number) {
  const clock = new FakeClock();
  const monotonicMs = () => clock.monotonicMs();
  return { clock, cache: new OnlineCache({ entriesMax, stalenessMs: 100, monotonicMs }) };
}

function lookups(): Readonly<Record<string, unknown>> {
  const found = collectInstruments().find((one) => one.spec.name.includes("online_cache"));
  const series = found?.series ?? [];
  return Object.fromEntries(series.map((one) => [one.attributes["plinth.result"], one.value]));
}

describe("OnlineCache", () => {
  it("keeps what was used last, and what is not there too", () => {
    const { cache: some } = cache(2);
    const before = lookups();
    some.end(some.begin("a"), document("a"));
    some.end(some.begin("b"), undefined);
    expect(some.find("a")?.document?._id).toBe("a");
    some.end(some.begin("c"), document("c"));
    expect(some.find("b")).toBeUndefined();
    expect(some.find("a")).toBeDefined();
    expect(some.find("c")).toBeDefined();
    expect(some.size).toBe(2);
    const { hit, miss } = lookups();
    expect(hit).toBe(Number(before.hit ?? 0) + 3);
    expect(miss).toBe(Number(before.miss ?? 0) + 1);
  });

  it("counts the age from when the read began", () => {
    const { cache: some, clock } = cache(2);
    const load = some.begin("a");
    clock.advance(60);
    some.end(load, document("a"));
    clock.advance(40);
    expect(some.find("a")).toBeDefined();
    clock.advance(1);
    expect(some.find("a")).toBeUndefined();
  });

  it("does not keep what was read before a write", () => {
    const { cache: some } = cache(2);
    const load = some.begin("a");
    some.forget("a");
    some.end(load, document("a"));
    expect(some.find("a")).toBeUndefined();
    const [first, second] = [some.begin("a"), some.begin("a")];
    some.end(second, undefined);
    some.end(first, document("a"));
    expect(some.find("a")).toEqual({ document: undefined, atMs: second.atMs });
  });
});
