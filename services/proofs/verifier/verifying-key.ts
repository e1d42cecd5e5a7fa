// The verifying key of a circuit: its JSON as snarkjs writes it, its canonical bytes, its hash, and
// whether proofs can be forged with it however well they verify.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { G1Point, G2Point } from "./curve-points.ts";
import {
  G1_BYTES,
  G2_BYTES,
  g1FromBytes,
  g1Words,
  g2FromBytes,
  g2Words,
  wordBytes,
} from "./curve-points.ts";
import { checkProtocol, g1FromJson, g1Json, g2FromJson, g2Json } from "./proof-format.ts";
import { type JsonObject, listOf, objectOf } from "./read-json.ts";
import { Refusal } from "./refusal.ts";

/** More public values than any packed model has; a key of this length is half a megabyte. */
export const PUBLIC_VALUES_MAX = 8192;

/** "Plinth Groth16 BN254 verifying key 1", then alpha, beta, gamma, delta and the public points. */
const MAGIC = new TextEncoder().encode("plinth-groth16-bn254-vk-1\n");

const HEAD_BYTES: number = MAGIC.length + G1_BYTES + 3 * G2_BYTES;

/** A verifying key whose points are what they must be. */
export interface VerifyingKey {
  readonly alpha: G1Point;
  readonly beta: G2Point;
  readonly gamma: G2Point;
  readonly delta: G2Point;
  /** One more than there are public values; snarkjs calls it IC. */
  readonly publicPoints: readonly G1Point[];
}

/** As snarkjs exports it, without vk_alphabeta_12, which follows from the rest. */
export interface VerifyingKeyJson {
  readonly protocol: "groth16";
  readonly curve: "bn128";
  readonly nPublic: number;
  readonly vk_alpha_1: readonly string[];
  readonly vk_beta_2: readonly (readonly string[])[];
  readonly vk_gamma_2: readonly (readonly string[])[];
  readonly vk_delta_2: readonly (readonly string[])[];
  readonly IC: readonly (readonly string[])[];
}

/** Number of public values. */
export function publicValueCount(key: VerifyingKey): number {
  return key.publicPoints.length - 1;
}

/**
 * Reads a key: an object of snarkjs' form, or canonical bytes.
 *
 * @throws Refusal where a part is missing or a point is none.
 */
export function readVerifyingKey(source: unknown): VerifyingKey {
  if (source instanceof Uint8Array) return keyFromBytes(source);
  return keyFromJson(objectOf("the verifying key", source));
}

/** The same bytes for the same key, whatever form it came in. */
export function verifyingKeyBytes(key: VerifyingKey): Uint8Array<ArrayBuffer> {
  const body = wordBytes([
    ...g1Words(key.alpha),
    ...g2Words(key.beta),
    ...g2Words(key.gamma),
    ...g2Words(key.delta),
    ...key.publicPoints.flatMap(g1Words),
  ]);
  const bytes = new Uint8Array(MAGIC.length + body.length);
  bytes.set(MAGIC);
  bytes.set(body, MAGIC.length);
  return bytes;
}

/** Lower-case hex SHA-256 of the canonical bytes: the name of a key. */
export function verifyingKeyHash(key: VerifyingKey): string {
  return bytesToHex(sha256(verifyingKeyBytes(key)));
}

/** snarkjs' form. */
export function verifyingKeyJson(key: VerifyingKey): VerifyingKeyJson {
  return {
    protocol: "groth16",
    curve: "bn128",
    nPublic: publicValueCount(key),
    vk_alpha_1: g1Json(key.alpha),
    vk_beta_2: g2Json(key.beta),
    vk_gamma_2: g2Json(key.gamma),
    vk_delta_2: g2Json(key.delta),
    IC: key.publicPoints.map(g1Json),
  };
}

/**
 * Refuses keys with which anybody forges proofs:
 * - gamma and delta the same (a set-up without its second phase): what a proof lacks for other
 *   public values is added to its C.
 * - beta the same as gamma or delta: A, B and C are put together from the key's own points.
 * - a public value without a point, or two with the same: it can be changed, or traded for the other.
 * Of two points that are each other's negative the same holds. That a key passes does not make its
 * set-up honest: only whoever trusts one of its contributors knows that.
 *
 * @throws Refusal with reason unsound-key.
 */
export function assertSoundKey(key: VerifyingKey): void {
  const pairs = [
    ["gamma", key.gamma, "delta", key.delta],
    ["beta", key.beta, "gamma", key.gamma],
    ["beta", key.beta, "delta", key.delta],
  ] as const;
  for (const [name, point, otherName, other] of pairs) {
    if (point.equals(other) || point.equals(other.negate())) {
      throw new Refusal(
        "unsound-key",
        `${name} and ${otherName} of the verifying key are the same up to sign, so anybody can ` +
          "forge proofs for it: its set-up was not finished. Contribute to it and export it again",
      );
    }
  }
  const seen = new Set<bigint>();
  key.publicPoints.slice(1).forEach((point, i) => {
    const { x } = point.toAffine();
    if (seen.has(x)) {
      throw new Refusal(
        "unsound-key",
        `public value ${i} of the verifying key has the point of another one, up to sign, so ` +
          "the two can be traded for each other",
      );
    }
    seen.add(x);
  });
}

function keyFromBytes(bytes: Uint8Array): VerifyingKey {
  const count = (bytes.length - HEAD_BYTES) / G1_BYTES - 1;
  if (MAGIC.some((byte, i) => bytes[i] !== byte) || !Number.isInteger(count) || count < 0) {
    throw new Refusal("malformed", "these are not the bytes of a verifying key");
  }
  checkCount(count);
  let at = MAGIC.length;
  const take = (length: number): Uint8Array => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  return {
    alpha: g1FromBytes("the key's alpha", take(G1_BYTES)),
    beta: g2FromBytes("the key's beta", take(G2_BYTES)),
    gamma: g2FromBytes("the key's gamma", take(G2_BYTES)),
    delta: g2FromBytes("the key's delta", take(G2_BYTES)),
    publicPoints: Array.from({ length: count + 1 }, (_, i) =>
      g1FromBytes(`the key's IC[${i}]`, take(G1_BYTES)),
    ),
  };
}

function keyFromJson(json: JsonObject): VerifyingKey {
  checkProtocol("the verifying key", json);
  const points = listOf("the key's IC", json.IC);
  const count = points.length - 1;
  if (json.nPublic !== count) {
    throw new Refusal("malformed", "the key's nPublic is not one less than the length of its IC");
  }
  checkCount(count);
  return {
    alpha: g1FromJson("the key's alpha", json.vk_alpha_1),
    beta: g2FromJson("the key's beta", json.vk_beta_2),
    gamma: g2FromJson("the key's gamma", json.vk_gamma_2),
    delta: g2FromJson("the key's delta", json.vk_delta_2),
    publicPoints: points.map((point, i) => g1FromJson(`the key's IC[${i}]`, point)),
  };
}

function checkCount(count: number): void {
  if (count > PUBLIC_VALUES_MAX) {
    throw new Refusal(
      "malformed",
      `the key has ${count} public values; at most ${PUBLIC_VALUES_MAX} are taken`,
    );
  }
}
