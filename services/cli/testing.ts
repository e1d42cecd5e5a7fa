// For tests: the command as people run it, in a process of its own, against real servers; and a
// wire to cut in between.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect as dial, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import { anonymous } from "../common/auth/principal.ts";
import type { ServiceBinding } from "../common/rpc/context.ts";
import { startRpcServer } from "../common/rpc/server.ts";

const BIN = fileURLToPath(new URL("../../bin/plinth.mjs", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface PlinthOptions {
  readonly address?: string;
  /** Given on stdin; absent: stdin is empty. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The Node that runs it; absent: the one that runs the tests. */
  readonly node?: string;
}

/** Runs `plinth` with these words to its end. */
export async function plinth(
  words: readonly string[],
  options: PlinthOptions = {},
): Promise<Outcome> {
  const { child, outcome } = startPlinth(words, options);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.input ?? "");
  return outcome;
}

/** Starts `plinth`; the child can be signalled and its pipes be closed. */
export function startPlinth(
  words: readonly string[],
  options: PlinthOptions = {},
): { readonly child: ChildProcess; readonly outcome: Promise<Outcome> } {
  const child = spawn(options.node ?? process.execPath, [BIN, ...words], {
    cwd: options.cwd,
    env: { ...cleanEnv(), PLINTH_ADDRESS: options.address ?? "127.0.0.1:1", ...options.env },
    stdio: "pipe",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, outcome };
}

/** The environment without settings of the machine the tests run on. */
function cleanEnv(): Record<string, string | undefined> {
  const ours = /^(?:PLINTH_|OTEL_|FORCE_COLOR|NO_COLOR|NODE_OPTIONS)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

/** A folder that lives as long as the test file. */
export function fileFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "plinth-cli-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The command against a mesh. */
export interface MeshCommands {
  readonly address: string;
  /** Runs `plinth` with the words of the line. */
  run(line: string, options?: PlinthOptions): Promise<Outcome>;
  /** What it prints under --json; it must end well. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it as they expect it to be.
  json(line: string, options?: PlinthOptions): Promise<any>;
}

/**
 * The whole mesh, started by `plinth up` in a process of its own: from before the first test of the
 * file to after the last. To be called at the top of the file.
 */
export function shareMeshProcess(dataDir: string): MeshCommands {
  let mesh: Awaited<ReturnType<typeof startMeshProcess>>;
  beforeAll(async () => {
    mesh = await startMeshProcess(dataDir);
  });
  afterAll(async () => {
    const { code, stderr } = await mesh.stop();
    expect(code, stderr).toBe(0);
  });
  const run: MeshCommands["run"] = (line, options) =>
    plinth(line.split(" "), { address: mesh.address, ...options });
  return {
    get address() {
      return mesh.address;
    },
    run,
    async json(line, options) {
      const { code, stdout, stderr } = await run(`${line} --json`, options);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      return JSON.parse(stdout);
    },
  };
}

async function startMeshProcess(dataDir: string): Promise<{
  readonly address: string;
  stop(): Promise<Outcome>;
}> {
  const words = ["up", "--no-examples", "--json", "--data-dir", dataDir];
  const { child, outcome } = startPlinth([...words, "--grpc-port", "0", "--web-port", "0"], {
    env: { PLINTH_LOG: "warn", PLINTH_API_KEY: "plk_not_a_setting_of_a_server" },
  });
  const line = await new Promise<string>((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) {
        resolve(text);
      }
    });
    void outcome.then((ended) => reject(new Error(`plinth up ended: ${ended.stderr}`)));
  });
  const { grpcAddress } = JSON.parse(line) as { grpcAddress: string };
  return {
    address: grpcAddress,
    stop: () => {
      child.kill("SIGINT");
      return outcome;
    },
  };
}

/** A server with these services only; ends with the test. */
export async function useServer(...bindings: readonly ServiceBinding[]): Promise<string> {
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings,
    authenticate: () => anonymous,
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server.address;
}

/**
 * A TCP relay to `address` that once cuts every connection, after so many bytes from the client,
 * and then refuses new ones for `downMs`.
 */
export async function useCutWire(
  address: string,
  options: { readonly afterBytes: number; readonly downMs?: number },
): Promise<{ readonly address: string; readonly cuts: () => number }> {
  const { port } = new URL(`tcp://${address}`);
  const open = new Set<Socket>();
  let seen = 0;
  let cuts = 0;
  let downUntilMs = 0;
  const server = createServer((client) => {
    if (Date.now() < downUntilMs) {
      client.destroy();
      return;
    }
    const upstream = dial(Number(port), "127.0.0.1");
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => open.delete(socket));
    }
    client.on("data", (chunk: Buffer) => {
      seen += chunk.length;
      if (cuts === 0 && seen > options.afterBytes) {
        cuts += 1;
        downUntilMs = Date.now() + (options.downMs ?? 0);
        for (const socket of open) {
          socket.destroy();
        }
      }
    });
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of open) {
      socket.destroy();
    }
    server.close();
  });
  const own = server.address();
  return {
    address: `127.0.0.1:${typeof own === "object" ? own?.port : ""}`,
    cuts: () => cuts,
  };
}
