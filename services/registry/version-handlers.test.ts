import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  ModelVersion_Approval,
  ModelVersion_State,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import { linearModel, singleNode } from "./test-models.ts";
import {
  makeModel,
  push,
  pushApproved,
  sha256,
  upload,
  useRegistry,
  validated,
} from "./testing.ts";

describe("model versions", () => {
  it("goes from upload to READY with what the graph says", async () => {
    const registry = await useRegistry();
    const model = await makeModel(registry, "linear");
    const bytes = linearModel({
      metadata: { "plinth.columns": '["a","b","c","d"]', other: "1" },
    });
    const version = await push(registry, model, bytes, {
      description: "First.",
      metrics: { accuracy: 0.97 },
      parameters: { depth: "4" },
      tags: { stage: "test" },
      artifact: { fileName: "linear.onnx" },
      classLabels: ["no"],
      lineage: { sourceRun: "mlflow:/runs/9f1c", trainingDatasets: ["s3://b/d"] },
    });
    expect(version).toMatchObject({
      name: `${model}/versions/1`,
      version: 1n,
      state: ModelVersion_State.READY,
      approval: ModelVersion_Approval.PENDING,
      description: "First.",
      metrics: { accuracy: 0.97 },
      parameters: { depth: "4" },
      tags: { stage: "test" },
      columns: ["a", "b", "c", "d"],
      classLabels: ["no"],
      artifact: { sha256: sha256(bytes), sizeBytes: BigInt(bytes.length), fileName: "linear.onnx" },
      graph: {
        irVersion: 8n,
        opsets: { "ai.onnx": 17n },
        operators: { "ai.onnx.Gemm": 1n },
        producer: "plinth-test 1",
        parameterCount: 5n,
        metadata: { other: "1" },
      },
      signature: {
        batchable: true,
        inputs: [{ name: "x", datatype: "FP32", shape: [-1n, 4n], dimensionNames: ["N", ""] }],
        outputs: [{ name: "y", datatype: "FP32", shape: [-1n, 1n] }],
      },
    });
    const chunks: Uint8Array[] = [];
    for await (const { chunk } of registry.models.downloadArtifact({
      name: version.name,
      offset: 5n,
    })) {
      chunks.push(chunk);
    }
    expect(Buffer.concat(chunks)).toEqual(Buffer.from(bytes.subarray(5)));
  });

  it("makes unusable files FAILED with a reason, and forbids their approval", async () => {
    const registry = await useRegistry();
    const model = await makeModel(registry, "bad");
    const corrupt = await push(registry, model, Uint8Array.from([1, 2, 3]));
    expect(corrupt).toMatchObject({
      state: ModelVersion_State.FAILED,
      failure: { reason: "CORRUPT" },
    });
    const columns = await push(registry, model, linearModel(), { columns: ["a", "b"] });
    expect(columns.failure).toMatchObject({
      reason: "BAD_METADATA",
      message: expect.stringContaining('the input "x" has shape [-1, 4]'),
    });
    const metadata = linearModel({ metadata: { "plinth.class_labels": "yes,no" } });
    expect((await push(registry, model, metadata)).failure?.message).toMatch(/plinth.class_labels/);
    await expect(registry.models.approveModelVersion({ name: corrupt.name })).rejects.toMatchObject(
      {
        kind: "FailedPrecondition",
        message: expect.stringContaining("CORRUPT"),
      },
    );
  });

  it("approves, rejects, archives and restores", async () => {
    const registry = await useRegistry();
    const model = await makeModel(registry, "m");
    const { name } = await push(registry, model, linearModel());
    const approved = await registry.models.approveModelVersion({ name, comment: "Looks right." });
    expect(approved).toMatchObject({
      approval: ModelVersion_Approval.APPROVED,
      approvalRecord: { actor: "anonymous", comment: "Looks right." },
    });
    const again = await registry.models.approveModelVersion({ name, comment: "Twice." });
    expect(again.etag).toBe(approved.etag);
    const rejected = await registry.models.rejectModelVersion({ name });
    expect(rejected.approval).toBe(ModelVersion_Approval.REJECTED);
    const archived = await registry.models.archiveModelVersion({ name });
    expect(archived.archiveTime).toBeDefined();
    await expect(registry.models.approveModelVersion({ name })).rejects.toMatchObject({
      message: expect.stringContaining("archived"),
    });
    const restored = await registry.models.archiveModelVersion({ name, restore: true });
    expect(restored.archiveTime).toBeUndefined();
    await expect(
      registry.models.approveModelVersion({ name: `${model}/versions/latest` }),
    ).rejects.toMatchObject({ kind: "InvalidArgument" });
  });

  it("updates what the caller says and refuses NaN", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    const version = await registry.models.createModelVersion({
      parent: model,
      upload: await upload(registry, linearModel()),
      modelVersion: { description: "d", tags: { a: "1" } },
    });
    const updated = await registry.models.updateModelVersion({
      modelVersion: { name: version.name, metrics: { auc: 0.5 }, description: "ignored" },
      updateMask: { paths: ["metrics"] },
    });
    expect(updated).toMatchObject({ description: "d", tags: { a: "1" }, metrics: { auc: 0.5 } });
    await expect(
      registry.models.updateModelVersion({
        modelVersion: { name: version.name, metrics: { auc: Number.NaN } },
      }),
    ).rejects.toMatchObject({ violations: [{ field: 'model_version.metrics["auc"]' }] });
    await expect(
      registry.models.updateModelVersion({
        modelVersion: { name: version.name },
        updateMask: { paths: ["state"] },
      }),
    ).rejects.toMatchObject({ violations: [{ field: "update_mask.paths" }] });
  });

  it("filters and orders, by metrics too", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    for (const [i, accuracy] of [0.5, 0.9, undefined, 0.9, 0.7].entries()) {
      await registry.models.createModelVersion({
        parent: model,
        upload: await upload(registry, linearModel({ scale: i + 1 })),
        modelVersion: accuracy === undefined ? {} : { metrics: { accuracy } },
      });
    }
    const list = async (filter: string, orderBy: string, parent = model) => {
      const numbers: number[] = [];
      let pageToken = "";
      do {
        const page = await registry.models.listModelVersions({
          parent,
          filter,
          orderBy,
          pageSize: 2,
          pageToken,
        });
        numbers.push(...page.modelVersions.map((version) => Number(version.version)));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return numbers;
    };
    expect(await list("", "metrics.accuracy desc")).toEqual([2, 4, 5, 1, 3]);
    expect(await list("", "metrics.accuracy")).toEqual([1, 5, 2, 4, 3]);
    expect(await list("metrics.accuracy >= 0.7", "version")).toEqual([2, 4, 5]);
    expect(await list("state = VALIDATING AND approval = pending", "version desc")).toEqual([
      5, 4, 3, 2, 1,
    ]);
    expect(await list("state = READY", "")).toEqual([]);
    await registry.models.archiveModelVersion({ name: `${model}/versions/2` });
    expect(await list("", "version", "workspaces/default/models/-")).toEqual([1, 3, 4, 5]);
    expect(await list("archived = true", "")).toEqual([2]);
    await expect(list("", "nothing")).rejects.toMatchObject({
      violations: [{ field: "order_by" }],
    });
  });

  it("gives concurrent creates different numbers and an upload one version", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    const uploads = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((scale) => upload(registry, linearModel({ scale }))),
    );
    const versions = await Promise.all(
      uploads.map((name) => registry.models.createModelVersion({ parent: model, upload: name })),
    );
    expect(versions.map((version) => Number(version.version)).sort()).toEqual([1, 2, 3, 4, 5, 6]);
    const again = await registry.models.createModelVersion({ parent: model, upload: uploads[0]! });
    expect(again.name).toBe(versions[0]?.name);
    const other = await makeModel(registry, "other");
    await expect(
      registry.models.createModelVersion({ parent: other, upload: uploads[0]! }),
    ).rejects.toMatchObject({ kind: "FailedPrecondition" });
    const twice = await upload(registry, linearModel({ scale: 9 }));
    const request = { parent: model, upload: twice, requestId: "once" };
    const [one, two] = await Promise.all([
      registry.models.createModelVersion(request),
      registry.models.createModelVersion(request),
    ]);
    expect(one.name).toBe(two.name);
  });

  it("takes no version into an archived model and none from half an upload", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    const { name } = await registry.models.createUpload({
      parent: "workspaces/default",
      sha256: "0".repeat(64),
      sizeBytes: 10n,
    });
    await expect(
      registry.models.createModelVersion({ parent: model, upload: name }),
    ).rejects.toMatchObject({ message: expect.stringContaining("0 of 10 bytes") });
    await registry.models.archiveRegisteredModel({ name: model });
    const whole = await upload(registry, linearModel());
    await expect(
      registry.models.createModelVersion({ parent: model, upload: whole }),
    ).rejects.toMatchObject({ kind: "FailedPrecondition" });
    await expect(
      registry.models.createModelVersion({ parent: `${model}x`, upload: whole }),
    ).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("frees bytes with the last version that has them", async () => {
    const registry = await useRegistry();
    const model = await makeModel(registry, "m");
    const bytes = linearModel();
    const first = await push(registry, model, bytes);
    const second = await push(registry, model, bytes);
    await registry.models.deleteModelVersion({ name: first.name });
    expect(await registry.blobs.size(sha256(bytes))).toBe(bytes.length);
    await registry.models.deleteModelVersion({ name: second.name });
    expect(await registry.blobs.size(sha256(bytes))).toBeUndefined();
    await push(registry, model, bytes);
    await expect(registry.models.deleteRegisteredModel({ name: model })).rejects.toMatchObject({
      reason: ErrorReason.RESOURCE_IN_USE,
    });
    await registry.models.deleteRegisteredModel({ name: model, force: true });
    expect(await registry.blobs.size(sha256(bytes))).toBeUndefined();
  });

  it("names the deployment that keeps a version from leaving", async () => {
    const registry = await useRegistry();
    const model = await makeModel(registry, "m");
    const { name } = await pushApproved(registry, model, linearModel());
    await registry.deployments.createDeployment({
      parent: "workspaces/default",
      deploymentId: "d",
      deployment: { config: { targets: [{ modelVersion: name, weight: 1 }] } },
    });
    const inUse = {
      kind: "FailedPrecondition",
      reason: ErrorReason.RESOURCE_IN_USE,
      violations: [{ subject: "workspaces/default/deployments/d" }],
    };
    await expect(registry.models.rejectModelVersion({ name })).rejects.toMatchObject(inUse);
    await expect(registry.models.archiveModelVersion({ name })).rejects.toMatchObject(inUse);
    await expect(registry.models.deleteModelVersion({ name })).rejects.toMatchObject(inUse);
    await expect(
      registry.models.deleteRegisteredModel({ name: model, force: true }),
    ).rejects.toMatchObject(inUse);
    await registry.deployments.deleteDeployment({ name: "workspaces/default/deployments/d" });
    await registry.models.deleteModelVersion({ name });
    await expect(registry.models.getModelVersion({ name })).rejects.toMatchObject({
      kind: "NotFound",
    });
  });

  it("ends a watch when the version is deleted", async () => {
    const registry = await useRegistry({ isStarted: false });
    const model = await makeModel(registry, "m");
    const { name } = await registry.models.createModelVersion({
      parent: model,
      upload: await upload(registry, singleNode("Identity")),
    });
    const watch = validated(registry, name);
    const ended = expect(watch).rejects.toMatchObject({ kind: "NotFound" });
    await registry.models.deleteModelVersion({ name });
    await ended;
  });
});
