// Keys that an operator, or whoever reaches the store, could have activated and that must not be.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { KeyDocument } from "../circuits/circuit.ts";
import { fileDigest } from "../prover/section-file.ts";
import { denseGraph, runSnarkjs, smallPtau, writeCircuit } from "../prover/testing/files.ts";
import { readZkey } from "../prover/zkey-file.ts";
import { ceremony } from "./close-ceremony.ts";
import {
  BEACON,
  contribute,
  contributed,
  developmentCircuit,
  exportKey,
  POWER,
  refusal,
  type TestCeremonies,
  useOpen,
} from "./testing/use-ceremony.ts";

const NEVER = new AbortController().signal;

beforeAll(async () => {
  await smallPtau(POWER);
}, 300_000);

describe("closing", { timeout: 180_000 }, () => {
  /** Stores a key as if it had been taken. */
  async function put(rig: TestCeremonies, name: string, path: string) {
    const { key, ...circuit } = await rig.circuits.get(name);
    const { setup } = key?.record ?? {};
    const described = await rig.prover.verifyingKey(path);
    const record = {
      ...key?.record,
      ...described,
      setup,
      zkeyHash: await fileDigest(path),
    } as KeyDocument["record"];
    const zkey = await rig.files.store(path);
    const contributionTimes = described.contributions.map(() => new Date(0));
    return await rig.circuits.setKey(name, {
      ifVersion: circuit.version,
      key: { ...key, zkey, record, contributionTimes } as KeyDocument,
    });
  }

  it("is refused without a contribution and with nothing but a beacon", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    const { path } = await exportKey(rig, name);
    const open = await rig.circuits.get(name);
    await expect(ceremony(rig).close(open, NEVER)).rejects.toMatchObject(
      refusal("NO_CONTRIBUTION"),
    );
    const beacon = join(rig.folder, "beacon.zkey");
    await runSnarkjs("zKey.beacon", path, beacon, "a beacon", BEACON, 10);
    const beaconOnly = await put(rig, name, beacon);
    await expect(ceremony(rig).close(beaconOnly, NEVER)).rejects.toMatchObject(
      refusal("NO_CONTRIBUTION"),
    );
    await expect(rig.circuits.activate(name)).rejects.toMatchObject({
      kind: "FailedPrecondition",
    });
  });

  it("is refused with gamma equal to delta, whatever the transcript says", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    await contribute(rig, name);
    const { path } = await exportKey(rig, name);
    const bytes = readFileSync(path);
    // Both curves' fields, three counts, alpha, beta twice, gamma, delta twice.
    const gamma = 12 + (4 + 8 + 4) + (4 + 8) + 2 * 36 + 12 + 64 + 64 + 128;
    bytes.copy(bytes, gamma + 128 + 64, gamma, gamma + 128);
    writeFileSync(path, bytes);
    const { gamma: one, delta: other } = (await readZkey(path)).verifyingKey;
    expect(one.equals(other)).toBe(true);
    const forged = await put(rig, name, path);
    await expect(ceremony(rig).close(forged, NEVER)).rejects.toMatchObject(refusal("UNSOUND_KEY"));
  });

  it("is refused where the key, or its powers of tau, are others", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    await contribute(rig, name);
    const open = await rig.circuits.get(name);

    const other = writeCircuit(rig.folder, "other", denseGraph([2, 2, 2], { seed: 9 }));
    await rig.prover.newPhase2({ ...other, ptau: rig.ptau });
    const foreign = await put(rig, name, await contributed(other.zkey));
    await expect(ceremony(rig).close(foreign, NEVER)).rejects.toMatchObject(
      refusal("KEY_DOES_NOT_FOLLOW"),
    );

    const record = { ...open.key?.record, ptauHash: "0".repeat(64) };
    const elsewhere = { ...open, key: { ...open.key, record } as KeyDocument };
    await expect(ceremony(rig).close(elsewhere, NEVER)).rejects.toMatchObject(
      refusal("OTHER_POWERS_OF_TAU"),
    );

    const compiled = { ...open.compiled, constraints: await rig.files.store(other.r1cs) };
    const recompiled = { ...open, compiled } as typeof open;
    await expect(ceremony(rig).close(recompiled, NEVER)).rejects.toMatchObject(
      refusal("KEY_DOES_NOT_FOLLOW"),
    );

    // A record that names another verifying key than the one in the file.
    const told = { ...open.key?.record, verifyingKeyHash: "0".repeat(64) };
    const lying = { ...open, key: { ...open.key, record: told } as KeyDocument };
    await expect(ceremony(rig).close(lying, NEVER)).rejects.toMatchObject({ kind: "DataLoss" });
    expect(await ceremony(rig).close(open, NEVER)).toMatchObject({ verified: true });
  });

  it("is for ceremonies, and stops when its caller leaves", async () => {
    const { rig, circuit } = await useOpen();
    const development = await rig.circuits.get(await developmentCircuit(rig));
    await expect(ceremony(rig).close(development, NEVER)).rejects.toMatchObject(
      refusal("NO_CEREMONY"),
    );
    await contribute(rig, circuit.name);
    const open = await rig.circuits.get(circuit.name);
    await expect(ceremony(rig).close(open, AbortSignal.abort())).rejects.toMatchObject({
      kind: "Cancelled",
    });
  });
});
