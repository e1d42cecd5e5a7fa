import { describe, expect, it } from "vitest";
import { chooseTarget, type RoutingTarget, targetSeed } from "./routing.ts";

const KEYS = Array.from({ length: 20_000 }, (_, index) => `customer-${index}`);

function targetsOf(weights: readonly number[], ready = weights.map(() => true)): RoutingTarget[] {
  return weights.map((weight, index) => ({
    weight,
    ready: ready[index]!,
    seed: targetSeed("workspaces/w/deployments/d", `workspaces/w/models/m/versions/${index + 1}`),
  }));
}

function never(): number {
  throw new Error("must not be asked");
}

function byKey(targets: readonly RoutingTarget[]): readonly number[] {
  return KEYS.map((key) => chooseTarget(targets, key, never));
}

function shares(choices: readonly number[], count: number): readonly number[] {
  return Array.from(
    { length: count },
    (_, index) => choices.filter((choice) => choice === index).length / choices.length,
  );
}

describe("routing", () => {
  it("gives each target its share of keys", () => {
    const [a, b, c] = shares(byKey(targetsOf([70, 20, 10])), 3);
    // 4 standard deviations of a binomial share of 20,000 keys are below 0.013.
    expect(Math.abs(a! - 0.7)).toBeLessThan(0.015);
    expect(Math.abs(b! - 0.2)).toBeLessThan(0.015);
    expect(Math.abs(c! - 0.1)).toBeLessThan(0.015);
  });

  it("sends one key to one target", () => {
    const targets = targetsOf([1, 1, 1]);
    expect(byKey(targets)).toEqual(byKey(targets));
  });

  it("moves keys only to the target whose share grew", () => {
    const before = byKey(targetsOf([90, 5, 5]));
    const after = byKey(targetsOf([90, 5, 25]));
    const moved = KEYS.map((_, index) => index).filter((i) => before[i] !== after[i]);
    expect(moved.length).toBeGreaterThan(0);
    expect(moved.every((index) => after[index] === 2)).toBe(true);
    // From 5 % to 25/120 of the traffic: nothing beyond that moves.
    expect(Math.abs(moved.length / KEYS.length - (25 / 120 - 0.05))).toBeLessThan(0.015);
  });

  it("moves only the keys of a target that is not ready", () => {
    const before = byKey(targetsOf([1, 1, 1]));
    const after = byKey(targetsOf([1, 1, 1], [true, false, true]));
    expect(after.includes(1)).toBe(false);
    for (const [index, choice] of before.entries()) {
      if (choice !== 1) {
        expect(after[index]).toBe(choice);
      }
    }
  });

  const draws: readonly {
    readonly weights: readonly number[];
    readonly ready?: readonly boolean[];
    readonly random: number;
    readonly chosen: number;
  }[] = [
    { weights: [50, 50], random: 0, chosen: 0 },
    { weights: [50, 50], random: 0.4999, chosen: 0 },
    { weights: [50, 50], random: 0.5, chosen: 1 },
    { weights: [1, 0, 3], random: 0.25, chosen: 2 },
    { weights: [1, 0, 3], random: 0.9999999999999999, chosen: 2 },
    { weights: [10, 90], ready: [true, false], random: 0.99, chosen: 0 },
    { weights: [0, 0], random: 0.5, chosen: -1 },
    { weights: [1], ready: [false], random: 0.5, chosen: -1 },
    { weights: [], random: 0.5, chosen: -1 },
  ];
  for (const { weights, ready, random, chosen } of draws) {
    it(`draws ${chosen} of ${JSON.stringify(weights)} at ${random}`, () => {
      const targets = targetsOf(weights, ready?.slice());
      expect(chooseTarget(targets, undefined, () => random)).toBe(chosen);
    });
  }

  it("finds no target for a key when none is ready or weighted", () => {
    expect(chooseTarget(targetsOf([0, 1], [true, false]), "key", never)).toBe(-1);
  });
});
