// The transform against sums in bigints, and the vectors around it.

import { beforeAll, describe, expect, it } from "vitest";
import { FIELD_BYTES, FIELD_ORDER, toField } from "../../field.ts";
import { inverse, power, rootOfUnity, scalarBytes } from "../scalar-field.ts";
import { ELEMENT_BYTES, PAIR_BYTES } from "./field-limbs.ts";
import { type TransformFunctions, transformInstance, transformModule } from "./transform-code.ts";

const SIZES = [2, 4, 8, 64, 256];
const SIZE_MAX = 512;
const VECTOR_BYTES = ELEMENT_BYTES * SIZE_MAX;
const [A, B, C, TABLE, INTEGERS] = [0, 1, 2, 3, 4].map((i) => i * VECTOR_BYTES) as [
  number,
  number,
  number,
  number,
  number,
];

let functions: TransformFunctions;
let memory: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  const made = transformInstance(await transformModule(), 5 * VECTOR_BYTES);
  functions = made.functions;
  memory = new Uint8Array(made.memory.buffer);
});

function put(at: number, values: readonly bigint[]): void {
  memory.set(scalarBytes(values), INTEGERS);
  functions.fromIntegers(at, INTEGERS, values.length);
}

function take(at: number, count: number): bigint[] {
  functions.toIntegers(at, INTEGERS, count);
  return Array.from({ length: count }, (_, i) => {
    const bytes = memory.slice(INTEGERS + FIELD_BYTES * i, INTEGERS + FIELD_BYTES * (i + 1));
    return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
  });
}

/** Values from a seed, among them those at the ends. */
function valuesOf(count: number, seed: bigint): bigint[] {
  const ends = [0n, FIELD_ORDER - 1n, 1n, FIELD_ORDER / 2n, FIELD_ORDER / 2n + 1n];
  return Array.from({ length: count }, (_, i) =>
    i % 3 === 0 ? ends[(i / 3) % ends.length]! : power(seed + BigInt(i), 97n),
  );
}

function putTable(size: number, root: bigint): void {
  for (let half = size / 2; half >= 2; half /= 2) {
    const step = power(root, BigInt(size / (2 * half)));
    const powers = Array.from({ length: half }, (_, i) => power(step, BigInt(i)));
    put(TABLE + ELEMENT_BYTES * half, powers);
  }
}

function transformOf(values: readonly bigint[], root: bigint): bigint[] {
  return values.map((_, j) =>
    toField(
      values.reduce(
        (sum, value, i) => sum + value * power(root, BigInt((i * j) % values.length)),
        0n,
      ),
    ),
  );
}

function bitReversed<T>(values: readonly T[]): T[] {
  const bits = Math.log2(values.length);
  return values.map((_, i) => {
    const reversed = i.toString(2).padStart(bits, "0").split("").reverse().join("");
    return values[Number.parseInt(reversed, 2)]!;
  });
}

describe("the transform", () => {
  it.each(SIZES)("splits and merges %i elements as a sum over all of them does", (size) => {
    const root = inverse(rootOfUnity(Math.log2(size)));
    putTable(size, root);
    const values = valuesOf(size, 3n);
    const expected = transformOf(values, root);
    put(A, values);
    functions.split(A, size, TABLE);
    expect(take(A, size)).toEqual(bitReversed(expected));
    put(A, bitReversed(values));
    functions.merge(A, size, TABLE);
    expect(take(A, size)).toEqual(expected);
  });

  it("does smaller sizes with the table of a larger one", () => {
    putTable(64, rootOfUnity(6));
    const values = valuesOf(8, 5n);
    put(A, values);
    functions.split(A, 8, TABLE);
    expect(take(A, 8)).toEqual(bitReversed(transformOf(values, rootOfUnity(3))));
  });

  it("gives what it was given after both ways, times the size, many times over", () => {
    const size = 128;
    const root = rootOfUnity(7);
    const values = valuesOf(size, 11n);
    put(A, values);
    put(B, [inverse(BigInt(size)), inverse(BigInt(size))]);
    for (let i = 0; i < 20; i += 1) {
      putTable(size, root);
      functions.split(A, size, TABLE);
      putTable(size, inverse(root));
      functions.merge(A, size, TABLE);
      functions.scale(A, A, B, size);
    }
    expect(take(A, size)).toEqual(values);
  });
});

describe("vectors", () => {
  it("are added, subtracted and multiplied place by place, also in place", () => {
    const [a, b] = [valuesOf(64, 7n), valuesOf(64, 8n).toReversed()];
    const each = (of: (x: bigint, y: bigint) => bigint): bigint[] =>
      a.map((x, i) => toField(of(x, b[i]!)));
    for (const [name, expected] of [
      ["add", each((x, y) => x + y)],
      ["subtract", each((x, y) => x - y)],
      ["multiply", each((x, y) => x * y)],
    ] as const) {
      put(A, a);
      put(B, b);
      functions[name](C, A, B, 64);
      expect(take(C, 64), name).toEqual(expected);
      functions[name](A, A, B, 64);
      expect(take(A, 64), name).toEqual(expected);
    }
  });

  it("are sums of products with elements anywhere, two to one place too", () => {
    put(A, [1n, 2n, 3n, 4n]);
    put(B, [10n, 20n, 30n, FIELD_ORDER - 1n]);
    put(C, [5n, 6n, 7n, 8n]);
    const element = (vector: number, i: number): number =>
      vector + PAIR_BYTES * (i >> 1) + 8 * (i & 1);
    const places = new Uint32Array(memory.buffer, INTEGERS, 8);
    places.set([element(A, 0), element(B, 3), element(A, 0), element(B, 1)]);
    places.set([element(A, 3), element(B, 0), element(A, 2), element(B, 2)], 4);
    functions.accumulate(INTEGERS, C, 4);
    expect(take(A, 4)).toEqual([1n - 5n + 120n, 2n, 3n + 240n, 4n + 70n]);
  });
});
