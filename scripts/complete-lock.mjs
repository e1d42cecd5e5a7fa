// Completes package-lock.json after `npm install`. npm leaves the platform packages of other
// systems out of it where the registry in use does not carry them, and `npm ci` then fails for
// everyone. Run it after every change of dependencies; the tidy test says when it was forgotten.

import { readFileSync, writeFileSync } from "node:fs";

const PLATFORM = /(android|darwin|linux|win32)-(arm64|armv7|x64)(-musl)?$/;
const file = "package-lock.json";
const lock = JSON.parse(readFileSync(file, "utf8"));

for (const owner of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    const platform = PLATFORM.exec(name);
    if (platform !== null && lock.packages[path] === undefined) {
      const [, os, architecture, musl] = platform;
      lock.packages[path] = {
        version,
        cpu: [architecture === "armv7" ? "arm" : architecture],
        ...(owner.dev && { dev: true }),
        ...(musl && { libc: ["musl"] }),
        license: owner.license,
        optional: true,
        os: [os],
        ...(owner.engines && { engines: owner.engines }),
      };
    }
  }
}
lock.packages = Object.fromEntries(
  Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)),
);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
