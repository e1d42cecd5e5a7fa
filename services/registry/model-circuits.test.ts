import { describe, expect, it } from "vitest";
import { FakeClock } from "../common/testing/fake-clock.ts";
import { openRegistryStore } from "./store.ts";
import { linearModel } from "./test-models.ts";
import { makeModel, pushApproved, useRegistry } from "./testing.ts";

async function useVersion() {
  const clock = new FakeClock(Date.now());
  const registry = await useRegistry({ clock });
  const model = await makeModel(registry, "m");
  const { name } = await pushApproved(registry, model, linearModel());
  return { registry, model, clock, name, models: registry.models };
}

function circuit(version: string, id: string, fields: object = {}) {
  return {
    circuit: `${version}/circuits/${id}`,
    modelCommitment: "1a".repeat(32),
    circuitHash: "2b".repeat(32),
    verifyingKeyHash: "3c".repeat(32),
    active: false,
    development: false,
    ...fields,
  };
}

describe("the circuits of a version", () => {
  it("are on the version in Get, List and Watch, and are no change of it", async () => {
    const { models, model, clock, name } = await useVersion();
    const before = await models.getModelVersion({ name });
    expect(before.circuits).toEqual([]);
    clock.advance(5000);
    const active = circuit(name, "c2", { active: true, development: true, verifyingKeyHash: "" });
    const circuits = [active, circuit(name, "c1")];
    await models.reportModelCircuits({ name, circuits });
    const after = await models.getModelVersion({ name });
    expect(after.circuits).toMatchObject(circuits);
    const seconds = BigInt(Math.floor(clock.now() / 1000));
    expect(after.circuits.map(({ reportTime }) => reportTime?.seconds)).toEqual([seconds, seconds]);
    expect(after.etag).toBe(before.etag);
    expect(after.updateTime).toEqual(before.updateTime);
    const listed = await models.listModelVersions({ parent: model });
    expect(listed.modelVersions[0]?.circuits).toEqual(after.circuits);
    for await (const version of models.watchModelVersion({ name })) {
      expect(version.circuits).toEqual(after.circuits);
    }
  });

  it("are replaced by each report, by none too", async () => {
    const { models, name } = await useVersion();
    await models.reportModelCircuits({ name, circuits: [circuit(name, "a"), circuit(name, "b")] });
    await models.reportModelCircuits({ name, circuits: [circuit(name, "b")] });
    const { circuits } = await models.getModelVersion({ name });
    expect(circuits.map((one) => one.circuit)).toEqual([`${name}/circuits/b`]);
    await models.reportModelCircuits({ name, circuits: [] });
    expect((await models.getModelVersion({ name })).circuits).toEqual([]);
  });

  it("go with the version", async () => {
    const { registry, models, model, name } = await useVersion();
    const store = await openRegistryStore(registry.documents);
    const other = await pushApproved(registry, model, linearModel({ scale: 2 }));
    for (const version of [name, other.name]) {
      await models.reportModelCircuits({ name: version, circuits: [circuit(version, "c")] });
    }
    expect(await store.circuits.countDocuments({})).toBe(2);
    await models.deleteModelVersion({ name });
    expect(await store.circuits.countDocuments({})).toBe(1);
    await models.deleteRegisteredModel({ name: model, force: true });
    expect(await store.circuits.countDocuments({})).toBe(0);
  });

  it("are refused where they are not right, with every fault", async () => {
    const { models, name } = await useVersion();
    const circuits = [
      circuit(`${name}1`, "c", { active: true, modelCommitment: "x" }),
      circuit(name, "d", { active: true, circuitHash: "", verifyingKeyHash: "AB".repeat(32) }),
      circuit(name, "d"),
    ];
    await expect(models.reportModelCircuits({ name, circuits })).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        { field: "circuits", description: "has 2 active ones; at most one is" },
        { field: "circuits[0].circuit" },
        { field: "circuits[0].model_commitment" },
        { field: "circuits[1].circuit_hash" },
        { field: "circuits[1].verifying_key_hash" },
        { field: "circuits[2].circuit", description: `repeats ${name}/circuits/d` },
      ],
    });
    const many = Array.from({ length: 21 }, (_, i) => circuit(name, `c${i}`));
    await expect(models.reportModelCircuits({ name, circuits: many })).rejects.toMatchObject({
      violations: [{ field: "circuits", description: "has 21; at most 20" }],
    });
    const byAlias = name.replace(/\/1$/, "/latest");
    await expect(models.reportModelCircuits({ name: byAlias })).rejects.toMatchObject({
      violations: [{ field: "name" }],
    });
    const gone = name.replace(/\/1$/, "/9");
    await expect(models.reportModelCircuits({ name: gone })).rejects.toMatchObject({
      kind: "NotFound",
    });
    expect((await models.getModelVersion({ name })).circuits).toEqual([]);
  });
});
