// Keys whose secret is known, and proofs made with that secret of whatever public values a test
// wants, without a circuit: what a set-up that was not honest allows, and a quick source of proofs
// that verify.

import { bn254 } from "@noble/curves/bn254.js";
import type { SeededRandom } from "../../../common/testing/seeded-random.ts";
import { FIELD_ORDER, toField } from "../../field.ts";
import type { Proof } from "../proof-format.ts";
import type { VerifyingKey } from "../verifying-key.ts";

/** The secret of a set-up; each from 1 to FIELD_ORDER - 1. */
export interface Secret {
  readonly alpha: bigint;
  readonly beta: bigint;
  readonly gamma: bigint;
  readonly delta: bigint;
  /** Of the public points: one more than there are public values. */
  readonly publicPoints: readonly bigint[];
}

export interface SimulatedSetup {
  readonly secret: Secret;
  readonly key: VerifyingKey;
  /** A proof that verifies for these values and no others. */
  prove(publicValues: readonly bigint[]): Proof;
}

const G1 = bn254.G1.Point.BASE;
const G2 = bn254.G2.Point.BASE;

/** A set-up with a secret of the generator's, but for the parts that are given. */
export function simulatedSetup(
  count: number,
  random: SeededRandom,
  given: Partial<Secret> = {},
): SimulatedSetup {
  const secret: Secret = {
    alpha: scalar(random),
    beta: scalar(random),
    gamma: scalar(random),
    delta: scalar(random),
    publicPoints: Array.from({ length: count + 1 }, () => scalar(random)),
    ...given,
  };
  return {
    secret,
    key: {
      alpha: G1.multiply(secret.alpha),
      beta: G2.multiply(secret.beta),
      gamma: G2.multiply(secret.gamma),
      delta: G2.multiply(secret.delta),
      publicPoints: secret.publicPoints.map((value) => G1.multiply(value)),
    },
    prove: (values) => simulatedProof(secret, values, random),
  };
}

/** a b = alpha beta + l gamma + c delta is the equation of the pairings in the exponents. */
function simulatedProof(secret: Secret, values: readonly bigint[], random: SeededRandom): Proof {
  const { Fr } = bn254.fields;
  const [first, ...others] = secret.publicPoints;
  const weighed = others.reduce((total, point, i) => total + point * values[i]!, first!);
  const a = scalar(random);
  const b = scalar(random);
  const rest = toField(a * b - secret.alpha * secret.beta - weighed * secret.gamma);
  const c = Fr.mul(rest, Fr.inv(secret.delta));
  return { a: G1.multiply(a), b: G2.multiply(b), c: G1.multiply(c) };
}

function scalar(random: SeededRandom): bigint {
  const bytes = random.bytes(40);
  return (
    1n + (bytes.reduce((total, byte) => (total << 8n) | BigInt(byte), 0n) % (FIELD_ORDER - 1n))
  );
}
