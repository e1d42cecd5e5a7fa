// A real mesh for a test: all services on free ports over a store of its own, taken down with the
// test.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import { readDefinitions } from "../../services/cli/features-lists.ts";
import type { Env } from "../../services/common/config.ts";
import { Channel } from "../../services/common/rpc/client.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { type Mesh, type ServiceName, startMesh } from "../../services/mesh/app.ts";
import { parseMeshConfig } from "../../services/mesh/config.ts";
import { seedExamples } from "../../services/mesh/seed-examples.ts";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const EXAMPLES = join(ROOT, "examples");

export interface TestMesh {
  readonly mesh: Mesh;
  readonly grpcAddress: string;
  /** "http://127.0.0.1:4711" */
  readonly webUrl: string;
  readonly dataDir: string;
  /** A channel without credentials. */
  readonly channel: Channel;
  /** Registers and deploys the examples. */
  seed(): Promise<void>;
}

/** Starts a mesh for the test that calls it. */
export async function useMesh(
  settings: Env = {},
  services?: readonly ServiceName[],
): Promise<TestMesh> {
  const dataDir = settings.PLINTH_DATA_DIR ?? useFolder();
  const test = await openMesh({ ...settings, PLINTH_DATA_DIR: dataDir }, services);
  onTestFinished(() => test.close());
  return test;
}

/** Starts a mesh that the caller closes. */
async function openMesh(
  settings: Env & { readonly PLINTH_DATA_DIR: string },
  services?: readonly ServiceName[],
): Promise<TestMesh & { close(): Promise<void> }> {
  const dataDir = settings.PLINTH_DATA_DIR;
  const config = parseMeshConfig({
    PLINTH_GRPC_LISTEN: "127.0.0.1:0",
    PLINTH_GATEWAY_LISTEN: "127.0.0.1:0",
    PLINTH_LOG: "error",
    ...settings,
  });
  const mesh = await startMesh(config, services);
  const grpcAddress = mesh.grpcAddress ?? "";
  const channel = new Channel({ address: grpcAddress });
  return {
    mesh,
    grpcAddress,
    webUrl: `http://${mesh.webAddress}`,
    dataDir,
    channel,
    async seed() {
      const address = mesh.innerAddress ?? "";
      using service = new Channel({ address, token: mesh.platform.serviceToken });
      await seedExamples({
        channel: service,
        dataDir,
        examplesDir: EXAMPLES,
        readDefinitions,
        onStep: () => undefined,
      });
    },
    async close() {
      channel[Symbol.dispose]();
      await mesh.drain();
      await mesh[Symbol.asyncDispose]();
    },
  };
}

/** One mesh for all tests of a file; `current` is there once they run. */
export interface SharedMesh {
  readonly current: TestMesh;
  /** A channel with this API key, closed after the tests. */
  channel(token: string): Channel;
}

/** A mesh that the tests of the calling file share. */
export function shareMesh(settings: Env = {}, services?: readonly ServiceName[]): SharedMesh {
  let current: TestMesh;
  let close: () => Promise<void> = async () => undefined;
  const channels = new Map<string, Channel>();
  beforeAll(async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "plinth-test-"));
    const opened = await openMesh({ ...settings, PLINTH_DATA_DIR: dataDir }, services);
    current = opened;
    close = async () => {
      await opened.close();
      await rm(dataDir, { recursive: true, force: true });
    };
  });
  afterAll(async () => {
    for (const channel of channels.values()) {
      channel[Symbol.dispose]();
    }
    await close();
  });
  return {
    get current() {
      return current;
    },
    channel(token) {
      const channel = channels.get(token) ?? new Channel({ address: current.grpcAddress, token });
      channels.set(token, channel);
      return channel;
    },
  };
}
