// A model that hangs, and one whose bytes went bad on the disk: their callers are told, others go
// on.

import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { encodeModel } from "../../services/common/testing/onnx-writer.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { loop } from "../../services/inference/testing/graphs.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { useChildMesh } from "./use-child-mesh.ts";
import { useMesh } from "./use-mesh.ts";
import {
  clientsOn,
  collect,
  DEFAULT,
  firstOutput,
  rowsOf,
  serveModel,
  turnsOf,
} from "./use-models.ts";

/** Days of work. */
const ENDLESS = 2n ** 40n;

describe("a model that hangs", () => {
  it("is restarted; its requests fail UNAVAILABLE with retry info, others go on", async () => {
    const { channel } = await useMesh({}, ["registry", "inference"]);
    const clients = clientsOn(channel);
    await serveModel(clients, "linear", linearModel());
    await serveModel(clients, "loop", encodeModel(loop()), {
      config: { instances: { count: 1, runTimeout: { seconds: 1n } } },
    });
    async function* hanging() {
      yield turnsOf("loop", ENDLESS);
    }
    const hung = collect(clients.inference.modelStreamInfer(hanging()));
    let served = 0;
    let done = false;
    const others = (async () => {
      while (!done) {
        const answer = await clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]));
        expect(firstOutput(answer)).toEqual([10.5]);
        served += 1;
      }
    })();
    const [answer] = await hung;
    done = true;
    await others;
    expect(served).toBeGreaterThan(10);
    expect(answer?.errorMessage).toMatch(/crashed or hung/);
    expect(answer?.inferResponse?.parameters.reason?.parameterChoice.value).toBe("INSTANCE_LOST");
    // A stock client that does not retry sees the code and the time to come back.
    const again = () =>
      clients.inference.modelInfer(turnsOf("loop", 1n)).then(firstOutput, () => []);
    await expect.poll(again, { timeout: 10_000 }).toEqual([7]);
    const unary = clients.inference.modelInfer(turnsOf("loop", ENDLESS));
    await expect(unary).rejects.toMatchObject({
      kind: "Unavailable",
      reason: ErrorReason.INSTANCE_LOST,
      retryAfterMs: expect.any(Number),
    });
    await expect.poll(again, { timeout: 10_000 }).toEqual([7]);
  });
});

describe("an artifact that went bad on the disk", () => {
  it("is neither served nor handed out, and said to be damaged", async () => {
    const dataDir = useFolder();
    const first = await useChildMesh({ dataDir });
    const version = await serveModel(clientsOn(first.channel), "linear", linearModel());
    await first.stop();
    const name = version.artifact!.sha256;
    const paths = await readdir(join(dataDir, "blobs"), { recursive: true });
    const blob = paths.find(
      (path) => path.endsWith(name) || path.replaceAll("/", "").endsWith(name),
    );
    expect(blob).toBeDefined();
    await writeFile(join(dataDir, "blobs", blob!), linearModel({ scale: 3 }));

    const second = await useChildMesh({ dataDir });
    const clients = clientsOn(second.channel);
    await expect(
      collect(clients.models.downloadArtifact({ name: version.name })),
    ).rejects.toMatchObject({ kind: "DataLoss", reason: ErrorReason.DIGEST_MISMATCH });
    const refused = clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]));
    await expect(refused).rejects.toMatchObject({ kind: "Unavailable" });
    const reasons = async () => {
      const { servingReports } = await clients.deployments.getDeployment({
        name: `${DEFAULT}/deployments/linear`,
      });
      return servingReports.flatMap(({ versions }) => versions.map(({ reason }) => reason)).join();
    };
    await expect.poll(reasons, { timeout: 15_000 }).toMatch(/SHA-256|digest|damaged/i);
  }, 40_000);
});
