import { describe, expect, it } from "vitest";
import { ApiKeys } from "../common/auth/keys.ts";
import { parseSettings } from "../common/config.ts";
import { withoutStamps } from "../common/documents/resource.ts";
import { useStore } from "../common/documents/testing.ts";
import { createLogger } from "../common/telemetry/log.ts";
import { FakeClock } from "../common/testing/fake-clock.ts";
import { registrySettings } from "./config.ts";
import type { RegistryDeps } from "./deps.ts";
import { createEvents } from "./events.ts";
import { finishRemovals } from "./remove-version.ts";
import { openRegistryStore, type RegistryStore } from "./store.ts";
import { linearModel } from "./test-models.ts";
import { makeModel, sha256, upload, useBlobs, useRegistry } from "./testing.ts";

async function useDeps() {
  const clock = new FakeClock(Date.now());
  const documents = await useStore({ clock });
  const blobs = await useBlobs();
  const registry = await useRegistry({ documents, blobs, clock, isStarted: false });
  const deps: RegistryDeps = {
    config: parseSettings({}, registrySettings),
    store: await openRegistryStore(documents),
    blobs,
    clock,
    keys: await ApiKeys.open(documents, clock),
    events: createEvents(createLogger({ service: "test", level: "off" })),
    validateSoon: () => undefined,
  };
  return { registry, deps, clock };
}

/** As a removal leaves the document that was killed right after its first write. */
async function mark(
  store: RegistryStore,
  kind: "models" | "versions" | "workspaces",
  name: string,
): Promise<void> {
  const collection = store[kind] as RegistryStore["models"];
  const found = await collection.findOne({ _id: name });
  if (found === undefined) {
    throw new Error(`${name} is not there`);
  }
  await collection.replaceOne(
    { ...withoutStamps(found), deleting: true },
    { ifVersion: found.version },
  );
}

describe("removals that were cut off", () => {
  it("are hidden at once and finished later, bytes too", async () => {
    const { registry, deps, clock } = await useDeps();
    const bytes = linearModel();
    const model = await makeModel(registry, "m");
    const { name } = await registry.models.createModelVersion({
      parent: model,
      upload: await upload(registry, bytes),
    });
    await registry.models.setModelAlias({ name: model, alias: "a", version: 1n });
    await mark(deps.store, "versions", name);
    await expect(registry.models.getModelVersion({ name })).rejects.toThrow("There is no");
    const { modelVersions } = await registry.models.listModelVersions({ parent: model });
    expect(modelVersions).toEqual([]);
    await finishRemovals(deps);
    expect(await deps.store.versions.countDocuments({})).toBe(1);
    clock.advance(61_000);
    await finishRemovals(deps);
    expect(await deps.store.versions.countDocuments({})).toBe(0);
    expect(await deps.blobs.size(sha256(bytes))).toBeUndefined();
    expect((await registry.models.getRegisteredModel({ name: model })).aliases).toEqual({});
  });

  it("take a model's versions with it", async () => {
    const { registry, deps, clock } = await useDeps();
    const model = await makeModel(registry, "m");
    await registry.models.createModelVersion({
      parent: model,
      upload: await upload(registry, linearModel()),
    });
    await mark(deps.store, "models", model);
    await expect(
      registry.models.getModelVersion({ name: `${model}/versions/1` }),
    ).rejects.toMatchObject({ kind: "NotFound" });
    clock.advance(61_000);
    await finishRemovals(deps);
    expect(await deps.store.versions.countDocuments({})).toBe(0);
    expect(await deps.store.models.countDocuments({})).toBe(0);
  });

  it("give a workspace back", async () => {
    const { registry, deps, clock } = await useDeps();
    const { name } = await registry.workspaces.createWorkspace({ workspaceId: "w" });
    await mark(deps.store, "workspaces", name);
    await expect(registry.workspaces.getWorkspace({ name })).rejects.toThrow();
    clock.advance(61_000);
    await finishRemovals(deps);
    expect((await registry.workspaces.getWorkspace({ name })).name).toBe(name);
  });
});
