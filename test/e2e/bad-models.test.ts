// Model files that cannot be served: each makes its version FAILED with words a person can act on,
// none takes the mesh down or hides the next good one.

import { beforeAll, describe, expect, it } from "vitest";
import {
  type ModelVersion,
  ModelVersion_State,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import {
  encodeModel,
  floats,
  ODD_ELEMENT_TYPE,
} from "../../services/common/testing/onnx-writer.ts";
import { linearModel, singleNode } from "../../services/registry/test-models.ts";
import { push } from "../../services/registry/testing.ts";
import { shareMesh } from "./use-mesh.ts";
import {
  type Clients,
  clientsOn,
  DEFAULT,
  firstOutput,
  pushModel,
  rowsOf,
  serveModel,
  untilServed,
} from "./use-models.ts";

const shared = shareMesh({}, ["registry", "inference"]);
const MODEL = `${DEFAULT}/models/broken`;
let clients: Clients;

beforeAll(async () => {
  clients = clientsOn(shared.current.channel);
  await clients.models.createRegisteredModel({ parent: DEFAULT, modelId: "broken" });
  await serveModel(clients, "linear", linearModel());
});

/** Wrong values in the middle of a file that is otherwise right. */
function damaged(): Uint8Array {
  const bytes = Uint8Array.from(linearModel());
  bytes.fill(0xff, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 20);
  return bytes;
}

/** Looks up rows of an empty table: it loads and cannot run. */
function cannotRun(): Uint8Array {
  return encodeModel({
    nodes: [{ op: "Gather", inputs: ["table", "x"], outputs: ["y"] }],
    inputs: [{ name: "x", datatype: "INT64", shape: ["N", 1] }],
    outputs: [{ name: "y", shape: ["N", 1] }],
    initializers: [floats("table", [0], [])],
  });
}

/** What is pushed, the reason, and words that its message must have. */
const BROKEN: Readonly<Record<string, readonly [() => Uint8Array, string, readonly string[]]>> = {
  "a damaged file": [damaged, "CORRUPT", ["ONNX"]],
  "a truncated file": [() => linearModel().subarray(0, 100), "CORRUPT", ["ONNX"]],
  "a text file": [() => Buffer.from("weights:\n  - 1\n  - 2\n"), "CORRUPT", ["ONNX"]],
  "an HTML page in place of a download": [
    () => Buffer.from("<!DOCTYPE html><html><body>404</body></html>"),
    "CORRUPT",
    ["ONNX"],
  ],
  "external data that is not there": [
    () =>
      singleNode("MatMul", {
        outputs: [{ name: "y", shape: ["N", 1] }],
        initializers: [{ name: "w", datatype: "FP32", shape: [4, 1], external: "weights.bin" }],
      }),
    "EXTERNAL_DATA",
    ["weights.bin", "save_as_external_data=False"],
  ],
  "external data that points at a file of the machine": [
    () =>
      singleNode("MatMul", {
        outputs: [{ name: "y", shape: ["N", 1] }],
        initializers: [
          { name: "w", datatype: "FP32", shape: [4, 1], external: "../../../etc/passwd" },
        ],
      }),
    "EXTERNAL_DATA",
    ["passwd"],
  ],
  "an operator nobody has": [
    () => singleNode("Frobnicate"),
    "UNSUPPORTED_OPERATOR",
    ["Frobnicate"],
  ],
  "an operator of a library that is not here": [
    () => singleNode("Clever", { domain: "com.acme", opsets: { "": 17, "com.acme": 1 } }),
    "UNSUPPORTED_OPERATOR",
    ["com.acme", "Clever"],
  ],
  "an opset of the future": [
    () => singleNode("Relu", { opsets: { "": 99 } }),
    "UNSUPPORTED_OPSET",
    ["99", "target_opset"],
  ],
  "an IR version of the future": [
    () => singleNode("Relu", { irVersion: 99 }),
    "UNSUPPORTED_IR_VERSION",
    ["99", "ir_version"],
  ],
  "a sequence as output": [
    () => singleNode("SplitToSequence", { outputs: [{ name: "s", kind: "sequence" }] }),
    "NON_TENSOR_IO",
    ["s", "sequence", "zipmap"],
  ],
  "a datatype that calls cannot carry": [
    () =>
      singleNode("Identity", {
        inputs: [{ name: "x", datatype: ODD_ELEMENT_TYPE.BFLOAT16, shape: ["N", 4] }],
        outputs: [{ name: "y", datatype: ODD_ELEMENT_TYPE.BFLOAT16, shape: ["N", 4] }],
      }),
    "UNSUPPORTED_DATATYPE",
    ["x", "bfloat16"],
  ],
  "a graph that loads and cannot run": [cannotRun, "RUN_FAILED", ["Gather"]],
};

async function pushed(bytes: Uint8Array): Promise<ModelVersion> {
  return push(clients, MODEL, bytes);
}

describe("a model file that cannot be served", () => {
  for (const [name, [bytes, reason, words]] of Object.entries(BROKEN)) {
    it(`${name}: the version is FAILED with ${reason}`, async () => {
      const version = await pushed(bytes());
      expect(ModelVersion_State[version.state]).toBe("FAILED");
      expect(version.failure?.reason, version.failure?.message).toBe(reason);
      for (const word of words) {
        expect(version.failure?.message).toContain(word);
      }
      // Paths of the server are nobody's business.
      expect(version.failure?.message).not.toContain(shared.current.dataDir);
    });
  }

  it("cannot be approved, nor deployed", async () => {
    const { name } = await pushed(Buffer.from("nothing"));
    await expect(clients.models.approveModelVersion({ name })).rejects.toMatchObject({
      kind: "FailedPrecondition",
    });
    const refused = clients.deployments.createDeployment({
      parent: DEFAULT,
      deploymentId: "broken",
      deployment: { config: { targets: [{ modelVersion: name, weight: 100 }] } },
    });
    await expect(refused).rejects.toMatchObject({ kind: "FailedPrecondition" });
  });

  it("leaves the mesh serving, and the next version of the model can be good", async () => {
    const response = await clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]));
    expect(firstOutput(response)).toEqual([10.5]);
    const { name } = await pushModel(clients, "broken", linearModel({ scale: 2 }));
    const deployment = await clients.deployments.createDeployment({
      parent: DEFAULT,
      deploymentId: "repaired",
      deployment: { config: { targets: [{ modelVersion: name, weight: 100 }] } },
    });
    await untilServed(clients, deployment.name);
    const repaired = await clients.inference.modelInfer(rowsOf("repaired", [[1, 1, 1, 1]]));
    expect(firstOutput(repaired)).toEqual([20.5]);
  });
});
