import { describe, expect, it } from "vitest";
import { anonymous } from "../common/auth/principal.ts";
import { linearModel } from "./test-models.ts";
import { makeModel, type RegistryCaller, upload, useRegistry } from "./testing.ts";

describe("the feature service of a model version", () => {
  it("pins a feature service for good", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    const featureService = "workspaces/default/featureServices/delays/versions/2";
    const file = await upload(registry, linearModel());
    const create = (name: string) =>
      registry.models.createModelVersion({
        parent: model,
        upload: file,
        modelVersion: { featureService: name },
      });
    for (const wrong of [
      "delays",
      "workspaces/default/featureServices/delays",
      "workspaces/default/featureServices/delays/versions/latest",
      "workspaces/default/featureServices/delays/versions/0",
    ]) {
      await expect(create(wrong)).rejects.toMatchObject({
        kind: "InvalidArgument",
        violations: [{ field: "model_version.feature_service" }],
      });
    }
    const { name } = await create(featureService);
    const version = await registry.models.getModelVersion({ name });
    expect(version.featureService).toBe(featureService);
    await expect(
      registry.models.updateModelVersion({
        modelVersion: { name, featureService: "" },
        updateMask: { paths: ["feature_service"] },
      }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringContaining("register a new version"),
    });
    const other = { name, featureService: "", description: "new" };
    const updated = await registry.models.updateModelVersion({ modelVersion: other });
    expect(updated).toMatchObject({ description: "new", featureService });
  });

  it("takes a feature service of a workspace that the caller reaches", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    const create = async (caller: RegistryCaller) =>
      caller.models.createModelVersion({
        parent: model,
        upload: await upload(caller, linearModel()),
        modelVersion: { featureService: "workspaces/other/featureServices/f/versions/1" },
      });
    const editor = { ...anonymous, workspace: "default" };
    await expect(create(registry.as(editor))).rejects.toMatchObject({ kind: "PermissionDenied" });
    expect((await create(registry)).featureService).toContain("workspaces/other/");
  });

  it("counts the feature service as part of a request", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    const file = await upload(registry, linearModel());
    const create = (service: string) =>
      registry.models.createModelVersion({
        parent: model,
        upload: file,
        requestId: "once",
        modelVersion: { featureService: `workspaces/default/featureServices/${service}` },
      });
    const first = await create("f/versions/1");
    expect((await create("f/versions/1")).name).toBe(first.name);
    await expect(create("f/versions/2")).rejects.toMatchObject({
      message: expect.stringContaining("request_id was used before"),
    });
  });

  it("lists the versions of all models that read a feature service", async () => {
    const registry = await useRegistry({ isStarted: false });
    const services = ["f/versions/1", "f/versions/2", "f2/versions/1", undefined];
    for (const [i, service] of services.entries()) {
      await registry.models.createModelVersion({
        parent: await makeModel(registry, `m${i}`),
        upload: await upload(registry, linearModel({ scale: i + 1 })),
        modelVersion:
          service === undefined
            ? {}
            : { featureService: `workspaces/default/featureServices/${service}` },
      });
    }
    const list = async (value: string) => {
      const { modelVersions } = await registry.models.listModelVersions({
        parent: "workspaces/default/models/-",
        filter: `feature_service = "${value}"`,
        orderBy: "create_time",
      });
      return modelVersions.map(({ name }) => name.split("/")[3]);
    };
    const f = "workspaces/default/featureServices/f";
    expect(await list(f)).toEqual(["m0", "m1"]);
    expect(await list(`${f}/versions/2`)).toEqual(["m1"]);
    expect(await list(`${f}/versions/3`)).toEqual([]);
    expect(await list("")).toEqual(["m3"]);
    await expect(list("f")).rejects.toMatchObject({ violations: [{ field: "filter" }] });
  });
});
