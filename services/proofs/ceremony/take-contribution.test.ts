// Keys that parties could hand in, and that must not pass for a contribution.

import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { denseGraph, runSnarkjs, smallPtau, writeCircuit } from "../prover/testing/files.ts";
import { ceremony } from "./close-ceremony.ts";
import {
  BEACON,
  contribute,
  contributed,
  developmentCircuit,
  exportKey,
  messages,
  POWER,
  refusal,
  upload,
  useAwaiting,
  useOpen,
} from "./testing/use-ceremony.ts";

beforeAll(async () => {
  await smallPtau(POWER);
}, 300_000);

describe("a contribution", { timeout: 180_000 }, () => {
  it("is refused where it does not follow from the current key, which stays", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    const beginning = await exportKey(rig, name);
    await contribute(rig, name, "first");
    const current = await exportKey(rig, name);
    const before = await rig.circuits.get(name);
    const refused = async (path: string): Promise<unknown> =>
      await upload(rig, { name, path }).then(
        () => "taken",
        (error) => error.violations[0]?.type ?? error.kind,
      );

    // The key before: the contribution would be undone.
    expect(await refused(beginning.path)).toBe("CONTRIBUTION_DOES_NOT_FOLLOW");
    // One to an older key.
    const fork = await contributed(beginning.path, "fork");
    expect(await refused(fork)).toBe("CONTRIBUTION_DOES_NOT_FOLLOW");
    expect(await refused(await contributed(fork, "longer"))).toBe("CONTRIBUTION_DOES_NOT_FOLLOW");
    // Of another circuit.
    const other = writeCircuit(rig.folder, "other", denseGraph([2, 2, 2], { seed: 9 }));
    await rig.prover.newPhase2({ ...other, ptau: rig.ptau });
    expect(await refused(await contributed(other.zkey))).toBe("KEY_OF_ANOTHER_CIRCUIT");
    // A development key of the same circuit: its maker knows all secrets.
    const development = join(rig.folder, "development.zkey");
    await rig.prover.devSetup({ r1cs: circuit.r1cs, zkey: development });
    expect(await refused(development)).toBe("KEY_OF_ANOTHER_CIRCUIT");
    // A beacon that a party applied.
    const beacon = join(rig.folder, "beacon.zkey");
    await runSnarkjs("zKey.beacon", current.path, beacon, "a beacon", BEACON, 10);
    expect(await refused(beacon)).toBe("CONTRIBUTION_REFUSED");
    // Not whole, nothing, and no key at all.
    const good = await contributed(current.path);
    const cut = join(rig.folder, "cut.zkey");
    copyFileSync(good, cut);
    truncateSync(cut, readFileSync(good).length - 10);
    expect(await refused(cut)).toBe("InvalidArgument");
    writeFileSync(cut, "");
    expect(await refused(cut)).toBe("InvalidArgument");
    writeFileSync(cut, "no key");
    expect(await refused(cut)).toBe("InvalidArgument");

    expect(await rig.circuits.get(name)).toEqual(before);
    await upload(rig, { name, etag: current.etag, path: good });
  });

  it("is refused where its transcript was cut or its points were changed", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    await contribute(rig, name, "first");
    const { path } = await exportKey(rig, name);
    const good = readFileSync(await contributed(path, "second"));
    const forged = join(rig.folder, "forged.zkey");

    // The list of contributions of the key before, with the points of the one after: nobody would
    // see who contributed.
    const list = sectionOf(readFileSync(path), 10);
    const at = sectionOf(good, 10).start - 12;
    const head = good.subarray(0, at);
    writeFileSync(forged, Buffer.concat([head, readFileSync(path).subarray(list.start - 12)]));
    await expect(upload(rig, { name, path: forged })).rejects.toMatchObject(
      refusal("CONTRIBUTION_DOES_NOT_FOLLOW"),
    );

    // Two points of the wires trade places.
    const changed = Buffer.from(good);
    const { start, size } = sectionOf(good, 8);
    good.copy(changed, start + size - 128, start + size - 64, start + size);
    good.copy(changed, start + size - 64, start + size - 128, start + size - 64);
    writeFileSync(forged, changed);
    await expect(upload(rig, { name, path: forged })).rejects.toMatchObject(
      refusal("KEY_DOES_NOT_FOLLOW"),
    );

    // Gamma takes the value of delta: anybody could forge proofs.
    const equal = Buffer.from(good);
    const header = sectionOf(good, 2).start;
    const gamma = header + 2 * 36 + 12 + 64 + 64 + 128;
    const delta = gamma + 128 + 64;
    good.copy(equal, gamma, delta, delta + 128);
    writeFileSync(forged, equal);
    await expect(upload(rig, { name, path: forged })).rejects.toMatchObject(
      refusal("KEY_DOES_NOT_FOLLOW"),
    );
  });

  it("is refused where the stream is not as it should be, or longer than a key can be", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    const { path } = await exportKey(rig, name);
    const long = Buffer.concat([readFileSync(path), Buffer.alloc(70_000)]);
    await expect(rig.client.uploadContribution(messages({ name }, long))).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [{ field: "chunk", description: expect.stringContaining("make more than") }],
    });
    async function* chunksAlone() {
      yield { payload: { case: "chunk" as const, value: Buffer.of(1) } };
    }
    await expect(rig.client.uploadContribution(chunksAlone())).rejects.toMatchObject({
      violations: [{ field: "start" }],
    });
    await expect(
      rig.client.uploadContribution(messages({ name: `${name}x` }, long)),
    ).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("is for ceremonies that are open", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    const { path } = await exportKey(rig, name);
    const key = await contributed(path);
    await contribute(rig, name);
    await rig.client.applyBeacon({ name, beaconHash: BEACON, label: "b" });
    await expect(upload(rig, { name, path: key })).rejects.toMatchObject({
      ...refusal("CEREMONY_CLOSED"),
      message: expect.stringContaining("activate it"),
    });
    await expect(
      rig.client.applyBeacon({ name, beaconHash: `${BEACON}ff`, label: "b" }),
    ).rejects.toMatchObject(refusal("CEREMONY_CLOSED"));

    // Without a beacon nothing in the file says so: only the circuit does.
    const closing = await useAwaiting(rig, { id: "closing" });
    await contribute(rig, closing.name);
    const late = await contributed((await exportKey(rig, closing.name)).path);
    const last = await rig.circuits.get(closing.name);
    const verified = await ceremony(rig).close(last, new AbortController().signal);
    await rig.circuits.setKey(closing.name, { ifVersion: last.version, key: verified });
    await expect(upload(rig, { name: closing.name, path: late })).rejects.toMatchObject(
      refusal("CEREMONY_CLOSED"),
    );
    expect((await rig.circuits.get(closing.name)).key).toEqual(verified);

    const development = await developmentCircuit(rig);
    await expect(upload(rig, { name: development, path: key })).rejects.toMatchObject(
      refusal("NO_CEREMONY"),
    );
  });
});

describe("a beacon", { timeout: 180_000 }, () => {
  it("is refused before a party contributed, and where it is none", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    await expect(
      rig.client.applyBeacon({ name, beaconHash: BEACON, label: "b" }),
    ).rejects.toMatchObject(refusal("NO_CONTRIBUTION"));
    await expect(
      rig.client.applyBeacon({ name, beaconHash: "XY", iterations: 63, label: "é" }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [{ field: "beacon_hash" }, { field: "iterations" }, { field: "label" }],
    });
    const { etag } = await exportKey(rig, name);
    await contribute(rig, name);
    await expect(
      rig.client.applyBeacon({ name, etag, beaconHash: BEACON, label: "b" }),
    ).rejects.toMatchObject({ kind: "Aborted" });
  });
});

function sectionOf(
  file: Buffer,
  section: number,
): { readonly start: number; readonly size: number } {
  for (let at = 12; ; ) {
    const size = Number(file.readBigUInt64LE(at + 4));
    if (file.readUInt32LE(at) === section) return { start: at + 12, size };
    at += 12 + size;
  }
}
