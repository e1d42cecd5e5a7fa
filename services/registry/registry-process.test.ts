// The registry behind its real server, in a process of its own that is measured and killed.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { ModelVersion_State } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { Channel, createClient } from "../common/rpc/client.ts";
import type { Client } from "../common/rpc/context.ts";
import { useFolder } from "../common/testing/use-folder.ts";
import { linearModel } from "./test-models.ts";
import { sha256, take, uploadMessages } from "./testing.ts";

const MAIN = fileURLToPath(new URL("./test-server.ts", import.meta.url));
const parent = "workspaces/default";
const model = `${parent}/models/m`;

interface Served {
  readonly models: Client<typeof ModelService>;
  readonly deployments: Client<typeof DeploymentService>;
  readonly pid: number;
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
}

async function serve(folder: string): Promise<Served> {
  const child = spawn(process.execPath, ["--no-warnings", MAIN, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const kill = () => killed(child);
  onTestFinished(kill);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const address = (await lines.next()).value ?? "";
  const channel = new Channel({ address, timeoutMs: 60_000 });
  onTestFinished(() => channel[Symbol.dispose]());
  return {
    models: createClient(ModelService, channel),
    deployments: createClient(DeploymentService, channel),
    pid: child.pid ?? 0,
    kill,
  };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }
}

async function pushVersion(served: Served, bytes: Uint8Array): Promise<string> {
  const { name: upload } = await served.models.createUpload({
    parent,
    sha256: sha256(bytes),
    sizeBytes: BigInt(bytes.length),
  });
  await served.models.uploadArtifact(uploadMessages(upload, bytes));
  const version = await served.models.createModelVersion({ parent: model, upload });
  return version.name;
}

async function download(served: Served, name: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const { chunk } of served.models.downloadArtifact({ name })) {
    hash.update(chunk);
  }
  return hash.digest("hex");
}

async function allVersions(served: Served) {
  const { modelVersions } = await served.models.listModelVersions({
    parent: model,
    pageSize: 1000,
  });
  return modelVersions;
}

describe("registry process", () => {
  it("keeps every acknowledged version whole when it is killed at any moment", async () => {
    const folder = useFolder();
    let served = await serve(folder);
    await served.models.createRegisteredModel({ parent, modelId: "m" });
    const acknowledged = new Map<string, string>();
    for (const afterMs of [5, 20, 40, 70, 110, 160]) {
      const victim = served;
      const pushes = [1, 2, 3].map(async (scale) => {
        const bytes = linearModel({ scale: afterMs * 10 + scale });
        acknowledged.set(await pushVersion(victim, bytes), sha256(bytes));
      });
      const settled = Promise.allSettled(pushes);
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await victim.kill();
      await settled;
      served = await serve(folder);
      const versions = await allVersions(served);
      const names = versions.map((version) => version.name);
      expect(names).toEqual(expect.arrayContaining([...acknowledged.keys()]));
      expect(new Set(versions.map((version) => version.version)).size).toBe(versions.length);
      for (const { name, artifact } of versions) {
        expect(await download(served, name)).toBe(artifact?.sha256);
      }
    }
    for (const name of [await pushVersion(served, linearModel()), ...acknowledged.keys()]) {
      let state: ModelVersion_State | undefined;
      for await (const version of served.models.watchModelVersion({ name })) {
        state = version.state;
      }
      expect(state).toBe(ModelVersion_State.READY);
    }
  }, 120_000);

  it("resumes an upload after it was killed in the middle", async () => {
    const folder = useFolder();
    const bytes = randomBytes(40 * 2 ** 20);
    const first = await serve(folder);
    const { name } = await first.models.createUpload({
      parent,
      sha256: sha256(bytes),
      sizeBytes: BigInt(bytes.length),
    });
    const cut = (async function* () {
      let sent = 0;
      for await (const message of uploadMessages(name, bytes)) {
        if (++sent === 36) {
          await first.kill();
        }
        yield message;
      }
    })();
    await expect(first.models.uploadArtifact(cut)).rejects.toMatchObject({ kind: "Unavailable" });
    const second = await serve(folder);
    const offset = Number((await second.models.getUpload({ name })).receivedBytes);
    expect(offset).toBeGreaterThanOrEqual(16 * 2 ** 20);
    expect(offset).toBeLessThan(bytes.length);
    const done = await second.models.uploadArtifact(uploadMessages(name, bytes, { offset }));
    expect(done).toMatchObject({ complete: true, receivedBytes: BigInt(bytes.length) });
  }, 120_000);

  it.runIf(process.platform === "linux")(
    "takes 500 MB and gives them back in bounded memory on both sides",
    async () => {
      const served = await serve(useFolder());
      await served.models.createRegisteredModel({ parent, modelId: "m" });
      const chunk = randomBytes(2 ** 20);
      const count = 500;
      const hash = createHash("sha256");
      for (let i = 0; i < count; i++) {
        hash.update(chunk);
      }
      const digest = hash.digest("hex");
      const { name: upload } = await served.models.createUpload({
        parent,
        sha256: digest,
        sizeBytes: BigInt(count * chunk.length),
      });
      const before = [peakMib(served.pid), peakMib(process.pid)] as const;
      const stream = (async function* () {
        yield { payload: { case: "start" as const, value: { name: upload, offset: 0n } } };
        for (let i = 0; i < count; i++) {
          yield { payload: { case: "chunk" as const, value: chunk } };
        }
      })();
      const done = await served.models.uploadArtifact(stream);
      expect(done.complete).toBe(true);
      const { name } = await served.models.createModelVersion({ parent: model, upload });
      expect(await download(served, name)).toBe(digest);
      const grown = [peakMib(served.pid) - before[0], peakMib(process.pid) - before[1]];
      expect(Math.max(...grown), `grew by ${grown} MiB`).toBeLessThan(200);
    },
    180_000,
  );

  it("carries errors, watches and listings over the wire", async () => {
    const folder = useFolder();
    const served = await serve(folder);
    await expect(served.models.getRegisteredModel({ name: model })).rejects.toMatchObject({
      kind: "NotFound",
      reason: ErrorReason.RESOURCE_NOT_FOUND,
      metadata: { resource: model },
    });
    await expect(
      served.models.createRegisteredModel({ parent, modelId: "-", requestId: "x".repeat(65) }),
    ).rejects.toMatchObject({ violations: [{ field: "model_id" }, { field: "request_id" }] });
    await served.models.createRegisteredModel({ parent, modelId: "m" });
    const name = await pushVersion(served, linearModel());
    for await (const version of served.models.watchModelVersion({ name })) {
      expect(version.name).toBe(name);
    }
    await served.models.approveModelVersion({ name });
    const stop = new AbortController();
    const watch = served.deployments
      .watchDeployments({ parent: "workspaces/-" }, { signal: stop.signal })
      [Symbol.asyncIterator]();
    expect((await take(watch, 1))[0]?.event.case).toBe("synced");
    await served.deployments.createDeployment({
      parent,
      deploymentId: "d",
      deployment: { config: { targets: [{ modelVersion: name, weight: 1 }] } },
    });
    const [change] = await take(watch, 1);
    expect(change?.event.case).toBe("deployment");
    stop.abort();
    await expect(watch.next()).rejects.toThrow();
    await served.kill();
    const again = await serve(folder);
    const resumed = again.deployments.watchDeployments(
      { parent: "workspaces/-", resumeToken: change?.resumeToken ?? "" },
      { signal: AbortSignal.timeout(20_000) },
    );
    await again.deployments.deleteDeployment({ name: `${parent}/deployments/d` });
    const [deleted] = await take(resumed[Symbol.asyncIterator](), 1);
    expect(deleted?.event).toMatchObject({ case: "deleted", value: `${parent}/deployments/d` });
    expect(readdirSync(join(folder, "blobs")).length).toBeGreaterThan(0);
  }, 60_000);
});

/** The most memory the process ever had resident, in MiB. */
function peakMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}
