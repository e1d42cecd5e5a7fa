import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  Deployment_State,
  VersionServingStatus_State,
} from "../../gen/plinth/registry/v1/deployment_pb.js";
import { FakeClock } from "../common/testing/fake-clock.ts";
import { linearModel } from "./test-models.ts";
import { makeModel, push, pushApproved, type TestRegistry, take, useRegistry } from "./testing.ts";

const parent = "workspaces/default";
const deployed = `${parent}/deployments/d`;

/** A registry with approved versions 1, 2, ... of the model `m`. */
async function useVersions(count: number): Promise<TestRegistry & { readonly model: string }> {
  const registry = await useRegistry({ config: { sandboxParallelism: 2 } });
  const model = await makeModel(registry, "m");
  for (let scale = 1; scale <= count; scale++) {
    await pushApproved(registry, model, linearModel({ scale }));
  }
  return { ...registry, model };
}

const oneTarget = (modelVersion: string) => ({
  config: { targets: [{ modelVersion, weight: 1 }] },
});

describe("deployments", () => {
  it("stores aliases and latest by number, with every setting", async () => {
    const { deployments, models, model } = await useVersions(3);
    await models.setModelAlias({ name: model, alias: "champion", version: 1n });
    const created = await deployments.createDeployment({
      parent,
      deploymentId: "d",
      deployment: {
        description: "Scores.",
        config: {
          targets: [
            { modelVersion: `${model}/versions/@champion`, weight: 90 },
            { modelVersion: `${model}/versions/latest`, weight: 10 },
          ],
          shadows: [{ modelVersion: `${model}/versions/2`, sampleRate: 0.25 }],
          batching: {
            maxBatchRows: 32,
            maxQueueDelay: { seconds: 0n, nanos: 250_000 },
            maxQueueRequests: 7,
          },
          instances: {
            count: 2,
            intraOpThreads: 1,
            runTimeout: { seconds: 1n, nanos: 500_000_000 },
          },
        },
      },
    });
    expect(created).toMatchObject({
      name: deployed,
      description: "Scores.",
      revision: 1n,
      state: Deployment_State.PENDING,
      config: {
        targets: [
          { modelVersion: `${model}/versions/1`, weight: 90 },
          { modelVersion: `${model}/versions/3`, weight: 10 },
        ],
        shadows: [{ modelVersion: `${model}/versions/2`, sampleRate: 0.25 }],
        batching: {
          maxBatchRows: 32,
          maxQueueDelay: { seconds: 0n, nanos: 250_000 },
          maxQueueRequests: 7,
        },
        instances: { count: 2, intraOpThreads: 1, runTimeout: { seconds: 1n, nanos: 500_000_000 } },
      },
    });
    expect(created.config?.batching?.queueTimeout).toBeUndefined();
    expect(await deployments.getDeployment({ name: deployed })).toEqual(created);
    expect((await deployments.listDeployments({ parent })).deployments).toEqual([created]);
  });

  it("reports every fault of a configuration at once", async () => {
    const { deployments } = await useRegistry({ isStarted: false });
    await expect(
      deployments.createDeployment({
        parent,
        deploymentId: "d",
        deployment: {
          config: {
            targets: [
              { modelVersion: "nonsense", weight: 0 },
              { modelVersion: "workspaces/other/models/m/versions/1", weight: 0 },
            ],
            shadows: [{ modelVersion: `${parent}/models/m/versions/1`, sampleRate: 1.5 }],
            batching: { maxBatchRows: -1 },
            instances: { count: 65 },
          },
        },
      }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        { field: "deployment.config.targets[0].model_version" },
        { field: "deployment.config.targets[1].model_version" },
        { field: "deployment.config.targets" },
        { field: "deployment.config.shadows[0].sample_rate" },
        { field: "deployment.config.batching.max_batch_rows" },
        { field: "deployment.config.instances.count" },
      ],
    });
    await expect(deployments.createDeployment({ parent, deploymentId: "d" })).rejects.toMatchObject(
      { violations: [{ field: "deployment.config.targets" }] },
    );
  });

  it("takes READY, APPROVED, active versions of one signature only", async () => {
    const registry = await useVersions(1);
    const { deployments, models, model } = registry;
    const pending = await push(registry, model, linearModel({ scale: 7 }));
    const failed = await push(registry, model, Uint8Array.of(1));
    const other = await pushApproved(registry, model, linearModel({ columns: 5 }));
    const renamed = await pushApproved(registry, model, linearModel({ inputName: "z" }));
    const first = `${model}/versions/1`;
    const create = (...names: string[]) =>
      deployments.createDeployment({
        parent,
        deploymentId: "d",
        deployment: {
          config: { targets: names.map((modelVersion) => ({ modelVersion, weight: 1 })) },
        },
      });
    await expect(create(first, pending.name, failed.name)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      reason: ErrorReason.STATE_FORBIDS,
      violations: [
        { subject: pending.name, description: expect.stringContaining("PENDING") },
        { subject: failed.name, description: expect.stringContaining("FAILED (CORRUPT)") },
      ],
    });
    await expect(create(first, other.name, renamed.name)).rejects.toMatchObject({
      violations: [
        {
          type: "SIGNATURE",
          subject: other.name,
          description: expect.stringContaining(
            'input "x" has shape [N, 4] in the first and [N, 5] in the second',
          ),
        },
        { description: expect.stringContaining('input "x" is missing in the second; it has "z"') },
      ],
    });
    await expect(create(first, first)).rejects.toMatchObject({
      violations: [{ field: "deployment.config.targets[1].model_version" }],
    });
    await expect(create(`${model}/versions/99`)).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringContaining("does not exist"),
    });
    await models.archiveModelVersion({ name: first });
    await expect(create(first)).rejects.toMatchObject({
      message: expect.stringContaining("archived"),
    });
  });

  it("makes a revision of each configuration and goes back", async () => {
    const { deployments, models, model } = await useVersions(3);
    const created = await deployments.createDeployment({
      parent,
      deploymentId: "d",
      deployment: oneTarget(`${model}/versions/1`),
    });
    await expect(deployments.rollbackDeployment({ name: deployed })).rejects.toMatchObject({
      kind: "FailedPrecondition",
    });
    const described = await deployments.updateDeployment({
      deployment: { name: deployed, description: "New words.", etag: created.etag },
      updateMask: { paths: ["description"] },
    });
    expect(described).toMatchObject({ revision: 1n, description: "New words." });
    await expect(
      deployments.updateDeployment({
        deployment: { name: deployed, etag: created.etag, ...oneTarget(`${model}/versions/2`) },
      }),
    ).rejects.toMatchObject({ reason: ErrorReason.ETAG_MISMATCH });
    for (const number of [2, 3]) {
      await deployments.updateDeployment({
        deployment: { name: deployed, ...oneTarget(`${model}/versions/${number}`) },
        updateMask: { paths: ["config.targets"] },
      });
    }
    const back = await deployments.rollbackDeployment({ name: deployed });
    expect(back).toMatchObject({
      revision: 4n,
      config: { targets: [{ modelVersion: `${model}/versions/2` }] },
      description: "New words.",
    });
    expect(back.history.map((entry) => Number(entry.revision))).toEqual([3, 2, 1]);
    const first = await deployments.rollbackDeployment({ name: deployed, revision: 1n });
    expect(first.config?.targets[0]?.modelVersion).toBe(`${model}/versions/1`);
    await models.rejectModelVersion({ name: `${model}/versions/3` });
    await expect(
      deployments.rollbackDeployment({ name: deployed, revision: 3n }),
    ).rejects.toMatchObject({ message: expect.stringContaining("REJECTED") });
    for (let i = 0; i < 12; i++) {
      await deployments.rollbackDeployment({ name: deployed });
    }
    const last = await deployments.getDeployment({ name: deployed });
    expect(last.history.map((entry) => Number(entry.revision))).toEqual([
      16, 15, 14, 13, 12, 11, 10, 9, 8, 7,
    ]);
  });

  it("does not let a version leave while a deployment takes it, whoever is first", async () => {
    const registry = await useVersions(1);
    const { deployments, models, model } = registry;
    const name = `${model}/versions/1`;
    for (let round = 0; round < 10; round++) {
      const results = await Promise.allSettled([
        deployments.createDeployment({ parent, deploymentId: "d", deployment: oneTarget(name) }),
        models.rejectModelVersion({ name }),
      ]);
      const version = await models.getModelVersion({ name });
      const { deployments: list } = await deployments.listDeployments({ parent });
      const isServed = list.length > 0;
      expect(
        isServed && version.approvalRecord?.actor !== undefined && version.approval === 3,
      ).toBe(false);
      expect(results.some((result) => result.status === "fulfilled") || !isServed).toBe(true);
      if (isServed) {
        await deployments.deleteDeployment({ name: deployed });
      }
      await models.approveModelVersion({ name });
    }
  });

  it("returns the first answer to a replay", async () => {
    const { deployments, model } = await useVersions(1);
    const request = {
      parent,
      deploymentId: "d",
      deployment: oneTarget(`${model}/versions/1`),
      requestId: "r",
    };
    const first = await deployments.createDeployment(request);
    expect((await deployments.createDeployment(request)).uid).toBe(first.uid);
    await expect(deployments.createDeployment({ ...request, requestId: "" })).rejects.toMatchObject(
      { kind: "AlreadyExists" },
    );
    await expect(
      deployments.deleteDeployment({ name: deployed, etag: '"old"' }),
    ).rejects.toMatchObject({ kind: "Aborted" });
    await deployments.deleteDeployment({ name: deployed, etag: first.etag });
    await expect(deployments.deleteDeployment({ name: deployed })).rejects.toMatchObject({
      kind: "NotFound",
    });
  });
});

describe("serving reports", () => {
  it("are folded into the state and age away", async () => {
    const clock = new FakeClock(Date.now());
    const registry = await useRegistry({ clock });
    const { deployments } = registry;
    const model = await makeModel(registry, "m");
    const { name: modelVersion } = await pushApproved(registry, model, linearModel());
    await deployments.createDeployment({
      parent,
      deploymentId: "d",
      deployment: oneTarget(modelVersion),
    });
    const report = (serverId: string, state: VersionServingStatus_State, revision = 1n) =>
      deployments.reportServing({
        serverId,
        deployments: [
          { name: deployed, revision, versions: [{ modelVersion, state, reason: "why" }] },
        ],
      });
    const state = async () => (await deployments.getDeployment({ name: deployed })).state;
    expect(await state()).toBe(Deployment_State.PENDING);
    await report("s1", VersionServingStatus_State.LOADING);
    expect(await state()).toBe(Deployment_State.PENDING);
    await report("s1", VersionServingStatus_State.READY);
    expect(await state()).toBe(Deployment_State.READY);
    await report("s2", VersionServingStatus_State.FAILED);
    expect(await state()).toBe(Deployment_State.DEGRADED);
    const reports = (await deployments.getDeployment({ name: deployed })).servingReports;
    expect(reports.map((one) => one.serverId).sort()).toEqual(["s1", "s2"]);
    await deployments.reportServing({ serverId: "s2", deployments: [] });
    expect(await state()).toBe(Deployment_State.READY);
    await report("s1", VersionServingStatus_State.READY, 0n);
    expect(await state()).toBe(Deployment_State.PENDING);
    clock.advance(31_000);
    const { servingReports } = await deployments.getDeployment({ name: deployed });
    expect(servingReports).toEqual([]);
  });
});

describe("watches", () => {
  it("send a snapshot, then changes, and resume", async () => {
    const { deployments, model } = await useVersions(2);
    const create = (deploymentId: string) =>
      deployments.createDeployment({
        parent,
        deploymentId,
        deployment: oneTarget(`${model}/versions/1`),
      });
    await create("a");
    const stop = new AbortController();
    const watch = deployments
      .watchDeployments({ parent }, { signal: stop.signal })
      [Symbol.asyncIterator]();
    const [snapshot, synced] = await take(watch, 2);
    expect(snapshot).toMatchObject({
      event: { case: "deployment", value: { name: `${parent}/deployments/a` } },
      resumeToken: "",
    });
    expect(synced?.event.case).toBe("synced");
    await create("b");
    const [created] = await take(watch, 1);
    expect(created?.event.value).toMatchObject({ name: `${parent}/deployments/b`, revision: 1n });
    stop.abort();
    expect(await take(watch, 1)).toEqual([]);
    await deployments.deleteDeployment({ name: `${parent}/deployments/a` });
    const resumed = deployments.watchDeployments({
      parent,
      resumeToken: created?.resumeToken ?? "",
    });
    const [deleted] = await take(resumed[Symbol.asyncIterator](), 1);
    expect(deleted?.event).toMatchObject({ case: "deleted", value: `${parent}/deployments/a` });
  });

  it("send a slow reader the newest state only, from a token on without a gap", async () => {
    const { deployments, model } = await useVersions(2);
    const names = ["a", "b"].map((id) => `${parent}/deployments/${id}`);
    for (const name of names) {
      await deployments.createDeployment({
        parent,
        deploymentId: name.split("/").at(-1) ?? "",
        deployment: oneTarget(`${model}/versions/1`),
      });
    }
    const watch = deployments.watchDeployments({ parent })[Symbol.asyncIterator]();
    await take(watch, 3);
    const update = (name: string | undefined, number: number) =>
      deployments.updateDeployment({
        deployment: { name: name ?? "", ...oneTarget(`${model}/versions/${number}`) },
      });
    const waiting = take(watch, 1);
    await update(names[0], 2);
    await waiting;
    for (let i = 0; i < 20; i++) {
      await update(names[0], 1 + (i % 2));
      await update(names[1], 1 + (i % 2));
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    const [next] = await take(watch, 1);
    expect(next?.event.value).toMatchObject({ name: names[0], revision: 22n });
    const resumed = deployments.watchDeployments({ parent, resumeToken: next?.resumeToken ?? "" });
    const [rest] = await take(resumed[Symbol.asyncIterator](), 1);
    expect(rest?.event.value).toMatchObject({ name: names[1], revision: 21n });
  });

  it("see their own workspace only and refuse another's token", async () => {
    const { deployments, workspaces, model } = await useVersions(1);
    await workspaces.createWorkspace({ workspaceId: "other" });
    const other = deployments
      .watchDeployments({ parent: "workspaces/other" })
      [Symbol.asyncIterator]();
    const [synced] = await take(other, 1);
    expect(synced?.event.case).toBe("synced");
    const all = deployments.watchDeployments({ parent: "workspaces/-" })[Symbol.asyncIterator]();
    await take(all, 1);
    await deployments.createDeployment({
      parent,
      deploymentId: "d",
      deployment: oneTarget(`${model}/versions/1`),
    });
    expect((await take(all, 1))[0]?.event.case).toBe("deployment");
    for (const resumeToken of [synced?.resumeToken ?? "", "x", "bnVsbA"]) {
      const watch = deployments.watchDeployments({ parent, resumeToken });
      await expect(take(watch[Symbol.asyncIterator](), 1)).rejects.toMatchObject({
        reason: ErrorReason.RESUME_TOKEN_EXPIRED,
      });
    }
  });
});
