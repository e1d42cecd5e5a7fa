import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import type { InputEncoding } from "../compiler/integer-graph.ts";
import {
  decodeWhole,
  encodeFloat,
  laneOffset,
  laneShift,
  packValues,
  signalCount,
  unpackValues,
  valueEncoding,
} from "./signal-encoding.ts";
import { COLUMNS, SIGNED } from "./testing/schemas.ts";

const fixed: InputEncoding = { kind: "fixed", scaleBits: 4, lo: -128, hi: 127 };
const ordered: InputEncoding = { kind: "ordered-float32" };

describe("signal-encoding: floats", () => {
  it("rounds halves away from zero, exactly", () => {
    const scale0: InputEncoding = { ...fixed, scaleBits: 0 };
    const halves = [0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.49999999999999994, -0.49999999999999994];
    expect(halves.map((x) => encodeFloat(scale0, x))).toEqual([1, -1, 2, -2, 3, -3, 0, 0]);
    expect(encodeFloat(fixed, 1.5)).toBe(24);
    expect(encodeFloat(fixed, -2)).toBe(-32);
    expect(encodeFloat(fixed, 0.03125)).toBe(1);
  });

  it("has one 0", () => {
    expect(Object.is(encodeFloat(fixed, -0), 0)).toBe(true);
    expect(Object.is(encodeFloat(fixed, -0.001), 0)).toBe(true);
    expect(encodeFloat(ordered, -0)).toBe(0x8000_0000);
    expect(encodeFloat(ordered, 0)).toBe(0x8000_0000);
  });

  it("refuses what is no finite number", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(() => encodeFloat(fixed, value)).toThrow(RangeError);
      expect(() => encodeFloat(ordered, value)).toThrow(RangeError);
    }
    expect(() => encodeFloat(ordered, 1e39)).toThrow("1e+39 is not a finite float32");
  });

  it("orders float32 as their keys, and gives them back", () => {
    const random = new SeededRandom(1);
    const floats = Array.from({ length: 5000 }, () => {
      const bits = Uint32Array.of(random.uint32());
      return new Float32Array(bits.buffer)[0]!;
    }).filter(Number.isFinite);
    const largest = 3.4028234663852886e38;
    floats.push(0, 1.401298464324817e-45, -1.401298464324817e-45, largest, -largest);
    const keys = floats.map((x) => encodeFloat(ordered, x));
    expect(floats.map((_, i) => decodeWhole(ordered, keys[i]!))).toEqual(floats.map((x) => x + 0));
    for (let i = 1; i < floats.length; i += 1) {
      expect(keys[i]! < keys[i - 1]!).toBe(floats[i]! < floats[i - 1]!);
    }
    expect(keys.at(-1)).toBe(0x0080_0000);
    expect(keys.at(-2)).toBe(0xff7f_ffff);
  });

  it("decodes nothing that no float is encoded as", () => {
    // -0, infinities and NaNs
    for (const key of [0x7fff_ffff, 0xff80_0000, 0x007f_ffff, 0, 0xffff_ffff, -1, 2 ** 32, 0.5]) {
      expect(() => decodeWhole(ordered, key)).toThrow(RangeError);
    }
    for (const whole of [-129, 128, 0.5, Number.NaN]) {
      expect(() => decodeWhole(fixed, whole)).toThrow(RangeError);
    }
    expect([-128, 0, 127].map((whole) => decodeWhole(fixed, whole))).toEqual([-8, 0, 7.9375]);
  });
});

describe("signal-encoding: values of an input", () => {
  it("are encoded in one way, or each in its own", () => {
    expect([0, 9].map((i) => valueEncoding(fixed, i))).toEqual([fixed, fixed]);
    expect(valueEncoding(ordered, 3)).toEqual(ordered);
    expect(valueEncoding(COLUMNS.encoding, 3)).toEqual({ ...fixed, lo: -100, hi: 90 });
    expect(valueEncoding(COLUMNS.encoding, 2)).toMatchObject({ scaleBits: -3, hi: 32_767 });
    const offsets = [0, 1, 2, 3, 4].map((i) => laneOffset(COLUMNS, i));
    expect(offsets).toEqual([0, 0, 32_768, 100, -7]);
    expect(Object.is(offsets[0], 0)).toBe(true);
    expect([0, 2].map((i) => laneOffset(SIGNED, i))).toEqual([100, 100]);
  });
});

describe("signal-encoding: signals", () => {
  it("puts the first value into the highest bits, in the last signal too", () => {
    expect(packValues([1, 2], 8)).toEqual([(1n << 240n) | (2n << 232n)]);
    expect(packValues([1, 2], 16)).toEqual([(1n << 224n) | (2n << 208n)]);
    expect(packValues([1, 2], 32)).toEqual([(1n << 192n) | (2n << 160n)]);
    const bytes = Array.from({ length: 32 }, (_, i) => i + 1);
    const first = BigInt(
      `0x${bytes
        .slice(0, 31)
        .map((b) => b.toString(16).padStart(2, "0"))
        .join("")}`,
    );
    expect(packValues(bytes, 8)).toEqual([first, 32n << 240n]);
    expect([laneShift(24, 0), laneShift(24, 9)]).toEqual([216, 0]);
    expect([signalCount(784, 8), signalCount(16, 16), signalCount(0, 8)]).toEqual([26, 2, 0]);
  });

  it("unpacks what it packed", () => {
    const random = new SeededRandom(2);
    for (const bits of [1, 8, 16, 24, 32, 100, 248]) {
      for (const count of [1, 7, 15, 31, 32, 70]) {
        const values = Array.from({ length: count }, () => {
          const bytes = random.bytes(31).reduce((all, byte) => (all << 8n) | BigInt(byte), 0n);
          return bytes & ((1n << BigInt(bits)) - 1n);
        });
        expect(unpackValues(packValues(values, bits), count, bits)).toEqual(values);
      }
    }
  });

  it("refuses bits outside of the lanes in use", () => {
    const one = packValues([1], 8)[0]!;
    expect(unpackValues([one], 1, 8)).toEqual([1n]);
    expect(() => unpackValues([one + 1n], 1, 8)).toThrow("signal 0 has bits outside of its values");
    expect(() => unpackValues([one | (1n << 248n)], 1, 8)).toThrow(RangeError);
    expect(() => unpackValues([one, 0n], 1, 8)).toThrow("1 values are not packed into 2 signals");
    expect(() => unpackValues([], 1, 8)).toThrow(RangeError);
  });
});
