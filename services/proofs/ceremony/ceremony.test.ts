// A ceremony over the wire, from public powers of tau to proofs, with a party that has nothing but
// snarkjs; and what comes in between: two at once, repetitions, crashes.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import type { KeyDocument } from "../circuits/circuit.ts";
import { contributeToKey } from "../prover/contribute.ts";
import { fileDigest } from "../prover/section-file.ts";
import { smallPtau } from "../prover/testing/files.ts";
import { prepareKey, verifyProof } from "../verifier/groth16.ts";
import { readProof } from "../verifier/proof-format.ts";
import { readVerifyingKey } from "../verifier/verifying-key.ts";
import { ceremony } from "./close-ceremony.ts";
import { afterTask } from "./testing/start-ceremonies.ts";
import {
  BEACON,
  contribute,
  contributed,
  exportKey,
  POWER,
  POWERS_OF_TAU,
  type TestCeremonies,
  upload,
  useDoomed,
  useOpen,
} from "./testing/use-ceremony.ts";
import { transcriptJson } from "./transcript.ts";

const SNARKJS = fileURLToPath(new URL("../../../node_modules/.bin/snarkjs", import.meta.url));
const NEVER = new AbortController().signal;

beforeAll(async () => {
  await smallPtau(POWER);
}, 300_000);

describe("a ceremony", { timeout: 180_000 }, () => {
  it("goes from powers of tau over two parties and a beacon to proofs", async () => {
    const { rig, circuit } = await useOpen();
    const { client, circuits, files, prover } = rig;
    const { name } = circuit;

    const first = await exportKey(rig, name);
    const byParty = join(rig.folder, "first.zkey");
    const args = ["zkey", "contribute", first.path, byParty, "--name=An outsider", "-e=not secret"];
    await promisify(execFile)(SNARKJS, args);
    const taken = await upload(rig, { name, etag: first.etag, path: byParty });
    expect(taken.setup?.contributions).toMatchObject([{ name: "An outsider", beacon: false }]);
    expect(taken.etag).not.toBe(first.etag);

    rig.clock.advance(3_600_000);
    const second = await exportKey(rig, name);
    const bySecond = join(rig.folder, "second.zkey");
    const { hash } = await contributeToKey({
      challenge: second.path,
      to: bySecond,
      name: "A second party",
    });
    await upload(rig, { name, etag: second.etag, path: bySecond });

    rig.clock.advance(3_600_000);
    const { etag } = await exportKey(rig, name);
    const label = "drand round 1234";
    const beacon = { name, etag, beaconHash: BEACON, iterations: 10, label };
    const last = await client.applyBeacon(beacon);
    expect(last.setup?.contributions).toMatchObject([
      { name: "An outsider", beacon: false },
      { name: "A second party", beacon: false, hash },
      { name: label, beacon: true, beaconHash: BEACON, beaconIterations: 10 },
    ]);
    expect(last.setup?.verified).toBe(false);

    const open = await circuits.get(name);
    const key = await ceremony(rig).close(open, NEVER);
    expect(key).toMatchObject({ verified: true, zkey: open.key?.zkey });
    await circuits.setKey(name, { ifVersion: open.version, key });
    expect(await circuits.activate(name)).toMatchObject({ active: true });

    const ready = await circuits.get(name);
    const made = await prover.prove({ ...circuit, ...(await files.proving(ready)) });
    const verifyingKey = readVerifyingKey(ready.key?.record.verifyingKey);
    const values = made.publicValues.map(BigInt);
    expect(verifyProof(prepareKey(verifyingKey), readProof(made.proof), values)).toBe(true);
    expect(
      verifyProof(prepareKey(verifyingKey), readProof(made.proof), [7n, ...values.slice(1)]),
    ).toBe(false);

    const shown = JSON.parse(transcriptJson(ready));
    expect(shown).toMatchObject({
      circuit: name,
      closed: true,
      constraints: { sha256: await fileDigest(circuit.r1cs) },
      powersOfTau: { name: POWERS_OF_TAU, sha256: await fileDigest(rig.ptau) },
      contributions: [
        { number: 1, kind: "party", name: "An outsider", time: "2026-01-01T00:00:00.000Z" },
        { number: 2, kind: "party", blake2b512: hash, time: "2026-01-01T01:00:00.000Z" },
        { number: 3, kind: "beacon", beaconHash: BEACON, time: "2026-01-01T02:00:00.000Z" },
      ],
      provingKey: { sha256: key.zkey },
      verifyingKeyHash: key.record.verifyingKeyHash,
    });
    expect(transcriptJson(ready)).toBe(transcriptJson(await circuits.get(name)));
  });

  it("takes a call that is repeated for one", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    const { path, etag } = await exportKey(rig, name);
    const key = await contributed(path);
    const first = await upload(rig, { name, etag, path: key });
    expect(await upload(rig, { name, etag, path: key })).toEqual(first);
    const beacon = { name, etag: first.etag, beaconHash: BEACON, label: "b" };
    const closed = await rig.client.applyBeacon(beacon);
    expect(closed.setup?.contributions.at(-1)?.beaconIterations).toBe(10);
    expect(await rig.client.applyBeacon(beacon)).toEqual(closed);
  });

  it("takes the same beacon at once for one, and says what to do where the key is another", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    const { etag } = await contribute(rig, name);
    const { etag: before } = await exportKey(rig, name);
    await contribute(rig, name, "another");
    const beacon = { name, beaconHash: BEACON, label: "b" };
    expect(before).toBe(etag);
    await expect(rig.client.applyBeacon({ ...beacon, etag })).rejects.toMatchObject({
      kind: "Aborted",
      message: expect.stringContaining("apply the beacon with its etag"),
    });
    const [one, ...others] = await Promise.all([1, 2, 3].map(() => rig.client.applyBeacon(beacon)));
    expect(others).toEqual([one, one]);
    expect(await transcript(rig, name)).toHaveLength(3);
  });

  it("lets one of two parties win that contribute to the same key, and nothing is lost", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    const { path, etag } = await exportKey(rig, name);
    const keys = await Promise.all(["one", "two"].map((party) => contributed(path, party)));
    const outcomes = await Promise.allSettled(
      keys.map((key) => upload(rig, { name, etag, path: key })),
    );
    const lost = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(lost).toMatchObject([
      { reason: { kind: "Aborted", message: expect.stringContaining("Export the proving key") } },
    ]);
    expect(await transcript(rig, name)).toHaveLength(1);
    // Whoever lost starts from the new key.
    await contribute(rig, name, "again");
    expect(await transcript(rig, name)).toMatchObject([{}, { name: "again" }]);
  });

  it("is overtaken by no other server", async () => {
    const { rig, circuit } = await useOpen({
      prover: (prover) => afterTask(prover, "importContribution", async () => await overtake()),
    });
    const { name } = circuit;
    const { path } = await exportKey(rig, name);
    const [ours, theirs] = [await contributed(path), await contributed(path, "theirs")];
    let isOvertaken = false;
    async function overtake(): Promise<void> {
      if (isOvertaken) return;
      isOvertaken = true;
      // Another server with the same documents takes its contribution while ours is verified.
      const before = await rig.circuits.get(name);
      const to = join(rig.folder, "theirs.zkey");
      const { r1cs, zkey } = await rig.files.proving(before);
      const all = { r1cs, zkey, ptau: rig.ptau, contributed: theirs, to };
      const record = await rig.prover.importContribution(all);
      const key = { ...before.key, zkey: await rig.files.store(to), record } as KeyDocument;
      await rig.circuits.setKey(name, { ifVersion: before.version, key });
    }
    await expect(upload(rig, { name, path: ours })).rejects.toMatchObject({ kind: "Aborted" });
    expect(await transcript(rig, name)).toMatchObject([{ name: "theirs" }]);
  });

  it("goes on after a server that was killed in the middle of a contribution", async () => {
    const { rig, circuit } = await useOpen();
    const { name } = circuit;
    const { path, etag } = await exportKey(rig, name);
    const key = await contributed(path);
    const { client, gone } = await useDoomed(rig.folder, "importContribution");
    await expect(upload({ client }, { name, etag, path: key })).rejects.toMatchObject({
      kind: "Unavailable",
    });
    expect(await gone).toBe("SIGKILL");
    expect(await transcript(rig, name)).toEqual([]);
    await upload(rig, { name, etag, path: key });
    expect(await transcript(rig, name)).toMatchObject([{ name: "a party" }]);
  });
});

/** The transcript as it is stored. */
async function transcript(rig: TestCeremonies, name: string) {
  return (await rig.circuits.get(name)).key?.record.contributions;
}
