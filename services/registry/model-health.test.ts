import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { ModelHealth_State } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { FakeClock } from "../common/testing/fake-clock.ts";
import { openRegistryStore } from "./store.ts";
import { linearModel } from "./test-models.ts";
import { makeModel, pushApproved, type TestRegistry, useRegistry } from "./testing.ts";

const parent = "workspaces/default";
const deployed = `${parent}/deployments/d`;
const DAY_MS = 86_400_000;

/** A registry with an approved version and deployments of it. */
async function useDeployed(clock = new FakeClock(Date.now())) {
  const registry = await useRegistry({ clock });
  const model = await makeModel(registry, "m");
  const version = await pushApproved(registry, model, linearModel());
  await deploy(registry, "d", version.name);
  return { registry, model, clock, name: version.name };
}

async function deploy(registry: TestRegistry, deploymentId: string, modelVersion: string) {
  await registry.deployments.createDeployment({
    parent,
    deploymentId,
    deployment: { config: { targets: [{ modelVersion, weight: 1 }] } },
  });
}

const DRIFTED = {
  deployment: deployed,
  state: ModelHealth_State.DRIFTED,
  windowEndTime: { seconds: 1_000_000_000n, nanos: 0 },
  rows: 12n,
  featureDriftShare: 0.75,
  driftedColumns: ["a", "prediction.y"],
  liveMetrics: { accuracy: 0.5 },
  firingAlerts: [`${parent}/alerts/x`],
};

describe("what monitoring says of a version", () => {
  it("is on the version in Get, List and Watch, and is no change of it", async () => {
    const { registry, model, clock, name } = await useDeployed();
    const { models } = registry;
    const before = await models.getModelVersion({ name });
    expect(before.health).toEqual([]);
    clock.advance(5000);
    await models.reportModelHealth({ name, health: DRIFTED });
    const after = await models.getModelVersion({ name });
    expect(after.health).toMatchObject([DRIFTED]);
    expect(after.health[0]?.predictionDriftShare).toBeUndefined();
    expect(after.health[0]?.reportTime?.seconds).toBe(BigInt(Math.floor(clock.now() / 1000)));
    expect(after.etag).toBe(before.etag);
    expect(after.updateTime).toEqual(before.updateTime);
    const listed = await models.listModelVersions({ parent: model });
    expect(listed.modelVersions.map(({ health }) => health.length)).toEqual([1]);
    for await (const version of models.watchModelVersion({ name })) {
      expect(version.health).toHaveLength(1);
    }
  });

  it("has one entry a deployment, the newest", async () => {
    const { registry, name } = await useDeployed();
    await deploy(registry, "c", name);
    await registry.models.reportModelHealth({ name, health: DRIFTED });
    await registry.models.reportModelHealth({
      name,
      health: { deployment: deployed, state: ModelHealth_State.HEALTHY, predictionDriftShare: 0 },
    });
    await registry.models.reportModelHealth({
      name,
      health: { ...DRIFTED, deployment: `${parent}/deployments/c` },
    });
    const { health } = await registry.models.getModelVersion({ name });
    expect(health.map(({ deployment, state }) => [deployment, state])).toEqual([
      [`${parent}/deployments/c`, ModelHealth_State.DRIFTED],
      [deployed, ModelHealth_State.HEALTHY],
    ]);
    expect(health[1]).toMatchObject({ predictionDriftShare: 0, driftedColumns: [], rows: 0n });
    expect(health[1]?.featureDriftShare).toBeUndefined();
  });

  it("leaves out deployments that are gone or were made anew, and old reports", async () => {
    const { registry, model, clock, name } = await useDeployed();
    const healthOf = async () => (await registry.models.getModelVersion({ name })).health;
    await registry.models.reportModelHealth({ name, health: DRIFTED });
    await registry.deployments.deleteDeployment({ name: deployed });
    expect(await healthOf()).toEqual([]);
    await deploy(registry, "d", name);
    expect(await healthOf()).toEqual([]);
    await registry.models.reportModelHealth({ name, health: DRIFTED });
    expect(await healthOf()).toHaveLength(1);
    clock.advance(31 * DAY_MS);
    expect(await healthOf()).toEqual([]);
    expect((await registry.models.listModelVersions({ parent: model })).modelVersions).toHaveLength(
      1,
    );
  });

  it("goes with the version", async () => {
    const { registry, model, name } = await useDeployed();
    const store = await openRegistryStore(registry.documents);
    const another = await pushApproved(registry, model, linearModel({ scale: 2 }));
    await deploy(registry, "e", another.name);
    const health = { ...DRIFTED, deployment: `${parent}/deployments/e` };
    await registry.models.reportModelHealth({ name, health: DRIFTED });
    await registry.models.reportModelHealth({ name: another.name, health });
    expect(await store.health.countDocuments({})).toBe(2);
    await registry.deployments.deleteDeployment({ name: deployed });
    await registry.models.deleteModelVersion({ name });
    expect(await store.health.countDocuments({})).toBe(1);
    await registry.deployments.deleteDeployment({ name: `${parent}/deployments/e` });
    await registry.models.deleteRegisteredModel({ name: model, force: true });
    expect(await store.health.countDocuments({})).toBe(0);
  });

  it("is refused where it is not right, with every fault", async () => {
    const { registry, name } = await useDeployed();
    const report = registry.models.reportModelHealth;
    await expect(
      report({
        name,
        health: {
          deployment: deployed,
          rows: -1n,
          featureDriftShare: 1.5,
          driftedColumns: Array.from({ length: 21 }, (_, i) => `c${i}`),
          liveMetrics: { accuracy: Number.NaN },
        },
      }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        { field: "health.state" },
        { field: "health.rows" },
        { field: "health.feature_drift_share" },
        { field: "health.drifted_columns" },
        { field: 'health.live_metrics["accuracy"]' },
      ],
    });
    await expect(
      report({ name: `${parent}/models/m/versions/9`, health: DRIFTED }),
    ).rejects.toThrow(/versions\/9/);
    const gone = { ...DRIFTED, deployment: `${parent}/deployments/gone` };
    await expect(report({ name, health: gone })).rejects.toMatchObject({
      kind: "NotFound",
      reason: ErrorReason.RESOURCE_NOT_FOUND,
    });
    await expect(report({ name, health: {} })).rejects.toMatchObject({ kind: "InvalidArgument" });
    expect((await registry.models.getModelVersion({ name })).health).toEqual([]);
  });
});
