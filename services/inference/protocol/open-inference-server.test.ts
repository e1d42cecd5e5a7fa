import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  GRPCInferenceService,
  type ModelInferRequestSchema,
} from "../../../gen/inference/grpc_service_pb.js";
import { DataType } from "../../../gen/inference/model_config_pb.js";
import { createClient } from "../../common/rpc/client.ts";
import type { Client } from "../../common/rpc/context.ts";
import { ELEMENT_BYTES } from "../tensor.ts";
import { ComputingEngine } from "../testing/computing-engine.ts";
import { meanRequest } from "../testing/requests.ts";
import {
  failedModel,
  loadingModel,
  meanModel,
  sameModels,
  scalarModel,
} from "../testing/test-models.ts";
import { useServer } from "../testing/use-server.ts";

const MODELS = [meanModel, failedModel, scalarModel, loadingModel, ...sameModels];

describe("open-inference over a real server", () => {
  async function start(): Promise<Client<typeof GRPCInferenceService>> {
    return createClient(GRPCInferenceService, await useServer(new ComputingEngine(MODELS)));
  }

  it("serves every method", async () => {
    const client = await start();
    type Request = MessageInitShape<typeof ModelInferRequestSchema>;
    expect(await client.serverLive({})).toMatchObject({ live: true });
    expect(await client.serverReady({})).toMatchObject({ ready: false });
    expect(await client.modelReady({ name: "mean" })).toMatchObject({ ready: true });
    expect(await client.modelReady({ name: "slow" })).toMatchObject({ ready: false });
    await expect(client.modelReady({ name: "nobody" })).rejects.toMatchObject({ kind: "NotFound" });
    expect(await client.serverMetadata({})).toMatchObject({ name: "plinth", version: "1.2.3" });
    expect(await client.modelMetadata({ name: "mean" })).toMatchObject({
      name: "mean",
      versions: ["3"],
      platform: "onnxruntime_onnx",
      inputs: [{ name: "features", datatype: "FP32", shape: [-1n, 3n] }],
      outputs: [
        { name: "label", shape: [-1n] },
        { name: "probabilities", shape: [-1n, 2n] },
      ],
    });
    for (const { deployment, signature } of sameModels) {
      const datatype = signature.inputs[0]!.datatype;
      const raw =
        datatype === "BYTES"
          ? Buffer.from([1, 0, 0, 0, 97, 0, 0, 0, 0])
          : Buffer.alloc(2 * ELEMENT_BYTES[datatype], 1);
      const request: Request = {
        modelName: deployment,
        inputs: [{ name: "x", datatype, shape: [1n, 2n] }],
        rawInputContents: [raw],
      };
      const response = await client.modelInfer(request);
      expect(Buffer.from(response.rawOutputContents[0] ?? []).equals(raw)).toBe(true);
      expect(response.outputs).toMatchObject([{ name: "x_out", datatype, shape: [1n, 2n] }]);
    }
  });

  it("describes configuration, statistics and repository", async () => {
    const client = await start();
    await client.modelInfer(meanRequest());
    const { config } = await client.modelConfig({ name: "mean" });
    expect(config).toMatchObject({
      name: "mean",
      platform: "onnxruntime_onnx",
      backend: "onnxruntime",
      maxBatchSize: 64,
      input: [{ name: "features", dataType: DataType.TYPE_FP32, dims: [3n] }],
      output: [
        { name: "label", dataType: DataType.TYPE_INT64, dims: [] },
        { name: "probabilities", dims: [2n] },
      ],
      instanceGroup: [{ count: 2 }],
    });
    expect((await client.modelConfig({ name: "scalar" })).config?.maxBatchSize).toBe(0);
    const { modelStats } = await client.modelStatistics({ name: "mean" });
    expect(modelStats).toMatchObject([
      {
        name: "mean",
        version: "3",
        inferenceCount: 1n,
        inferenceStats: { success: { ns: 1000n } },
      },
    ]);
    expect((await client.modelStatistics({})).modelStats.map(({ name }) => name)).toContain(
      "scalar",
    );
    const { models } = await client.repositoryIndex({});
    expect(models.filter(({ name }) => name === "mean" || name === "slow")).toMatchObject([
      { name: "mean", version: "3", state: "READY", reason: "" },
      { name: "mean", version: "4", state: "UNAVAILABLE", reason: "the file is damaged" },
      { name: "slow", version: "1", state: "LOADING" },
    ]);
    const ready = await client.repositoryIndex({ ready: true });
    expect(new Set(ready.models.map(({ state }) => state))).toEqual(new Set(["READY"]));
  });

  it("says what it does not offer", async () => {
    const client = await start();
    await expect(client.repositoryModelLoad({ modelName: "mean" })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("The registry decides"),
    });
    await expect(client.systemSharedMemoryStatus({})).rejects.toMatchObject({
      kind: "Unimplemented",
    });
    await expect(client.logSettings({})).rejects.toMatchObject({ kind: "Unimplemented" });
  });

  it("streams 2000 messages in order with a bad one among them", async () => {
    const client = await start();
    async function* requests() {
      for (let i = 0; i < 2000; i++) {
        yield meanRequest({ id: `${i}`, ...(i === 777 ? { modelName: "nobody" } : {}) });
      }
    }
    let next = 0;
    for await (const { errorMessage, inferResponse } of client.modelStreamInfer(requests())) {
      expect(inferResponse?.id).toBe(`${next}`);
      expect(errorMessage === "").toBe(next !== 777);
      next += 1;
    }
    expect(next).toBe(2000);
  });
});
