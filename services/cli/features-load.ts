// Reads files of definitions: YAML is parsed, a TypeScript or JavaScript module is run by this Node,
// because the user named it. Gives one request for all of them, or every fault of all of them.

import { readFile, stat } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { type Shaped, shapeOf } from "./features-shape.ts";
import { type Fault, type Tree, treeOf, whatCame } from "./features-tree.ts";
import { counted } from "./progress.ts";

/** A file beyond this is data, not definitions. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Faults that are told one by one. */
const FAULTS_SHOWN_MAX = 30;

const YAML = [".yaml", ".yml", ".json"];
const MODULES = [".ts", ".mts", ".js", ".mjs"];

/**
 * The definitions of all files, in order.
 * @throws CommandError that names the place of each fault.
 */
export async function loadDefinitions(paths: readonly string[]): Promise<readonly Shaped[]> {
  const faults: Fault[] = [];
  const shaped: Shaped[] = [];
  for (const path of paths) {
    const trees = await treesOf(path, faults);
    const definitions = trees.flatMap(listed).flatMap((tree) => shapeOf(tree, faults) ?? []);
    if (trees.length === 0 && faults.length === 0) {
      faults.push({ at: path, text: "the file has no definitions" });
    }
    shaped.push(...definitions);
  }
  refuseTwins(shaped, faults);
  if (faults.length > 0) {
    throw refused(faults);
  }
  return shaped;
}

/** The error that tells faults by their places, in the order of these. `what` has them. */
export function refused(faults: readonly Fault[], what = "definitions"): CommandError {
  const count = counted(faults.length, "fault");
  const shown = [...faults]
    .sort((a, b) => a.at.localeCompare(b.at, "en", { numeric: true }))
    .slice(0, FAULTS_SHOWN_MAX)
    .map(({ at, text }) => `${at}: ${text}`);
  const rest = faults.length - shown.length;
  return new CommandError(`The ${what} have ${count}; nothing was changed.`, {
    exitCode: ExitCode.invalidInput,
    advice: rest > 0 ? [...shown, `and ${rest} more`] : shown,
  });
}

async function treesOf(path: string, faults: Fault[]): Promise<readonly Tree[]> {
  const extension = extname(path).toLowerCase();
  if (MODULES.includes(extension)) {
    await stat(path);
    const { value, from } = await moduleValue(path);
    return [treeOf(value, `${path} ${from}`, faults)];
  }
  if (path !== "-" && !YAML.includes(extension)) {
    throw new CommandError(`"${path}" is neither YAML nor a module.`, {
      exitCode: ExitCode.invalidInput,
      advice: [`Its name must end in ${[...YAML, ...MODULES].join(", ")}; - is YAML on stdin.`],
    });
  }
  const { yamlTrees } = await import("./features-yaml.ts");
  return yamlTrees(await textOfFile(path), path === "-" ? "stdin" : path, faults);
}

async function textOfFile(path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of path === "-" ? process.stdin : [await readWhole(path)]) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > FILE_BYTES_MAX) {
      throw tooLarge(path);
    }
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function readWhole(path: string): Promise<Buffer> {
  const { size } = await stat(path);
  if (size > FILE_BYTES_MAX) {
    throw tooLarge(path);
  }
  return readFile(path);
}

function tooLarge(path: string): CommandError {
  return new CommandError(`"${path}" is larger than ${FILE_BYTES_MAX / 1024 / 1024} MiB.`, {
    exitCode: ExitCode.invalidInput,
    advice: ["Definitions are small. Rows go in with `plinth features push` or `ingest`."],
  });
}

async function moduleValue(
  path: string,
): Promise<{ readonly value: unknown; readonly from: string }> {
  let module: Readonly<Record<string, unknown>>;
  try {
    module = await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new CommandError(`${path} could not be run: ${text}`, {
      exitCode: ExitCode.invalidInput,
      advice: ["Node runs the module as it is; of TypeScript it takes what it can strip."],
    });
  }
  const from = "default" in module ? "default" : "definitions";
  const value = await module[from];
  if (!Array.isArray(value)) {
    throw new CommandError(`${path} exports no definitions.`, {
      exitCode: ExitCode.invalidInput,
      advice: ["Export an array of them, as the default or as `definitions`."],
    });
  }
  return { value, from };
}

/** A document may be a list of definitions. */
function listed(tree: Tree): readonly Tree[] {
  return tree.kind === "list" ? tree.items : [tree];
}

function refuseTwins(shaped: readonly Shaped[], faults: Fault[]): void {
  const seen = new Map<string, Shaped>();
  for (const one of shaped) {
    const key = `${one.list}/${one.name.split("/").at(-1)}`;
    const before = seen.get(key);
    if (before === undefined) {
      seen.set(key, one);
    } else {
      const text = `${whatCame({ kind: "scalar", value: one.name, at: "" })} is defined twice`;
      faults.push({ at: one.tree.at, text: `${text}; before at ${before.tree.at}` });
    }
  }
}
