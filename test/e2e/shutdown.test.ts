// Telling a mesh to stop: what is under way is answered, nothing new is begun, and nothing that
// never ends by itself keeps the process alive.

import { describe, expect, it } from "vitest";
import { encodeModel } from "../../services/common/testing/onnx-writer.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { loop } from "../../services/inference/testing/graphs.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { useChildMesh } from "./use-child-mesh.ts";
import { clientsOn, DEFAULT, firstOutput, rowsOf, serveModel, turnsOf } from "./use-models.ts";

describe("SIGTERM", () => {
  it("lets calls and streams under way finish, through the gateway too", async () => {
    const mesh = await useChildMesh({ dataDir: useFolder() });
    const clients = clientsOn(mesh.channel);
    await serveModel(clients, "loop", encodeModel(loop()));
    const unary = clients.inference.modelInfer(turnsOf("loop", 2_000_000n));
    const rest = fetch(`${mesh.webUrl}/v2/models/loop/infer`, {
      method: "POST",
      body: JSON.stringify({
        inputs: [
          { name: "x", datatype: "FP32", shape: [1, 1], data: [-8] },
          { name: "turns", datatype: "INT64", shape: [1, 1], data: [1_000_000] },
        ],
      }),
    });
    const ids: string[] = [];
    const stream = (async () => {
      async function* requests() {
        for (let index = 0; index < 5; index += 1) {
          yield { ...turnsOf("loop", 200_000n), id: `${index}` };
        }
      }
      for await (const { inferResponse, errorMessage } of clients.inference.modelStreamInfer(
        requests(),
      )) {
        expect(errorMessage).toBe("");
        ids.push(inferResponse!.id);
      }
    })();
    await expect.poll(() => underWay(mesh.webUrl)).toBeGreaterThanOrEqual(3);
    const stopped = mesh.stop();
    expect(firstOutput(await unary)).toEqual([7]);
    await stream;
    expect(ids).toEqual(["0", "1", "2", "3", "4"]);
    const answer = await rest;
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ outputs: [{ data: [8] }] });
    expect(await stopped).toBe(0);
  }, 30_000);

  it("ends watches at once and idle streams after the grace", async () => {
    const mesh = await useChildMesh({
      dataDir: useFolder(),
      env: { PLINTH_DRAIN_GRACE: "1s", PLINTH_GATEWAY_DRAIN_GRACE: "1s" },
    });
    const clients = clientsOn(mesh.channel);
    await serveModel(clients, "linear", linearModel());
    const watching = (async () => {
      for await (const _ of clients.deployments.watchDeployments({ parent: DEFAULT })) {
        // Goes on for as long as the server does.
      }
    })().catch((error: unknown) => error);
    let answered = 0;
    const gate = Promise.withResolvers<void>();
    async function* requests() {
      yield rowsOf("linear", [[1, 1, 1, 1]]);
      await gate.promise;
    }
    const streaming = (async () => {
      for await (const _ of clients.inference.modelStreamInfer(requests())) {
        answered += 1;
      }
    })().catch((error: unknown) => error);
    await expect.poll(() => answered).toBe(1);
    expect(await mesh.stop()).toBe(0);
    expect(await streaming).toMatchObject({ kind: "Unavailable" });
    expect(await watching).toMatchObject({ kind: "Unavailable" });
    gate.resolve();
    await expect(
      clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]), { timeoutMs: 1000 }),
    ).rejects.toThrow();
  }, 30_000);
});

/** Requests that a model is at work on or that wait for it. */
async function underWay(webUrl: string): Promise<number> {
  const text = await (await fetch(`${webUrl}/metrics`)).text();
  const found = text.matchAll(/^plinth_inference_(?:requests_in_flight|queue_depth)\{.*\} (\d+)/gm);
  return [...found].reduce((sum, [, count]) => sum + Number(count), 0);
}
