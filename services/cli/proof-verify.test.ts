// `plinth proof verify` and `proof calldata` of files: without a server, and with nothing to trust
// but the key.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CircuitSchema } from "../proofs/circuit/circuit-schema.ts";
import { commitmentOf } from "../proofs/circuit/poseidon.ts";
import { packValues } from "../proofs/verifier/signal-encoding.ts";
import { fileFolder, plinth } from "./testing.ts";
import { proofFixture, RISK, VERSION } from "./testing-proofs.ts";

const folder = fileFolder();

/** -1 and 1 in sixteenths, the row [1, 2.5, 127.5] in halves, the context 0a1b. */
const VALUES = [-16n, 16n, ...packValues([2, 5, 255], 8), 0x0a1bn];
const ROW = "[1, 2.5, 127.5]";
const risk = proofFixture(folder, RISK);
const valid = risk.proof(VALUES);

const HIDDEN: CircuitSchema = { ...RISK, inputMode: "committed", hasContext: false };
const SALT = 77n;
const hidden = proofFixture(folder, HIDDEN, { seed: 2, setup: "dev-single-party" });
const COMMITMENT = commitmentOf(SALT, packValues([2, 5, 255], 8));
const committed = hidden.proof([-16n, 16n, COMMITMENT]);

const private_ = proofFixture(folder, { ...HIDDEN, inputMode: "private" }, { seed: 3 });

function verify(proof: string, key: string, ...words: readonly string[]) {
  return plinth(["proof", "verify", proof, "--key", key, ...words]);
}

/** A file with what `change` makes of the valid proof's JSON. */
// biome-ignore lint/suspicious/noExplicitAny: what stands in a file may be anything.
function tampered(name: string, change: (json: any) => void): string {
  const json = JSON.parse(readFileSync(valid, "utf8"));
  change(json);
  const path = join(folder, `${name}.json`);
  writeFileSync(path, JSON.stringify(json));
  return path;
}

describe("proof verify", () => {
  it("says what was proved, by which key, and what the file says beside that", async () => {
    const { code, stdout, stderr } = await verify(valid, risk.key);
    const id = /proof: +([0-9a-f]{64})/.exec(stdout)?.[1];
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        "VALID  the proof holds under this verifying key",
        "",
        "class:            high (class 1)",
        "output:           scores [2] = -1, 1  (whole numbers / 2^4)",
        "after softmax:    0.119203, 0.880797  (follows from the output; not proved)",
        "input:            x [3] = 1, 2.5, 127.5",
        "context:          0a1b",
        `verifying key:    ${risk.vkHash}  (not pinned)`,
        `schema:           ${risk.schemaHash}  (not pinned)`,
        `model commitment: ${"ab".repeat(32)}`,
        `constraints hash: ${"c1".repeat(32)}`,
        "key made by:      ceremony",
        "",
        "What the file says beside that; it is not proved:",
        `  proof:         ${id}`,
        `  model version: ${VERSION}`,
        `  circuit:       ${VERSION}/circuits/exact`,
        "  inference:     order-7",
        "  row:           1",
        "  made:          2026-01-31T12:00:00.000Z",
        "",
      ].join("\n"),
    });
    expect(stderr).toContain("give those with --vk-hash and --schema-hash.");
    expect(stderr).not.toContain("DEVELOPMENT");
  });

  it("compares what is expected, and is silent where all of it is pinned", async () => {
    const pins = ["--vk-hash", risk.vkHash.toUpperCase(), "--schema-hash", risk.schemaHash];
    const more = ["--context", "0x0a1b", "--row", ROW, "--model-commitment", "ab".repeat(32)];
    const { code, stdout, stderr } = await verify(valid, risk.key, ...pins, ...more);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.match(/\(as expected\)/g)).toHaveLength(5);
    expect(stdout).not.toContain("not pinned");
  });

  it("needs no server, no workspace and no certificate", async () => {
    const env = {
      PLINTH_ADDRESS: "nowhere",
      PLINTH_WORKSPACE: "A B",
      PLINTH_TLS_CA: join(folder, "no-such.pem"),
    };
    const words = ["proof", "verify", valid, "--key", risk.key, "--json"];
    const { code, stdout } = await plinth(words, { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      valid: true,
      statement: {
        output: { integers: ["-16", "16"], classLabel: "high" },
        inputs: [{ name: "x", values: [1, 2.5, 127.5] }],
        context: Buffer.from("0a1b", "hex").toString("base64"),
      },
      verifyingKeyHash: risk.vkHash,
      setup: "ceremony",
      development: false,
      said: { modelVersion: VERSION, inferenceId: "order-7", row: 0 },
    });
  });

  it.each([
    ["an output", (json) => (json.publicValues[1] = "17"), "proof-invalid"],
    ["an input", (json) => (json.publicValues[2] = "0"), "proof-invalid"],
    ["the context", (json) => (json.publicValues[3] = "1"), "proof-invalid"],
    ["a point off the curve", (json) => (json.proof.pi_a[0] = "5"), "point-not-on-curve"],
    [
      "two points exchanged",
      ({ proof }) => ([proof.pi_a, proof.pi_c] = [proof.pi_c, proof.pi_a]),
      "proof-invalid",
    ],
    ["one value fewer", (json) => json.publicValues.pop(), "wrong-number-of-public-values"],
    ["another model", (json) => (json.modelCommitment = "00".repeat(32)), "model-commitment-"],
    ["another circuit", (json) => (json.circuitHash = "00".repeat(32)), "circuit-mismatch"],
    ["no proof file", (json) => (json.kind = "receipt"), "malformed"],
    // biome-ignore lint/suspicious/noExplicitAny: as above.
  ] as const satisfies readonly (readonly [string, (json: any) => unknown, string])[])(
    "refuses a proof with %s",
    async (what, change, reason) => {
      const { code, stdout, stderr } = await verify(tampered(what, change), risk.key);
      expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
      expect(stdout).toMatch(/^INVALID {2}.+\n$/);
      expect(stdout).toContain(`[${reason}`);
    },
  );

  it("tells programs why", async () => {
    const changed = tampered("json", (json) => {
      json.publicValues[0] = "0";
    });
    const { code, stdout } = await verify(changed, risk.key, "--json");
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      valid: false,
      reason: "proof-invalid",
      message: "the proof does not prove these public values under this verifying key",
    });
  });

  it.each([
    [["--vk-hash", "00".repeat(32)], "verifying-key-mismatch"],
    [["--schema-hash", "00".repeat(32)], "schema-hash-mismatch"],
    [["--model-commitment", "00".repeat(32)], "model-commitment-mismatch"],
    [["--context", "0a1c"], "context-mismatch"],
    [["--row", "[1, 2.5, 127]"], "input-mismatch"],
    [["--row", '{"x": [2.5, 1, 127.5]}'], "input-mismatch"],
    [["--id", "00".repeat(32)], "id-mismatch"],
  ])("refuses a valid proof that is not of %j", async (words, reason) => {
    const { code, stdout } = await verify(valid, risk.key, ...words);
    expect(code).toBe(1);
    expect(stdout).toContain(`[${reason}]`);
  });

  it("says a context as it was given, in hexadecimal", async () => {
    const { stdout } = await verify(valid, risk.key, "--context", "0c");
    expect(stdout).toBe("INVALID  context 0c was expected; it is 0a1b [context-mismatch]\n");
  });

  it("refuses the key of another circuit, and a schema that says the opposite", async () => {
    const other = await verify(valid, hidden.key);
    expect(other.stdout).toContain(`the key of ${VERSION}/circuits/exact is wanted`);
    expect(other.code).toBe(1);
    const labels = { ...RISK, output: { ...RISK.output, classLabels: ["high", "low"] } };
    const swapped = proofFixture(folder, labels);
    // The same key: only the schema's hash shows that the classes were exchanged.
    expect(swapped.vkHash).toBe(risk.vkHash);
    const misread = swapped.proof(VALUES);
    expect(await verify(misread, swapped.key, "--vk-hash", risk.vkHash)).toMatchObject({ code: 0 });
    const pinned = await verify(misread, swapped.key, "--schema-hash", risk.schemaHash);
    expect(pinned).toMatchObject({ code: 1, stdout: expect.stringContaining("[schema-hash-") });
  });

  it("opens a commitment with the row and its salt", async () => {
    const row = '{"a": 1, "b": 2.5, "c": 127.5}';
    const open = await verify(committed, hidden.key, "--row", row, "--salt", String(SALT));
    expect(open.code).toBe(0);
    expect(open.stdout).toContain(
      `inputs:           not shown: those of the commitment ${COMMITMENT}  (as expected)\n`,
    );
    expect(open.stderr).toContain("warning: DEVELOPMENT SET-UP");
    const wrongSalt = await verify(committed, hidden.key, "--row", row, "--salt", "78");
    const wrongRow = await verify(committed, hidden.key, "--row", "[1, 2, 3]", "--salt", "77");
    for (const { code, stdout } of [wrongSalt, wrongRow]) {
      expect({ code, stdout }).toMatchObject({
        code: 1,
        stdout: expect.stringContaining("[input-commitment-mismatch]"),
      });
    }
    const noSalt = await verify(committed, hidden.key, "--row", row);
    expect(noSalt).toMatchObject({ code: 2, stdout: "" });
    expect(noSalt.stderr).toContain("give the row's --salt too");
  });

  it.each([
    ["a row of private inputs", [private_.proof([0n, 1n]), private_.key, "--row", ROW], 4],
    ["a row that no circuit takes", [valid, risk.key, "--row", "[1, 2, 3000]"], 4],
    ["a row of texts", [valid, risk.key, "--row", '["a", 2, 3]'], 2],
    ["a file that is not there", [join(folder, "none.json"), risk.key], 3],
    [
      "a PLONK proof",
      [
        risk.proof(VALUES, {
          protocol: "plonk",
          proof: { protocol: "plonk", A: ["1", "2", "1"] },
          verifyingKeyHash: "",
        }),
        risk.key,
      ],
      4,
    ],
  ])("has no verdict on %s", async (_what, [proof, key, ...words], exitCode) => {
    const { code, stdout, stderr } = await verify(proof!, key!, ...words);
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: "" });
    expect(stderr).toMatch(/^error: /);
  });
});

describe("proof calldata", () => {
  it("makes the call of a file, as bytes and as arguments", async () => {
    const words = ["proof", "calldata", valid, "--key", risk.key];
    const [bytes, cast, json] = await Promise.all([
      plinth(words),
      plinth([...words, "--cast"]),
      plinth([...words, "--json"]),
    ]);
    expect(bytes.code).toBe(0);
    // keccak256("verifyInference(bytes,int256[],uint256,bytes)") begins with a1a801eb.
    expect(bytes.stdout).toMatch(/^0xa1a801eb[0-9a-f]+\n$/);
    const { proof, calldata } = JSON.parse(json.stdout);
    expect(`${calldata}\n`).toBe(bytes.stdout);
    expect(proof).toMatch(/^0x[0-9a-f]{512}$/);
    expect(cast.stdout).toBe(
      `"verifyInference(bytes,int256[],uint256,bytes)" 0x0205ff "[-16,16]" 2587 ${proof}\n`,
    );
  });

  it("makes none of a proof that is not valid", async () => {
    const changed = tampered("calldata", (json) => {
      json.publicValues[0] = "0";
    });
    const words = ["proof", "calldata", changed, "--key", risk.key];
    const { code, stdout, stderr } = await plinth(words);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("The proof is not valid");
  });
});
