// The project's own TypeScript files and what they import, read from the working tree.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

export interface SourceFile {
  /** From the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** As written. */
  readonly imports: readonly string[];
  /** Imports of files of the tree, from the root; without type-only ones. */
  readonly localImports: readonly string[];
}

/** Files that git tracks or would track and that are there, by extension. */
export function trackedFiles(pattern: RegExp): readonly string[] {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], {
    encoding: "utf8",
  });
  // A file that was just removed is still listed.
  return listed.split("\n").filter((path) => pattern.test(path) && existsSync(path));
}

/** Every TypeScript file of services and test. */
export function sourceFiles(): readonly SourceFile[] {
  return trackedFiles(/^(services|test)\/.*\.ts$/).map((path) => {
    const text = readFileSync(path, "utf8");
    const statements = [...text.matchAll(IMPORT)].map((match) => ({
      typeOnly: match[1] !== undefined,
      from: match[2] ?? match[3] ?? "",
    }));
    const local = statements.filter(({ from, typeOnly }) => from.startsWith(".") && !typeOnly);
    return {
      path,
      text,
      lines: text.split("\n"),
      imports: statements.map(({ from }) => from),
      localImports: local.map(({ from }) => normalize(join(dirname(path), from))),
    };
  });
}

const IMPORT =
  /^(?:import|export)(\s+type)?\s(?:[^;]*?\sfrom\s+)?"([^"]+)";|\bimport\(\s*"([^"]+)"\s*\)/gm;
