// The same services as processes of their own: a registry, two inference servers and a gateway that
// know each other by the mesh's secret. One server dies; the other serves on.

import { once } from "node:events";
import { createInterface } from "node:readline";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { ProofJob_State } from "../../gen/plinth/proofs/v1/proof_pb.js";
import type { Env } from "../../services/common/config.ts";
import { Channel } from "../../services/common/rpc/client.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { push } from "../../services/registry/testing.ts";
import { spawnPlinth } from "./use-child-mesh.ts";
import { makeCircuit } from "./use-circuits.ts";
import { clientsOn, DEFAULT, firstOutput, rowsOf, serveModel, untilServed } from "./use-models.ts";

const SECRET = "known-to-all-services-of-this-test";

interface ServiceOptions {
  /** All services of a mesh keep their artifacts in its folder "blobs". */
  readonly meshDir: string;
  readonly args?: readonly string[];
  readonly secret?: string;
  readonly listen?: string;
  readonly settings?: Env;
}

const SENSORS = {
  entities: [{ name: "sensor", joinKeys: [{ name: "sensor", valueType: ValueType.INT64 }] }],
  featureViews: [
    {
      name: "readings",
      entities: ["sensor"],
      features: ["a", "b", "c", "d"].map((name) => ({ name, valueType: ValueType.DOUBLE })),
    },
  ],
  featureServices: [{ name: "readings", projections: [{ featureView: "readings" }] }],
};

/** Starts one service on a free port. */
async function useService(service: string, options: ServiceOptions) {
  const { meshDir, args = [], secret = SECRET, listen = "127.0.0.1:0", settings } = options;
  const plinth = spawnPlinth(
    [...["serve", service, "--listen", listen, "--json"], ...["--data-dir", useFolder(), ...args]],
    {
      PLINTH_MESH_SECRET: secret,
      PLINTH_BLOBS: `file:${meshDir}/blobs`,
      PLINTH_LOG: "warn",
      ...settings,
    },
  );
  const line = await Promise.race([
    once(createInterface(plinth.child.stdout!), "line").then(([text]) => String(text)),
    once(plinth.child, "exit").then(() => undefined),
  ]);
  if (line === undefined) {
    throw new Error(`plinth serve ${service} ended: ${plinth.stderr()}`);
  }
  return { ...plinth, address: (JSON.parse(line) as { address: string }).address };
}

describe("services in processes of their own", () => {
  it("find each other, serve, and lose nothing but what died", async () => {
    const meshDir = useFolder();
    const registry = await useService("registry", { meshDir });
    const args = ["--registry", registry.address];
    const servers = [
      await useService("inference", { meshDir, args }),
      await useService("inference", { meshDir, args }),
    ];
    const gateway = await useService("gateway", {
      meshDir,
      args: [...args, "--inference", servers[0]!.address],
    });
    using toRegistry = new Channel({ address: registry.address });
    const clients = clientsOn(toRegistry);
    const version = await serveModel(clients, "linear", linearModel());
    const name = `workspaces/default/deployments/linear`;
    await untilServed(clients, name);
    // One server is enough to be READY; the other tells a moment later.
    await expect
      .poll(async () => (await clients.deployments.getDeployment({ name })).servingReports.length)
      .toBe(2);
    expect(version.name).toContain("linear");
    const ask = async (address: string) => {
      using channel = new Channel({ address });
      const { inference } = clientsOn(channel);
      return firstOutput(await inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]])));
    };
    for (const { address } of servers) {
      expect(await ask(address)).toEqual([10.5]);
    }
    const predict = () =>
      fetch(`http://${gateway.address}/plinth.inference.v1.InferenceService/Predict`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ deployment: "linear", rows: [{ x: [1, 1, 1, 1] }] }),
      });
    const response = await predict();
    expect(response.status).toBe(200);
    const models = await fetch(
      `http://${gateway.address}/plinth.registry.v1.ModelService/ListRegisteredModels`,
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ parent: "workspaces/default" }),
      },
    );
    expect(await models.json()).toMatchObject({ registeredModels: [{ latestVersion: "1" }] });

    // The registry goes away: what is served is served on.
    registry.child.kill("SIGKILL");
    await once(registry.child, "exit");
    expect(await ask(servers[0]!.address)).toEqual([10.5]);
    expect((await predict()).status).toBe(200);
    servers[1]!.child.kill("SIGKILL");
    expect(await ask(servers[0]!.address)).toEqual([10.5]);
  }, 40_000);

  it("predict by entity key with the feature store in a process of its own", async () => {
    const meshDir = useFolder();
    const registry = await useService("registry", { meshDir });
    const args = ["--registry", registry.address];
    const features = await useService("features", { meshDir, args });
    const both = [...args, "--features", features.address];
    const inference = await useService("inference", { meshDir, args: both });
    const gateway = await useService("gateway", {
      meshDir,
      args: [...both, "--inference", inference.address],
    });
    using toFeatures = new Channel({ address: features.address });
    const store = clientsOn(toFeatures);
    await store.definitions.applyDefinitions({ parent: DEFAULT, ...SENSORS });
    await store.features.pushFeatures({
      featureView: `${DEFAULT}/featureViews/readings`,
      columns: [
        { name: "sensor", ints: [7n] },
        { name: "event_timestamp", timestamps: [timestampNow()] },
        ...["a", "b", "c", "d"].map((name) => ({ name, doubles: [1] })),
      ],
    });
    using toRegistry = new Channel({ address: registry.address });
    const clients = clientsOn(toRegistry);
    const featureService = `${DEFAULT}/featureServices/readings/versions/1`;
    await clients.models.createRegisteredModel({ parent: DEFAULT, modelId: "by-key" });
    const version = await push(clients, `${DEFAULT}/models/by-key`, linearModel(), {
      featureService,
      columns: ["a", "b", "c", "d"],
    });
    await clients.models.approveModelVersion({ name: version.name });
    const { name } = await clients.deployments.createDeployment({
      parent: DEFAULT,
      deploymentId: "by-key",
      deployment: { config: { targets: [{ modelVersion: version.name, weight: 100 }] } },
    });
    await untilServed(clients, name);

    const predict = (sensor: number) =>
      fetch(`http://${gateway.address}/plinth.inference.v1.InferenceService/Predict`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ deployment: "by-key", entities: [{ sensor }] }),
      });
    expect(await (await predict(7)).json()).toMatchObject({
      featureService,
      predictions: [{ outputs: { y: [10.5] } }],
    });
    expect((await predict(8)).status).toBe(400);
    // A feature service that a model reads stays, which another process has to say.
    const removed = store.definitions.deleteFeatureService({
      name: `${DEFAULT}/featureServices/readings`,
    });
    await expect(removed).rejects.toMatchObject({ kind: "FailedPrecondition" });

    features.child.kill("SIGKILL");
    await once(features.child, "exit");
    expect((await predict(7)).status).toBe(503);
  }, 40_000);

  it("with another secret is not let in, and says what to check", async () => {
    const meshDir = useFolder();
    const registry = await useService("registry", { meshDir });
    const stranger = await useService("inference", {
      meshDir,
      args: ["--registry", registry.address],
      secret: "known-to-another-mesh-altogether",
    });
    await expect.poll(stranger.stderr, { timeout: 10_000 }).toContain("PLINTH_MESH_SECRET");
    using channel = new Channel({ address: stranger.address });
    const { ready } = await clientsOn(channel).inference.serverReady({});
    expect(ready).toBe(false);
  }, 20_000);

  it("prove answers and keep receipts with the proofs service in a process of its own", async () => {
    const meshDir = useFolder();
    const store = `sqlite:${meshDir}/shared.db`;
    const registry = await useService("registry", { meshDir });
    const proofsDir = useFolder();
    const startProofs = (listen: string) =>
      useService("proofs", {
        meshDir,
        args: ["--registry", registry.address, "--data-dir", proofsDir, "--store", store],
        listen,
        // Found soon by whoever comes after it.
        settings: { PLINTH_PROOFS_JOB_LEASE: "2s", PLINTH_PROOFS_JOB_POLL: "500ms" },
      });
    const first = await startProofs("127.0.0.1:0");
    const inference = await useService("inference", {
      meshDir,
      args: ["--registry", registry.address, "--proofs", first.address],
    });
    using toRegistry = new Channel({ address: registry.address });
    using toProofs = new Channel({ address: first.address });
    using toInference = new Channel({ address: inference.address });
    const config = { proofs: { verifiable: true, receipts: true } };
    const version = await serveModel(clientsOn(toRegistry), "linear", linearModel(), { config });
    const { circuits, proofs, receipts } = clientsOn(toProofs);
    await makeCircuit(clientsOn(toProofs), {
      parent: version.name,
      options: { inputs: { x: { scaleBits: 4, low: -8, high: 8 } } },
    });
    const { circuits: found } = await circuits.listCircuits({ parent: version.name });
    expect(found).toMatchObject([{ active: true, setup: { development: true } }]);

    const ask = () =>
      clientsOn(toInference).predictions.predict({
        deployment: "linear",
        rows: Array.from({ length: 40 }, (_, i) => ({ x: [1, 1, 1, i / 16] })),
        verifiable: true,
      });
    const answer = await ask();
    expect(answer.predictions).toHaveLength(40);
    // Killed while it proves: whoever comes after it goes on with the rows that are left.
    await expect
      .poll(async () => (await proofs.getProofJob({ name: answer.proofJob })).rowsDone, {
        timeout: 30_000,
      })
      .toBeGreaterThan(0);
    first.child.kill("SIGKILL");
    await once(first.child, "exit");
    await startProofs(first.address);
    await expect
      .poll(
        async () => {
          const job = await proofs.getProofJob({ name: answer.proofJob });
          return [ProofJob_State[job.state], job.rowsDone];
        },
        { timeout: 90_000, interval: 500 },
      )
      .toEqual(["SUCCEEDED", 40]);
    const kept = await proofs.listProofs({
      parent: DEFAULT,
      inferenceId: answer.id,
      pageSize: 100,
    });
    expect(new Set(kept.proofs.map(({ row }) => row)).size).toBe(40);
    expect(kept.proofs).toHaveLength(40);
    await expect
      .poll(
        async () =>
          (await receipts.getReceipts({ parent: DEFAULT, inferenceId: answer.id })).receipts.length,
        { timeout: 20_000 },
      )
      .toBe(1);
  }, 240_000);
});
