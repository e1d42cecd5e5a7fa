// Plinth as its users have it: the whole mesh in one process, started by the `plinth` command on
// free ports and an empty data folder, models pushed and deployed by the same command.

import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { measureLoad, type Span, type Target } from "./contenders.ts";
import type { Figures } from "./figures.ts";
import type { Lab } from "./lab.ts";
import { MODELS, SLOW, SMALL } from "./models.ts";
import { type Running, residentBytes, runToEnd, startServer } from "./process.ts";
import { ROOT } from "./tools.ts";

/** A mesh that serves the models of the bench. */
export interface Plinth extends Target, AsyncDisposable {
  /** "http://127.0.0.1:..." */
  readonly web: string;
}

const PLINTH = join(ROOT, "bin", "plinth.mjs");
/** Includes the registration and validation of the examples on a slow machine. */
const START_TIMEOUT_MS = 180_000;
/** Garbage of the start is collected and the first reports are written by then. */
const SETTLE_MS = 5_000;
/** The mesh empties its window of event loop delays when it is read after this long. */
const DELAY_WINDOW_MS = 10_000;
const SLOW_IN_FLIGHT = 2;

/** Starts a mesh without examples, pushes the models and deploys them as models.ts says. */
export async function startPlinth(paths: ReadonlyMap<string, string>): Promise<Plinth> {
  const mesh = await startMesh({ examples: false });
  try {
    for (const model of MODELS) {
      await plinth(mesh, ["models", "push", model.name, paths.get(model.name)!, "--approve"]);
      await plinth(mesh, [
        ...["deployments", "create", model.name, "--model", `${model.name}/1`, "--wait"],
        ...["--max-batch-rows", String(model.maxBatchRows)],
        ...["--instances", String(model.instances), "--threads", String(model.intraOpThreads)],
      ]);
    }
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
  return mesh;
}

/**
 * Event loop delay of the mesh's main thread, which serves every call, while the slow model runs
 * without pause; as the mesh's own metric tells it. p50 and p99 are those of calls to the small
 * model meanwhile, one in flight.
 */
export async function measureLoopDelay(lab: Lab, span: Span): Promise<Figures | undefined> {
  const mesh = await lab.plinth();
  if (mesh === undefined) {
    return undefined;
  }
  const windowSeconds = Math.max(span.seconds, 3);
  const alone = { mode: "unary", rows: 1, connections: 1 } as const;
  const slow = { ...alone, model: SLOW, inFlight: SLOW_IN_FLIGHT };
  const seconds = DELAY_WINDOW_MS / 1000 + windowSeconds + 1;
  const running = measureLoad(lab.loadProgram, mesh, slow, { ...span, seconds, warmUp: 0.1 });
  // Awaited below; until then a failure shall not end the process.
  running.catch(() => undefined);
  const started = performance.now();
  const probe = { ...alone, model: SMALL, inFlight: 1 };
  const beside = await measureLoad(lab.loadProgram, mesh, probe, { ...span, seconds: 3 });
  await sleep(DELAY_WINDOW_MS + 200 - (performance.now() - started));
  await readLoopDelay(mesh);
  await sleep(windowSeconds * 1000);
  const loopDelayP99Ms = await readLoopDelay(mesh);
  const { p50Ms, p99Ms } = beside;
  return { ...(await running), p50Ms, p99Ms, loopDelayP99Ms };
}

/** Resident memory of a mesh just started on an empty data folder with the example models. */
export async function measureExamplesMemory(): Promise<Figures> {
  await using mesh = await startMesh({ examples: true });
  await sleep(SETTLE_MS);
  return { residentMb: (await residentBytes(mesh.pid)) / 1e6 };
}

/** A mesh of its own on an empty data folder. */
export async function startMesh(options: { readonly examples: boolean }): Promise<Plinth> {
  const folder = await mkdtemp(join(tmpdir(), "plinth-bench-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  let server: Running;
  try {
    server = await startServer({
      command: {
        command: process.execPath,
        args: [
          ...[PLINTH, "up", "--data-dir", join(folder, "data")],
          ...["--grpc-port", "0", "--web-port", "0"],
          ...(options.examples ? [] : ["--no-examples"]),
        ],
        cwd: folder,
      },
      ready: bannerReader(),
      timeoutMs: START_TIMEOUT_MS,
    });
  } catch (error) {
    remove();
    throw error;
  }
  return {
    pid: server.pid,
    address: String(server.said.address),
    web: String(server.said.web),
    checked: true,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      remove();
    },
  };
}

/** Both addresses stand in the banner, which is printed once the mesh is ready. */
function bannerReader(): (line: string) => Readonly<Record<string, unknown>> | undefined {
  let address: string | undefined;
  let web: string | undefined;
  return (line) => {
    address ??= /^\s*gRPC\s+(127\.0\.0\.1:\d+)/.exec(line)?.[1];
    web ??= /^\s*web\s+(http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
    return address !== undefined && web !== undefined ? { address, web } : undefined;
  };
}

async function plinth(mesh: Target, args: readonly string[]): Promise<void> {
  const all = [PLINTH, ...args, "--address", mesh.address, "--timeout", "2m", "--quiet"];
  await runToEnd({ command: process.execPath, args: all });
}

async function readLoopDelay(mesh: Plinth): Promise<number> {
  const response = await fetch(`${mesh.web}/metrics`);
  const text = await response.text();
  const found = /^nodejs_eventloop_delay_p99(?:_seconds)?(?:\{[^}]*\})? (\S+)/m.exec(text);
  if (found === null) {
    throw new Error(`${mesh.web}/metrics has no nodejs_eventloop_delay_p99.`);
  }
  return Number(found[1]) * 1000;
}
