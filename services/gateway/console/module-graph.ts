// The modules that a page of the console runs: its script and what that imports, which is the very
// source that the service and the command line verify with. Types are taken out by Node; nothing
// else is changed but the names of packages, which a browser cannot look up.

import { readFile } from "node:fs/promises";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { dirname, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PACKAGES = `${sep}node_modules${sep}`;

/**
 * An import or export of another module, at the beginning of a line: what stands between has names,
 * braces and commas only, so no other statement and no comment is taken for one.
 */
const IMPORT = /^((?:import|export)\s*(?:[\w$*\s{},]+\sfrom\s*)?)(["'])([^"'\n]+)\2/gm;

/**
 * The script in `entry` and every module that it needs: JavaScript by address, under `base`; the
 * entry is the first.
 * @throws where a module is missing, or is one of Node's.
 */
export async function moduleGraph(
  entry: string,
  base: string,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const waiting = [entry];
  for (const file of waiting) {
    const address = addressOf(file, base);
    if (found.has(address)) {
      continue;
    }
    const code = (await scriptOf(file)).replace(
      IMPORT,
      (_all, before: string, quote: string, name: string) => {
        const target = targetOf(file, name);
        waiting.push(target);
        const written = name.startsWith(".") ? name : addressOf(target, base);
        return `${before}${quote}${written}${quote}`;
      },
    );
    found.set(address, code);
  }
  return found;
}

/**
 * Where a file is served: as it lies in the project or, of a package, under the package's name, so
 * that relative imports lead where they lead on disk.
 */
function addressOf(file: string, base: string): string {
  const inProject = relative(ROOT, file);
  const isPackage = inProject.startsWith("..") || inProject.startsWith(PACKAGES.slice(1));
  const path = isPackage ? file.slice(file.lastIndexOf(PACKAGES) + PACKAGES.length) : inProject;
  return base + path.split(sep).join("/");
}

function targetOf(file: string, name: string): string {
  if (name.startsWith("node:")) {
    throw new Error(`${file} imports ${name}, which no browser has`);
  }
  return name.startsWith(".") ? resolve(dirname(file), name) : createRequire(file).resolve(name);
}

async function scriptOf(file: string): Promise<string> {
  const text = await readFile(file, "utf8");
  return file.endsWith(".ts") ? withoutTypes(text) : text;
}

/** Node warns, once, that this is experimental; its version is pinned, and operators cannot act on it. */
function withoutTypes(text: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(text);
  } finally {
    process.emitWarning = emitWarning;
  }
}
