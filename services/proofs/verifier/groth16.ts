// Groth16 on BN254: is e(A, B) = e(alpha, beta) e(L, gamma) e(C, delta), where L is the sum of the
// key's points weighed with the public values?
//
// What depends on the key alone is done once: the Miller loop of alpha and beta, the lines of gamma
// and delta, and multiples of the public points. The equation is one product that must be 1, so
// that all pairings share their squarings and one final exponentiation.

import { interleavedMSMUnsafe } from "@noble/curves/abstract/curve.js";
import { bn254 } from "@noble/curves/bn254.js";
import { FIELD_ORDER } from "../field.ts";
import type { G1Point } from "./curve-points.ts";
import type { Proof } from "./proof-format.ts";
import { bigintOf, listOf } from "./read-json.ts";
import { Refusal } from "./refusal.ts";
import type { VerifyingKey } from "./verifying-key.ts";
import { assertSoundKey, publicValueCount, verifyingKeyHash } from "./verifying-key.ts";

/** Bits of a digit in the sum of the public points: 16 multiples a point, 3 ms for 36 points. */
const DIGIT_BITS = 6;
/** With very many points their multiples would take longer than they save. */
const DIGIT_BITS_OF_MANY = 4;
const MANY_POINTS = 256;

type Lines = ReturnType<typeof bn254.utils.calcPairingPrecomputes>;

/** A key ready to verify with; make one a key and keep it. */
export interface PreparedKey {
  readonly key: VerifyingKey;
  /** verifyingKeyHash of the key. */
  readonly hash: string;
  /** Miller loop of -alpha and beta. */
  readonly alphaBeta: ReturnType<typeof bn254.millerLoopBatch>;
  /** Lines of -gamma and -delta. */
  readonly gammaLines: Lines;
  readonly deltaLines: Lines;
  /** The first public point plus the others, each times its value. */
  readonly weigh: (values: readonly bigint[]) => G1Point;
}

/**
 * Prepares a key.
 *
 * @throws Refusal with reason unsound-key where proofs can be forged with it.
 */
export function prepareKey(key: VerifyingKey): PreparedKey {
  assertSoundKey(key);
  return prepareUncheckedKey(key);
}

/** As prepareKey, of any key: to show that a forged proof verifies. Not for anything else. */
export function prepareUncheckedKey(key: VerifyingKey): PreparedKey {
  const { calcPairingPrecomputes: linesOf } = bn254.utils;
  const alpha = key.alpha.negate().toAffine();
  const [first, ...others] = key.publicPoints;
  const digitBits = others.length > MANY_POINTS ? DIGIT_BITS_OF_MANY : DIGIT_BITS;
  const sum = interleavedMSMUnsafe(bn254.G1.Point, others, digitBits);
  return {
    key,
    hash: verifyingKeyHash(key),
    alphaBeta: bn254.millerLoopBatch([[linesOf(key.beta), alpha.x, alpha.y]]),
    gammaLines: linesOf(key.gamma.negate()),
    deltaLines: linesOf(key.delta.negate()),
    weigh: (values) => first!.add(sum([...values])),
  };
}

/**
 * Reads public values: a list of bigints or decimal digits, as snarkjs writes them.
 *
 * @throws Refusal where one is no number, or not below the order of the field: x and x + r are the
 *   same element, and a contract or a log that took both would see two answers in one proof.
 */
export function readPublicValues(source: unknown, count: number): readonly bigint[] {
  const list = listOf("the public values", source);
  if (list.length !== count) {
    throw new Refusal(
      "wrong-number-of-public-values",
      `the verifying key is for ${count} public values; ${list.length} were given`,
    );
  }
  return list.map((item, i) => {
    const value = bigintOf(`public value ${i}`, item);
    if (value >= FIELD_ORDER) {
      throw new Refusal(
        "public-value-out-of-range",
        `public value ${i} is not in the field: it must be below ${FIELD_ORDER}`,
      );
    }
    return value;
  });
}

/**
 * Whether the proof proves the public values.
 *
 * @throws Refusal where their number is wrong or one is not in the field.
 */
export function verifyProof(
  prepared: PreparedKey,
  proof: Proof,
  publicValues: readonly bigint[],
): boolean {
  const values = readPublicValues(publicValues, publicValueCount(prepared.key));
  const { Fp12 } = bn254.fields;
  const linesOfB = bn254.utils.calcPairingPrecomputes(proof.b);
  const terms = [
    [linesOfB, proof.a],
    [prepared.gammaLines, prepared.weigh(values)],
    [prepared.deltaLines, proof.c],
  ] as const;
  const pairs = terms
    // A pairing with the zero point is 1; what the loop makes of it is nowhere promised.
    .filter(([, point]) => !point.is0())
    .map(([lines, point]): [Lines, bigint, bigint] => {
      const { x, y } = point.toAffine();
      return [lines, x, y];
    });
  const product = Fp12.mul(prepared.alphaBeta, bn254.millerLoopBatch(pairs));
  return Fp12.eql(Fp12.finalExponentiate(product), Fp12.ONE);
}
