import { describe, expect, it } from "vitest";
import { verifyingFileText } from "../../../proofs/circuits/verifying-file.ts";
import { type ProofFile, proofFileBytes } from "../../../proofs/proving/proof-file.ts";
import { schemaHash } from "../../../proofs/verifier/read-schema.ts";
import { vector } from "../../../proofs/verifier/testing/vectors.ts";
import { readVerifyingKey, verifyingKeyHash } from "../../../proofs/verifier/verifying-key.ts";
import { FILE_BYTES_MAX, misplaced, readGiven, sizeFault } from "./given-file.ts";

const three = vector(3);
const CIRCUIT_HASH = "c1".repeat(32);
const KEY_TEXT = verifyingFileText({ ...three, circuitHash: CIRCUIT_HASH, setup: "ceremony" });
const PROOF: ProofFile = {
  version: 1,
  kind: "plinth.proof/1",
  protocol: "groth16",
  circuit: "workspaces/default/models/risk/versions/3/circuits/exact",
  modelVersion: "workspaces/default/models/risk/versions/3",
  inferenceId: "",
  row: 0,
  proof: { ...three.proof },
  publicValues: three.publicValues,
  verifyingKeyHash: verifyingKeyHash(readVerifyingKey(three.verifyingKey)),
  schemaHash: schemaHash(three.schema),
  modelCommitment: three.schema.modelCommitment,
  circuitHash: CIRCUIT_HASH,
  development: false,
};

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function messageOf(content: string | Uint8Array): string {
  const read = readGiven(typeof content === "string" ? bytes(content) : content);
  return read.kind === "refused" ? read.message : "";
}

describe("given-file", () => {
  it("takes a proof and a key by what they hold", () => {
    expect(readGiven(proofFileBytes(PROOF))).toEqual({ kind: "proof", proof: PROOF });
    expect(readGiven(bytes(KEY_TEXT))).toMatchObject({
      kind: "key",
      key: { circuitHash: CIRCUIT_HASH, setup: "ceremony" },
    });
  });

  it.each([
    ["a bare key", JSON.stringify(three.verifyingKey), "a bare verifying key, as snarkjs writes"],
    ["a bare proof", JSON.stringify(three.proof), "a bare proof, as snarkjs writes it"],
    ["public values", JSON.stringify(three.publicValues), "a list of public values"],
    ["a transcript", '{"contributions":[]}', "the transcript of a ceremony"],
    ["an empty list", "[]", "JSON of another kind"],
    ["a number", "7", "JSON of another kind"],
    ["half a file", KEY_TEXT.slice(0, 300), "JSON that is damaged or cut off"],
    ["a contract", "// SPDX\npragma solidity ^0.8.0;", "a Solidity contract"],
    ["prose", "hello", "not JSON"],
    ["nothing", "", "empty"],
    ["blanks", " \n", "empty"],
    ["a proving key", "zkey\u0001\u0000", "a proving key (.zkey)"],
    ["constraints", "r1cs\u0001", "the constraints of a circuit"],
    ["an archive", "PK\u0003\u0004rest", "an archive (.zip): unpack it first"],
    ["noise", Uint8Array.of(0xff, 0xfe, 0x00, 0x81), "not text"],
  ])("says of %s what it is, and where the right file comes from", (_what, content, said) => {
    const message = messageOf(content);
    expect(message).toContain(`This file is ${said}`);
    expect(message).toContain("neither a proof nor a verifying key");
    expect(message).toContain("plinth prove --out");
    expect(message).toContain("plinth circuits export --file verifying-key");
  });

  it("says why a proof or a key is not to be used", () => {
    const of = (change: Partial<ProofFile>): unknown =>
      readGiven(bytes(JSON.stringify({ ...PROOF, ...change })));
    expect(of({ row: -1 })).toMatchObject({
      kind: "refused",
      looksLike: "proof",
      message: expect.stringContaining("the proof file's row is not a whole number"),
    });
    const plonk = {
      protocol: "plonk",
      proof: { protocol: "plonk" },
      verifyingKeyHash: "",
    } as const;
    expect(of(plonk)).toMatchObject({
      looksLike: "proof",
      message: expect.stringContaining("a PLONK proof, which is not verified here"),
    });
    const key = JSON.parse(KEY_TEXT);
    const unsound = { ...key, verifyingKey: vector("no-contribution").verifyingKey };
    expect(readGiven(bytes(JSON.stringify(unsound)))).toMatchObject({
      looksLike: "key",
      message: expect.stringContaining("anybody can forge proofs for it"),
    });
    const renamed = { ...key, modelCommitment: "00".repeat(32) };
    expect(messageOf(JSON.stringify(renamed))).toContain("says modelCommitment 0000");
  });

  it("says where the one was given in the place of the other", () => {
    expect(misplaced("key", "proof")).toMatch(
      /^This file is a verifying key, not a proof\. .*plinth prove --out/,
    );
    expect(misplaced("proof", "key")).toMatch(
      /^This file is a proof, not a verifying key\. .*circuits export/,
    );
  });

  it("reads no file that is too long", () => {
    expect(sizeFault(FILE_BYTES_MAX)).toBeUndefined();
    expect(sizeFault(FILE_BYTES_MAX + 1)).toContain("was not read");
    expect(sizeFault(100 * 1024 * 1024)).toContain("It has 100 MiB");
  });
});
