// Random scalars: below p, and all of the numbers below p.

import { describe, expect, it } from "vitest";
import { FIELD_BYTES, FIELD_ORDER } from "../../field.ts";
import { scalarBytes } from "../scalar-field.ts";
import { randomScalar, scalarOf } from "./blinding.ts";

describe("a random scalar", () => {
  it("is drawn again where it is p or more, and not wrapped", () => {
    const drawn = [FIELD_ORDER, 2n ** 254n - 1n, FIELD_ORDER - 1n, 0n].map((value) =>
      scalarBytes([value]),
    );
    const draw = (): Uint8Array => drawn.shift()!;
    expect(scalarOf(randomScalar(draw))).toBe(FIELD_ORDER - 1n);
    expect(scalarOf(randomScalar(draw))).toBe(0n);
    expect(drawn).toEqual([]);
  });

  it("has 254 bits of the 256 that were drawn", () => {
    const draw = (): Uint8Array => scalarBytes([2n ** 255n + 2n ** 254n + 2n ** 250n + 7n]);
    expect(scalarOf(randomScalar(draw))).toBe(2n ** 250n + 7n);
  });

  it("differs each time", () => {
    const drawn = new Set(Array.from({ length: 100 }, () => scalarOf(randomScalar())));
    expect(drawn.size).toBe(100);
    expect(randomScalar()).toHaveLength(FIELD_BYTES);
  });
});
