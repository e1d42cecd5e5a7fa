// Builds what the bench needs beside Node: the load generator (Go) and the Python server's virtual
// environment. Both are made on first use and kept where npm packages keep their caches.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runToEnd } from "./process.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** The checkout. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Everything here can be deleted; the next run makes it again. */
export const CACHE = join(ROOT, "node_modules", ".cache", "bench");

/**
 * Builds the load generator where its sources have changed; returns the program's path.
 * @throws Error when Go is not installed: without load there is no bench.
 */
export async function buildLoad(): Promise<string> {
  const source = join(HERE, "load");
  const program = join(CACHE, "load", await fingerprint(source));
  if (!existsSync(program)) {
    console.error("Building the load generator ...");
    await mkdir(join(CACHE, "load"), { recursive: true });
    await runToEnd({ command: "go", args: ["build", "-o", program, "."], cwd: source });
  }
  return program;
}

/** A Python with the pinned packages, and the folder of the generated protocol code. */
export interface PythonTools {
  readonly python: string;
  readonly generated: string;
}

/**
 * Makes the virtual environment and generates the protocol's code, where that is not done yet.
 * @throws Error when Python is not installed or a package cannot be had.
 */
export async function preparePython(): Promise<PythonTools> {
  const requirements = join(HERE, "peers", "requirements.txt");
  const key = createHash("sha256")
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 16);
  const folder = join(CACHE, `python-${key}`);
  const python = join(folder, "venv", "bin", "python");
  const generated = join(folder, "generated");
  const complete = join(folder, "complete");
  if (!existsSync(complete)) {
    console.error("Making the Python server's virtual environment ...");
    await rm(folder, { recursive: true, force: true });
    await mkdir(generated, { recursive: true });
    await runToEnd({ command: "python3", args: ["-m", "venv", join(folder, "venv")] });
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    await runToEnd({ command: python, args: [...pip, "-r", requirements] });
    const out = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
    const files = ["inference/grpc_service.proto", "inference/model_config.proto"];
    const protoc = ["-m", "grpc_tools.protoc", "-I", join(ROOT, "proto")];
    await runToEnd({ command: python, args: [...protoc, ...out, ...files] });
    await writeFile(complete, "");
  }
  return { python, generated };
}

async function fingerprint(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const file of (await readdir(folder)).sort()) {
    hash.update(file).update(await readFile(join(folder, file)));
  }
  return hash.digest("hex").slice(0, 16);
}
