// What the registry knows of the circuits of its versions.

import { describe, expect, it } from "vitest";
import { useFolder } from "../../../services/common/testing/use-folder.ts";
import { linearModel } from "../../../services/registry/test-models.ts";
import { makeModel, push } from "../../../services/registry/testing.ts";
import {
  makeLinear,
  pushLinear,
  type TestRegistryServer,
  useCircuits,
  useRegistryServer,
} from "./use-circuits.ts";

const known = async ({ registry }: TestRegistryServer, name: string) =>
  (await registry.models.getModelVersion({ name })).circuits.map(
    ({ circuit, active }) => [circuit.split("/").at(-1), active] as const,
  );

/** The machine may be busy with other tests. */
const PATIENT = { timeout: 20_000 };

describe("the registry", { timeout: 120_000 }, () => {
  it("is told of circuits that are ready, and when they go", async () => {
    const server = await useRegistryServer();
    const name = await pushLinear(server);
    const rig = await useCircuits(server);
    const first = await makeLinear(rig, { parent: name, circuitId: "a" });
    await expect.poll(() => known(server, name), PATIENT).toEqual([["a", true]]);
    const [told] = (await server.registry.models.getModelVersion({ name })).circuits;
    expect(told).toMatchObject({
      circuit: first.name,
      development: true,
      modelCommitment: first.modelCommitment,
      circuitHash: first.circuitHash,
      verifyingKeyHash: first.verifyingKeyHash,
    });
    const second = await makeLinear(rig, { parent: name, circuitId: "b" });
    await rig.client.activateCircuit({ name: second.name });
    await expect
      .poll(() => known(server, name), PATIENT)
      .toEqual([
        ["b", true],
        ["a", false],
      ]);
    await rig.client.deleteCircuit({ name: first.name });
    await expect.poll(() => known(server, name), PATIENT).toEqual([["b", true]]);
  });

  it("is told what it missed while it was away, also after a restart", async () => {
    const server = await useRegistryServer();
    const name = await pushLinear(server);
    const folder = useFolder();
    const failures: string[] = [];
    const rig = await useCircuits(server, {
      folder,
      recheckMs: 600_000,
      failed: (work) => void failures.push(work),
    });
    await makeLinear(rig, { parent: name, circuitId: "a" });
    const b = await makeLinear(rig, { parent: name, circuitId: "b" });
    await expect.poll(() => known(server, name), PATIENT).toHaveLength(2);
    await server.stop();
    failures.length = 0;
    await rig.client.deleteCircuit({ name: b.name });
    await expect.poll(() => failures, PATIENT).toContain("circuit report");
    expect(await known(server, name)).toHaveLength(2);
    await server.start();
    await expect.poll(() => known(server, name), PATIENT).toEqual([["a", true]]);
    await server.stop();
    await rig.client.deleteCircuit({ name: `${name}/circuits/a`, force: true });
    await rig[Symbol.asyncDispose]();
    await server.start();
    expect(await known(server, name)).toHaveLength(1);
    await useCircuits(server, { folder });
    await expect.poll(() => known(server, name), PATIENT).toEqual([]);
  });

  it("has circuits of a version out of use whose name another version has", async () => {
    const server = await useRegistryServer();
    const name = await pushLinear(server);
    const rig = await useCircuits(server);
    const { client } = rig;
    const old = await makeLinear(rig, { parent: name, circuitId: "a" });
    await server.registry.models.deleteRegisteredModel({
      name: "workspaces/default/models/linear",
      force: true,
    });
    const model = await makeModel(server.registry, "linear");
    expect((await push(server.registry, model, linearModel({ scale: 2 }))).name).toBe(name);
    await expect
      .poll(async () => (await client.getCircuit({ name: old.name })).active, PATIENT)
      .toBe(false);
    expect(await known(server, name)).toEqual([]);
    const next = await makeLinear(rig, { parent: name, circuitId: "b" });
    expect(next.active).toBe(true);
    await expect.poll(() => known(server, name), PATIENT).toEqual([["b", true]]);
  });
});
