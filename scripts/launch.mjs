// What `npm start` and `npm test` run first, with whatever Node the machine has (20 or newer):
// installs what is missing, then hands over to the Node 24 that the npm package `node` brings.
//
//   node scripts/launch.mjs [--dev] <script> [arguments]

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const [first, ...others] = process.argv.slice(2);
const dev = first === "--dev";
const command = dev ? others : [first, ...others];

if (!installed()) {
  install();
}
run();

/** Whether node_modules holds what package-lock.json asks for. */
function installed() {
  const record = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(record)) {
    return false;
  }
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const present = JSON.parse(readFileSync(record, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === "" ||
      entry.optional === true ||
      entry.devOptional === true ||
      (entry.dev === true && !dev) ||
      present[path]?.version === entry.version,
  );
}

function install() {
  process.stderr.write("plinth: installing what is missing (npm ci) ...\n");
  const npm = process.env.npm_execpath;
  const [program, ...prefix] = npm === undefined ? ["npm"] : [process.execPath, npm];
  const options = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, error } = spawnSync(
    program,
    [...prefix, ...options, ...(dev ? [] : ["--omit=dev"])],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"] },
  );
  if (status !== 0) {
    process.stderr.write(
      `plinth: npm ci failed${error ? ` (${error.message})` : ""}. Its output above says why; ` +
        "npm 11 and access to an npm registry are all it needs.\n",
    );
    process.exit(1);
  }
}

function run() {
  const node = join(root, "node_modules", "node", "bin", "node");
  const child = spawn(node, command, { cwd: process.cwd(), stdio: "inherit" });
  // A terminal sends Ctrl-C to the whole group; the child ends by it and we end with the child.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("error", (error) => {
    process.stderr.write(`plinth: cannot run ${node}: ${error.message}. Run "npm ci".\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    process.exit(code ?? (signal === "SIGINT" ? 130 : 143));
  });
}
