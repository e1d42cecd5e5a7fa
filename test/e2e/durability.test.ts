// What was acknowledged is there after the process died at any moment, whole; what was not is there
// whole or not at all. And what happens when the disk is full.

import { createHash, randomBytes, randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { ModelVersion_State } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { useSmallDisk } from "../../services/common/blobs/testing.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { sha256, upload, uploadMessages, validated } from "../../services/registry/testing.ts";
import { useChildMesh } from "./use-child-mesh.ts";
import { useMesh } from "./use-mesh.ts";
import {
  type Clients,
  clientsOn,
  DEFAULT,
  firstOutput,
  pushModel,
  rowsOf,
  serveModel,
} from "./use-models.ts";

const MODEL = `${DEFAULT}/models/m`;

/**
 * A process that died in the middle of a validation keeps others from it for the time of its lease.
 */
const SHORT_LEASE = {
  PLINTH_REGISTRY_VALIDATION_LEASE: "1s",
  PLINTH_REGISTRY_VALIDATION_POLL: "200ms",
};

/** Milliseconds between the start of a call and the death of the process. */
const DELAYS_MS = [0, 2, 8, 25];

/** SHA-256 of what a download gives. */
async function downloaded(clients: Clients, name: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const { chunk } of clients.models.downloadArtifact({ name })) {
    hash.update(chunk);
  }
  return hash.digest("hex");
}

/** Every version that can be seen is whole, and the acknowledged ones can be seen. */
async function expectWhole(clients: Clients, acknowledged: ReadonlyMap<string, string>) {
  const { modelVersions } = await clients.models.listModelVersions({ parent: MODEL });
  for (const version of modelVersions) {
    expect(await downloaded(clients, version.name)).toBe(version.artifact?.sha256);
    expect(ModelVersion_State[(await validated(clients, version.name)).state]).toBe("READY");
  }
  const seen = new Map(modelVersions.map(({ name, artifact }) => [name, artifact?.sha256]));
  for (const [name, digest] of acknowledged) {
    expect(seen.get(name)).toBe(digest);
  }
}

/**
 * Waits until the deployment answers. Its state says so only once the registry has forgotten the
 * server that was killed.
 */
async function untilAnswering(clients: Clients, name: string): Promise<void> {
  const ready = () =>
    clients.inference.modelReady({ name }).then(
      (answer) => answer.ready,
      () => false,
    );
  await expect.poll(ready, { timeout: 15_000 }).toBe(true);
}

describe("SIGKILL", () => {
  it("at any moment of a version's way loses nothing acknowledged and shows nothing half-made", async () => {
    const dataDir = useFolder();
    const acknowledged = new Map<string, string>();
    let mesh = await useChildMesh({ dataDir, env: SHORT_LEASE });
    await clientsOn(mesh.channel).models.createRegisteredModel({ parent: DEFAULT, modelId: "m" });
    const restarted = async (): Promise<Clients> => {
      await mesh.kill();
      mesh = await useChildMesh({ dataDir, env: SHORT_LEASE });
      return clientsOn(mesh.channel);
    };
    for (const [round, delayMs] of DELAYS_MS.entries()) {
      let clients = clientsOn(mesh.channel);
      const bytes = linearModel({ scale: round + 1 });
      // Between upload and commit, and within CreateModelVersion.
      const uploaded = await upload(clients, bytes);
      const version = { parent: MODEL, upload: uploaded, requestId: randomUUID() };
      const creating = clients.models.createModelVersion(version).catch(() => undefined);
      await sleep(delayMs);
      clients = await restarted();
      await creating;
      // Sent again it is made once, from the bytes that were acknowledged.
      const { name } = await clients.models.createModelVersion(version);
      acknowledged.set(name, sha256(bytes));
      // During validation.
      clients = await restarted();
      await validated(clients, name);
      await clients.models.approveModelVersion({ name });
      // While a deployment is made.
      const deployment = {
        parent: DEFAULT,
        deploymentId: `d${round}`,
        deployment: { config: { targets: [{ modelVersion: name, weight: 100 }] } },
        requestId: randomUUID(),
      };
      const deploying = clients.deployments.createDeployment(deployment).catch(() => undefined);
      await sleep(delayMs);
      clients = await restarted();
      await deploying;
      const made = await clients.deployments.createDeployment(deployment);
      await untilAnswering(clients, made.name);
      const answer = await clients.inference.modelInfer(rowsOf(`d${round}`, [[1, 1, 1, 1]]));
      expect(firstOutput(answer)).toEqual([10 * (round + 1) + 0.5]);
    }
    const clients = await restarted();
    await expectWhole(clients, acknowledged);
    const { deployments } = await clients.deployments.listDeployments({ parent: DEFAULT });
    expect(deployments.map(({ name }) => name.split("/").at(-1))).toEqual(
      DELAYS_MS.map((_, round) => `d${round}`),
    );
    for (const { name } of deployments) {
      await untilAnswering(clients, name);
    }
  }, 90_000);

  it("in the middle of an upload: it goes on from the bytes that are held", async () => {
    const dataDir = useFolder();
    const bytes = randomBytes(24 * 1024 * 1024);
    let mesh = await useChildMesh({ dataDir });
    const first = clientsOn(mesh.channel);
    const { name } = await first.models.createUpload({
      parent: DEFAULT,
      sha256: sha256(bytes),
      sizeBytes: BigInt(bytes.length),
    });
    let sent = 0;
    async function* slowly() {
      for await (const message of uploadMessages(name, bytes, { chunkBytes: 512 * 1024 })) {
        yield message;
        sent += 1;
        // Further than the first sync, and never done.
        if (sent > 36) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    const sending = first.models.uploadArtifact(slowly()).catch((error: unknown) => error);
    await expect.poll(() => sent, { timeout: 15_000 }).toBeGreaterThan(38);
    await mesh.kill();
    expect(await sending).toMatchObject({ kind: "Unavailable" });
    mesh = await useChildMesh({ dataDir });
    const { models } = clientsOn(mesh.channel);
    const held = await models.getUpload({ name });
    expect(held.complete).toBe(false);
    expect(Number(held.receivedBytes)).toBeGreaterThanOrEqual(16 * 1024 * 1024);
    expect(Number(held.receivedBytes)).toBeLessThan(bytes.length);
    const done = await models.uploadArtifact(
      uploadMessages(name, bytes, { offset: Number(held.receivedBytes) }),
    );
    expect(done).toMatchObject({ complete: true, receivedBytes: BigInt(bytes.length) });
  }, 30_000);
});

describe("a watch of deployments", () => {
  it("goes on after the server died where it was, and neither misses nor repeats", async () => {
    const dataDir = useFolder();
    let mesh = await useChildMesh({ dataDir });
    let clients = clientsOn(mesh.channel);
    const version = await pushModel(clients, "m", linearModel());
    const make = (deploymentId: string) =>
      clients.deployments.createDeployment({
        parent: DEFAULT,
        deploymentId,
        deployment: { config: { targets: [{ modelVersion: version.name, weight: 100 }] } },
      });
    await make("a");
    await make("b");
    /** What a watch tells until a deployment of this name is deleted, as words. */
    const watch = async (resumeToken: string, last: string) => {
      const seen: string[] = [];
      let token = resumeToken;
      const request = { parent: DEFAULT, resumeToken };
      for await (const message of clients.deployments.watchDeployments(request)) {
        const { event } = message;
        token = message.resumeToken || token;
        if (event.case === "synced") {
          seen.push("synced");
          if (last === "synced") break;
        } else {
          const name = event.case === "deployment" ? event.value.name : event.value;
          seen.push(`${event.case} ${String(name).split("/").at(-1)}`);
          if (seen.at(-1) === last) break;
        }
      }
      return { seen, token };
    };
    const first = await watch("", "synced");
    expect(first.seen).toEqual(["deployment a", "deployment b", "synced"]);
    await make("c");
    await mesh.kill();
    mesh = await useChildMesh({ dataDir });
    clients = clientsOn(mesh.channel);
    await clients.deployments.deleteDeployment({ name: `${DEFAULT}/deployments/a` });
    const second = await watch(first.token, "deleted a");
    expect(second.seen.filter((word) => word !== "synced")).toEqual(["deployment c", "deleted a"]);
  }, 30_000);
});

describe("a full disk", () => {
  it("is said clearly, hurts no inference, and is over once there is room", async (context) => {
    const disk = useSmallDisk(24 * 1024 * 1024);
    if (disk === undefined) {
      if (process.env.CI === "true") throw new Error("CI must let the tests mount a tmpfs");
      context.skip("needs the right to mount a tmpfs");
      return;
    }
    const { channel } = await useMesh({ PLINTH_DATA_DIR: disk }, ["registry", "inference"]);
    const clients = clientsOn(channel);
    await serveModel(clients, "linear", linearModel());
    const infer = async () =>
      firstOutput(await clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]])));

    const large = randomBytes(40 * 1024 * 1024);
    const full = { kind: "ResourceExhausted", reason: ErrorReason.STORAGE_FULL };
    await expect(upload(clients, large)).rejects.toMatchObject(full);
    expect(await infer()).toEqual([10.5]);

    const filler = join(disk, "filler");
    await writeFile(filler, Buffer.alloc(40 * 1024 * 1024)).catch(() => undefined);
    const many = async () => {
      for (let index = 0; index < 2000; index += 1) {
        const modelId = `m${index}`;
        await clients.models.createRegisteredModel({ parent: DEFAULT, modelId });
      }
    };
    await expect(many()).rejects.toMatchObject(full);
    expect(await infer()).toEqual([10.5]);

    await rm(filler);
    await pushModel(clients, "after", linearModel());
    const { modelVersions } = await clients.models.listModelVersions({
      parent: `${DEFAULT}/models/after`,
    });
    expect(modelVersions).toHaveLength(1);
    expect(await infer()).toEqual([10.5]);
  }, 60_000);
});
