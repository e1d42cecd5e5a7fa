// Two multiples at once against @noble/curves.

import { bn254 } from "@noble/curves/bn254.js";
import { describe, expect, it } from "vitest";
import { FIELD_ORDER } from "../../field.ts";
import { power } from "../scalar-field.ts";
import { curveModuleBytes } from "./curve-instance.ts";
import { TwoMultiples } from "./two-multiples.ts";

describe("two multiples", () => {
  const { BASE } = bn254.G1.Point;
  const made = new TwoMultiples(new WebAssembly.Module(curveModuleBytes()));

  it("are those of the points, each of its own", () => {
    for (let i = 0n; i < 4n; i += 1n) {
      const [first, second] = [BASE.multiply(77n + i), BASE.multiply(FIELD_ORDER - 5n - i)];
      const [k, l] = [power(3n + i, 200n), power(7n + i, 300n)];
      const [one, other] = made.of([first, k], [second, l]);
      expect(one.equals(first.multiply(k))).toBe(true);
      expect(other.equals(second.multiply(l))).toBe(true);
    }
  });

  it("are right for scalars near the powers of two at which the order is added twice", () => {
    const edge = 2n ** 254n - FIELD_ORDER;
    const scalars = [edge, edge - 1n, FIELD_ORDER - 3n, 2n ** 253n] as const;
    const expected = scalars.map((scalar) => BASE.multiply(scalar));
    const all = [
      ...made.of([BASE, scalars[0]], [BASE, scalars[1]]),
      ...made.of([BASE, scalars[2]], [BASE, scalars[3]]),
    ];
    expect(all.map((point, i) => point.equals(expected[i]!))).toEqual([true, true, true, true]);
  });
});
