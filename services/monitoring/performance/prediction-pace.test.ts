import { describe, expect, it } from "vitest";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { KEEP_ALL, type PacedInference, PredictionPace, placeOf } from "./prediction-pace.ts";

function inferences(count: number, more: Partial<PacedInference> = {}): PacedInference[] {
  return Array.from({ length: count }, (_, at) => {
    return { place: placeOf(`i${at}`), rows: 1, references: 1, ...more };
  });
}

function kept(list: readonly PacedInference[], below: number): number {
  return list.filter(({ place }) => place < below).length;
}

describe("PredictionPace", () => {
  it("keeps everything below the rate", () => {
    const clock = new FakeClock();
    const pace = new PredictionPace(clock, 100);
    for (let second = 0; second < 60; second++) {
      expect(pace.keepBelow(inferences(90))).toBe(KEEP_ALL);
      clock.advance(1000);
    }
  });

  it("keeps about the rate above it, evenly over live versions and shadows", () => {
    const clock = new FakeClock();
    const pace = new PredictionPace(clock, 100);
    const counts: [number, number][] = [];
    for (let second = 0; second < 60; second++) {
      const list = inferences(400);
      counts.push([kept(list, pace.keepBelow(list)), kept(list, pace.keepBelow(list))]);
      clock.advance(1000);
    }
    const settled = counts.slice(30);
    const all = settled.reduce((sum, [live, shadow]) => sum + live + shadow, 0) / settled.length;
    expect(all).toBeGreaterThan(80);
    expect(all).toBeLessThanOrEqual(100);
    for (const [live, shadow] of settled) {
      expect(Math.abs(live - shadow)).toBeLessThan(25);
      expect(Math.min(live, shadow)).toBeGreaterThan(25);
    }
  });

  it("never keeps more than the burst and what the rate gave", () => {
    const clock = new FakeClock();
    const pace = new PredictionPace(clock, 10);
    const list = inferences(1000);
    let total = 0;
    for (let step = 0; step < 100; step++) {
      total += kept(list, pace.keepBelow(list));
      clock.advance(100);
    }
    expect(total).toBeLessThanOrEqual(20 + 100);
  });

  it("takes an inference for as many as it has references, or for one each 64 rows", () => {
    const pace = new PredictionPace(new FakeClock(), 100);
    const byEntity = inferences(5, { rows: 50, references: 50 });
    expect(kept(byEntity, pace.keepBelow(byEntity))).toBe(4);
    const other = new PredictionPace(new FakeClock(), 100);
    const long = inferences(5, { rows: 6400 });
    expect(kept(long, other.keepBelow(long))).toBe(2);
  });

  it("keeps one inference that costs more than a burst, and then waits", () => {
    const clock = new FakeClock();
    const pace = new PredictionPace(clock, 10);
    const [huge] = inferences(1, { rows: 65_536, references: 65_536 });
    expect(pace.keepBelow([{ ...huge!, place: 0 }])).toBeGreaterThan(0);
    expect(pace.keepBelow([{ ...huge!, place: 0 }])).toBe(0);
  });

  it("spreads places evenly", () => {
    const places = inferences(10_000).map(({ place }) => place);
    const low = places.filter((place) => place < 0.25).length;
    expect(low).toBeGreaterThan(2300);
    expect(low).toBeLessThan(2700);
    expect(placeOf("a")).toBe(placeOf("a"));
  });
});
