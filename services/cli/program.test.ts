import { execFileSync } from "node:child_process";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { ExitCode, exitCodeHelp } from "./exit-codes.ts";
import { buildProgram } from "./program.ts";
import { plinth } from "./testing.ts";

function leaves(command: Command, path: readonly string[] = []): [string[], Command][] {
  return command.commands.flatMap((child) =>
    child.commands.length > 0
      ? leaves(child, [...path, child.name()])
      : [[[...path, child.name()], child] as [string[], Command]],
  );
}

function tree(): Command {
  const signal = new AbortController().signal;
  return buildProgram({ signal, args: [], exitCode: ExitCode.ok });
}

describe("program", () => {
  it("has the commands of the issue", () => {
    expect(leaves(tree()).map(([path]) => path.join(" "))).toEqual([
      "up",
      "serve",
      "models push",
      "models list",
      "models versions",
      "models show",
      "models download",
      "models approve",
      "models reject",
      "models alias",
      "models archive",
      "models restore",
      "models delete",
      "deployments create",
      "deployments update",
      "deployments rollback",
      "deployments delete",
      "deployments list",
      "deployments show",
      "features apply",
      "features list",
      "features describe",
      "features delete",
      "features push",
      "features ingest",
      "features get",
      "features materialize",
      "features training-set",
      "features erase",
      "features check-skew",
      "features compact",
      "features jobs",
      "features job",
      "predict",
      "monitor drift",
      "monitor performance",
      "monitor windows",
      "monitor watch",
      "monitor report",
      "monitor alerts list",
      "monitor alerts show",
      "monitor alerts ack",
      "monitor rules list",
      "monitor rules describe",
      "monitor rules delete",
      "monitor rules apply",
      "monitor baseline",
      "monitor labels",
      "monitor settings",
      "monitor erase",
      "circuits create",
      "circuits list",
      "circuits show",
      "circuits activate",
      "circuits delete",
      "circuits export",
      "circuits contribute",
      "circuits upload",
      "circuits beacon",
      "circuits ptau import",
      "circuits ptau list",
      "circuits ptau delete",
      "prove",
      "proof verify",
      "proof show",
      "proof list",
      "proof download",
      "proof delete",
      "proof calldata",
      "proof jobs",
      "proof job",
      "receipts list",
      "receipts get",
      "receipts verify",
      "receipts head",
      "receipts consistency",
      "workspaces list",
      "workspaces create",
      "workspaces update",
      "workspaces delete",
      "keys create",
      "keys list",
      "keys revoke",
      "status",
    ]);
  });

  it("explains every option and gives examples for every command", () => {
    for (const [path, command] of leaves(tree())) {
      let text = "";
      command.configureOutput({ writeOut: (part) => (text += part) });
      command.outputHelp();
      const [, given] = text.split("Examples:");
      expect(given, path.join(" ")).toContain(`plinth ${path.join(" ")}`);
      expect(command.description(), path.join(" ")).not.toBe("");
      for (const option of command.options) {
        expect(option.description, `${path.join(" ")} ${option.flags}`).not.toBe("");
      }
    }
  });

  it("documents the exit codes in --help", async () => {
    const { code, stdout } = await plinth(["--help"]);
    expect(code).toBe(0);
    for (const [exitCode, what] of exitCodeHelp) {
      expect(stdout).toContain(`  ${String(exitCode).padEnd(5)}${what}`);
    }
  });

  it("prints the version for --version and -V", async () => {
    const [long, short] = await Promise.all([plinth(["--version"]), plinth(["-V"])]);
    expect(long).toEqual({ code: 0, stdout: "0.1.0\n", stderr: "" });
    expect(short).toEqual(long);
  });

  it.each([
    { words: ["frob"], says: "unknown command 'frob'" },
    { words: ["models", "list", "--frob"], says: "unknown option '--frob'" },
    { words: ["models", "show"], says: "missing required argument" },
    { words: ["models", "show", "a/b/c"], says: "A version is named model/3" },
    { words: ["models", "list", "--limit", "0"], says: "whole number from 1" },
    { words: ["models", "approve", "churn"], says: "Say which version" },
    { words: ["keys", "create"], says: "required option '--role" },
    { words: ["keys", "create", "--role", "king"], says: "A role is one of viewer" },
    { words: ["predict", "d"], says: "Give the input as --row" },
    { words: ["predict", "d", "--row", "{"], says: "--row 1 is not JSON" },
    { words: ["predict", "d", "--on-error", "cry", "--row", "{}"], says: "Allowed choices" },
    { words: ["status", "--address", "nowhere"], says: "must look like 127.0.0.1:50051" },
    { words: ["status", "--timeout", "soon"], says: "Expected a duration" },
    { words: ["status", "--workspace", "A B"], says: "A workspace is named" },
    { words: ["deployments", "create", "d"], says: "Say which version serves" },
    { words: ["deployments", "create", "d", "--model", "m=x"], says: "--model must look like" },
    { words: ["features", "list", "--kind", "vew"], says: 'Did you mean "view"?' },
    { words: ["features", "describe", "a/b/c"], says: "A definition is named view/airport" },
    { words: ["features", "push", "v"], says: "Name a file of rows (- for stdin)" },
    { words: ["features", "push", "v", "--batch-size", "0"], says: "whole number from 1 to 10000" },
    { words: ["features", "get", "a", "b"], says: "Name one feature service, or features as" },
    {
      words: ["features", "materialize", "v", "--from", "2001-01-01"],
      says: "both --from and --to",
    },
    { words: ["features", "training-set", "s"], says: "required option '--entities" },
    {
      words: ["features", "training-set", "s", "--entities", "e.csv", "--out", "t.xlsx"],
      says: '"t.xlsx" ends in neither .parquet nor .csv',
    },
    { words: ["features", "job", "a/b"], says: "A job is named jobs/<id>" },
    { words: ["features", "job", "a", "--watch", "--cancel"], says: "Give one of --watch" },
    { words: ["predict", "d", "--row", "{}", "--entity", "a=1"], says: "Give the input as --row" },
    { words: ["predict", "d", "--entity", "a"], says: "--entity must look like key=value" },
    { words: ["monitor", "drift", "d", "--method", "best"], says: "Methods are psi, " },
    { words: ["monitor", "drift", "d", "--to", "2001-01-01"], says: "--to needs --from." },
    { words: ["monitor", "drift", "d", "--last", "1h", "--from", "2001-01-01"], says: "not both" },
    { words: ["monitor", "drift", "d", "--version", "m@champion"], says: "such as 3, or model/3" },
    { words: ["monitor", "drift", "d", "--fail-on-drift", "all"], says: "Allowed choices are" },
    { words: ["monitor", "report", "d"], says: "required option '--html" },
    { words: ["monitor", "alerts", "ack", "a/b"], says: "An alert is named by its id" },
    { words: ["monitor", "baseline", "m"], says: "Say which version" },
    { words: ["monitor", "baseline", "m", "3", "--exclude", "c"], says: "go with --file" },
    { words: ["monitor", "labels", "d", "f", "--batch-size", "0"], says: "whole number from 1" },
    { words: ["monitor", "erase", "--key", "a", "--yes"], says: "--key must look like key=value" },
    { words: ["circuits", "create", "m"], says: "Say which version" },
    { words: ["circuits", "create", "m/1", "--agreement", "2"], says: "a share above 0" },
    {
      words: ["circuits", "create", "m/1", "--weight-bits", "8", "--error", "0.1"],
      says: "Give --weight-bits, or --agreement and --error",
    },
    { words: ["circuits", "create", "m/1", "--threshold", "1"], says: "go together" },
    { words: ["circuits", "create", "m/1", "--setup", "ceremony"], says: "--powers-of-tau <id>" },
    { words: ["circuits", "create", "m/1", "--range", "x=5:1"], says: "low below high" },
    { words: ["circuits", "create", "m/1", "--shape", "x=8,8"], says: "input=1x8x8" },
    { words: ["circuits", "show", "m"], says: "A circuit is named model/3/circuit" },
    { words: ["circuits", "activate", "m/1"], says: "Say which circuit: m/1/<circuit>" },
    { words: ["circuits", "export", "m/1/c"], says: "required option '--file" },
    { words: ["circuits", "export", "m/1/c", "--file", "zkey"], says: "Allowed choices are" },
    { words: ["circuits", "contribute", "--name", "A"], says: "Name the circuit, or give --key" },
    { words: ["circuits", "beacon", "m/1/c", "--hash", "xyz"], says: "--hash must be 1 to 255" },
    { words: ["circuits", "ptau", "import", "f", "--id", "p"], says: "Give --sha256 or --blake2b" },
    {
      words: ["circuits", "ptau", "import", "f", "--id", "p", "--sha256", "ab"],
      says: "--sha256 must have 64 hexadecimal digits",
    },
    { words: ["prove", "m/1/c"], says: "Give the input as --row" },
    {
      words: ["prove", "m/1/c", "--row", "{}", "--out", "o", "--no-wait"],
      says: "without waiting there are none yet",
    },
    {
      words: ["prove", "m/1/c", "--row", "{}", "--context", "ab".repeat(32)],
      says: "up to 31 are possible",
    },
    { words: ["proof", "verify", "p.json"], says: "required option '--key" },
    {
      words: ["proof", "verify", "p.json", "--key", "k.json", "--vk-hash", "ab"],
      says: "--vk-hash must be 64 hexadecimal digits",
    },
    {
      words: ["proof", "verify", "p", "--key", "k", "--salt", "1"],
      says: "--salt goes with --row",
    },
    { words: ["proof", "show", "p"], says: "A proof is named by its id" },
    { words: ["proof", "job", "a", "--watch", "--cancel"], says: "Give --watch or --cancel" },
    { words: ["receipts", "verify", "r"], says: "required option '--key" },
    {
      words: ["serve", "nothing"],
      says: "Allowed choices are registry, features, monitoring, proofs, inference, gateway",
    },
  ])("answers 2 and the reason to plinth $words", async ({ words, says }) => {
    const { code, stdout, stderr } = await plinth(words);
    expect(stderr).toContain(says);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("answers 5 and what to do when nothing listens", async () => {
    const { code, stdout, stderr } = await plinth(["models", "list"]);
    expect(stderr).toContain("127.0.0.1:1 cannot be reached (nothing listens there).");
    expect(stderr).toContain('Start a server with "plinth up"');
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
  });

  it("tells errors as JSON on stderr with --json", async () => {
    const { code, stdout, stderr } = await plinth(["models", "list", "--json"]);
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({
      error: { exitCode: 5, kind: "Unavailable", reason: "DEPENDENCY_UNAVAILABLE" },
    });
  });

  it("says on stdout that a server is not reachable when status is asked for JSON", async () => {
    const { code, stdout } = await plinth(["status", "--json"]);
    expect(code).toBe(5);
    expect(JSON.parse(stdout)).toEqual({
      address: "127.0.0.1:1",
      reachable: false,
      serving: false,
    });
  });

  it("shows a stack trace only when PLINTH_DEBUG asks for it", async () => {
    const { stderr } = await plinth(["models", "list"], { env: { PLINTH_DEBUG: "1" } });
    expect(stderr).toMatch(/\n {4}at /);
  });

  const old = oldNode();
  it.skipIf(old === undefined)("starts itself again under Node 24 from an older one", async () => {
    const words = ["models", "list"];
    const { code, stderr } = await plinth(words, { node: old!, cwd: "/" });
    expect(code).toBe(5);
    expect(stderr).toContain("127.0.0.1:1 cannot be reached");
  });
});

/** A Node older than 24 on this machine's PATH, outside node_modules. */
function oldNode(): string | undefined {
  const folders = (process.env.PATH ?? "").split(":").filter((f) => !f.includes("node_modules"));
  for (const folder of folders) {
    try {
      const text = execFileSync(`${folder}/node`, ["--version"], {
        encoding: "utf8",
        stdio: "pipe",
      });
      if (Number(/^v(\d+)/.exec(text)?.[1]) < 24) {
        return `${folder}/node`;
      }
    } catch {
      // No Node in this folder.
    }
  }
  return undefined;
}
