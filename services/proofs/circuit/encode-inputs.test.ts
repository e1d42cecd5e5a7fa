import { describe, expect, it } from "vitest";
import { encodeFloat, packValues } from "../verifier/signal-encoding.ts";
import { COLUMNS } from "../verifier/testing/schemas.ts";
import { encodeInputs } from "./encode-inputs.ts";
import { type InputLane, inputLayout } from "./packing.ts";
import { between, seeded } from "./testing.ts";

const FIXED = { kind: "fixed", scaleBits: 3, lo: -100, hi: 100 } as const;
const KEYS = { kind: "ordered-float32" } as const;

const endsOf = (lanes: readonly InputLane[]) => {
  const { lo, hi } = lanes[0]!.interval;
  return [lo, hi];
};

describe("encode-inputs", () => {
  it("rounds halves away from 0, exactly", () => {
    const values = [0.0625, -0.0625, 0.1875, -0.1875, 0.062499999999999986, 1, -1.5, -0];
    expect(values.map((value) => encodeFloat(FIXED, value))).toEqual([1, -1, 2, -2, 0, 8, -12, 0]);
    expect(Object.is(encodeFloat(FIXED, -0), 0)).toBe(true);
    expect(Object.is(encodeFloat(FIXED, -0.01), 0)).toBe(true);
    // Where adding 0.5 would round to the next whole number.
    expect(encodeFloat({ ...FIXED, scaleBits: 0 }, 0.49999999999999994)).toBe(0);
  });

  it("orders float keys as the floats are ordered, with one zero", () => {
    const random = seeded(2);
    const floats = Array.from({ length: 2000 }, () => {
      const bits = Uint32Array.of(between(random, 0, 2 ** 32 - 1));
      return new Float32Array(bits.buffer)[0]!;
    }).filter(Number.isFinite);
    const special = [0, -0, 1e-45, -1e-45, 3.4028234663852886e38, -3.4028234663852886e38];
    const all = [...floats, ...special].sort((a, b) => a - b);
    for (let i = 1; i < all.length; i += 1) {
      const [a, b] = [encodeFloat(KEYS, all[i - 1]!), encodeFloat(KEYS, all[i]!)];
      expect(Math.sign(b - a)).toBe(all[i - 1]! === all[i]! ? 0 : 1);
    }
    expect(encodeFloat(KEYS, -0)).toBe(0x8000_0000);
    expect(encodeFloat(KEYS, 0)).toBe(0x8000_0000);
    expect(encodeFloat(KEYS, -1)).toBe(0x407f_ffff);
  });

  it("refuses what is not a number of the encoding, naming the input", () => {
    const layouts = [inputLayout({ name: "radius", shape: [2], encoding: FIXED })];
    const schema = { inputMode: "public", hasContext: false } as const;
    const encode = (values: number[], kind: "floats" | "integers" = "floats") =>
      encodeInputs(schema, layouts, { tensors: [values], kind });
    expect(encode([12.5, -12.5])).toEqual([(200n << 240n) + (0n << 232n)]);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 12.6, -12.6, 1e300]) {
      expect(() => encode([0, bad])).toThrow(/radius\[1\]/);
    }
    expect(() => encode([0, 12.6])).toThrow(
      "is 12.6; the circuit takes -12.5 to 12.5, in steps of 0.125",
    );
    expect(() => encode([0.5, 0], "integers")).toThrow(
      "radius[0] is 0.5; the circuit takes whole numbers from -100 to 100",
    );
    expect(() => encode([1])).toThrow(/radius has 2 values, not 1/);
    const keys = [inputLayout({ name: "k", shape: [1], encoding: KEYS })];
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY, 1e39]) {
      const inputs = { tensors: [[bad]], kind: "floats" } as const;
      expect(() => encodeInputs(schema, keys, inputs)).toThrow(/k\[0\]/);
    }
    // Keys of -0, of the infinities and of a NaN.
    for (const key of [0x7fff_ffff, 0xff80_0000, 0x007f_ffff, 0xffff_ffff, 0]) {
      const inputs = { tensors: [[key]], kind: "integers" } as const;
      expect(() => encodeInputs(schema, keys, inputs), String(key)).toThrow(/k\[0\]/);
    }
  });

  it("asks for the salt and the context of a circuit that has them", () => {
    const layouts = [inputLayout({ name: "x", shape: [1], encoding: FIXED })];
    const committed = { inputMode: "committed", hasContext: true } as const;
    const inputs = { tensors: [[1]], kind: "floats" } as const;
    expect(() => encodeInputs(committed, layouts, { ...inputs, context: 1n })).toThrow(/salt/);
    expect(() => encodeInputs(committed, layouts, { ...inputs, salt: 1n })).toThrow(/context/);
    const wide = { ...inputs, salt: -1n, context: 1n };
    expect(() => encodeInputs(committed, layouts, wide)).toThrow(/salt must be from 0/);
  });

  it("takes the narrowest lane and proves no more bits than the range needs", () => {
    const layout = (lo: number, hi: number) => {
      const encoding = { kind: "fixed", scaleBits: 0, lo, hi } as const;
      const { schema, lanes } = inputLayout({ name: "x", shape: [1], encoding });
      return [schema.bits, schema.offset, lanes[0]!.width, ...endsOf(lanes)];
    };
    expect(layout(0, 255)).toEqual([8, 0, 8, 0n, 255n]);
    expect(layout(-128, 127)).toEqual([8, 128, 8, -128n, 127n]);
    expect(layout(-100, 100)).toEqual([8, 100, 8, -100n, 155n]);
    expect(layout(0, 9)).toEqual([8, 0, 4, 0n, 15n]);
    expect(layout(0, 256)).toEqual([16, 0, 9, 0n, 511n]);
    expect(layout(-(2 ** 31), 2 ** 31 - 1)[0]).toBe(32);
    expect(() => layout(5, 4)).toThrow(/ranges from 5 to 4/);
  });

  it("holds each value to its own range where they have some, in the lane of the widest", () => {
    const { name, shape, encoding } = COLUMNS;
    const layout = inputLayout({ name, shape, encoding });
    expect(layout.schema).toEqual(COLUMNS);
    expect(layout.lanes).toEqual([
      { width: 16, interval: { lo: 0n, hi: 65_535n } },
      { width: 8, interval: { lo: 0n, hi: 255n } },
      { width: 16, interval: { lo: -32_768n, hi: 32_767n } },
      { width: 8, interval: { lo: -100n, hi: 155n } },
      { width: 2, interval: { lo: 7n, hi: 10n } },
    ]);
    const schema = { inputMode: "public", hasContext: false } as const;
    const encode = (values: readonly number[], kind: "floats" | "integers" = "floats") =>
      encodeInputs(schema, [layout], { tensors: [values], kind });
    const lanes = [4097, 250, 32_767, 0, 2];
    const signal = packValues(lanes, 16);
    expect(encode([1.000244140625, 250, -8.4, -6.25, 4.6])).toEqual(signal);
    expect(encode([4097, 250, -1, -100, 9], "integers")).toEqual(signal);
    const good = [0, 0, 0, 0, 4];
    const refused: readonly (readonly [number, number, string])[] = [
      [0, 16, "columns[0] is 16; the circuit takes 0 to 15.999755859375, in steps of 0.000244"],
      [1, 255.5, "columns[1] is 255.5; the circuit takes 0 to 255, in steps of 1"],
      [2, 262_140, "columns[2] is 262140; the circuit takes -262144 to 262136, in steps of 8"],
      [3, 5.7, "columns[3] is 5.7; the circuit takes -6.25 to 5.625, in steps of 0.0625"],
      [4, 3, "columns[4] is 3; the circuit takes 3.5 to 4.5, in steps of 0.5"],
      [4, Number.NaN, "columns[4]: NaN is not a finite number"],
    ];
    expect(encode(good)).toHaveLength(1);
    for (const [at, value, message] of refused) {
      expect(() => encode(good.with(at, value))).toThrow(message);
    }
    expect(() => encode([0, 0, 0, 91, 7], "integers")).toThrow("whole numbers from -100 to 90");
    const wide = { ...encoding, hi: [...encoding.hi.slice(0, 4), 2 ** 32 + 7] };
    expect(() => inputLayout({ name, shape, encoding: wide })).toThrow(/at most 32 bits/);
    const empty = { ...encoding, hi: [...encoding.hi.slice(0, 4), 6] };
    expect(() => inputLayout({ name, shape, encoding: empty })).toThrow(/ranges from 7 to 6/);
    const half = { ...encoding, hi: [...encoding.hi.slice(0, 4), 2 ** 17] };
    expect(inputLayout({ name, shape, encoding: half }).schema.bits).toBe(32);
  });
});
