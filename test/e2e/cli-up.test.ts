// `plinth up` as a newcomer meets it: what it prints works when pasted, and the second start has
// everything the first one had.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { spawnPlinth, useChildMesh } from "./use-child-mesh.ts";
import { ROOT } from "./use-mesh.ts";
import { clientsOn, DEFAULT } from "./use-models.ts";

const run = promisify(execFile);

/** Runs what stands in the banner as a shell would, with `plinth` for `npx plinth` on the path. */
async function pasted(command: string): Promise<string> {
  const bin = useFolder();
  mkdirSync(bin, { recursive: true });
  symlinkSync(process.execPath, join(bin, "node"));
  const { stdout } = await run("/bin/sh", ["-c", command], {
    cwd: ROOT,
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
  return stdout;
}

/** The command that begins with this word, with its continued lines. */
function command(banner: string, word: string): string {
  const lines = banner.split("\n").map((line) => line.trim());
  const first = lines.findIndex((line) => line.startsWith(word));
  expect(first, `${word} stands in the banner`).toBeGreaterThanOrEqual(0);
  let last = first;
  while (lines[last]?.endsWith("\\")) last += 1;
  return lines.slice(first, last + 1).join("\n");
}

/** A port that nothing listens on now. */
async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return String(port);
}

describe("plinth up", () => {
  it("says what to do when a port is taken", async () => {
    const running = await useChildMesh({ dataDir: useFolder(), examples: false });
    for (const [flag, taken] of [
      ["--grpc-port", running.grpcAddress],
      ["--web-port", running.webUrl.replace("http://", "")],
    ] as const) {
      const ports = ["--grpc-port", "0", "--web-port", "0", flag, taken.split(":")[1]!];
      const second = spawnPlinth(["up", "--no-examples", "--data-dir", useFolder(), ...ports]);
      await expect.poll(() => second.child.exitCode, { timeout: 15_000 }).toBe(7);
      expect(second.stderr()).toContain(`Cannot listen on ${taken}: another process listens there`);
    }
  });

  it("prints where it is and lines that work; the second start has it all", async () => {
    const dataDir = join(useFolder(), "data");
    const args = ["up", "--data-dir", dataDir, "--grpc-port", "0", "--web-port", "0"];
    const first = spawnPlinth(args);
    await expect.poll(first.stdout, { timeout: 30_000 }).toContain("flights-live --entity");
    const banner = first.stdout();
    expect(banner).toMatch(/gRPC {2}127\.0\.0\.1:\d+/);
    expect(banner).toMatch(/web {3}http:\/\/127\.0\.0\.1:\d+/);
    expect(banner).toContain("Open: no API key exists");

    const curl = await pasted(command(banner, "curl"));
    expect(JSON.parse(curl)).toMatchObject({
      modelVersion: expect.stringMatching(/^workspaces\/default\/models\//),
      predictions: [{ outputs: expect.anything() }],
    });
    for (const words of ["npx plinth predict flights ", "npx plinth predict flights-live "]) {
      const plinth = command(banner, words).replace("npx plinth", "node bin/plinth.mjs");
      expect(await pasted(plinth)).toContain("delay_minutes");
    }
    expect(command(banner, "grpcurl")).toContain("plinth.inference.v1.InferenceService/Predict");

    const web = /http:\/\/127\.0\.0\.1:\d+/.exec(banner)?.[0];
    const ready = await fetch(`${web}/readyz`);
    expect(ready.status).toBe(200);
    first.child.kill("SIGTERM");
    await expect.poll(() => first.child.exitCode, { timeout: 15_000 }).toBe(0);

    const second = await useChildMesh({ dataDir, examples: true });
    expect(second.open).toBe(true);
    expect(second.stderr()).not.toContain("registering");
    const { deployments } = await clientsOn(second.channel).deployments.listDeployments({
      parent: DEFAULT,
    });
    expect(deployments.length).toBeGreaterThanOrEqual(6);
    // "Ready" is not said before everything is served.
    const { ready: served } = await clientsOn(second.channel).inference.modelReady({
      name: "flights",
    });
    expect(served).toBe(true);
    expect(await second.stop()).toBe(0);
  }, 60_000);

  it("goes on with the examples where it was killed", async () => {
    const dataDir = join(useFolder(), "data");
    // By its port the registry knows that the server which was killed is the one that came back.
    const port = ["--grpc-port", await freePort()];
    for (const step of ["registering breast-cancer-forest", "registering flights-live"]) {
      const cut = spawnPlinth(["up", "--data-dir", dataDir, ...port, "--web-port", "0"]);
      await expect.poll(cut.stderr, { timeout: 30_000, interval: 5 }).toContain(step);
      cut.child.kill("SIGKILL");
      await expect.poll(() => cut.child.signalCode, { timeout: 15_000 }).toBe("SIGKILL");
    }
    const mesh = await useChildMesh({ dataDir, args: port, examples: true });
    const clients = clientsOn(mesh.channel);
    const views = await Promise.all(
      ["airport_delays", "route_delays"].map((view) =>
        clients.definitions.getFeatureViewStatus({ name: `${DEFAULT}/featureViews/${view}` }),
      ),
    );
    expect(views.map(({ offlineRows }) => offlineRows)).toEqual([229n, 3399n]);
    const entities = [{ origin: "ATL", destination: "JFK", departure: "2001-06-30T18:00:00Z" }];
    const { predictions } = await clients.predictions.predict({
      deployment: "flights-live",
      entities,
    });
    expect(predictions[0]?.error).toBeUndefined();
    const { modelVersions } = await clients.models.listModelVersions({
      parent: `${DEFAULT}/models/-`,
      filter: "approval = APPROVED",
    });
    expect(modelVersions).toHaveLength(6);
  }, 60_000);

  it("refuses to listen where others can reach it while there is no key, and says what to do", async () => {
    const dataDir = useFolder();
    for (const host of ["0.0.0.0", "::"]) {
      const { child, stderr, stdout } = spawnPlinth([
        ...["up", "--data-dir", dataDir, "--host", host, "--grpc-port", "0", "--web-port", "0"],
        "--no-examples",
      ]);
      await expect.poll(() => child.exitCode, { timeout: 15_000 }).toBeGreaterThan(0);
      expect(stdout()).toBe("");
      expect(stderr()).toContain(host);
      expect(stderr()).toMatch(/plinth keys create/);
      expect(stderr()).toMatch(/127\.0\.0\.1/);
    }
  });

  it("says every fault of its settings at once, and starts nothing", async () => {
    const { child, stderr } = spawnPlinth(["up", "--data-dir", useFolder()], {
      PLINTH_MESSAGE_MAX: "many",
      PLINTH_CALLS_MAX: "-1",
      PLINTH_NO_SUCH_SETTING: "1",
    });
    await expect.poll(() => child.exitCode, { timeout: 15_000 }).toBeGreaterThan(0);
    expect(stderr()).toContain("PLINTH_MESSAGE_MAX");
    expect(stderr()).toContain("PLINTH_CALLS_MAX");
    expect(stderr()).toContain("PLINTH_NO_SUCH_SETTING");
  });

  it("is closed once a key exists, and says so", async () => {
    const dataDir = useFolder();
    const made = await pasted(
      `node bin/plinth.mjs keys create --role admin --all-workspaces --data-dir ${dataDir}`,
    );
    const secret = made.trim();
    expect(secret).toMatch(/^plk_/);
    const mesh = await useChildMesh({ dataDir });
    expect(mesh.open).toBe(false);
    const refused = clientsOn(mesh.channel).workspaces.listWorkspaces({});
    await expect(refused).rejects.toMatchObject({ kind: "Unauthenticated" });
    const status = await pasted(
      `PLINTH_API_KEY=${secret} node bin/plinth.mjs status --address ${mesh.grpcAddress} --json`,
    );
    expect(JSON.parse(status)).toMatchObject({ reachable: true, serving: true });
  }, 30_000);
});
