// Which circuit of a version is active, and ceremonies, which activation closes.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  KeySetup_Protocol as Protocol,
  CircuitOptions_Setup as Setup,
  Circuit_State as State,
} from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { ExportCircuitRequest_File as File } from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { contributed, messages } from "../../../services/proofs/ceremony/testing/use-ceremony.ts";
import { readVerifyingFile } from "../../../services/proofs/circuits/verifying-file.ts";
import { fileDigest } from "../../../services/proofs/prover/section-file.ts";
import { smallPtau } from "../../../services/proofs/prover/testing/files.ts";
import {
  exported,
  makeLinear,
  pushLinear,
  type TestCircuits,
  useCircuits,
  useRegistryServer,
} from "./use-circuits.ts";

const POWER = 8;

async function importPtau({ client }: TestCircuits): Promise<void> {
  const path = await smallPtau(POWER);
  const digest = { case: "sha256" as const, value: await fileDigest(path) };
  const start = { parent: "workspaces/default", powersOfTauId: "small", digest };
  await client.importPowersOfTau(messages(start, readFileSync(path)));
}

describe("activation", { timeout: 120_000 }, () => {
  it("is guarded by the etag, and repeated without harm", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server);
    await makeLinear(rig, { parent, circuitId: "a" });
    const { name, uid, etag } = await makeLinear(rig, { parent, circuitId: "b" });
    const activated = await rig.client.activateCircuit({ name, etag });
    expect(activated.active).toBe(true);
    expect(await rig.client.activateCircuit({ name })).toEqual(activated);
    await expect(rig.client.activateCircuit({ name, etag })).rejects.toMatchObject({
      kind: "Aborted",
    });
    // Proofs are no change of a circuit.
    for (const ms of [30, 10, 20]) {
      await rig.circuits.addProveMs(uid, ms);
    }
    const measured = await rig.client.getCircuit({ name });
    expect(measured.etag).toBe(activated.etag);
    expect(measured.report).toMatchObject({ proofsMeasured: 3, proveTime: { nanos: 20_000_000 } });
  });

  it("is refused of a version that is gone, which has no active circuit then", async () => {
    const server = await useRegistryServer();
    const model = (await pushLinear(server)).replace(/\/versions\/.*/, "");
    const parent = `${model}/versions/1`;
    // Nothing is taken out of use by itself meanwhile.
    const rig = await useCircuits(server, { recheckMs: 3_600_000 });
    const { client } = rig;
    const old = await makeLinear(rig, { parent, circuitId: "old" });
    expect(old.active).toBe(true);
    const { name } = old;
    const refused = {
      kind: "FailedPrecondition",
      violations: [{ type: "STATE", subject: parent }],
      message: expect.stringContaining("was removed"),
    };
    const active = () => client.getCircuit({ name: `${parent}/circuits/active` });
    const expectStale = async () => {
      await expect(client.activateCircuit({ name })).rejects.toMatchObject(refused);
      await expect(active()).rejects.toMatchObject({ kind: "NotFound" });
      expect(await client.getCircuit({ name })).toMatchObject({ active: false });
    };
    await server.registry.models.deleteRegisteredModel({ name: model, force: true });
    await expectStale();
    // Another takes its name, and gets an active circuit of its own by itself.
    await pushLinear(server, { scale: 2 });
    await expectStale();
    const first = await makeLinear(rig, { parent, circuitId: "new" });
    expect(first.active).toBe(true);
    expect((await active()).name).toBe(first.name);
    expect((await rig.circuits.jobs.get(name)).active).toBe(false);
  });

  it("is one where it is asked for several times at once, and closes the ceremony once", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server);
    const { client, folder } = rig;
    await importPtau(rig);
    const { name } = await makeLinear(rig, { parent, circuitId: "c", setup: Setup.CEREMONY });
    const { head, bytes } = await exported(rig, name, File.PROVING_KEY);
    const challenge = join(folder, "challenge.zkey");
    writeFileSync(challenge, bytes);
    const answer = readFileSync(await contributed(challenge, "party"));
    await client.uploadContribution(messages({ name, etag: head.etag }, answer));
    const all = await Promise.all([1, 2, 3].map(() => client.activateCircuit({ name })));
    expect(all.map(({ active, setup }) => [active, setup?.verified])).toEqual([
      [true, true],
      [true, true],
      [true, true],
    ]);
    expect(new Set(all.map(({ etag }) => etag)).size).toBe(1);
  });

  it("closes a ceremony, once a party has contributed", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server);
    const { client, folder } = rig;
    await importPtau(rig);
    const awaiting = await makeLinear(rig, { parent, circuitId: "c", setup: Setup.CEREMONY });
    const { name } = awaiting;
    expect(awaiting).toMatchObject({
      state: State.AWAITING_CONTRIBUTIONS,
      active: false,
      setup: { development: false, verified: false, contributions: [] },
    });
    await expect(client.activateCircuit({ name })).rejects.toMatchObject({
      violations: [{ type: "NO_CONTRIBUTION" }],
    });
    const notYet = { kind: "FailedPrecondition", message: /awaits contributions/ };
    for (const file of [
      File.VERIFYING_KEY,
      File.SOLIDITY,
      File.SOLC_INPUT,
      File.ABI,
      File.TEST_VECTOR,
    ]) {
      await expect(exported(rig, name, file)).rejects.toMatchObject({
        ...notYet,
        message: expect.stringMatching(notYet.message),
      });
    }
    const { head, bytes } = await exported(rig, name, File.PROVING_KEY);
    const challenge = join(folder, "challenge.zkey");
    writeFileSync(challenge, bytes);
    const answer = readFileSync(await contributed(challenge, "party"));
    await client.uploadContribution(messages({ name, etag: head.etag }, answer));
    const closed = await client.activateCircuit({ name });
    expect(closed).toMatchObject({
      state: State.READY,
      active: true,
      setup: { verified: true, contributions: [{ name: "party", beacon: false }] },
    });
    const file = await exported(rig, name, File.VERIFYING_KEY);
    expect(readVerifyingFile(file.bytes.toString())).toMatchObject({
      development: false,
      setup: "ceremony",
      verifyingKeyHash: closed.verifyingKeyHash,
    });
    const transcript = JSON.parse((await exported(rig, name, File.TRANSCRIPT)).bytes.toString());
    expect(transcript).toMatchObject({ closed: true, contributions: [{ name: "party" }] });
    expect((await exported(rig, name, File.SOLIDITY)).bytes.toString()).not.toContain(
      "DEVELOPMENT",
    );
  });

  it("takes a universal key by itself, which has no contract of ours", {
    timeout: 120_000,
  }, async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server);
    await importPtau(rig);
    const circuit = await makeLinear(rig, { parent, circuitId: "u", setup: Setup.UNIVERSAL });
    expect(circuit.error).toBeUndefined();
    expect(circuit).toMatchObject({
      state: State.READY,
      active: true,
      verifyingKeyHash: "",
      setup: { protocol: Protocol.PLONK, development: false },
    });
    for (const file of [File.SOLIDITY, File.VERIFYING_KEY]) {
      await expect(exported(rig, circuit.name, file)).rejects.toMatchObject({
        violations: [{ type: "PLONK" }],
      });
    }
  });
});
