// Each example model, served by a whole mesh, answers as its training library did.

import { beforeAll, describe, expect, it } from "vitest";
import {
  GRPCInferenceService,
  type ModelInferResponse,
} from "../../gen/inference/grpc_service_pb.js";
import { FeatureRegistryService } from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { FieldStatus } from "../../gen/plinth/features/v1/value_pb.js";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { Deployment_State } from "../../gen/plinth/registry/v1/deployment_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { createClient } from "../../services/common/rpc/client.ts";
import { expectClose, type HeldOut, heldOutExamples } from "./held-out.ts";
import { shareMesh } from "./use-mesh.ts";

const examples = heldOutExamples();
const shared = shareMesh();

beforeAll(() => shared.current.seed());

/** The rows [from, to) of the held-out inputs as typed contents. */
function request(example: HeldOut, from: number, to: number) {
  return {
    modelName: example.deployment,
    id: `${from}`,
    inputs: Object.entries(example.inputs).map(([name, tensor]) => {
      const width = tensor.data.length / tensor.shape[0]!;
      const data = tensor.data.slice(from * width, to * width);
      return {
        name,
        datatype: tensor.datatype,
        shape: [to - from, ...tensor.shape.slice(1)].map(BigInt),
        contents: contents(tensor.datatype, data),
      };
    }),
  };
}

function contents(datatype: string, data: readonly (number | string)[]) {
  switch (datatype) {
    case "FP32":
      return { fp32Contents: data.map(Number) };
    case "INT64":
      return { int64Contents: data.map((value) => BigInt(value)) };
    case "BYTES":
      return { bytesContents: data.map((value) => Buffer.from(String(value))) };
    default:
      throw new Error(`no held-out input has datatype ${datatype}`);
  }
}

function values(response: ModelInferResponse, name: string): (number | bigint | string)[] {
  const output = response.outputs.find((one) => one.name === name);
  const typed = output?.contents;
  return [...(typed?.fp32Contents ?? []), ...(typed?.int64Contents ?? [])];
}

describe("example models", () => {
  it("are all served", async () => {
    const client = createClient(DeploymentService, shared.current.channel);
    const { deployments } = await client.listDeployments({ parent: "workspaces/default" });
    expect(deployments.map(({ name }) => name.split("/").at(-1))).toEqual(
      examples.map(({ deployment }) => deployment).sort(),
    );
    expect(deployments.map(({ state }) => Deployment_State[state])).toEqual(
      examples.map(() => "READY"),
    );
  });

  for (const example of examples) {
    const rows = Object.values(example.inputs)[0]!.shape[0]!;

    it(`${example.deployment} answers as its training library did, in one request`, async () => {
      const client = createClient(GRPCInferenceService, shared.current.channel);
      const response = await client.modelInfer(request(example, 0, rows));
      for (const [name, tensor] of Object.entries(example.outputs)) {
        expectClose(values(response, name), tensor, example);
      }
    });

    it(`${example.deployment} answers the same row by row over a stream`, async () => {
      const client = createClient(GRPCInferenceService, shared.current.channel);
      async function* requests() {
        for (let row = 0; row < rows; row += 1) {
          yield request(example, row, row + 1);
        }
      }
      const all: ModelInferResponse[] = [];
      for await (const { errorMessage, inferResponse } of client.modelStreamInfer(requests())) {
        expect(errorMessage).toBe("");
        all.push(inferResponse!);
      }
      expect(all.map(({ id }) => id)).toEqual(Array.from({ length: rows }, (_, row) => `${row}`));
      for (const [name, tensor] of Object.entries(example.outputs)) {
        expectClose(
          all.flatMap((response) => values(response, name)),
          tensor,
          example,
        );
      }
    });
  }

  it("predict from rows by column name, with labels", async () => {
    const example = examples.find(({ deployment }) => deployment === "breast-cancer")!;
    const client = createClient(InferenceService, shared.current.channel);
    const response = await client.predict({
      deployment: "breast-cancer",
      rows: [...(example.rows ?? [])],
    });
    expect(response.modelVersion).toBe(
      "workspaces/default/models/breast-cancer-logistic/versions/1",
    );
    const wanted = example.outputs.label!.data.slice(0, example.rows!.length);
    expect(response.predictions.map(({ label }) => label)).toEqual(
      wanted.map((index) => ["malignant", "benign"][Number(index)]),
    );
    expect(response.predictions[0]?.scores).toHaveProperty("malignant");
  });

  it("predict by entity key from the features that came with them", async () => {
    const entity = { origin: "ATL", destination: "JFK", departure: "2001-06-30T18:00:00Z" };
    const client = createClient(InferenceService, shared.current.channel);
    const response = await client.predict({ deployment: "flights-live", entities: [entity] });
    expect(response.featureService).toBe(
      "workspaces/default/featureServices/flight_delay/versions/1",
    );
    expect(response.featureStatuses).toHaveLength(14);
    expect(new Set(response.featureStatuses.flatMap(({ statuses }) => statuses))).toEqual(
      new Set([FieldStatus.PRESENT]),
    );
    // As scikit-learn says it of the same files; train_live.py prints it.
    const [delay] = response.predictions[0]!.outputs!.delay_minutes as number[];
    expect(delay).toBeCloseTo(68.5699, 3);
  });

  it("are there once, also when they are brought in again", async () => {
    const { channel } = shared.current;
    await shared.current.seed();
    const models = createClient(ModelService, channel);
    const { modelVersions } = await models.listModelVersions({
      parent: "workspaces/default/models/flights-live",
    });
    expect(modelVersions.map(({ version }) => version)).toEqual([1n]);
    const features = createClient(FeatureRegistryService, channel);
    const { version } = await features.getFeatureService({
      name: "workspaces/default/featureServices/flight_delay",
    });
    expect(version).toBe(1n);
    const status = await features.getFeatureViewStatus({
      name: "workspaces/default/featureViews/airport_delays",
    });
    expect(status.offlineRows + status.pendingRows).toBe(229n);
  });
});
