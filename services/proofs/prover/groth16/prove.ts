// A Groth16 proof from a key and a witness (J. Groth, "On the size of pairing-based non-interactive
// arguments", 2016, section 3.2). The threads make the five sums; here they are put together:
//
//   A = alpha + sum w_i A_i + r delta        B = beta + sum w_i B_i + s delta
//   C = sum of private w_i C_i + sum h_i H_i + s A + r B' - r s delta
//
// with B' as B, in the first group. The last two terms are r (beta + sum w_i B_i): B' without delta.
// Nothing here checks that the witness satisfies the circuit: of a wrong one a proof is made that
// does not verify.

import type { WeierstrassPoint } from "@noble/curves/abstract/weierstrass.js";
import { bn254 } from "@noble/curves/bn254.js";
import type { Fp2Element, G1Point, G2Point } from "../../verifier/curve-points.ts";
import { coordinatesOf } from "../montgomery-points.ts";
import { randomScalar, scalarOf } from "./blinding.ts";
import { multiExpModule } from "./multi-exp.ts";
import type { KeyDescription, PartialSums, PointBytes } from "./prove-messages.ts";
import type { ProveThreads } from "./prove-threads.ts";
import { TwoMultiples } from "./two-multiples.ts";

/** The three points of a proof. None of them was checked for anything. */
export interface MadeProof {
  readonly a: G1Point;
  readonly b: G2Point;
  readonly c: G1Point;
}

const G1 = bn254.G1.Point;
const G2 = bn254.G2.Point;

let ladder: Promise<TwoMultiples> | undefined;

/**
 * Makes a proof, another one each time.
 *
 * @param witness the values of all wires: 32 bytes each, the lowest first.
 * @throws as ProveThreads.sums.
 */
export async function prove(
  threads: ProveThreads,
  key: KeyDescription,
  witness: SharedArrayBuffer,
): Promise<MadeProof> {
  const [r, s] = [randomScalar(), randomScalar()];
  const parts = await threads.sums(key, { witness, r, s });
  const a = sumG1(parts, "a");
  const multiples = await twoMultiples();
  const [ofA, ofB] = multiples.of([a, scalarOf(s)], [sumG1(parts, "b1"), scalarOf(r)]);
  return {
    a,
    b: parts.map(({ b2 }) => pointG2(b2)).reduce((sum, point) => sum.add(point)),
    c: sumG1(parts, "c").add(sumG1(parts, "h")).add(ofA).add(ofB),
  };
}

function sumG1(parts: readonly PartialSums[], name: "a" | "b1" | "c" | "h"): G1Point {
  return parts.map((part) => pointG1(part[name])).reduce((sum, point) => sum.add(point));
}

function twoMultiples(): Promise<TwoMultiples> {
  ladder ??= multiExpModule().then((code) => new TwoMultiples(code));
  return ladder;
}

function pointG1(bytes: PointBytes): WeierstrassPoint<bigint> {
  const [x, y] = coordinatesOf(bytes);
  return x === 0n && y === 0n ? G1.ZERO : G1.fromAffine({ x: x!, y: y! });
}

function pointG2(bytes: PointBytes): WeierstrassPoint<Fp2Element> {
  const [x0, x1, y0, y1] = coordinatesOf(bytes);
  if (x0 === 0n && x1 === 0n && y0 === 0n && y1 === 0n) return G2.ZERO;
  return G2.fromAffine({ x: { c0: x0!, c1: x1! }, y: { c0: y0!, c1: y1! } });
}
