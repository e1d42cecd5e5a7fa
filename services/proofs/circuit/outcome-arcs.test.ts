import { describe, expect, it } from "vitest";
import { FIELD_ORDER, toField } from "../field.ts";
import { type ArcPremise, areArcsApart } from "./outcome-arcs.ts";
import { between, type Random, seeded } from "./testing.ts";

const REACH = 60;

/** Premises on values near `around`, each of some outcome. */
function randomPremises(random: Random, outcomes: number, around: bigint): ArcPremise[] {
  return Array.from({ length: between(random, outcomes, 2 * outcomes + 2) }, (_, i) => {
    const sign = random(2) === 0 ? 1 : -1;
    return {
      outcome: i < outcomes ? i : random(outcomes),
      sign,
      constant: toField(-BigInt(sign) * around + BigInt(between(random, -20, 20))),
      most: BigInt(random(8)),
    };
  });
}

/** By trying every value: whether two outcomes go together. */
function isShared(premises: readonly ArcPremise[], outcomes: number, around: bigint): boolean {
  for (let by = -REACH; by <= REACH; by += 1) {
    const value = around + BigInt(by);
    const possible = Array.from({ length: outcomes }, (_, outcome) =>
      premises.every(
        (one) =>
          one.outcome !== outcome || toField(BigInt(one.sign) * value + one.constant) <= one.most,
      ),
    );
    if (possible.filter(Boolean).length > 1) return true;
  }
  return false;
}

describe("outcome-arcs", () => {
  it.each([
    ["0", 0n],
    ["half of the field", FIELD_ORDER / 2n],
    ["the end of the field", FIELD_ORDER - 3n],
  ])("finds what trying every value finds, around %s", (_, around) => {
    const random = seeded(11);
    const found = { apart: 0, shared: 0 };
    for (let i = 0; i < 1_500; i += 1) {
      const outcomes = between(random, 1, 5);
      const premises = randomPremises(random, outcomes, around);
      const shared = isShared(premises, outcomes, around);
      expect(areArcsApart(premises, outcomes), JSON.stringify({ i, outcomes })).toBe(!shared);
      found[shared ? "shared" : "apart"] += 1;
    }
    expect(Math.min(found.apart, found.shared)).toBeGreaterThan(200);
  });

  it("tells nothing where an outcome says nothing, or an arc is as good as the circle", () => {
    const near = (outcome: number, constant: bigint, most = 1n): ArcPremise => ({
      outcome,
      sign: 1,
      constant,
      most,
    });
    expect(areArcsApart([near(0, 0n), near(1, 10n)], 2)).toBe(true);
    expect(areArcsApart([near(0, 0n), near(1, 10n)], 3)).toBe(false);
    expect(areArcsApart([near(0, 0n), near(1, 1n)], 2)).toBe(false);
    const half = FIELD_ORDER / 2n;
    expect(areArcsApart([near(0, 0n), near(1, 10n, half + 1n)], 2)).toBe(false);
    expect(areArcsApart([near(0, 0n), near(1, half, half - 5n)], 2)).toBe(true);
    expect(areArcsApart([near(0, 5n, 3n), near(0, -5n, 3n)], 1)).toBe(true);
  });

  it("is not misled by two long arcs that meet twice", () => {
    const most = FIELD_ORDER - 10n;
    const first = { outcome: 0, sign: 1, constant: 0n, most } as const;
    const second = { outcome: 0, sign: 1, constant: 20n, most } as const;
    const five = { outcome: 1, sign: 1, constant: -5n, most: 0n } as const;
    expect([first, second, five].every((one) => toField(5n + one.constant) <= one.most)).toBe(true);
    expect(areArcsApart([first, second, five], 2)).toBe(false);
  });
});
