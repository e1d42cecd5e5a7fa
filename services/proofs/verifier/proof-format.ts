// A Groth16 proof in its two forms: the JSON that snarkjs and rapidsnark write, and 256 bytes as a
// contract hands them to the precompiles.
//
// A proof is no identity of anything: from one that verifies anybody makes others for the same
// public values, (-A, -B, C) for a start. So proof bytes, and hashes of them, are never names,
// nonces or keys of idempotency; a context among the public values is what cannot be changed.

import type { G1Point, G2Point } from "./curve-points.ts";
import {
  G1_BYTES,
  G2_BYTES,
  g1FromBytes,
  g1Point,
  g1Words,
  g2FromBytes,
  g2Point,
  g2Words,
  wordBytes,
} from "./curve-points.ts";
import { bigintOf, type JsonObject, listOf, objectOf } from "./read-json.ts";
import { Refusal } from "./refusal.ts";

/** Bytes of a proof: A of the first group, B of the second, C of the first. */
export const PROOF_BYTES: number = 2 * G1_BYTES + G2_BYTES;

/** A proof whose points are what they must be; that it proves anything is not said. */
export interface Proof {
  readonly a: G1Point;
  readonly b: G2Point;
  readonly c: G1Point;
}

/** As snarkjs writes it. */
export interface ProofJson {
  readonly pi_a: readonly string[];
  readonly pi_b: readonly (readonly string[])[];
  readonly pi_c: readonly string[];
  readonly protocol: "groth16";
  readonly curve: "bn128";
}

/**
 * Reads a proof: 256 bytes, or an object of the JSON form.
 *
 * @throws Refusal
 */
export function readProof(source: unknown): Proof {
  if (!(source instanceof Uint8Array)) return proofFromJson(objectOf("the proof", source));
  if (source.length !== PROOF_BYTES) {
    throw new Refusal("malformed", `a proof has ${PROOF_BYTES} bytes, not ${source.length}`);
  }
  return {
    a: g1FromBytes("the proof's A", source.subarray(0, G1_BYTES)),
    b: g2FromBytes("the proof's B", source.subarray(G1_BYTES, G1_BYTES + G2_BYTES)),
    c: g1FromBytes("the proof's C", source.subarray(G1_BYTES + G2_BYTES)),
  };
}

/** The eight numbers of a proof in the order of EIP-196 and EIP-197. */
export function proofWords(proof: Proof): readonly bigint[] {
  return [...g1Words(proof.a), ...g2Words(proof.b), ...g1Words(proof.c)];
}

/** The 256 bytes. */
export function proofBytes(proof: Proof): Uint8Array<ArrayBuffer> {
  return wordBytes(proofWords(proof));
}

/** The JSON form. */
export function proofJson(proof: Proof): ProofJson {
  return {
    pi_a: g1Json(proof.a),
    pi_b: g2Json(proof.b),
    pi_c: g1Json(proof.c),
    protocol: "groth16",
    curve: "bn128",
  };
}

/** @throws Refusal where the object is of another proof system or curve. */
export function checkProtocol(name: string, json: JsonObject): void {
  if (json.protocol !== "groth16") {
    throw new Refusal("malformed", `${name} is not of protocol groth16`);
  }
  // rapidsnark leaves the curve out.
  if (json.curve !== undefined && json.curve !== "bn128") {
    throw new Refusal("malformed", `${name} is not of curve bn128 (which is BN254)`);
  }
}

/** A point in snarkjs' form: x, y and a third coordinate, which is always 1. */
export function g1FromJson(name: string, value: unknown): G1Point {
  const [x, y, z] = listOf(name, value, 3);
  if (bigintOf(name, z) !== 1n) throw notAffine(name);
  return g1Point(name, { x: bigintOf(name, x), y: bigintOf(name, y) });
}

/** The same of the second group: of each coordinate the real part comes first. */
export function g2FromJson(name: string, value: unknown): G2Point {
  const [x, y, z] = listOf(name, value, 3).map((pair) => {
    const [c0, c1] = listOf(name, pair, 2);
    return { c0: bigintOf(name, c0), c1: bigintOf(name, c1) };
  });
  if (z!.c0 !== 1n || z!.c1 !== 0n) throw notAffine(name);
  return g2Point(name, { x: x!, y: y! });
}

/** What g1FromJson reads. */
export function g1Json(point: G1Point): readonly string[] {
  return [...g1Words(point).map(String), "1"];
}

/** What g2FromJson reads. */
export function g2Json(point: G2Point): readonly (readonly string[])[] {
  const [x1, x0, y1, y0] = g2Words(point).map(String);
  return [
    [x0!, x1!],
    [y0!, y1!],
    ["1", "0"],
  ];
}

function proofFromJson(json: JsonObject): Proof {
  checkProtocol("the proof", json);
  return {
    a: g1FromJson("the proof's A", json.pi_a),
    b: g2FromJson("the proof's B", json.pi_b),
    c: g1FromJson("the proof's C", json.pi_c),
  };
}

function notAffine(name: string): Refusal {
  // Also how snarkjs writes the zero point: (0, 1, 0).
  return new Refusal("zero-point", `the third coordinate of ${name} is not 1`);
}
