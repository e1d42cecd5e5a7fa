import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { linearModel } from "./test-models.ts";
import { makeModel, upload, useRegistry } from "./testing.ts";

describe("registered models", () => {
  it("creates, reads, changes, archives and deletes", async () => {
    const registry = await useRegistry({ isStarted: false });
    const created = await registry.models.createRegisteredModel({
      parent: "workspaces/default",
      modelId: "credit",
      registeredModel: { description: "Scores.", tags: { "mlflow.team": "risk" } },
    });
    expect(created).toMatchObject({
      name: "workspaces/default/models/credit",
      description: "Scores.",
      tags: { "mlflow.team": "risk" },
      latestVersion: 0n,
    });
    const updated = await registry.models.updateRegisteredModel({
      registeredModel: { name: created.name, etag: created.etag, tags: { a: "b" } },
      updateMask: { paths: ["tags"] },
    });
    expect(updated).toMatchObject({ description: "Scores.", tags: { a: "b" }, uid: created.uid });
    await expect(
      registry.models.updateRegisteredModel({
        registeredModel: { name: created.name, etag: created.etag, description: "late" },
      }),
    ).rejects.toMatchObject({ kind: "Aborted", reason: ErrorReason.ETAG_MISMATCH });
    const { name } = created;
    const archived = await registry.models.archiveRegisteredModel({ name });
    expect(archived.archiveTime).toBeDefined();
    expect((await registry.models.archiveRegisteredModel({ name })).etag).toBe(archived.etag);
    await registry.models.deleteRegisteredModel({ name });
    await expect(registry.models.getRegisteredModel({ name })).rejects.toMatchObject({
      kind: "NotFound",
      metadata: { resource: name },
    });
  });

  it("reports every violation at once", async () => {
    const registry = await useRegistry({ isStarted: false });
    await expect(
      registry.models.createRegisteredModel({
        parent: "workspaces/default",
        modelId: "-bad",
        requestId: "x".repeat(65),
        registeredModel: {
          description: "x".repeat(10_001),
          tags: { "": "x", k: "v".repeat(5001) },
        },
      }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        { field: "model_id" },
        { field: "request_id" },
        { field: "registered_model.description" },
        { field: "registered_model.tags" },
        { field: 'registered_model.tags["k"]' },
      ],
    });
  });

  it("returns the first answer to a replay and refuses another request with its id", async () => {
    const registry = await useRegistry({ isStarted: false });
    const request = { parent: "workspaces/default", modelId: "m", requestId: "r1" };
    const first = await registry.models.createRegisteredModel(request);
    expect(await registry.models.createRegisteredModel(request)).toEqual(first);
    await expect(
      registry.models.createRegisteredModel({ ...request, modelId: "n" }),
    ).rejects.toMatchObject({ violations: [{ field: "request_id" }] });
    await expect(
      registry.models.createRegisteredModel({ ...request, requestId: "r2" }),
    ).rejects.toMatchObject({ kind: "AlreadyExists" });
  });

  it("needs its workspace", async () => {
    const registry = await useRegistry({ isStarted: false });
    await expect(
      registry.models.createRegisteredModel({ parent: "workspaces/none", modelId: "m" }),
    ).rejects.toMatchObject({ kind: "NotFound", metadata: { resource: "workspaces/none" } });
  });

  it("pages in a total order and binds the token to the call", async () => {
    const registry = await useRegistry({ isStarted: false });
    const ids = ["a", "b", "c", "d", "e"];
    for (const id of ids) {
      await registry.models.createRegisteredModel({
        parent: "workspaces/default",
        modelId: id,
        registeredModel: { tags: { even: String(ids.indexOf(id) % 2 === 0) } },
      });
    }
    const list = (pageToken: string, more: object = {}) =>
      registry.models.listRegisteredModels({
        parent: "workspaces/default",
        pageSize: 2,
        pageToken,
        ...more,
      });
    for (const [orderBy, expected] of [
      ["", ids],
      ["name desc", [...ids].reverse()],
      ["create_time", ids],
      ["create_time desc", undefined],
    ] as const) {
      const seen: string[] = [];
      let token = "";
      do {
        const page = await list(token, { orderBy });
        seen.push(...page.registeredModels.map((model) => model.name.split("/").at(-1)!));
        token = page.nextPageToken;
      } while (token !== "");
      expect(expected === undefined ? [...seen].sort() : seen).toEqual(expected ?? ids);
    }
    const first = await list("", { filter: 'tags.even = "true"' });
    expect(first.registeredModels.map((model) => model.name)).toEqual([
      "workspaces/default/models/a",
      "workspaces/default/models/c",
    ]);
    await expect(list(first.nextPageToken)).rejects.toMatchObject({
      reason: ErrorReason.INVALID_PAGE_TOKEN,
    });
    await expect(list("", { pageSize: -1 })).rejects.toMatchObject({ kind: "InvalidArgument" });
    const prefixed = await list("", { filter: 'name : "d*" AND NOT' }).catch((error) => error);
    expect(prefixed).toMatchObject({ violations: [{ field: "filter" }] });
    const byName = await list("", { filter: 'name : "d*"' });
    expect(byName.registeredModels).toHaveLength(1);
  });
});

describe("aliases", () => {
  it("follow MLflow's rules", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    for (const alias of ["latest", "LATEST", "v1", "a b", "", "a".repeat(256), "é"]) {
      await expect(
        registry.models.setModelAlias({ name: model, alias, version: 1n }),
      ).rejects.toMatchObject({ violations: [{ field: "alias" }] });
    }
    await expect(
      registry.models.setModelAlias({ name: model, alias: "champion", version: 1n }),
    ).rejects.toMatchObject({ kind: "NotFound" });
    for (const scale of [1, 2]) {
      await registry.models.createModelVersion({
        parent: model,
        upload: await upload(registry, linearModel({ scale })),
      });
    }
    const long = "a".repeat(255);
    await registry.models.setModelAlias({ name: model, alias: long, version: 1n });
    await registry.models.setModelAlias({ name: model, alias: "champion", version: 1n });
    const moved = await registry.models.setModelAlias({
      name: model,
      alias: "champion",
      version: 2n,
    });
    expect(moved.aliases).toEqual({ champion: 2n, [long]: 1n });
    const byAlias = await registry.models.getModelVersion({ name: `${model}/versions/@champion` });
    expect(byAlias).toMatchObject({ version: 2n, aliases: ["champion"] });
    const byLong = await registry.models.getModelVersion({ name: `${model}/versions/@${long}` });
    expect(byLong.version).toBe(1n);
    const latest = await registry.models.getModelVersion({ name: `${model}/versions/latest` });
    expect(latest.version).toBe(2n);
    await registry.models.deleteModelVersion({ name: `${model}/versions/2` });
    expect((await registry.models.getRegisteredModel({ name: model })).aliases).toEqual({
      [long]: 1n,
    });
    const left = await registry.models.deleteModelAlias({ name: model, alias: long });
    expect(left.aliases).toEqual({});
    await expect(
      registry.models.getModelVersion({ name: `${model}/versions/@${long}` }),
    ).rejects.toMatchObject({ kind: "NotFound" });
    await expect(
      registry.models.getModelVersion({ name: `${model}/versions/two` }),
    ).rejects.toMatchObject({ kind: "InvalidArgument" });
  });
});
