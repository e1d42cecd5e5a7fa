import { create, type DescField, type DescMessage, type DescMethod } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../gen/plinth/common/v1/options_pb.js";
import { Workspace_Environment } from "../../gen/plinth/registry/v1/workspace_pb.js";
import type { Principal } from "../common/auth/principal.ts";
import { openRegistryStore } from "./store.ts";
import { makeModel, testContext, useRegistry } from "./testing.ts";

const stranger: Principal = {
  id: "workspaces/home/apiKeys/k",
  workspace: "home",
  roles: [Role.SERVICE],
};

/** An administrator with a key. */
const ROOT: Principal = { id: "workspaces/-/apiKeys/root", workspace: "-", roles: [Role.ADMIN] };

describe("workspaces", () => {
  it("has `default` from the start, which stays", async () => {
    const { workspaces } = await useRegistry({ isStarted: false });
    const { workspaces: list } = await workspaces.listWorkspaces({});
    expect(list.map((workspace) => workspace.name)).toEqual(["workspaces/default"]);
    await expect(workspaces.deleteWorkspace({ name: "workspaces/default" })).rejects.toMatchObject({
      reason: ErrorReason.RESOURCE_IN_USE,
    });
  });

  it("creates, updates and removes what is empty", async () => {
    const registry = await useRegistry({ isStarted: false });
    const { workspaces, keys } = registry;
    const created = await workspaces.createWorkspace({
      workspaceId: "team-a",
      workspace: { displayName: "Team A", labels: { env: "dev" } },
      requestId: "r",
    });
    const { name } = created;
    expect(created).toMatchObject({ name: "workspaces/team-a", labels: { env: "dev" } });
    const updated = await workspaces.updateWorkspace({
      workspace: { name, displayName: "A", etag: created.etag },
      updateMask: { paths: ["display_name"] },
    });
    expect(updated).toMatchObject({ displayName: "A", labels: { env: "dev" } });
    const model = await makeModel(registry, "m", name);
    await expect(workspaces.deleteWorkspace({ name })).rejects.toMatchObject({
      message: expect.stringContaining(model),
    });
    await registry.models.deleteRegisteredModel({ name: model });
    const viewer = { parent: name, apiKey: { roles: [Role.VIEWER] } };
    const { apiKey } = await registry.as(ROOT).keys.createApiKey(viewer);
    await expect(workspaces.deleteWorkspace({ name })).rejects.toMatchObject({
      message: expect.stringContaining("revoke it"),
    });
    await keys.revokeApiKey({ name: apiKey?.name ?? "" });
    await workspaces.deleteWorkspace({ name, etag: updated.etag });
    await expect(workspaces.getWorkspace({ name })).rejects.toMatchObject({ kind: "NotFound" });
    // Proofs and receipts of the old one would be the new one's.
    const again = workspaces.createWorkspace({ workspaceId: name.split("/")[1] ?? "" });
    await expect(again).rejects.toMatchObject({
      kind: "AlreadyExists",
      message: expect.stringContaining("was removed"),
    });
  });

  it("says what a workspace is for, DEVELOPMENT where nobody said", async () => {
    const registry = await useRegistry({ isStarted: false });
    const { workspaces } = registry;
    const { DEVELOPMENT, PRODUCTION, UNSPECIFIED } = Workspace_Environment;
    const environmentOf = async (name: string) =>
      (await workspaces.getWorkspace({ name })).environment;
    expect(await environmentOf("workspaces/default")).toBe(DEVELOPMENT);
    const { name } = await workspaces.createWorkspace({ workspaceId: "team" });
    expect(await environmentOf(name)).toBe(DEVELOPMENT);
    const live = await workspaces.createWorkspace({
      workspaceId: "live",
      workspace: { environment: PRODUCTION },
    });
    expect(live.environment).toBe(PRODUCTION);

    const update = (environment: number | undefined, ...paths: string[]) =>
      workspaces.updateWorkspace({
        workspace: { name, displayName: "Team", ...(environment !== undefined && { environment }) },
        updateMask: { paths },
      });
    expect((await update(PRODUCTION, "environment")).displayName).toBe("");
    expect(await environmentOf(name)).toBe(PRODUCTION);
    await update(undefined, "display_name");
    expect(await update(undefined)).toMatchObject({ displayName: "Team", environment: PRODUCTION });
    await update(DEVELOPMENT);
    expect(await environmentOf(name)).toBe(DEVELOPMENT);
    await update(PRODUCTION);
    await update(UNSPECIFIED, "environment");
    expect(await environmentOf(name)).toBe(DEVELOPMENT);
    await expect(update(7, "environment")).rejects.toMatchObject({
      violations: [{ field: "workspace.environment" }],
    });
  });

  it("reads a workspace of before there were environments as DEVELOPMENT", async () => {
    const registry = await useRegistry({ isStarted: false });
    const store = await openRegistryStore(registry.documents);
    const stored = await store.workspaces.findOne({ _id: "workspaces/default" });
    const { environment: _environment, version, ...rest } = stored!;
    const { revision: _revision, ...old } = rest;
    await store.workspaces.replaceOne(old, { ifVersion: version });
    const { workspaces } = await registry.workspaces.listWorkspaces({});
    expect(workspaces[0]?.environment).toBe(Workspace_Environment.DEVELOPMENT);
  });

  it("leaves no model in a workspace that goes at the same time", async () => {
    const registry = await useRegistry({ isStarted: false });
    for (let round = 0; round < 10; round++) {
      const { name } = await registry.workspaces.createWorkspace({ workspaceId: `w${round}` });
      const [model, removal] = await Promise.allSettled([
        makeModel(registry, "m", name),
        registry.workspaces.deleteWorkspace({ name }),
      ]);
      expect([model.status, removal.status]).not.toEqual(["fulfilled", "fulfilled"]);
      if (model.status === "fulfilled") {
        expect((await registry.workspaces.getWorkspace({ name })).name).toBe(name);
      }
    }
  });

  it("lists only the caller's own", async () => {
    const registry = await useRegistry({ isStarted: false });
    for (const workspaceId of ["home", "other"]) {
      await registry.workspaces.createWorkspace({ workspaceId });
    }
    const { workspaces } = await registry.as(stranger).workspaces.listWorkspaces({});
    expect(workspaces.map((workspace) => workspace.name)).toEqual(["workspaces/home"]);
    await expect(
      registry.as(stranger).workspaces.createWorkspace({ workspaceId: "third" }),
    ).rejects.toMatchObject({ kind: "PermissionDenied" });
  });
});

describe("api keys", () => {
  it("lets only an administrator's key of all workspaces be the first of an open mesh", async () => {
    const { keys } = await useRegistry({ isStarted: false });
    const parent = "workspaces/-";
    for (const made of [
      keys.createApiKey({ parent: "workspaces/default", apiKey: { roles: [Role.ADMIN] } }),
      keys.createApiKey({ parent, apiKey: { roles: [Role.EDITOR] } }),
    ]) {
      await expect(made).rejects.toMatchObject({ kind: "FailedPrecondition" });
    }
    expect((await keys.createApiKey({ parent, apiKey: { roles: [Role.ADMIN] } })).secret).toMatch(
      /^plk_/,
    );
  });

  it("shows a secret once and lists in pages", async () => {
    const { keys } = (await useRegistry({ isStarted: false })).as(ROOT);
    const parent = "workspaces/default";
    const made = [];
    for (const displayName of ["a", "b", "c"]) {
      made.push(await keys.createApiKey({ parent, apiKey: { displayName, roles: [Role.EDITOR] } }));
    }
    expect(made[0]?.secret).toMatch(/^plk_/);
    const first = await keys.listApiKeys({ parent, pageSize: 2 });
    const second = await keys.listApiKeys({ parent, pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.apiKeys, ...second.apiKeys].map((key) => key.name).sort()).toEqual(
      made.map((one) => one.apiKey?.name).sort(),
    );
    expect(second.nextPageToken).toBe("");
    expect(JSON.stringify(first.apiKeys.map((key) => key.displayName))).not.toContain("plk_");
    const name = made[0]?.apiKey?.name ?? "";
    expect((await keys.revokeApiKey({ name })).revokeTime).toBeDefined();
    await expect(
      keys.createApiKey({ parent: "workspaces/none", apiKey: { roles: [Role.EDITOR] } }),
    ).rejects.toMatchObject({ kind: "NotFound" });
  });
});

/** Fields that hold resource names, and what such a name looks like in another workspace. */
const FOREIGN: Readonly<Record<string, string>> = {
  Workspace: "workspaces/other",
  RegisteredModel: "workspaces/other/models/m",
  ModelVersion: "workspaces/other/models/m/versions/1",
  ModelHealth: "workspaces/other/models/m/versions/1",
  ModelCircuits: "workspaces/other/models/m/versions/1",
  ModelAlias: "workspaces/other/models/m",
  Upload: "workspaces/other/uploads/u",
  Artifact: "workspaces/other/models/m/versions/1",
  Deployment: "workspaces/other/deployments/d",
  ApiKey: "workspaces/other/apiKeys/k",
};

/** The names that are not of the resource its method is about. */
const PARENTS: Readonly<Record<string, string>> = {
  createModelVersion: "workspaces/other/models/m",
  listModelVersions: "workspaces/other/models/m",
};

function nameFor(method: DescMethod, field: DescField): string | undefined {
  if (method.localName === "uploadArtifact") {
    return "workspaces/other/uploads/u";
  }
  if (field.name === "parent") {
    return PARENTS[method.localName] ?? "workspaces/other";
  }
  if (field.name !== "name") {
    return undefined;
  }
  const noun = Object.keys(FOREIGN).find((key) => method.name.endsWith(key));
  return noun === undefined ? undefined : FOREIGN[noun];
}

/**
 * A request of the method with another workspace's name wherever one belongs; undefined: none does.
 */
function foreignRequest(
  method: DescMethod,
  message: DescMessage = method.input,
): object | undefined {
  for (const field of message.fields) {
    const name = field.fieldKind === "scalar" ? nameFor(method, field) : undefined;
    if (name !== undefined) {
      return { [field.localName]: name };
    }
    const inner = field.fieldKind === "message" ? field.message : undefined;
    const isPlinth = inner?.typeName.startsWith("plinth.registry") === true;
    const nested = inner !== undefined && isPlinth ? foreignRequest(method, inner) : undefined;
    if (nested !== undefined) {
      return field.oneof === undefined
        ? { [field.localName]: nested }
        : { [field.oneof.localName]: { case: field.localName, value: nested } };
    }
  }
  return undefined;
}

describe("another workspace's names", () => {
  it("are refused by every method that takes one", async () => {
    const registry = await useRegistry({ isStarted: false });
    const untested: string[] = [];
    let tested = 0;
    for (const { service, handlers } of registry.module.bindings) {
      for (const method of service.methods) {
        const init = foreignRequest(method);
        if (init === undefined) {
          untested.push(method.name);
          continue;
        }
        const handler = handlers[method.localName] as (
          request: unknown,
          context: unknown,
        ) => unknown;
        const request = create(method.input, init as Record<string, unknown>);
        const stream = (async function* () {
          yield request;
        })();
        const isClientStream = method.methodKind === "client_streaming";
        const outcome = (async () => {
          const result = handler(isClientStream ? stream : request, testContext(stranger));
          return method.methodKind === "server_streaming"
            ? (result as AsyncIterable<unknown>)[Symbol.asyncIterator]().next()
            : result;
        })();
        await expect(outcome, `${method.name} ${JSON.stringify(init)}`).rejects.toMatchObject({
          kind: "PermissionDenied",
        });
        tested++;
      }
    }
    // These name no workspace, or only inside of a list; the next test and the ones above have
    // them.
    expect(untested.sort()).toEqual(["ListWorkspaces", "ReportServing"]);
    const all = registry.module.bindings.flatMap(({ service }) => service.methods);
    expect(tested).toBe(all.length - untested.length);
    expect(tested).toBeGreaterThan(30);
  });

  it("are refused inside of requests too", async () => {
    const { as } = await useRegistry({ isStarted: false });
    const { models, deployments, keys } = as(stranger);
    const denied = { kind: "PermissionDenied" };
    const version = "workspaces/other/models/m/versions/1";
    const parent = "workspaces/home/models/m";
    const upload = "workspaces/home/uploads/u";
    await expect(
      models.createModelVersion({ parent, upload: "workspaces/other/uploads/u" }),
    ).rejects.toMatchObject(denied);
    for (const lineage of [
      { parentVersion: version },
      { featureService: "workspaces/other/featureServices/f" },
    ]) {
      await expect(
        models.createModelVersion({ parent, upload, modelVersion: { lineage } }),
      ).rejects.toMatchObject(denied);
      await expect(
        models.updateModelVersion({ modelVersion: { name: `${parent}/versions/1`, lineage } }),
      ).rejects.toMatchObject(denied);
    }
    for (const config of [
      { targets: [{ modelVersion: version, weight: 1 }] },
      { shadows: [{ modelVersion: version }] },
    ]) {
      await expect(
        deployments.createDeployment({
          parent: "workspaces/home",
          deploymentId: "d",
          deployment: { config },
        }),
      ).rejects.toMatchObject(denied);
    }
    await expect(
      deployments.reportServing({
        serverId: "s",
        deployments: [{ name: "workspaces/other/deployments/d" }],
      }),
    ).rejects.toMatchObject(denied);
    const watch = deployments.watchDeployments({ parent: "workspaces/-" });
    await expect(watch[Symbol.asyncIterator]().next()).rejects.toMatchObject(denied);
    await expect(
      keys.createApiKey({ parent: "workspaces/-", apiKey: { roles: [Role.VIEWER] } }),
    ).rejects.toMatchObject(denied);
  });
});
