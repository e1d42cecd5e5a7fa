// A feature service stays for as long as a model version in the registry reads it.

import { create } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  ApplyDefinitionsRequestSchema,
  DeleteFeatureServiceRequestSchema,
} from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { anonymous } from "../../services/common/auth/principal.ts";
import { systemClock } from "../../services/common/clock.ts";
import { Channel } from "../../services/common/rpc/client.ts";
import { startRpcServer } from "../../services/common/rpc/server.ts";
import { DefinitionStore } from "../../services/features/definitions/definition-store.ts";
import { featureRegistryHandlers } from "../../services/features/definitions/registry-handlers.ts";
import { ViewHealthStore } from "../../services/features/definitions/view-health.ts";
import { silent, useOfflineStore } from "../../services/features/offline/testing.ts";
import { OnlineStore } from "../../services/features/online/online-store.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import {
  makeModel,
  type TestRegistry,
  testContext,
  upload,
  useRegistry,
} from "../../services/registry/testing.ts";

/** The registry behind a port, as the features service reaches it. */
async function useChannel(registry: TestRegistry): Promise<Channel> {
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: registry.module.bindings,
    authenticate: () => anonymous,
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  return channel;
}

async function useFeatureHandlers(registry: Channel) {
  const { documents, offline } = await useOfflineStore();
  const definitions = await DefinitionStore.open(documents, systemClock);
  onTestFinished(async () => {
    await definitions[Symbol.asyncDispose]();
  });
  const online = await OnlineStore.open(documents);
  const viewHealth = await ViewHealthStore.open(documents, systemClock);
  const handlers = featureRegistryHandlers({
    viewHealth,
    definitions,
    online,
    offline,
    registry,
    events: silent,
  });
  return {
    apply: (parent: string, expression: string) =>
      handlers.applyDefinitions(
        create(ApplyDefinitionsRequestSchema, {
          parent,
          onDemandFeatureViews: [
            { name: "od", features: [{ name: "x", valueType: ValueType.INT32, expression }] },
          ],
          featureServices: [{ name: "f", projections: [{ featureView: "od" }] }],
        }),
        testContext(),
      ),
    remove: (name: string) =>
      handlers.deleteFeatureService(
        create(DeleteFeatureServiceRequestSchema, { name }),
        testContext(),
      ),
  };
}

describe("a feature service that a model version reads", () => {
  it("is not deleted, nor is the version that it reads", async () => {
    const registry = await useRegistry({ isStarted: false });
    const features = await useFeatureHandlers(await useChannel(registry));
    const parent = "workspaces/default";
    const name = `${parent}/featureServices/f`;
    await features.apply(parent, "1");
    await features.apply(parent, "2");
    await features.apply(parent, "3");
    const model = await makeModel(registry, "m");
    const versions: string[] = [];
    for (const number of [1, 2]) {
      const version = await registry.models.createModelVersion({
        parent: model,
        upload: await upload(registry, linearModel()),
        modelVersion: { featureService: `${name}/versions/${number}` },
      });
      versions.push(version.name);
    }
    await registry.models.archiveModelVersion({ name: versions[1]! });
    const inUse = (subjects: readonly string[]) => ({
      kind: "FailedPrecondition",
      violations: subjects.map((subject) => ({ type: "RESOURCE_IN_USE", subject })),
    });
    await expect(features.remove(name)).rejects.toMatchObject(inUse(versions));
    await expect(features.remove(`${name}/versions/1`)).rejects.toMatchObject(
      inUse(versions.slice(0, 1)),
    );
    await expect(features.remove(`${name}/versions/2`)).rejects.toMatchObject(
      inUse(versions.slice(1)),
    );
    await features.remove(`${name}/versions/3`);
    for (const version of versions) {
      await registry.models.deleteModelVersion({ name: version });
    }
    await features.remove(name);
    await expect(features.remove(name)).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("is deleted where the registry does not know the workspace", async () => {
    const registry = await useRegistry({ isStarted: false });
    const features = await useFeatureHandlers(await useChannel(registry));
    await features.apply("workspaces/elsewhere", "1");
    await features.remove("workspaces/elsewhere/featureServices/f");
  });

  it("is kept while the registry cannot be asked", async () => {
    const features = await useFeatureHandlers(
      new Channel({ address: "127.0.0.1:1", timeoutMs: 500 }),
    );
    await features.apply("workspaces/default", "1");
    const name = "workspaces/default/featureServices/f";
    const refused = features.remove(name).catch((error: unknown) => error);
    expect(["Unavailable", "DeadlineExceeded"]).toContain(
      ((await refused) as { kind: string }).kind,
    );
    const again = await features.apply("workspaces/default", "1");
    expect(again.changes?.[1]?.version).toBe(1n);
  });
});
