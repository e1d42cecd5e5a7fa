import { normalizeZ } from "@noble/curves/abstract/curve.js";
import { bn254 } from "@noble/curves/bn254.js";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../../common/testing/seeded-random.ts";
import { FIELD_ORDER } from "../../field.ts";
import { BASE_ORDER } from "../../verifier/curve-points.ts";
import { MultiExp, multiExpModule } from "./multi-exp.ts";

const multiExp = new MultiExp(await multiExpModule());
const random = new SeededRandom(11);

/** Points are told by what they are of the generator: adding up the factors tells the sum. */
const GROUPS = {
  g1: {
    bytesOf: (factor: bigint) => {
      const k = mod(factor);
      if (k === 0n) return new Uint8Array(64);
      const { x, y } = bn254.G1.Point.BASE.multiply(k).toAffine();
      return fileBytes([x, y]);
    },
  },
  g2: {
    bytesOf: (factor: bigint) => {
      const k = mod(factor);
      if (k === 0n) return new Uint8Array(128);
      const { x, y } = bn254.G2.Point.BASE.multiply(k).toAffine();
      return fileBytes([x.c0, x.c1, y.c0, y.c1]);
    },
  },
} as const;

type Group = keyof typeof GROUPS;

describe.each(["g1", "g2"] as const)("multi-exponentiation in %s", (group) => {
  const lengths = group === "g1" ? [0, 1, 2, 3, 7, 64, 300] : [0, 1, 2, 3, 7, 64];

  it.each(lengths)("is the sum of %i points times any scalars", (count) => {
    const factors = Array.from({ length: count }, () => anyScalar());
    const scalars = factors.map((_, i) => cornerScalar(i));
    expectSum(group, factors, scalars);
    expectSum(group, factors, factors.map(anyScalar));
  });

  it("takes points at infinity, the same ones, and opposites", () => {
    const factors = [0n, 5n, 5n, -5n, 0n, 5n, -5n, -5n, 9n, 0n, -9n, 5n, 5n, 5n, 1n, -1n];
    for (const scalar of [1n, 3n, -1n, 2n ** 128n + 1n, FIELD_ORDER / 2n]) {
      expectSum(
        group,
        factors,
        factors.map(() => scalar),
      );
      expectSum(
        group,
        factors,
        factors.map((_, i) => (i % 2 === 0 ? scalar : -scalar)),
      );
    }
    expectSum(group, [0n, 0n, 0n], [1n, 2n, -1n]);
    expectSum(group, [7n, -7n], [anyScalar(), 0n]);
  });

  it("adds up what cancels out to the zero point, and goes on from there", () => {
    const scalar = anyScalar();
    expectSum(group, [3n, -3n], [scalar, scalar]);
    expectSum(group, [3n, 3n], [scalar, -scalar]);
    expectSum(group, [3n, -3n, 4n, -4n, 8n, 11n], Array(6).fill(scalar));
    expectSum(group, [3n, -3n, 4n, -4n, 8n, 11n, 2n], Array(7).fill(1n));
    // Sums of pairs that are the same, then opposites of each other.
    expectSum(group, [1n, 6n, 2n, 5n, 3n, 4n, -1n, -6n], Array(8).fill(1n));
  });

  it("doubles where buckets hold the same point", () => {
    // Two multiples of the same point by 1 and 2 meet when buckets are added up.
    expectSum(group, [2n, 1n, 2n, 1n, 4n, 2n], [1n, 2n, 3n, 6n, 1n, 2n]);
    expectSum(group, Array(33).fill(5n), Array(33).fill(5n));
    expectSum(
      group,
      Array(40).fill(1n),
      Array.from({ length: 40 }, (_, i) => BigInt(i)),
    );
  });

  it("doubles and cancels out where sums of bits are put together", () => {
    expectSum(group, [2n, 1n], [1n, 2n]);
    expectSum(group, [-2n, 1n], [1n, 2n]);
    expectSum(group, [-2n, 1n, 5n], [2n, 4n, 1n]);
  });

  it("is of ranges what it is of the whole", () => {
    const count = 40;
    const factors = Array.from({ length: count }, anyScalar);
    const scalars = factors.map((_, i) => (i % 3 === 0 ? anyScalar() : BigInt(i)));
    const handle = load(group, factors);
    for (let round = 0; round < 5; round++) {
      const split = random.below(count + 1);
      for (const [from, to] of [
        [0, split],
        [split, count],
      ] as const) {
        const part = multiExp.multiExp(handle, scalarBytes(scalars.slice(from, to)), from);
        expect(hex(part)).toBe(
          hex(GROUPS[group].bytesOf(dot(factors.slice(from, to), scalars.slice(from, to)))),
        );
      }
    }
  });

  it("refuses more scalars than bases, and parts of points", () => {
    const handle = load(group, [1n, 2n]);
    expect(() => multiExp.multiExp(handle, scalarBytes([1n, 1n]), 1)).toThrow(RangeError);
    expect(() => multiExp.multiExp(handle, new Uint8Array(33))).toThrow(RangeError);
    expect(() => multiExp.loadBases(group, new Uint8Array(100))).toThrow(RangeError);
  });
});

describe("multi-exponentiation of many points", () => {
  const count = 4096;
  // Multiples of two points, made by adding: a multiplication each would take seconds.
  const factors = Array.from({ length: count }, (_, i) => mod(BigInt(i) * 12_345_678_901n + 7n));
  const handle = multiExp.loadBases("g1", progression(7n, 12_345_678_901n, count));

  it.each([
    ["all kinds", () => anyScalar()],
    ["8 bits, most of them 0", () => BigInt(Math.max(0, random.below(1280) - 1024))],
    ["bits", () => BigInt(random.below(2))],
    ["one value", () => 3n],
    ["one bucket of each window", () => BigInt(`0x${"37".repeat(31)}`)],
    ["small ones of either sign", () => BigInt(random.below(2001) - 1000)],
    ["one large among small", () => (random.below(count) === 0 ? anyScalar() : 1n)],
  ])("is right for scalars of %s", (_, scalar) => {
    const scalars = factors.map(scalar);
    const sum = multiExp.multiExp(handle, scalarBytes(scalars));
    expect(hex(sum)).toBe(hex(GROUPS.g1.bytesOf(dot(factors, scalars))));
  });

  it("is right where all points are the same", () => {
    const same = load("g1", [17n]);
    expect(same).toBeGreaterThan(handle);
    const bytes = Buffer.concat(Array(count).fill(GROUPS.g1.bytesOf(17n)));
    const scalars = factors.map(anyScalar);
    const sum = multiExp.multiExp(multiExp.loadBases("g1", bytes), scalarBytes(scalars));
    expect(hex(sum)).toBe(
      hex(GROUPS.g1.bytesOf(17n * scalars.reduce((all, scalar) => all + scalar, 0n))),
    );
  });
});

function expectSum(group: Group, factors: readonly bigint[], scalars: readonly bigint[]): void {
  const sum = multiExp.multiExp(load(group, factors), scalarBytes(scalars));
  expect(hex(sum)).toBe(hex(GROUPS[group].bytesOf(dot(factors, scalars))));
}

function load(group: Group, factors: readonly bigint[]): number {
  return multiExp.loadBases(group, Buffer.concat(factors.map(GROUPS[group].bytesOf)));
}

/** start, start + step and so on times the generator, in affine coordinates with bigints. */
function progression(start: bigint, step: bigint, count: number): Uint8Array {
  const { Point } = bn254.G1;
  const by = Point.BASE.multiply(step);
  const points = [Point.BASE.multiply(start)];
  while (points.length < count) points.push(points.at(-1)!.add(by));
  return Buffer.concat(normalizeZ(Point, points).map(({ x, y }) => fileBytes([x, y])));
}

function dot(factors: readonly bigint[], scalars: readonly bigint[]): bigint {
  return factors.reduce((sum, factor, i) => sum + factor * scalars[i]!, 0n);
}

function anyScalar(): bigint {
  return mod(BigInt(`0x${Buffer.from(random.bytes(40)).toString("hex")}`));
}

function cornerScalar(i: number): bigint {
  const half = FIELD_ORDER / 2n;
  const corners = [0n, 1n, -1n, half, half + 1n, 2n ** 253n, -2n, 2n ** 32n, 2n ** 64n - 1n];
  return i % 2 === 0 ? corners[(i / 2) % corners.length]! : anyScalar();
}

function mod(value: bigint): bigint {
  return ((value % FIELD_ORDER) + FIELD_ORDER) % FIELD_ORDER;
}

function scalarBytes(scalars: readonly bigint[]): Uint8Array {
  return Buffer.concat(scalars.map((scalar) => littleEndian(mod(scalar))));
}

function fileBytes(numbers: readonly bigint[]): Uint8Array {
  return Buffer.concat(numbers.map((number) => littleEndian((number << 256n) % BASE_ORDER)));
}

function littleEndian(value: bigint): Uint8Array {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
