import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  PROOF_FILE_KIND,
  type ProofFile,
  proofFileBytes,
  proofFileId,
  readProofFile,
} from "./proof-file.ts";

const vector = JSON.parse(
  readFileSync(new URL("../verifier/testing/three-public-values.json", import.meta.url), "utf8"),
) as { readonly proof: Record<string, unknown>; readonly publicSignals: string[] };

const FILE: ProofFile = {
  version: 1,
  kind: PROOF_FILE_KIND,
  protocol: "groth16",
  circuit: "workspaces/w/models/m/versions/1/circuits/c",
  modelVersion: "workspaces/w/models/m/versions/1",
  inferenceId: "i-1",
  row: 2,
  proof: { ...vector.proof, protocol: "groth16", curve: "bn128" },
  publicValues: ["1", "2"],
  verifyingKeyHash: "a".repeat(64),
  schemaHash: "b".repeat(64),
  modelCommitment: "c".repeat(64),
  circuitHash: "d".repeat(64),
  development: true,
  createTime: "2026-01-31T12:00:00.000Z",
};

describe("proof-file", () => {
  it("has one form, whatever the order of its fields and its spaces", () => {
    const bytes = proofFileBytes(FILE);
    expect(readProofFile(bytes)).toEqual(FILE);
    const turned = Object.fromEntries(Object.entries(FILE).reverse());
    const read = readProofFile(JSON.stringify(turned, undefined, 2));
    expect(proofFileBytes(read)).toEqual(bytes);
    expect(proofFileId(read)).toBe(proofFileId(FILE));
    expect(proofFileId({ ...FILE, row: 3 })).not.toBe(proofFileId(FILE));
    expect(new TextDecoder().decode(bytes)).toMatch(/^\{"circuit":"workspaces/);
  });

  it("drops what it does not know", () => {
    const read = readProofFile(JSON.stringify({ ...FILE, more: 1 }));
    expect(read).toEqual(FILE);
  });

  it("reads a file without a time, and of PLONK without a hash of the key", () => {
    const { createTime: _, ...timeless } = FILE;
    expect(readProofFile(proofFileBytes(timeless))).toEqual(timeless);
    const proof = { protocol: "plonk", curve: "bn128", A: ["1", "2", "1"], eval_a: "3" };
    const plonk = { ...FILE, protocol: "plonk", proof, verifyingKeyHash: "" } as const;
    expect(readProofFile(proofFileBytes(plonk))).toEqual(plonk);
  });

  it.each([
    ["no JSON", "{", /not JSON/],
    ["a list", "[]", /not an object/],
    ["another kind", { kind: "x" }, /no proof file/],
    ["a newer version", { version: 2 }, /newer Plinth/],
    ["an unknown protocol", { protocol: "stark" }, /protocol/],
    ["a missing text", { circuit: undefined }, /circuit is not text/],
    ["a negative row", { row: -1 }, /row/],
    ["a fraction of a row", { row: 0.5 }, /row/],
    ["a number that is no decimal", { publicValues: ["0x1"] }, /public value 0/],
    ["a number in another form", { publicValues: ["01"] }, /public value 0/],
    [
      "a number outside of the field",
      {
        publicValues: [
          "21888242871839275222246405745257275088548364400416034343698204186575808495617",
        ],
      },
      /public value 0 must be below/,
    ],
    ["a hash in capitals", { schemaHash: "B".repeat(64) }, /schemaHash/],
    ["no hash of the key", { verifyingKeyHash: "" }, /verifyingKeyHash/],
    ["no word on the set-up", { development: "false" }, /development/],
    ["a time that is none", { createTime: "2026-13-01T00:00:00Z" }, /createTime/],
    ["a proof of PLONK", { proof: { protocol: "plonk" } }, /protocol groth16/],
    ["a point that is none", { proof: { ...FILE.proof, pi_a: ["1", "3", "1"] } }, /curve/],
    ["too much", " ".repeat(5 * 1024 * 1024), /bytes/],
  ])("refuses %s", (_, given, expected) => {
    const text = typeof given === "string" ? given : JSON.stringify({ ...FILE, ...given });
    expect(() => readProofFile(text)).toThrow(expected);
  });
});
