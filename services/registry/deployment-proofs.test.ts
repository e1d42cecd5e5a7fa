import { describe, expect, it } from "vitest";
import { linearModel } from "./test-models.ts";
import { makeModel, pushApproved, useRegistry } from "./testing.ts";

const parent = "workspaces/default";
const name = `${parent}/deployments/d`;

describe("what a deployment says of proofs", () => {
  it("is stored, absent where it was, changed by its own path and kept by a rollback", async () => {
    const registry = await useRegistry({ config: { sandboxParallelism: 1 } });
    const model = await makeModel(registry, "m");
    await pushApproved(registry, model, linearModel());
    const { deployments } = registry;
    const targets = [{ modelVersion: `${model}/versions/1`, weight: 1 }];
    const created = await deployments.createDeployment({
      parent,
      deploymentId: "d",
      deployment: { config: { targets } },
    });
    expect(created.config?.proofs).toBeUndefined();
    const proved = await deployments.updateDeployment({
      deployment: { name, config: { proofs: { verifiable: true, receipts: true } } },
      updateMask: { paths: ["config.proofs"] },
    });
    expect(proved.config).toMatchObject({
      targets: created.config!.targets,
      proofs: { verifiable: true, receipts: true },
    });
    expect(proved.revision).toBe(2n);
    expect((await deployments.getDeployment({ name })).config).toEqual(proved.config);
    const logged = await deployments.updateDeployment({
      deployment: { name, config: { proofs: { receipts: true } } },
      updateMask: { paths: ["config.proofs"] },
    });
    expect(logged.config?.proofs).toMatchObject({ verifiable: false, receipts: true });
    expect(logged.history[0]?.config?.proofs).toMatchObject({ verifiable: true });
    const elsewhere = await deployments.updateDeployment({
      deployment: { name, config: { targets } },
      updateMask: { paths: ["config.targets"] },
    });
    expect(elsewhere.config?.proofs).toEqual(logged.config?.proofs);
    for (const revision of [1n, 2n]) {
      const back = await deployments.rollbackDeployment({ name, revision });
      expect(back.config?.proofs).toEqual(logged.config?.proofs);
    }
  });
});
