import { bn254 } from "@noble/curves/bn254.js";
import { bytesToNumberBE, numberToBytesBE } from "@noble/curves/utils.js";
import { describe, expect, it } from "vitest";
import { BASE_ORDER } from "./curve-points.ts";
import { PROOF_BYTES, proofBytes, proofJson, readProof } from "./proof-format.ts";
import type { RefusalReason } from "./refusal.ts";
import { Refusal } from "./refusal.ts";
import { vector } from "./testing/vectors.ts";

const { proof } = vector(3);
const bytes = proofBytes(readProof(proof));

function reasonOf(read: () => unknown): RefusalReason | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

/** The bytes with words replaced: 0, 1 are A; 2 to 5 are B (x1, x0, y1, y0); 6, 7 are C. */
function withWords(changes: Readonly<Record<number, bigint>>): Uint8Array {
  const changed = bytes.slice();
  for (const [index, value] of Object.entries(changes)) {
    changed.set(numberToBytesBE(value, 32), 32 * Number(index));
  }
  return changed;
}

function word(index: number): bigint {
  return bytesToNumberBE(bytes.subarray(32 * index, 32 * index + 32));
}

describe("proof-format", () => {
  it("reads and writes both forms", () => {
    expect(bytes.length).toBe(PROOF_BYTES);
    expect(PROOF_BYTES).toBe(256);
    expect(proofJson(readProof(bytes))).toEqual(proof);
    // The imaginary part first, as EIP-197 has it; snarkjs has it last.
    expect(word(2)).toBe(BigInt(proof.pi_b[0]![1]!));
    expect(word(3)).toBe(BigInt(proof.pi_b[0]![0]!));
  });

  it("reads rapidsnark's form, which names no curve", () => {
    const { curve: _, ...rest } = proof;
    expect(proofBytes(readProof(rest))).toEqual(bytes);
  });

  it("refuses what is no proof", () => {
    const cases: unknown[] = [
      undefined,
      null,
      "proof",
      [],
      {},
      { ...proof, protocol: "plonk" },
      { ...proof, curve: "bls12381" },
      { ...proof, pi_a: undefined },
      { ...proof, pi_a: proof.pi_a.slice(0, 2) },
      { ...proof, pi_b: [...proof.pi_b, ["0", "0"]] },
      { ...proof, pi_b: [["1"], ["1"], ["1", "0"]] },
      bytes.subarray(0, 255),
      Uint8Array.of(...bytes, 0),
      new Uint8Array(),
    ];
    for (const source of cases) expect(reasonOf(() => readProof(source))).toBe("malformed");
  });

  it("takes numbers in decimal digits only", () => {
    const { pi_a } = proof;
    for (const x of [
      "",
      " 1",
      "01",
      "-1",
      "+1",
      "1.0",
      "1e3",
      "0x1",
      "1n",
      1,
      null,
      "9".repeat(79),
    ]) {
      const changed = { ...proof, pi_a: [x, pi_a[1], "1"] };
      expect(
        reasonOf(() => readProof(changed)),
        String(x),
      ).toBe("malformed");
    }
    const longest = { ...proof, pi_a: ["9".repeat(78), pi_a[1], "1"] };
    expect(reasonOf(() => readProof(longest))).toBe("coordinate-out-of-range");
  });

  it("refuses coordinates that are not in the field, also the aliases of those that are", () => {
    for (let i = 0; i < 8; i += 1) {
      const alias = withWords({ [i]: word(i) + BASE_ORDER });
      expect(
        reasonOf(() => readProof(alias)),
        `word ${i}`,
      ).toBe("coordinate-out-of-range");
    }
    expect(reasonOf(() => readProof(withWords({ 0: BASE_ORDER })))).toBe("coordinate-out-of-range");
  });

  it("refuses the zero point in each place", () => {
    const zeros = [
      { 0: 0n, 1: 0n },
      { 2: 0n, 3: 0n, 4: 0n, 5: 0n },
      { 6: 0n, 7: 0n },
    ];
    for (const words of zeros) {
      expect(reasonOf(() => readProof(withWords(words)))).toBe("zero-point");
    }
    // As snarkjs writes it, and any point whose third coordinate is not 1.
    const inJson = { ...proof, pi_a: ["0", "1", "0"] };
    expect(reasonOf(() => readProof(inJson))).toBe("zero-point");
    const scaled = { ...proof, pi_b: [proof.pi_b[0], proof.pi_b[1], ["2", "0"]] };
    expect(reasonOf(() => readProof(scaled))).toBe("zero-point");
  });

  it("refuses points that are not on the curve", () => {
    for (let i = 0; i < 8; i += 1) {
      const next = (word(i) + 1n) % BASE_ORDER;
      expect(
        reasonOf(() => readProof(withWords({ [i]: next }))),
        `word ${i}`,
      ).toBe("point-not-on-curve");
    }
    // With y = 0 the library that does the arithmetic makes no point at all.
    expect(reasonOf(() => readProof(withWords({ 1: 0n })))).toBe("point-not-on-curve");
    expect(reasonOf(() => readProof(withWords({ 4: 0n, 5: 0n })))).toBe("point-not-on-curve");
  });

  it("refuses points of the second curve that are of another order", () => {
    const { x, y } = pointOfAnotherOrder();
    const changed = withWords({ 2: x.c1, 3: x.c0, 4: y.c1, 5: y.c0 });
    expect(reasonOf(() => readProof(changed))).toBe("point-not-in-subgroup");
  });
});

/** On the twist, not of order r: its cofactor is large, so almost every point is. */
function pointOfAnotherOrder(): {
  readonly x: { readonly c0: bigint; readonly c1: bigint };
  readonly y: { readonly c0: bigint; readonly c1: bigint };
} {
  const { Fp2 } = bn254.fields;
  const { b } = bn254.G2.Point.CURVE();
  for (let c0 = 1n; ; c0 += 1n) {
    const x = Fp2.fromBigTuple([c0, 1n]);
    const square = Fp2.add(Fp2.mul(Fp2.sqr(x), x), b);
    try {
      const y = Fp2.sqrt(square);
      if (Fp2.eql(Fp2.sqr(y), square)) return { x, y };
    } catch {
      // Not a square: no point has this x.
    }
  }
}
