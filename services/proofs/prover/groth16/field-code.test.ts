import { invert } from "@noble/curves/abstract/modular.js";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../../common/testing/seeded-random.ts";
import { FIELD_ORDER } from "../../field.ts";
import { BASE_ORDER } from "../../verifier/curve-points.ts";
import { addField, isFused } from "./field-code.ts";
import { LIMBS, limbsOf, RADIX_BITS } from "./field-limbs.ts";
import { fromLimbs, instantiate } from "./testing-memory.ts";
import { WasmModule } from "./wasm-writer.ts";

const OUT = 0;
const A = 80;
const B = 160;
const FIRST = 240;
const SECOND = 272;

const FIELDS = [
  ["of the coordinates", BASE_ORDER],
  ["of the scalars", FIELD_ORDER],
] as const;

describe.each(FIELDS)("field %s", (_, modulus) => {
  const field = useField(modulus);
  const radix = 1n << BigInt(RADIX_BITS);
  const perRadix = invert(radix, modulus);
  const cases = pairsOf(modulus);

  it("multiplies and squares", () => {
    for (const [a, b] of cases) {
      field.put(A, [a, b]);
      field.put(B, [b, a]);
      field.call("multiply", OUT, A, B);
      expect(field.remainders(OUT)).toEqual([mod(a * b * perRadix), mod(a * b * perRadix)]);
      field.call("square", OUT, A);
      expect(field.remainders(OUT)).toEqual([mod(a * a * perRadix), mod(b * b * perRadix)]);
    }
  });

  it("takes sums and differences without carries, also where limbs are at their greatest", () => {
    const greatest = [1, -1].flatMap((sign) => [
      Array.from({ length: LIMBS }, (_, i) => sign * 2 ** (i < LIMBS - 1 ? 51 : 49)),
      Array.from({ length: LIMBS }, (_, i) => sign * (-1) ** i * 2 ** (i < LIMBS - 1 ? 51 : 49)),
    ]);
    for (const left of greatest) {
      for (const right of greatest) {
        field.putLimbs(A, [left, right]);
        field.putLimbs(B, [right, left]);
        field.call("multiply", OUT, A, B);
        const product = mod(fromLimbs(left) * fromLimbs(right) * perRadix);
        expect(field.remainders(OUT)).toEqual([product, product]);
      }
    }
  });

  it("adds and subtracts", () => {
    for (const [a, b] of cases) {
      field.put(A, [a, b]);
      field.put(B, [b, a]);
      field.call("add", OUT, A, B);
      expect(field.remainders(OUT)).toEqual([mod(a + b), mod(a + b)]);
      field.call("subtract", OUT, A, B);
      expect(field.remainders(OUT)).toEqual([mod(a - b), mod(b - a)]);
    }
  });

  it("gives what it promises to take: tidy limbs, small values", () => {
    for (const [a, b] of cases) {
      field.put(A, [a, b]);
      field.put(B, [b, -a]);
      for (const [name, perMille] of [
        ["multiply", 880],
        ["add", 510],
        ["subtract", 510],
      ] as const) {
        field.call(name, OUT, A, B);
        for (const limbs of field.limbs(OUT)) {
          const lower = limbs.slice(0, -1).map(Math.abs);
          expect(Math.max(...lower)).toBeLessThanOrEqual(2 ** 50 + 4);
          const value = fromLimbs(limbs);
          const size = value < 0n ? -value : value;
          expect(size * 1000n).toBeLessThan(modulus * BigInt(perMille));
        }
      }
    }
  });

  it("inverts, 0 to 0", () => {
    for (const [a, b] of [...cases.slice(0, 12), [0n, 1n] as const]) {
      field.put(A, [a, b]);
      field.call("invert", OUT, A);
      const inverses = [a, b].map((value) =>
        mod(value) === 0n ? 0n : mod(invert(value, modulus) * radix * radix),
      );
      expect(field.remainders(OUT)).toEqual(inverses);
    }
  });

  it("reads and writes whole numbers and the form of key files", () => {
    for (const [a, b] of cases.map(([x, y]) => [mod(x), mod(y)] as const)) {
      for (const [form, factor] of [
        ["Integer", 1n],
        ["Montgomery", 1n << 256n],
      ] as const) {
        field.putBytes(FIRST, mod(a * factor));
        field.putBytes(SECOND, mod(b * factor));
        field.call(`from${form}`, OUT, FIRST, SECOND);
        expect(field.remainders(OUT)).toEqual([mod(a * radix), mod(b * radix)]);
        field.call(`to${form}`, OUT, SECOND, FIRST);
        expect(field.bytes(SECOND)).toBe(mod(a * factor));
        expect(field.bytes(FIRST)).toBe(mod(b * factor));
      }
    }
  });

  it("writes values that are negative or not reduced as numbers below the modulus", () => {
    for (const value of [-modulus, modulus, -1n, 2n * modulus - 1n, 1n - 2n * modulus, 0n]) {
      field.put(A, [value, -value]);
      field.call("toInteger", A, FIRST, SECOND);
      expect(field.bytes(FIRST)).toBe(mod(value * perRadix));
      expect(field.bytes(SECOND)).toBe(mod(-value * perRadix));
    }
  });

  it("knows 0 in each of its forms", () => {
    for (const zero of [0n, modulus, -modulus, 2n * modulus, -2n * modulus]) {
      field.put(A, [zero, 1n]);
      expect(field.call("zeros", A)).toBe(1);
      field.put(A, [zero - 1n, zero]);
      expect(field.call("zeros", A)).toBe(2);
      field.put(A, [zero, zero]);
      expect(field.call("zeros", A)).toBe(3);
      field.put(A, [zero + 1n, zero - 1n]);
      expect(field.call("zeros", A)).toBe(0);
    }
  });

  function mod(value: bigint): bigint {
    return ((value % modulus) + modulus) % modulus;
  }
});

describe("isFused", () => {
  it("is so on this machine", () => {
    expect(isFused()).toBe(true);
  });
});

/** Corner values with each other, then random ones. */
function pairsOf(modulus: bigint): readonly (readonly [bigint, bigint])[] {
  const radix = (1n << BigInt(RADIX_BITS)) % modulus;
  const ones = [51n, 102n, 153n, 204n, 253n].map((bits) => (1n << bits) - 1n);
  const edges = [50n, 101n, 152n, 203n].flatMap((bit) => [1n << bit, (1n << bit) - 1n]);
  const small = [0n, 1n, 2n, modulus - 1n, -1n, (modulus - 1n) / 2n, (modulus + 1n) / 2n];
  const corners = [...small, radix, modulus - radix, modulus, -modulus, ...ones, ...edges];
  const random = new SeededRandom(7);
  const number = () => BigInt(`0x${Buffer.from(random.bytes(40)).toString("hex")}`) % modulus;
  return [
    ...Array.from({ length: 200 }, () => [number(), -number()] as const),
    ...corners.flatMap((a) => corners.map((b) => [a, b] as const)),
  ];
}

function useField(modulus: bigint) {
  const module = new WasmModule();
  addField(module, { name: "field", modulus });
  const { bytes, limbs, putLimbs, call } = instantiate(module);
  return {
    limbs,
    putLimbs,
    put: (at: number, pair: readonly bigint[]) => putLimbs(at, pair.map(limbsOf)),
    remainders: (at: number) =>
      limbs(at).map((values) => ((fromLimbs(values) % modulus) + modulus) % modulus),
    putBytes: (at: number, value: bigint) => {
      const hex = value.toString(16).padStart(64, "0");
      bytes.set(Buffer.from(hex, "hex").reverse(), at);
    },
    bytes: (at: number) => {
      const little = Buffer.from(bytes.slice(at, at + 32));
      return BigInt(`0x${little.reverse().toString("hex")}`);
    },
    call: (name: string, ...parameters: readonly number[]) => call(`field_${name}`, ...parameters),
  };
}
