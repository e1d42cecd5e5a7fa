import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { listSettings, parseSettings } from "../common/config.ts";
import { registrySettings } from "./config.ts";

describe("config", () => {
  it("has defaults for everything", () => {
    expect(parseSettings({}, registrySettings)).toEqual({
      uploadBytesMax: 4 * 2 ** 30,
      uploadTtlMs: 86_400_000,
      uploadsMax: 1000,
      sandboxTimeoutMs: 60_000,
      sandboxMemoryBytes: 4 * 2 ** 30,
      sandboxParallelism: 1,
      validationPollMs: 5_000,
      validationLeaseMs: 10_000,
      sweepIntervalMs: 600_000,
    });
  });

  it("reports every fault", () => {
    const env = {
      PLINTH_REGISTRY_SANDBOX_MEMORY: "1MiB",
      PLINTH_REGISTRY_SANDBOX_PARALLELISM: "0",
    };
    expect(() => parseSettings(env, registrySettings)).toThrow(
      /SANDBOX_MEMORY[\s\S]*SANDBOX_PARALLELISM/,
    );
  });

  it("is told in the README, each setting with its default", () => {
    const readme = readFileSync(new URL("./README.md", import.meta.url), "utf8").replace(
      / +/g,
      " ",
    );
    for (const setting of listSettings(registrySettings)) {
      expect(readme).toContain(`| \`${setting.env}\` | ${setting.default} | ${setting.about} |`);
    }
  });
});
