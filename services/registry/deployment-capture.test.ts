import { describe, expect, it } from "vitest";
import { linearModel } from "./test-models.ts";
import { makeModel, pushApproved, useRegistry } from "./testing.ts";

const parent = "workspaces/default";
const name = `${parent}/deployments/d`;

async function useDeployments() {
  const registry = await useRegistry({ config: { sandboxParallelism: 1 } });
  const model = await makeModel(registry, "m");
  await pushApproved(registry, model, linearModel({ scale: 1 }));
  const { deployments } = registry;
  const targets = [{ modelVersion: `${model}/versions/1`, weight: 1 }];
  return { deployments, targets };
}

describe("the capture settings of a deployment", () => {
  it("are stored, left absent where they were, changed by their own path and rolled back", async () => {
    const { deployments, targets } = await useDeployments();
    const created = await deployments.createDeployment({
      parent,
      deploymentId: "d",
      deployment: { config: { targets } },
    });
    expect(created.config?.capture).toBeUndefined();
    const masked = await deployments.updateDeployment({
      deployment: {
        name,
        config: { capture: { sampleRate: 0, maskedFields: ["age", "income", "age"] } },
      },
      updateMask: { paths: ["config.capture"] },
    });
    expect(masked.config).toMatchObject({
      targets: created.config!.targets,
      capture: { sampleRate: 0, maskedFields: ["age", "income"] },
    });
    expect((await deployments.getDeployment({ name })).config).toEqual(masked.config);
    const defaultRate = await deployments.updateDeployment({
      deployment: { name, config: { capture: { maskedFields: ["age"] } } },
      updateMask: { paths: ["config.capture"] },
    });
    expect(defaultRate.config?.capture?.sampleRate).toBeUndefined();
    expect(defaultRate.history[0]?.config?.capture).toMatchObject({ sampleRate: 0 });
    const elsewhere = await deployments.updateDeployment({
      deployment: { name, config: { targets } },
      updateMask: { paths: ["config.targets"] },
    });
    expect(elsewhere.config?.capture).toEqual(defaultRate.config?.capture);
    const back = await deployments.rollbackDeployment({ name, revision: 1n });
    expect(back.config?.capture).toEqual(defaultRate.config?.capture);
  });

  it("are refused with every fault at once", async () => {
    const { deployments } = await useRegistry({ isStarted: false });
    const targets = [{ modelVersion: `${parent}/models/m/versions/1`, weight: 1 }];
    const create = (capture: { sampleRate?: number; maskedFields?: string[] }) =>
      deployments.createDeployment({
        parent,
        deploymentId: "d",
        deployment: { config: { targets, capture } },
      });
    await expect(
      create({ sampleRate: 1.5, maskedFields: ["age", "", "x".repeat(1001)] }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        { field: "deployment.config.capture.sample_rate", description: "is 1.5; 0 to 1" },
        { field: "deployment.config.capture.masked_fields[1]" },
        { field: "deployment.config.capture.masked_fields[2]" },
      ],
    });
    await expect(create({ sampleRate: Number.NaN })).rejects.toMatchObject({
      violations: [{ field: "deployment.config.capture.sample_rate" }],
    });
    const names = Array.from({ length: 1001 }, (_, i) => `field${i}`);
    await expect(create({ maskedFields: names })).rejects.toMatchObject({
      violations: [{ field: "deployment.config.capture.masked_fields" }],
    });
  });
});
