import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { describe, expect, it } from "vitest";
import { vector } from "../verifier/testing/vectors.ts";
import { verifyInference } from "../verifier/verify-inference.ts";
import { readVerifyingFile, verifyingFileText } from "./verifying-file.ts";

const { verifyingKey, schema, proof, publicValues } = vector(3);
const parts = { verifyingKey, schema, circuitHash: "b".repeat(64), setup: "ceremony" as const };

/** The file with a field changed. */
function changed(change: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...JSON.parse(verifyingFileText(parts)), ...change });
}

describe("the verifying-key file", () => {
  it("is the same bytes for the same key, and all that verifying needs", () => {
    const text = verifyingFileText(parts);
    const shuffled = Object.fromEntries(Object.entries(verifyingKey).toReversed());
    expect(verifyingFileText({ ...parts, verifyingKey: shuffled })).toBe(text);
    const file = readVerifyingFile(text);
    expect(file).toMatchObject({ development: false, setup: "ceremony" });
    const { verifyingKeyHash: vkHash, schemaHash, modelCommitment } = file;
    const expected = { vkHash, schemaHash, modelCommitment };
    expect(verifyInference({ proof, publicValues, ...file, expected }).valid).toBe(true);
  });

  it("is refused where it says something else than it holds, or more than it should", () => {
    const other = vector(36);
    const cases: readonly [string, string][] = [
      ["not json", "malformed"],
      ["[]", "malformed"],
      [changed({ kind: "plinth.verifying-key/2" }), "malformed"],
      [changed({ extra: 1 }), "malformed"],
      [changed({ setup: "trust me" }), "malformed"],
      [changed({ circuitHash: "B".repeat(64) }), "malformed"],
      [changed({ development: true }), "malformed"],
      [changed({ setup: "dev-single-party" }), "malformed"],
      [changed({ verifyingKey: other.verifyingKey }), "verifying-key-mismatch"],
      [changed({ verifyingKeyHash: "0".repeat(64) }), "verifying-key-mismatch"],
      [changed({ schema: other.schema }), "schema-hash-mismatch"],
      [changed({ modelCommitment: "0".repeat(64) }), "model-commitment-mismatch"],
      [changed({ verifyingKey: vector("no-contribution").verifyingKey }), "unsound-key"],
    ];
    const reasons = cases.map(([text]) => {
      try {
        return readVerifyingFile(text) && "read";
      } catch (error) {
        return (error as { readonly reason?: string }).reason;
      }
    });
    expect(reasons).toEqual(cases.map(([, reason]) => reason));
  });

  it("is read where there is nothing of Node", async () => {
    const input = fileURLToPath(new URL("./verifying-file.ts", import.meta.url));
    await using build = await rolldown({ input, platform: "browser", logLevel: "silent" });
    const { output } = await build.generate({ format: "esm" });
    expect(output[0].imports).toEqual([]);
    expect(output[0].code).not.toContain("node:");
  });
});
