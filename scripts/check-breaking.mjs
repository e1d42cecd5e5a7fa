// `buf breaking` against the commit before this one: a change that breaks clients must be meant. A
// first commit, or a shallow clone, has nothing to compare with.

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const base = "HEAD~1";
if (spawnSync("git", ["cat-file", "-e", `${base}:proto`]).status !== 0) {
  process.stdout.write(`buf breaking: ${base} has no protos to compare with\n`);
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), "plinth-breaking-"));
try {
  const archive = execFileSync("git", ["archive", base, "proto", "buf.yaml"]);
  execFileSync("tar", ["-x", "-C", folder], { input: archive });
  cpSync(".third-party-protos", join(folder, ".third-party-protos"), { recursive: true });
  const { status } = spawnSync("buf", ["breaking", "--against", folder], { stdio: "inherit" });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
