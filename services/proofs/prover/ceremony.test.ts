// A ceremony from public powers of tau to a proof, with a party that uses another program, and
// everything that must not pass for one.

import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { FIELD_ORDER, toField } from "../field.ts";
import { prepareKey, prepareUncheckedKey, verifyProof } from "../verifier/groth16.ts";
import { readProof } from "../verifier/proof-format.ts";
import { type BuiltinProver, openBuiltinProver } from "./builtin-driver.ts";
import type { KeyRecord } from "./key-record.ts";
import { fileDigest } from "./section-file.ts";
import {
  type CircuitFiles,
  denseGraph,
  runSnarkjs,
  smallPtau,
  writeCircuit,
} from "./testing/files.ts";
import { readZkey } from "./zkey-file.ts";

const POWER = 8;
const BEACON = "0102030405060708090a0b0c0d0e0f10";
let ptau = "";

beforeAll(async () => {
  ptau = await smallPtau(POWER);
}, 300_000);

interface Ceremony extends CircuitFiles {
  readonly prover: BuiltinProver;
  readonly ptau: string;
  path(name: string): string;
  /** An outsider's contribution to a key, with snarkjs as it comes. */
  contributeOutside(from: string, to: string, name?: string): Promise<string>;
  /** Takes a contributed key in the place of the current one. */
  take(contributed: string): Promise<KeyRecord>;
}

async function useCeremony(): Promise<Ceremony> {
  const prover = openBuiltinProver();
  onTestFinished(async () => await prover[Symbol.asyncDispose]());
  const folder = useFolder();
  const files = writeCircuit(folder, "c", denseGraph([2, 2, 2]));
  await prover.newPhase2({ ...files, ptau });
  return {
    ...files,
    prover,
    ptau,
    path: (name) => join(folder, name),
    contributeOutside: async (from, to, name = "an outsider") =>
      String(await runSnarkjs("zKey.contribute", from, to, name, "not secret: for tests")),
    take: async (contributed) =>
      await prover.importContribution({ ...files, ptau, contributed, to: files.zkey }),
  };
}

function refusal(type: string): object {
  return { kind: "FailedPrecondition", violations: [{ type }] };
}

describe("a ceremony", { timeout: 180_000 }, () => {
  it("goes from public powers of tau to proofs, with a transcript", async () => {
    const { prover, path, contributeOutside, take, ...files } = await useCeremony();
    const digest = { algorithm: "blake2b512", hex: await fileDigest(ptau, "blake2b512") } as const;
    const phase1 = await prover.importPtau({ ptau, digest });
    expect(phase1).toMatchObject({ power: POWER, hash: await fileDigest(ptau) });

    const challenge = path("challenge");
    const told = await prover.exportContributionChallenge({ zkey: files.zkey, to: challenge });
    expect(told).toMatchObject({ hash: await fileDigest(files.zkey), contributions: 0 });
    const first = await contributeOutside(challenge, path("first"));
    await take(path("first"));

    await prover.exportContributionChallenge({ zkey: files.zkey, to: challenge });
    const name = "a second party";
    const second = await prover.contribute({ challenge, to: path("second"), name });
    await take(path("second"));
    const beacon = { name: "the beacon", beaconHash: BEACON, iterations: 10 };
    const made = await prover.beacon({ ...files, ...beacon, to: files.zkey });

    const verified = await prover.verifyZkey(files);
    expect(verified).toEqual(made);
    expect(verified).toMatchObject({ setup: "ceremony", ptauHash: phase1.hash });
    expect(verified.contributions).toMatchObject([
      { name: "an outsider", kind: "party", hash: first },
      { name: "a second party", kind: "party", hash: second.hash },
      { name: "the beacon", kind: "beacon", beaconHash: BEACON, beaconIterations: 10 },
    ]);

    const proved = await prover.prove(files);
    const { verifyingKey } = await readZkey(files.zkey);
    const values = proved.publicValues.map(BigInt);
    expect(verifyProof(prepareKey(verifyingKey), readProof(proved.proof), values)).toBe(true);
    await expect(prover.contribute({ challenge: files.zkey, to: path("x"), name })).rejects.toThrow(
      "closed by its beacon",
    );
  });
});

describe("powers of tau", { timeout: 180_000 }, () => {
  it("are refused with another hash, cut off, changed, or not prepared", async () => {
    const prover = openBuiltinProver();
    onTestFinished(async () => await prover[Symbol.asyncDispose]());
    const copy = join(useFolder(), "copy.ptau");
    const whole = readFileSync(ptau);
    const importBytes = async (bytes: Uint8Array): Promise<unknown> => {
      writeFileSync(copy, bytes);
      const hex = await fileDigest(copy);
      return await prover.importPtau({ ptau: copy, digest: { algorithm: "sha256", hex } });
    };
    const hex = "0".repeat(64);
    await expect(
      prover.importPtau({ ptau, digest: { algorithm: "sha256", hex } }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringContaining("pinned"),
    });
    for (const size of [0, 50, 4_000, whole.length - 1]) {
      await expect(importBytes(whole.subarray(0, size))).rejects.toThrow("not a whole .ptau file");
    }
    // A point of tau * G1 takes the place of the one before it.
    const changed = Buffer.from(whole);
    const at = 12 + 12 + 44 + 12 + 64 * 5;
    changed.copy(changed, at, at + 64, at + 128);
    await expect(importBytes(changed)).rejects.toThrow("do not follow");
    const larger = Buffer.from(whole);
    larger.writeUInt32LE(POWER + 1, 12 + 12 + 36);
    await expect(importBytes(larger)).rejects.toThrow("are expected");
  });

  it("are refused where they are too small for the circuit, and no key is left", async () => {
    const prover = openBuiltinProver();
    onTestFinished(async () => await prover[Symbol.asyncDispose]());
    const files = writeCircuit(useFolder(), "c", denseGraph([16, 8, 4]));
    await expect(prover.newPhase2({ ...files, ptau })).rejects.toMatchObject(
      refusal("PTAU_TOO_SMALL"),
    );
    expect(existsSync(files.zkey)).toBe(false);
    // snarkjs itself does not throw, and leaves a file behind.
    expect(await runSnarkjs("zKey.newZKey", files.r1cs, ptau, files.zkey)).toBe(-1);
    await expect(prover.verifyZkey({ ...files, ptau })).rejects.toThrow("not a whole .zkey file");
  });
});

describe("a contribution", { timeout: 180_000 }, () => {
  it("is refused where it does not continue the current key", async () => {
    const { zkey, path, contributeOutside, take } = await useCeremony();
    copyFileSync(zkey, path("old"));
    await contributeOutside(zkey, path("first"));
    await take(path("first"));
    const before = await fileDigest(zkey);
    // The same again, nothing added, and one that began from the key before.
    await expect(take(path("first"))).rejects.toMatchObject(
      refusal("CONTRIBUTION_DOES_NOT_FOLLOW"),
    );
    await expect(take(path("old"))).rejects.toMatchObject(refusal("CONTRIBUTION_DOES_NOT_FOLLOW"));
    await contributeOutside(path("old"), path("fork"), "another");
    await contributeOutside(path("fork"), path("fork 2"), "another");
    await expect(take(path("fork 2"))).rejects.toMatchObject(
      refusal("CONTRIBUTION_DOES_NOT_FOLLOW"),
    );
    expect(await fileDigest(zkey)).toBe(before);
  });

  it("is refused where the file was changed besides", async () => {
    const { zkey, path, contributeOutside, take } = await useCeremony();
    await contributeOutside(zkey, path("good"));
    const good = readFileSync(path("good"));
    const { wires, publicValues } = await readZkey(path("good"));
    const sizes = { c: 64 * (wires - publicValues - 1), a: 64 * wires };
    for (const [section, size] of [
      [8, sizes.c],
      [5, sizes.a],
    ] as const) {
      const changed = Buffer.from(good);
      const at = sectionAt(changed, section);
      // The last two points trade places.
      changed.copy(changed, at + size - 128, at + size - 64, at + size);
      good.copy(changed, at + size - 64, at + size - 128, at + size - 64);
      writeFileSync(path("changed"), changed);
      await expect(take(path("changed")), `section ${section}`).rejects.toMatchObject(
        refusal("KEY_DOES_NOT_FOLLOW"),
      );
    }
  });

  it("is refused where it is of another circuit, a beacon, or cut off", async () => {
    const { prover, zkey, path, contributeOutside, take } = await useCeremony();
    const other = writeCircuit(path("."), "other", denseGraph([2, 2, 2], { seed: 9 }));
    await prover.newPhase2({ ...other, ptau });
    await contributeOutside(other.zkey, path("theirs"));
    await expect(take(path("theirs"))).rejects.toMatchObject(refusal("KEY_OF_ANOTHER_CIRCUIT"));
    await runSnarkjs("zKey.beacon", zkey, path("beacon"), "a beacon", BEACON, 10);
    await expect(take(path("beacon"))).rejects.toMatchObject(refusal("CONTRIBUTION_REFUSED"));
    await contributeOutside(zkey, path("good"));
    const good = readFileSync(path("good"));
    writeFileSync(path("cut"), good.subarray(0, good.length - 10));
    await expect(take(path("cut"))).rejects.toThrow("not a whole .zkey file");
  });

  it("is refused where it claims a beacon that would take years to verify", async () => {
    const { zkey, path, take } = await useCeremony();
    await runSnarkjs("zKey.beacon", zkey, path("beacon"), "b", BEACON, 10);
    const bytes = readFileSync(path("beacon"));
    const at = bytes.lastIndexOf(Buffer.from([2, 10, 3, BEACON.length / 2]));
    bytes[at + 1] = 63;
    writeFileSync(path("beacon"), bytes);
    await expect(take(path("beacon"))).rejects.toThrow("2^63 hashes");
  });
});

describe("a key that anybody can forge proofs for", { timeout: 180_000 }, () => {
  it("is refused without a contribution: gamma is delta, and a forged proof verifies", async () => {
    const {
      prover,
      path: _path,
      contributeOutside: _,
      take: _take,
      ...files
    } = await useCeremony();
    const { verifyingKey } = await readZkey(files.zkey);
    expect(verifyingKey.gamma.equals(verifyingKey.delta)).toBe(true);
    const { proof, values } = await forge(files, 1n);
    expect(verifyProof(prepareUncheckedKey(verifyingKey), proof, values)).toBe(true);

    await expect(prover.prove(files)).rejects.toMatchObject(refusal("NO_CONTRIBUTION"));
    await expect(prover.verifyZkey(files)).rejects.toMatchObject(refusal("NO_CONTRIBUTION"));
  });

  it("is refused with nothing but a beacon: everybody knows its delta", async () => {
    const { prover, path, contributeOutside: _, take: _take, ...files } = await useCeremony();
    const beacon = { name: "the beacon", beaconHash: BEACON, iterations: 10 };
    await expect(prover.beacon({ ...files, ...beacon, to: path("b.zkey") })).rejects.toMatchObject(
      refusal("NO_CONTRIBUTION"),
    );

    const made = { ...files, zkey: path("b.zkey") };
    await runSnarkjs("zKey.beacon", files.zkey, made.zkey, "the beacon", BEACON, 10);
    const delta = BigInt(String(await runSnarkjs("beacon-secret", BEACON, 10)));
    const { proof, values } = await forge(made, delta);
    const { verifyingKey } = await readZkey(made.zkey);
    expect(verifyProof(prepareKey(verifyingKey), proof, values)).toBe(true);

    await expect(prover.prove(made)).rejects.toMatchObject(refusal("NO_CONTRIBUTION"));
    await expect(prover.verifyZkey(made)).rejects.toMatchObject(refusal("NO_CONTRIBUTION"));
  });
});

/**
 * From an honest proof one of another output, by whoever knows delta / gamma: what L lacks is added
 * to C.
 */
async function forge(
  files: { readonly zkey: string; readonly witness: string },
  delta: bigint,
): Promise<{ readonly proof: ReturnType<typeof readProof>; readonly values: readonly bigint[] }> {
  const honest = (await runSnarkjs("groth16.prove", files.zkey, files.witness)) as {
    readonly proof: unknown;
    readonly publicSignals: readonly string[];
  };
  const { verifyingKey } = await readZkey(files.zkey);
  const [first, ...others] = honest.publicSignals.map(BigInt);
  const values = [123_456n, ...others];
  const share = toField((first! - 123_456n) * inverse(delta));
  const proof = readProof(honest.proof);
  const c = proof.c.add(verifyingKey.publicPoints[1]!.multiply(share));
  return { proof: { ...proof, c }, values };
}

function inverse(value: bigint): bigint {
  let result = 1n;
  let square = value;
  for (let rest = FIELD_ORDER - 2n; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % FIELD_ORDER;
    square = (square * square) % FIELD_ORDER;
  }
  return result;
}

function sectionAt(file: Buffer, section: number): number {
  for (let at = 12; ; ) {
    const size = Number(file.readBigUInt64LE(at + 4));
    if (file.readUInt32LE(at) === section) return at + 12;
    at += 12 + size;
  }
}
