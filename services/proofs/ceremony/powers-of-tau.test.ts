// Powers of tau over the wire: what is imported, what is refused before anything is made from it,
// and what a caller finds who left, was cut off, or asks twice.

import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import { useSmallDisk } from "../../common/blobs/testing.ts";
import { fileDigest } from "../prover/section-file.ts";
import { denseGraph, smallPtau, writeCircuit } from "../prover/testing/files.ts";
import { afterTask } from "./testing/start-ceremonies.ts";
import {
  importPtau,
  messages,
  PARENT,
  POWER,
  POWERS_OF_TAU,
  type TestCeremonies,
  useAwaiting,
  useCeremonies,
  useDoomed,
} from "./testing/use-ceremony.ts";

beforeAll(async () => {
  await smallPtau(POWER);
}, 300_000);

/** How often the prover verified a file. */
async function useCounting(): Promise<TestCeremonies & { verified(): number }> {
  let count = 0;
  const rig = await useCeremonies({
    prover: (prover) =>
      afterTask(prover, "importPtau", () => {
        count += 1;
      }),
  });
  return { ...rig, verified: () => count };
}

async function listed({ client }: TestCeremonies): Promise<readonly string[]> {
  return (await client.listPowersOfTau({ parent: PARENT })).powersOfTau.map(({ name }) => name);
}

describe("powers of tau", { timeout: 180_000 }, () => {
  it("are imported under the hash that their publisher names, listed and deleted", async () => {
    const rig = await useCeremonies();
    const bytes = readFileSync(rig.ptau);
    const blake2b512 = createHash("blake2b512").update(bytes).digest("hex");
    const digest = { case: "blake2b512" as const, value: blake2b512 };
    const start = { parent: PARENT, powersOfTauId: "small", digest };
    const imported = await rig.client.importPowersOfTau(messages(start, bytes));
    expect(imported).toMatchObject({
      name: POWERS_OF_TAU,
      power: POWER,
      sizeBytes: BigInt(bytes.length),
      sha256: await fileDigest(rig.ptau),
      actor: "anonymous",
    });
    rig.clock.advance(1_000);
    await importPtau(rig, { id: "newer" });
    const { powersOfTau } = await rig.client.listPowersOfTau({ parent: PARENT });
    expect(powersOfTau.map(({ name }) => name)).toEqual([
      `${PARENT}/powersOfTau/newer`,
      imported.name,
    ]);
    expect(powersOfTau[1]).toEqual(imported);
    await rig.client.deletePowersOfTau({ name: POWERS_OF_TAU });
    expect(await listed(rig)).toEqual([`${PARENT}/powersOfTau/newer`]);
    await expect(rig.client.deletePowersOfTau({ name: POWERS_OF_TAU })).rejects.toMatchObject({
      kind: "NotFound",
    });
  });

  it("are one where they come twice, one after the other or at once, and verified once", async () => {
    const rig = await useCounting();
    const [one, other] = await Promise.all([importPtau(rig), importPtau(rig)]);
    expect(other).toEqual(one);
    expect(await importPtau(rig)).toEqual(one);
    await importPtau(rig, { id: "elsewhere" });
    expect(rig.verified()).toBe(1);
    expect(await Array.fromAsync(rig.blobs.list())).toHaveLength(1);
    expect(await rig.blobs.staleStages(0)).toEqual([]);
  });

  it("are one however many times they come at once, also while others of the name are refused", async () => {
    const rig = await useCounting();
    const path = join(rig.folder, "other.ptau");
    writeFileSync(path, "another file");
    const imports = [1, 2, 3, 4, 5, 6].map(() => importPtau(rig));
    const others = await Promise.allSettled([1, 2, 3].map(() => importPtau(rig, { path })));
    const outcomes = await Promise.allSettled(imports);
    for (const one of [...outcomes, ...others].filter(({ status }) => status === "rejected")) {
      const { kind, message } = (one as PromiseRejectedResult).reason;
      expect(["AlreadyExists", "Aborted", "InvalidArgument"]).toContain(kind);
      expect(message).not.toMatch(/document/);
    }
    expect(await importPtau(rig)).toMatchObject({ power: POWER });
    const again = await Promise.all([1, 2, 3, 4].map(() => importPtau(rig, { id: "again" })));
    expect(new Set(again.map(({ sha256 }) => sha256)).size).toBe(1);
    expect(rig.verified()).toBe(1);
  });

  it("are 64 in a workspace at most, also when they come at once", async () => {
    const rig = await useCeremonies();
    const { sha256, ...file } = {
      sha256: await fileDigest(rig.ptau),
      workspace: "w",
      actor: "a",
      sizeBytes: 1,
      blake2b512: "",
    };
    for (let i = 0; i < 62; i++) {
      await rig.ptaus.hold({ ...file, _id: `${PARENT}/powersOfTau/p${i}`, sha256 });
    }
    const ids = ["a", "b", "c", "d", "e", "f"];
    const outcomes = await Promise.allSettled(ids.map((id) => importPtau(rig, { id })));
    const refused = outcomes.filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(4);
    for (const one of refused as PromiseRejectedResult[]) {
      expect(one.reason).toMatchObject({ kind: "ResourceExhausted" });
    }
    // One that is there, and is not verified yet, needs no room.
    expect(await importPtau(rig, { id: "p7" })).toMatchObject({ power: POWER });
    await rig.client.deletePowersOfTau({ name: `${PARENT}/powersOfTau/p7` });
    expect(await importPtau(rig, { id: "g" })).toMatchObject({ power: POWER });
  });

  it("are deleted once, whoever asks for it at the same time", async () => {
    const rig = await useCeremonies();
    await importPtau(rig);
    const asked = [1, 2, 3].map(() => rig.client.deletePowersOfTau({ name: POWERS_OF_TAU }));
    const outcomes = await Promise.allSettled(asked);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual([
      "fulfilled",
      "rejected",
      "rejected",
    ]);
    for (const one of outcomes.filter(({ status }) => status === "rejected")) {
      expect((one as PromiseRejectedResult).reason).toMatchObject({
        kind: "NotFound",
        metadata: { resource: POWERS_OF_TAU },
      });
    }
  });

  it("are refused with another hash than was said, and nothing is kept", async () => {
    const rig = await useCounting();
    await expect(importPtau(rig, { sha256: "0".repeat(64) })).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [{ field: "start.sha256" }],
    });
    expect(rig.verified()).toBe(0);
    expect(await Array.fromAsync(rig.blobs.list())).toEqual([]);
    expect(await rig.blobs.staleStages(0)).toEqual([]);
    expect(await listed(rig)).toEqual([]);
  });

  it("are refused where they are cut off or do not follow, though the hash is theirs", async () => {
    const rig = await useCeremonies();
    const whole = readFileSync(rig.ptau);
    const path = join(rig.folder, "broken.ptau");
    const changed = Buffer.from(whole);
    const at = 12 + 12 + 44 + 12 + 64 * 5;
    changed.copy(changed, at, at + 64, at + 128);
    const broken = [
      [whole.subarray(0, whole.length - 1), "not a whole .ptau file"],
      [whole.subarray(0, 4_000), "not a whole .ptau file"],
      [Buffer.from("no powers of tau"), "not a whole .ptau file"],
      [changed, "do not follow"],
    ] as const;
    for (const [bytes, message] of broken) {
      writeFileSync(path, bytes);
      await expect(importPtau(rig, { path })).rejects.toMatchObject({
        kind: "InvalidArgument",
        message: expect.stringContaining(message),
      });
      expect(await rig.ptaus.find(POWERS_OF_TAU)).toBeUndefined();
    }
    expect(await importPtau(rig)).toMatchObject({ power: POWER });
  });

  it("keep their name: another file is not taken for them", async () => {
    const rig = await useCeremonies();
    await importPtau(rig);
    const path = join(rig.folder, "other.ptau");
    writeFileSync(path, "another file");
    await expect(importPtau(rig, { path })).rejects.toMatchObject({ kind: "AlreadyExists" });
    expect((await rig.ptaus.get(POWERS_OF_TAU)).sha256).toBe(await fileDigest(rig.ptau));
  });

  it("are refused where they are larger than the operator allows", async () => {
    const rig = await useCeremonies({ config: { ptauBytesMax: 100_000 } });
    await expect(importPtau(rig)).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringContaining("PLINTH_PROOFS_POWERS_OF_TAU_MAX"),
    });
    expect(await rig.blobs.staleStages(0)).toEqual([]);
  });

  const fullDisk = async (folder: string): Promise<void> => {
    const rig = await useCeremonies({ blobsFolder: folder });
    await expect(importPtau(rig)).rejects.toMatchObject({ kind: "ResourceExhausted" });
    expect(readdirSync(join(folder, "staging"))).toEqual([]);
    expect(await listed(rig)).toEqual([]);
  };
  it("leave nothing behind on a disk that is full", async (context) => {
    const folder = useSmallDisk(128 * 1024);
    if (folder === undefined) context.skip("no small disk can be mounted here");
    else await fullDisk(folder);
  });

  it("need an id and exactly one hash", async () => {
    const rig = await useCeremonies();
    const start = { parent: PARENT, powersOfTauId: "no id" };
    await expect(rig.client.importPowersOfTau(messages(start, Buffer.of(1)))).rejects.toMatchObject(
      {
        kind: "InvalidArgument",
        violations: [{ field: "start.powers_of_tau_id" }, { field: "start.digest" }],
      },
    );
    await expect(importPtau(rig, { sha256: "ABC" })).rejects.toMatchObject({
      violations: [{ field: "start.sha256" }],
    });
  });

  it("are not for a key of another workspace", async () => {
    const principal = {
      id: "workspaces/v/apiKeys/k",
      workspace: "v",
      roles: [Role.ADMIN],
    };
    const rig = await useCeremonies({ principal });
    const denied = { kind: "PermissionDenied" };
    await expect(importPtau(rig)).rejects.toMatchObject(denied);
    await expect(rig.client.listPowersOfTau({ parent: PARENT })).rejects.toMatchObject(denied);
    await expect(rig.client.deletePowersOfTau({ name: POWERS_OF_TAU })).rejects.toMatchObject(
      denied,
    );
    const name = `${PARENT}/models/m/versions/1/circuits/c`;
    await expect(
      rig.client.uploadContribution(messages({ name }, Buffer.of(1))),
    ).rejects.toMatchObject(denied);
    await expect(rig.client.applyBeacon({ name, beaconHash: "00" })).rejects.toMatchObject(denied);
  });

  it("stay while a circuit uses them, which is named", async () => {
    const rig = await useCeremonies();
    await importPtau(rig);
    const { name } = await useAwaiting(rig);
    await expect(rig.client.deletePowersOfTau({ name: POWERS_OF_TAU })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining(name),
    });
    expect(await listed(rig)).toEqual([POWERS_OF_TAU]);
    await rig.circuits.remove(await rig.circuits.get(name));
    await rig.client.deletePowersOfTau({ name: POWERS_OF_TAU });
    expect(await listed(rig)).toEqual([]);
  });

  it("can be imported again where their deletion was cut off", async () => {
    const rig = await useCeremonies();
    const imported = await importPtau(rig);
    const looking = Promise.withResolvers<undefined>();
    const asked = Promise.withResolvers<void>();
    // Whoever deletes them looks for users, and is gone for long.
    const deleted = rig.ptaus.delete(POWERS_OF_TAU, () => {
      asked.resolve();
      return looking.promise;
    });
    await asked.promise;
    await expect(rig.ptaus.file(POWERS_OF_TAU)).rejects.toMatchObject({ kind: "NotFound" });
    expect(await listed(rig)).toEqual([]);
    expect(await importPtau(rig)).toMatchObject({ sha256: imported.sha256 });
    looking.resolve(undefined);
    await expect(deleted).rejects.toMatchObject({
      kind: "Aborted",
      message: expect.stringContaining("was imported again while it was deleted, and stays"),
    });
    expect(await listed(rig)).toEqual([POWERS_OF_TAU]);
  });

  it("are too small for a larger circuit: no key is made", async () => {
    const rig = await useCeremonies();
    await importPtau(rig);
    const { path } = await rig.ptaus.file(POWERS_OF_TAU);
    const large = writeCircuit(rig.folder, "large", denseGraph([16, 8, 4]));
    await expect(rig.prover.newPhase2({ ...large, ptau: path })).rejects.toMatchObject({
      violations: [{ type: "PTAU_TOO_SMALL" }],
    });
    expect(readdirSync(rig.folder).filter((one) => one.includes("zkey"))).toEqual([]);
  });
});

describe("an import that is cut off", { timeout: 180_000 }, () => {
  it("keeps nothing where the stream ends early, and begins again", async () => {
    const rig = await useCeremonies();
    const whole = readFileSync(rig.ptau);
    const sha256 = await fileDigest(rig.ptau);
    const start = { parent: PARENT, powersOfTauId: "small", digest: digestOf(sha256) };
    async function* cut() {
      yield* messages(start, whole.subarray(0, whole.length / 2));
      throw new Error("the line went dead");
    }
    await expect(rig.client.importPowersOfTau(cut())).rejects.toThrow("the line went dead");
    expect(await listed(rig)).toEqual([]);
    expect(await importPtau(rig)).toMatchObject({ power: POWER });
  });

  it("is found done by whoever asks again after it left", async () => {
    const verifying = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    let count = 0;
    const rig = await useCeremonies({
      prover: (prover) =>
        afterTask(prover, "importPtau", async () => {
          count += 1;
          verifying.resolve();
          await goOn.promise;
        }),
    });
    const leaving = new AbortController();
    const start = {
      parent: PARENT,
      powersOfTauId: "small",
      digest: digestOf(await fileDigest(rig.ptau)),
    };
    const first = rig.client.importPowersOfTau(messages(start, readFileSync(rig.ptau)), {
      signal: leaving.signal,
    });
    await verifying.promise;
    leaving.abort();
    await expect(first).rejects.toThrow("aborted");
    expect(await listed(rig)).toEqual([]);
    // The bytes are here: none need to come again.
    const again = rig.client.importPowersOfTau(messages(start, Buffer.of()));
    goOn.resolve();
    expect(await again).toMatchObject({ power: POWER });
    expect(count).toBe(1);
  });

  it("goes on from the bytes that came before its server was killed", async () => {
    const rig = await useCeremonies();
    const copy = join(rig.folder, "copy.ptau");
    copyFileSync(rig.ptau, copy);
    const { client, gone } = await useDoomed(rig.folder, "importPtau");
    await expect(importPtau({ client, ptau: copy })).rejects.toMatchObject({ kind: "Unavailable" });
    expect(await gone).toBe("SIGKILL");
    expect(await listed(rig)).toEqual([]);
    await expect(rig.ptaus.get(POWERS_OF_TAU)).rejects.toMatchObject({ kind: "NotFound" });
    const start = {
      parent: PARENT,
      powersOfTauId: "small",
      digest: digestOf(await fileDigest(copy)),
    };
    expect(await rig.client.importPowersOfTau(messages(start, Buffer.of()))).toMatchObject({
      power: POWER,
    });
    expect(await listed(rig)).toEqual([POWERS_OF_TAU]);
  });
});

function digestOf(sha256: string) {
  return { case: "sha256" as const, value: sha256 };
}
