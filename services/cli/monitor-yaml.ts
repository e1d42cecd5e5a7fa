// Files of alert rules and of monitor settings: YAML whose values know their places.

import { readFile, stat } from "node:fs/promises";
import { CommandError, ExitCode } from "./exit-codes.ts";
import type { Fault, Tree } from "./features-tree.ts";

/** A file beyond this holds no rules. */
const FILE_BYTES_MAX = 1024 * 1024;

/** The documents of a file, - is stdin; what is no YAML is a fault. */
export async function yamlFile(path: string, faults: Fault[]): Promise<readonly Tree[]> {
  const { yamlTrees } = await import("./features-yaml.ts");
  const text = path === "-" ? await textOfStdin() : await textOf(path);
  const name = path === "-" ? "stdin" : path;
  const trees = yamlTrees(text, name, faults);
  if (trees.length === 0 && faults.length === 0) {
    faults.push({ at: name, text: "there is nothing in it" });
  }
  return trees;
}

async function textOf(path: string): Promise<string> {
  const { size } = await stat(path);
  if (size > FILE_BYTES_MAX) {
    throw tooLarge(path);
  }
  return readFile(path, "utf8");
}

async function textOfStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > FILE_BYTES_MAX) {
      throw tooLarge("stdin");
    }
  }
  return Buffer.concat(chunks).toString("utf8");
}

function tooLarge(path: string): CommandError {
  return new CommandError(`"${path}" is larger than ${FILE_BYTES_MAX / 1024 / 1024} MiB.`, {
    exitCode: ExitCode.invalidInput,
  });
}
