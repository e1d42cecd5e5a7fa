import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { FIELD_ORDER } from "../field.ts";
import { Refusal } from "./refusal.ts";
import { simulatedSetup } from "./testing/simulated-setup.ts";
import { vector } from "./testing/vectors.ts";
import {
  assertSoundKey,
  PUBLIC_VALUES_MAX,
  publicValueCount,
  readVerifyingKey,
  verifyingKeyBytes,
  verifyingKeyHash,
  verifyingKeyJson,
} from "./verifying-key.ts";

const json = vector(36).verifyingKey;

function refusalOf(act: () => unknown): Refusal {
  try {
    act();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("verifying-key", () => {
  it("reads and writes both forms", () => {
    const key = readVerifyingKey(json);
    expect(publicValueCount(key)).toBe(36);
    expect(verifyingKeyJson(key)).toEqual(json);
    const bytes = verifyingKeyBytes(key);
    expect(bytes.length).toBe(26 + 64 + 3 * 128 + 37 * 64);
    expect(verifyingKeyBytes(readVerifyingKey(bytes))).toEqual(bytes);
  });

  it("has a hash that does not depend on the form", () => {
    const key = readVerifyingKey(json);
    const hash = verifyingKeyHash(key);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(verifyingKeyHash(readVerifyingKey(verifyingKeyBytes(key)))).toBe(hash);
    const shuffled = Object.fromEntries(Object.entries(json).reverse());
    expect(verifyingKeyHash(readVerifyingKey({ ...shuffled, note: "more" }))).toBe(hash);
    expect(verifyingKeyHash(readVerifyingKey(vector(3).verifyingKey))).not.toBe(hash);
  });

  it("keeps the hash of a known key", () => {
    const { key } = simulatedSetup(1, new SeededRandom(1), {
      alpha: 2n,
      beta: 3n,
      gamma: 5n,
      delta: 7n,
      publicPoints: [11n, 13n],
    });
    // Our own: whoever changes the canonical bytes changes the names of all keys.
    expect(verifyingKeyHash(key)).toBe(
      "bbabe4f528e710c6bcc40f534d5176ea0a575db631dd58218f684a8a2f49e7d9",
    );
  });

  it("refuses what is no key", () => {
    const bytes = verifyingKeyBytes(readVerifyingKey(json));
    const cases: unknown[] = [
      undefined,
      [],
      { ...json, protocol: "fflonk" },
      { ...json, nPublic: 35 },
      { ...json, nPublic: "36" },
      { ...json, IC: [] },
      { ...json, IC: json.IC.slice(1) },
      { ...json, vk_beta_2: undefined },
      new Uint8Array(),
      bytes.subarray(1),
      bytes.subarray(0, bytes.length - 1),
      bytes.with(0, 1),
      bytes.subarray(0, 26 + 64 + 3 * 128),
    ];
    for (const source of cases) {
      expect(refusalOf(() => readVerifyingKey(source)).reason).toBe("malformed");
    }
  });

  it("refuses a key of more public values than there is any use for, before it looks at them", () => {
    const IC = new Array(PUBLIC_VALUES_MAX + 2).fill(["1", "2", "1"]);
    const refusal = refusalOf(() =>
      readVerifyingKey({ ...json, nPublic: PUBLIC_VALUES_MAX + 1, IC }),
    );
    expect(refusal.message).toContain("at most 8192");
  });

  it("refuses a public value that has no point, which anybody could change", () => {
    const IC = json.IC.with(5, ["0", "1", "0"]);
    expect(refusalOf(() => readVerifyingKey({ ...json, IC })).reason).toBe("zero-point");
  });
});

describe("assertSoundKey", () => {
  const random = new SeededRandom(5);

  it("accepts keys of set-ups that were finished", () => {
    for (const name of [1, 3, 36] as const) {
      assertSoundKey(readVerifyingKey(vector(name).verifyingKey));
    }
    assertSoundKey(simulatedSetup(0, random).key);
  });

  it("refuses gamma equal to delta, as snarkjs makes it without a contribution", () => {
    const key = readVerifyingKey(vector("no-contribution").verifyingKey);
    const refusal = refusalOf(() => assertSoundKey(key));
    expect(refusal.reason).toBe("unsound-key");
    expect(refusal.message).toContain("gamma and delta");
  });

  it("refuses every pair of the second group that is the same up to sign", () => {
    const pairs = [
      { gamma: 5n, delta: FIELD_ORDER - 5n },
      { beta: 5n, delta: 5n },
      { beta: 5n, delta: FIELD_ORDER - 5n },
      { beta: 5n, gamma: 5n },
      { beta: 5n, gamma: FIELD_ORDER - 5n },
    ];
    for (const pair of pairs) {
      const { key } = simulatedSetup(1, random, pair);
      expect(refusalOf(() => assertSoundKey(key)).reason).toBe("unsound-key");
    }
  });

  it("refuses two public values with one point, up to sign", () => {
    for (const points of [
      [2n, 7n, 7n],
      [2n, 7n, FIELD_ORDER - 7n],
    ]) {
      const { key } = simulatedSetup(2, random, { publicPoints: points });
      expect(refusalOf(() => assertSoundKey(key)).message).toContain("public value 1");
    }
    // The first point has no value to trade.
    assertSoundKey(simulatedSetup(2, random, { publicPoints: [7n, 7n, 8n] }).key);
  });
});
