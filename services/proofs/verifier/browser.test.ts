import { fileURLToPath } from "node:url";
import { createContext, Script } from "node:vm";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { describe, expect, it } from "vitest";
import { vector } from "./testing/vectors.ts";

/** The verifier as a page would load it: one script that leaves `verifyInference` behind. */
async function bundle(): Promise<string> {
  const input = fileURLToPath(new URL("./verify-inference.ts", import.meta.url));
  await using build = await rolldown({
    input,
    platform: "browser",
    logLevel: "silent",
    external: () => false,
  });
  const { output } = await build.generate({ format: "iife", name: "plinth", minify: true });
  expect(output).toHaveLength(1);
  expect(output[0].imports).toEqual([]);
  return output[0].code;
}

describe("the verifier in a browser", () => {
  it("runs where there is nothing of Node, in 100 kB", async () => {
    const code = await bundle();
    expect(code).not.toContain("node:");
    const bytes = { minified: code.length, gzipped: gzipSync(code, { level: 9 }).length };
    expect(bytes.minified).toBeLessThan(100_000);
    expect(bytes.gzipped).toBeLessThan(40_000);
    // No Buffer, no process, no require: the language and what every browser has.
    const page = createContext({ TextEncoder });
    new Script(code).runInContext(page);
    const verdictOf = (given: unknown): unknown => {
      const call = `plinth.verifyInference(${JSON.stringify(given)})`;
      return new Script(`(v => v.valid ? v.output.values[0] : v.reason)(${call})`).runInContext(
        page,
      );
    };
    const three = vector(3);
    expect(verdictOf(three)).toBe(-2.390625);
    const output = three.publicValues.with(0, "612");
    expect(verdictOf({ ...three, publicValues: output })).toBe("proof-invalid");
  });
});
