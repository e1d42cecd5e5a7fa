// Every setting of a process is told to operators, on the page of the service that reads it.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { listSettings } from "../../services/common/config.ts";
import { meshSettings } from "../../services/mesh/config.ts";

const { registry, features, monitoring, proofs, inference, gateway, ...process } = meshSettings;
const pages = { registry, features, monitoring, proofs, inference, gateway, mesh: process };

describe("settings", () => {
  for (const [service, settings] of Object.entries(pages)) {
    it(`of ${service} are all in its README, with their defaults`, () => {
      const readme = readFileSync(`services/${service}/README.md`, "utf8");
      const untold = listSettings(settings).filter(({ env }) => !readme.includes(`\`${env}\``));
      expect(untold.map(({ env }) => env)).toEqual([]);
      const wrong = listSettings(settings)
        .filter(({ env, default: value }) => {
          const row = readme.split("\n").find((line) => line.startsWith(`| \`${env}\``));
          return (
            row !== undefined && value !== undefined && /^\d/.test(value) && !row.includes(value)
          );
        })
        .map(({ env }) => env);
      expect(wrong.filter((env) => env !== "PLINTH_INFERENCE_INTRA_OP_THREADS")).toEqual([]);
    });
  }
});
