import { bn254 } from "@noble/curves/bn254.js";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { FIELD_ORDER, toField } from "../field.ts";
import type { G2Point } from "./curve-points.ts";
import { prepareKey, prepareUncheckedKey, readPublicValues, verifyProof } from "./groth16.ts";
import type { Proof } from "./proof-format.ts";
import { readProof } from "./proof-format.ts";
import { Refusal } from "./refusal.ts";
import { simulatedSetup } from "./testing/simulated-setup.ts";
import { vector } from "./testing/vectors.ts";
import type { VerifyingKey } from "./verifying-key.ts";
import { readVerifyingKey } from "./verifying-key.ts";

function loaded(name: Parameters<typeof vector>[0]): {
  readonly key: VerifyingKey;
  readonly proof: Proof;
  readonly values: readonly bigint[];
} {
  const { verifyingKey, proof, publicValues } = vector(name);
  return {
    key: readVerifyingKey(verifyingKey),
    proof: readProof(proof),
    values: publicValues.map(BigInt),
  };
}

function reasonOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

describe("groth16", () => {
  it.each([1, 3, 36] as const)("verifies snarkjs' proof of %i public values", (name) => {
    const { key, proof, values } = loaded(name);
    expect(verifyProof(prepareKey(key), proof, values)).toBe(true);
  });

  it.each([1, 3, 36] as const)("refuses each of %i public values when it is changed", (name) => {
    const { key, proof, values } = loaded(name);
    const prepared = prepareKey(key);
    values.forEach((value, i) => {
      const other = values.with(i, toField(value + 1n));
      expect(verifyProof(prepared, proof, other), `value ${i}`).toBe(false);
    });
  });

  it("refuses two values in each other's place, and another circuit's proof or key", () => {
    const { key, proof, values } = loaded(3);
    const prepared = prepareKey(key);
    expect(verifyProof(prepared, proof, [values[0]!, values[2]!, values[1]!])).toBe(false);
    expect(verifyProof(prepared, loaded(1).proof, values)).toBe(false);
    const other = readVerifyingKey(vector("no-contribution").verifyingKey);
    expect(verifyProof(prepareUncheckedKey(other), proof, values)).toBe(false);
  });

  it("refuses a proof with a point changed for another good one", () => {
    const { key, proof, values } = loaded(3);
    const prepared = prepareKey(key);
    const { G1, G2 } = bn254;
    const changed: Proof[] = [
      { ...proof, a: proof.a.negate() },
      { ...proof, b: proof.b.negate() },
      { ...proof, c: proof.c.negate() },
      { ...proof, a: proof.a.add(G1.Point.BASE) },
      { ...proof, b: proof.b.add(G2.Point.BASE) },
      { ...proof, c: proof.c.add(G1.Point.BASE) },
      { ...proof, a: proof.c, c: proof.a },
    ];
    for (const other of changed) expect(verifyProof(prepared, other, values)).toBe(false);
  });

  it("refuses aliases of public values", () => {
    const { key, proof, values } = loaded(3);
    const prepared = prepareKey(key);
    values.forEach((value, i) => {
      const alias = values.with(i, value + FIELD_ORDER);
      expect(reasonOf(() => verifyProof(prepared, proof, alias))).toBe("public-value-out-of-range");
    });
    expect(reasonOf(() => readPublicValues([FIELD_ORDER], 1))).toBe("public-value-out-of-range");
    expect(reasonOf(() => readPublicValues([FIELD_ORDER - 1n], 1))).toBeUndefined();
    expect(reasonOf(() => readPublicValues([-1n], 1))).toBe("malformed");
    expect(reasonOf(() => readPublicValues(["-1"], 1))).toBe("malformed");
    expect(reasonOf(() => readPublicValues(undefined, 0))).toBe("malformed");
  });

  it("refuses too few and too many public values", () => {
    const { key, proof, values } = loaded(3);
    const prepared = prepareKey(key);
    for (const list of [[], values.slice(1), [...values, 0n]]) {
      expect(reasonOf(() => verifyProof(prepared, proof, list))).toBe(
        "wrong-number-of-public-values",
      );
    }
  });

  it("verifies with any number of public values, also 0 and 300", () => {
    const random = new SeededRandom(11);
    for (const count of [0, 1, 2, 17, 300]) {
      const { key, prove } = simulatedSetup(count, random);
      const values = Array.from({ length: count }, (_, i) =>
        i === 0 ? FIELD_ORDER - 1n : i === 1 ? 0n : BigInt(random.uint32()),
      );
      const prepared = prepareKey(key);
      expect(verifyProof(prepared, prove(values), values)).toBe(true);
      const last = values.at(-1);
      if (last === undefined) continue;
      expect(verifyProof(prepared, prove(values), values.with(-1, toField(last + 1n)))).toBe(false);
    }
  });

  it("verifies where the weighed sum is the zero point", () => {
    const { key, prove } = simulatedSetup(1, new SeededRandom(12), { publicPoints: [6n, 2n] });
    const prepared = prepareKey(key);
    const values = [FIELD_ORDER - 3n];
    expect(prepared.weigh(values).is0()).toBe(true);
    const proof = prove(values);
    expect(verifyProof(prepared, proof, values)).toBe(true);
    expect(verifyProof(prepared, proof, [3n])).toBe(false);
  });

  it("cannot tell a proof from others made of it: proof bytes are no identity", () => {
    const { key, proof, values } = loaded(3);
    const prepared = prepareKey(key);
    const { Fr } = bn254.fields;
    const k = 123456789n;
    const others: Proof[] = [
      { ...proof, a: proof.a.negate(), b: proof.b.negate() },
      { ...proof, a: proof.a.multiply(k), b: proof.b.multiply(Fr.inv(k)) },
      { ...proof, b: proof.b.add(key.delta.multiply(k)), c: proof.c.add(proof.a.multiply(k)) },
    ];
    for (const other of others) expect(verifyProof(prepared, other, values)).toBe(true);
  });
});

describe("forgeries", () => {
  it("forges for a key without a contribution, and so refuses the key", () => {
    const { key, proof, values } = loaded("no-contribution");
    const unchecked = prepareUncheckedKey(key);
    expect(verifyProof(unchecked, proof, values)).toBe(true);
    // Another output: C takes up the difference.
    const forgedValues = values.with(0, 123456n);
    const difference = toField(values[0]! - 123456n);
    const c = proof.c.add(key.publicPoints[1]!.multiply(difference));
    expect(verifyProof(unchecked, proof, forgedValues)).toBe(false);
    expect(verifyProof(unchecked, { ...proof, c }, forgedValues)).toBe(true);
    expect(reasonOf(() => prepareKey(key))).toBe("unsound-key");
  });

  it("forges without any proof where beta is delta or gamma, and so refuses such keys", () => {
    const random = new SeededRandom(13);
    const values = [42n, 7n];
    const forge: Record<string, (key: VerifyingKey) => Proof> = {
      delta: (key) => ({
        a: weighed(key, values),
        b: key.gamma,
        c: key.alpha.negate(),
      }),
      gamma: (key) => {
        const a = key.alpha.add(weighed(key, values));
        return { a, b: key.gamma.add(key.delta) as G2Point, c: a };
      },
    };
    for (const other of ["delta", "gamma"] as const) {
      const { key } = simulatedSetup(2, random, { beta: 99n, [other]: 99n });
      expect(verifyProof(prepareUncheckedKey(key), forge[other]!(key), values), other).toBe(true);
      expect(reasonOf(() => prepareKey(key))).toBe("unsound-key");
      // With a key that is sound the same does not work.
      const sound = simulatedSetup(2, random).key;
      expect(verifyProof(prepareKey(sound), forge[other]!(sound), values)).toBe(false);
    }
  });

  it("trades values that have one point, and so refuses such keys", () => {
    const { key, prove } = simulatedSetup(2, new SeededRandom(14), { publicPoints: [3n, 8n, 8n] });
    const proof = prove([10n, 20n]);
    expect(verifyProof(prepareUncheckedKey(key), proof, [29n, 1n])).toBe(true);
    expect(reasonOf(() => prepareKey(key))).toBe("unsound-key");
  });
});

function weighed(key: VerifyingKey, values: readonly bigint[]): Proof["a"] {
  const [first, ...others] = key.publicPoints;
  return others.reduce((sum, point, i) => sum.add(point.multiply(values[i]!)), first!);
}
