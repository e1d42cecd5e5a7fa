// What the house style asks of every file and a machine can check. A rule that is in the way is
// changed here, with its reason, not worked around.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type SourceFile, sourceFiles, trackedFiles } from "./source.ts";

const files = sourceFiles();
const production = files.filter(
  ({ path }) =>
    path.startsWith("services/") && !/\.test\.ts$|testing|documents\/contract|test-/.test(path),
);

/** One home per dependency. The first part of a path that may import it. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  mongodb: ["services/common/documents/"],
  "node:sqlite": ["services/common/documents/"],
  "onnxruntime-node": ["services/inference/engine/instance-worker", "services/registry/sandbox-"],
  "@grpc/grpc-js": ["services/common/rpc/"],
  "@connectrpc/connect": ["services/gateway/"],
  "@connectrpc/connect-node": ["services/gateway/"],
  "@opentelemetry/sdk-trace": ["services/common/telemetry/"],
  "@opentelemetry/sdk-metrics": ["services/common/telemetry/"],
  "@opentelemetry/resources": ["services/common/telemetry/"],
  "@duckdb/node-api": ["services/features/offline/engine"],
  "@marcbachmann/cel-js": ["services/features/definitions/expression.ts"],
  commander: ["services/cli/"],
  "cli-progress": ["services/cli/"],
  "csv-parse": ["services/cli/", "services/monitoring/baselines/csv-file.ts"],
  hyparquet: ["services/monitoring/baselines/parquet-file.ts"],
  "hyparquet-compressors": ["services/monitoring/baselines/parquet-file.ts"],
  yaml: ["services/cli/"],
  snarkjs: ["services/proofs/prover/engine/"],
  ffjavascript: ["services/proofs/prover/engine/"],
  "@noble/curves": ["services/proofs/"],
};

/** Which folders of services may import which others; the longest name of a folder counts. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  common: [],
  registry: ["common"],
  features: ["common"],
  monitoring: ["common"],
  proofs: ["common"],
  inference: ["common"],
  gateway: ["common"],
  // Runs in browsers, on what the service itself checks proofs with.
  "gateway/console/page": ["proofs"],
  mesh: ["common", "registry", "features", "monitoring", "proofs", "inference", "gateway"],
  // Proofs and receipts are checked offline by what the service itself checks them with.
  cli: ["common", "mesh", "proofs"],
};

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>
  >;
}

/** `@noble/curves` of `@noble/curves/bn254.js`. */
function packageOf(name: string): string {
  return name
    .split("/")
    .slice(0, name.startsWith("@") ? 2 : 1)
    .join("/");
}

/** The name in MAY_IMPORT that a file is under. */
function ruleOf(path: string): string {
  const under = Object.keys(MAY_IMPORT).filter((name) => path.startsWith(`services/${name}/`));
  return under.sort((a, b) => b.length - a.length)[0] ?? "";
}

function offenders(
  among: readonly SourceFile[],
  breach: (file: SourceFile) => string | undefined,
): string[] {
  return among.flatMap((file) => {
    const what = breach(file);
    return what === undefined ? [] : [`${file.path}: ${what}`];
  });
}

describe("tidy", () => {
  it("has files of at most 400 lines", () => {
    const long = offenders(files, ({ lines }) =>
      lines.length > 401 ? `${lines.length} lines` : undefined,
    );
    expect(long).toEqual([]);
  });

  it("begins every file with a comment that says why it exists", () => {
    const bare = offenders(production, ({ lines }) =>
      /^\/[/*]/.test(lines[0] ?? "") ? undefined : "no header comment",
    );
    expect(bare).toEqual([]);
  });

  it("keeps each dependency in its home", () => {
    const strays = offenders(production, ({ path, imports }) => {
      const away = imports.filter((name) => {
        const homes = HOMES[name] ?? HOMES[packageOf(name)];
        return homes !== undefined && !homes.some((home) => path.startsWith(home));
      });
      return away.length > 0 ? away.join(", ") : undefined;
    });
    expect(strays).toEqual([]);
  });

  it("imports services in one direction only", () => {
    const strays = offenders(production, ({ path, localImports }) => {
      const from = path.split("/")[1] ?? "";
      const allowed = MAY_IMPORT[ruleOf(path)] ?? [];
      const to = localImports
        .filter((target) => target.startsWith("services/"))
        .map((target) => target.split("/")[1] ?? "")
        .filter((service) => service !== from && !allowed.includes(service));
      return to.length > 0 ? `imports ${to.join(", ")}` : undefined;
    });
    expect(strays).toEqual([]);
  });

  it("has no import cycles", () => {
    expect(cycles(files)).toEqual([]);
  });

  it("reads the environment in one place", () => {
    const readers = offenders(production, ({ path, text }) =>
      /process\.env\b/.test(text.replace(/^\s*(\/\/|\*).*$/gm, "")) &&
      !ENVIRONMENT_READERS.includes(path)
        ? "reads process.env"
        : undefined,
    );
    expect(readers).toEqual([]);
  });

  it("leaves no marks, focused tests or silent skips", () => {
    const mark = new RegExp(`\\b(TO${"DO"}|FIX${"ME"}|XX${"X"}|HA${"CK"})\\b`);
    const marked = offenders(files, ({ text }) => {
      // A skip for a dependency that is missing says so in its title, "no mongod here ...".
      const found = mark.exec(text) ?? /\b(it|describe)\.(only|todo|skip\("(?!no ))/.exec(text);
      return found === null ? undefined : found[0];
    });
    expect(marked).toEqual([]);
  });

  it("has a lock file that every platform can install from", () => {
    const lock = JSON.parse(readFileSync("package-lock.json", "utf8")) as Lock;
    const missing = Object.values(lock.packages)
      .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
      .filter((name) => lock.packages[`node_modules/${name}`] === undefined);
    expect(missing, "run node scripts/complete-lock.mjs").toEqual([]);
  });

  it("names no machine and no registry host", () => {
    const hosts = new RegExp(
      ["registry\\.npm" + "js", "pypi\\.o" + "rg", "proxy\\.golang", "repo1\\.mav" + "en"].join(
        "|",
      ),
    );
    const named = trackedFiles(/\.(ts|mjs|js|json|md|py|sh|yaml|yml|txt|go|proto)$/).filter(
      (path) => hosts.test(readFileSync(path, "utf8")),
    );
    expect(named).toEqual([]);
  });
});

/** config.ts is the reader; the CLI's program reads its own defaults through it. */
const ENVIRONMENT_READERS: readonly string[] = ["services/common/config.ts"];

function cycles(all: readonly SourceFile[]): string[] {
  const edges = new Map(all.map(({ path, localImports }) => [path, localImports]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      found.push([...trail.slice(start), path].join(" -> "));
      return;
    }
    if (done.has(path)) {
      return;
    }
    for (const next of edges.get(path) ?? []) {
      visit(next, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of edges.keys()) {
    visit(path, []);
  }
  return found;
}
