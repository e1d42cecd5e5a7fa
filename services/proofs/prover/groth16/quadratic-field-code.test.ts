import { invert } from "@noble/curves/abstract/modular.js";
import { bn254 } from "@noble/curves/bn254.js";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../../common/testing/seeded-random.ts";
import { BASE_ORDER } from "../../verifier/curve-points.ts";
import { addField } from "./field-code.ts";
import { limbsOf, RADIX_BITS } from "./field-limbs.ts";
import { addQuadraticField } from "./quadratic-field-code.ts";
import { fromLimbs, instantiate } from "./testing-memory.ts";
import { WasmModule } from "./wasm-writer.ts";

const { Fp2 } = bn254.fields;
const [OUT, A, B, SCRATCH] = [0, 80, 160, 240];
const PER_RADIX = invert(1n << BigInt(RADIX_BITS), BASE_ORDER);

type Element = readonly [bigint, bigint];

describe("quadratic extension", () => {
  const field = useQuadraticField();
  const random = new SeededRandom(3);
  const number = () => BigInt(`0x${Buffer.from(random.bytes(40)).toString("hex")}`) % BASE_ORDER;
  const corners = [0n, 1n, -1n, BASE_ORDER - 1n, BASE_ORDER / 2n, 1n - BASE_ORDER];
  const elements: readonly Element[] = [
    ...corners.flatMap((a) => corners.map((b): Element => [a, b])),
    ...Array.from({ length: 100 }, (): Element => [number(), -number()]),
  ];
  const pairs = elements.map((a, i): readonly [Element, Element] => [
    a,
    elements[(7 * i + 3) % elements.length]!,
  ]);

  it("multiplies and squares as @noble/curves does", () => {
    for (const [a, b] of pairs) {
      field.put(A, a);
      field.put(B, b);
      field.call("multiply", OUT, A, B);
      expect(field.held(OUT)).toEqual(Fp2.mul(held(a), held(b)));
      field.call("square", OUT, A);
      expect(field.held(OUT)).toEqual(Fp2.sqr(held(a)));
    }
  });

  it("inverts", () => {
    for (const [a] of pairs.filter(([[a0, a1]]) => a0 !== 0n || a1 !== 0n).slice(0, 30)) {
      field.put(A, a);
      field.call("invert", OUT, A);
      expect(field.held(OUT)).toEqual(Fp2.inv(held(a)));
    }
  });

  it("gives 1", () => {
    field.call("setOne", OUT);
    expect(field.held(OUT)).toEqual(Fp2.ONE);
  });

  it("gives products of at most 0.51 p, whatever it is given", () => {
    // As the differences of two coordinates, in limbs that are twice as great as tidy ones.
    const large = [1n, -1n].map((sign) => limbsOf((sign * 69n * BASE_ORDER) / 100n));
    const doubled = large.map((limbs) => limbs.map((limb) => 2 * limb));
    for (const a0 of doubled) {
      for (const a1 of doubled) {
        for (const b0 of large) {
          for (const b1 of large) {
            field.putLimbs(A, [a0, a1]);
            field.putLimbs(B, [b0, b1]);
            field.call("multiply", OUT, A, B);
            const product = Fp2.mul(
              held([fromLimbs(a0), fromLimbs(a1)]),
              held([fromLimbs(b0), fromLimbs(b1)]),
            );
            expect(field.held(OUT)).toEqual(product);
            for (const limbs of field.limbs(OUT)) {
              const value = fromLimbs(limbs);
              expect((value < 0n ? -value : value) * 100n).toBeLessThan(51n * BASE_ORDER);
              expect(Math.max(...limbs.map(Math.abs))).toBeLessThanOrEqual(2 ** 50 + 4);
            }
          }
        }
      }
    }
  });
});

/** The element that limbs of this value stand for. */
function held([c0, c1]: Element): { c0: bigint; c1: bigint } {
  const remainder = (value: bigint) =>
    (((value * PER_RADIX) % BASE_ORDER) + BASE_ORDER) % BASE_ORDER;
  return { c0: remainder(c0), c1: remainder(c1) };
}

function useQuadraticField() {
  const module = new WasmModule();
  const base = addField(module, { name: "fp", modulus: BASE_ORDER });
  addQuadraticField(module, { name: "fp2", base, scratch: SCRATCH });
  const { limbs, putLimbs, call } = instantiate(module);
  return {
    limbs,
    putLimbs,
    put: (at: number, element: Element) => putLimbs(at, element.map(limbsOf)),
    held: (at: number) => held(limbs(at).map(fromLimbs) as unknown as Element),
    call: (name: string, ...parameters: readonly number[]) => call(`fp2_${name}`, ...parameters),
  };
}
