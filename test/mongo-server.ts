// A server that speaks the MongoDB protocol, for tests: the one that MONGODB_URI names, else one
// that is started here, a real mongod or FerretDB with its SQLite back end. scripts/ci-mongo.sh
// gets one where there is none.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const START_MAX_MS = 30_000;
const STOP_MAX_MS = 10_000;

export interface MongoServer {
  /** "mongodb://<host>:<port>/", for a database's name to be put behind. */
  readonly uri: string;
  /**
   * What it is, for test names: "MongoDB" or "FerretDB"; "MONGODB_URI" for one we did not start.
   */
  readonly kind: "MongoDB" | "FerretDB" | "MONGODB_URI";
  /** Ends it and removes its data. */
  stop(): Promise<void>;
  /** Ends it at once, as a crash would; undefined where it is not ours. */
  readonly kill: (() => Promise<void>) | undefined;
  /** Starts it again on the same port and data; undefined where it is not ours. */
  readonly restart: (() => Promise<void>) | undefined;
}

/**
 * Starts a server, or finds the one that runs. Undefined when there is none to start.
 * @throws Error when there is none and CI is "true"; when it does not start.
 */
export async function startMongo(): Promise<MongoServer | undefined> {
  const given = process.env.MONGODB_URI;
  if (given !== undefined && given !== "") {
    const uri = given.endsWith("/") ? given : `${given}/`;
    return { uri, kind: "MONGODB_URI", stop: async () => {}, kill: undefined, restart: undefined };
  }
  const program = findProgram();
  if (program !== undefined) return startProgram(program);
  if (process.env.CI !== "true") return undefined;
  throw new Error(
    "no server that speaks the MongoDB protocol: set MONGODB_URI, put mongod or ferretdb on PATH, " +
      "or run scripts/ci-mongo.sh",
  );
}

interface Program {
  readonly kind: "MongoDB" | "FerretDB";
  readonly path: string;
}

function findProgram(): Program | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  const mongod = folders.map((folder) => join(folder, "mongod")).find(existsSync);
  if (mongod !== undefined) return { kind: "MongoDB", path: mongod };
  const places = [
    ...folders,
    join(goPath(), "bin"),
    join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "ferretdb"),
  ];
  const ferretdb = places.map((folder) => join(folder, "ferretdb")).find(existsSync);
  return ferretdb === undefined ? undefined : { kind: "FerretDB", path: ferretdb };
}

function goPath(): string {
  try {
    return execFileSync("go", ["env", "GOPATH"], { encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    return join(homedir(), "go");
  }
}

async function startProgram(program: Program): Promise<MongoServer> {
  const folder = mkdtempSync(join(tmpdir(), "plinth-mongo-"));
  const port = await freePort();
  let child = await launch(program, folder, port);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MAX_MS);
    await exited;
    clearTimeout(timer);
  };
  return {
    uri: `mongodb://127.0.0.1:${port}/`,
    kind: program.kind,
    stop: async () => {
      await end("SIGTERM");
      rmSync(folder, { recursive: true, force: true });
    },
    kill: () => end("SIGKILL"),
    restart: async () => {
      child = await launch(program, folder, port);
    },
  };
}

async function launch(
  { kind, path }: Program,
  folder: string,
  port: number,
): Promise<ChildProcess> {
  const parameters =
    kind === "MongoDB"
      ? ["--dbpath", folder, "--bind_ip", "127.0.0.1", "--port", `${port}`, "--quiet"]
      : [
          "--handler=sqlite",
          `--sqlite-url=file:${folder}/`,
          `--state-dir=${folder}`,
          `--listen-addr=127.0.0.1:${port}`,
          "--debug-addr=-",
          "--telemetry=disable",
          "--log-level=error",
        ];
  const child = spawn(path, parameters, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, DO_NOT_TRACK: "1" },
  });
  let output = "";
  child.stderr.on("data", (data: Buffer) => {
    output = (output + data.toString()).slice(-2_000);
  });
  const deadline = Date.now() + START_MAX_MS;
  while (!(await answers(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`${path} did not start: ${output}`);
    }
    await sleep(50);
  }
  return child;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const finish = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", () => finish(true));
    socket.once("error", () => finish(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
