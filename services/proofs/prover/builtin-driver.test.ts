// The prover: development keys, proofs that count, and files that are refused.

import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { writeWitness } from "../circuit/witness-file.ts";
import { fromField, toField } from "../field.ts";
import { prepareKey, verifyProof } from "../verifier/groth16.ts";
import { readProof } from "../verifier/proof-format.ts";
import { readVerifyingKey } from "../verifier/verifying-key.ts";
import {
  type BuiltinProver,
  type BuiltinProverOptions,
  openBuiltinProver,
} from "./builtin-driver.ts";
import { fileDigest } from "./section-file.ts";
import { denseGraph, runSnarkjs, smallPtau, writeCircuit } from "./testing/files.ts";
import { readZkey } from "./zkey-file.ts";

const POWER = 8;
let ptau = "";

beforeAll(async () => {
  ptau = await smallPtau(POWER);
}, 300_000);

function useProver(options: BuiltinProverOptions = {}): BuiltinProver {
  const prover = openBuiltinProver(options);
  onTestFinished(async () => await prover[Symbol.asyncDispose]());
  return prover;
}

describe("a development set-up", { timeout: 120_000 }, () => {
  it("gives a key whose proofs our verifier takes, and no others", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([3, 4, 2]));
    const record = await prover.devSetup(files);
    const { proof, publicValues } = await prover.prove(files);

    const key = prepareKey(readVerifyingKey(record.verifyingKey));
    const values = publicValues.map(BigInt);
    expect(values.slice(0, 2).map(fromField)).toEqual(files.values.slice(1, 3).map(BigInt));
    expect(verifyProof(key, readProof(proof), values)).toBe(true);
    expect(verifyProof(key, readProof(proof), [toField(values[0]! + 1n), ...values.slice(1)])).toBe(
      false,
    );
  });

  it("gives a key that snarkjs takes as well", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([3, 4, 2]));
    const { verifyingKey } = await prover.devSetup(files);
    const theirs = await runSnarkjs("zKey.exportVerificationKey", files.zkey);
    expect(theirs).toMatchObject(verifyingKey);
    const made = (await runSnarkjs("groth16.prove", files.zkey, files.witness)) as {
      readonly proof: unknown;
      readonly publicSignals: readonly string[];
    };
    const verified = { zkey: files.zkey, proof: made.proof, publicValues: made.publicSignals };
    expect((await prover.verifyProof(verified)).verifyingKeyHash).toMatch(/^[0-9a-f]{64}$/);
  });

  it("is marked in the record and in the file, with hashes of both files", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2]));
    const record = await prover.devSetup(files);
    expect(record).toMatchObject({
      protocol: "groth16",
      setup: "dev-single-party",
      circuitHash: await fileDigest(files.r1cs),
      zkeyHash: await fileDigest(files.zkey),
      contributions: [],
    });
    expect((await readZkey(files.zkey)).devMark).toBe(true);
  });

  it("has other secrets each time, and leaves no process that knew them", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2]));
    const one = await prover.devSetup(files);
    expect([prover.processId, prover.keysProcessId]).toEqual([undefined, undefined]);
    const other = await prover.devSetup(files);
    expect(other.circuitHash).toBe(one.circuitHash);
    expect(other.verifyingKeyHash).not.toBe(one.verifyingKeyHash);
    const { delta, gamma } = (await readZkey(files.zkey)).verifyingKey;
    expect(delta.equals(gamma)).toBe(false);
  });

  it("is refused as a key for production, and takes no contributions", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2]));
    await prover.devSetup(files);
    await expect(prover.verifyZkey({ ...files, ptau })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      violations: [{ type: "DEV_SETUP" }],
    });
    const to = `${files.zkey}.contributed`;
    await expect(
      prover.contribute({ challenge: files.zkey, to, name: "a party" }),
    ).rejects.toMatchObject({ violations: [{ type: "DEV_SETUP" }] });
  });
});

describe("a proof", { timeout: 120_000 }, () => {
  it("is not made of a witness with one bit flipped, of which snarkjs makes one", async () => {
    const prover = useProver();
    const folder = useFolder();
    const files = writeCircuit(folder, "c", denseGraph([3, 4, 2]));
    await prover.devSetup(files);
    const { outputs, publicValues } = { outputs: 2, publicValues: 3 };
    for (const wire of [outputs, publicValues, files.values.length - 1]) {
      const values = files.values.map((value, i) => (i === wire ? BigInt(value) ^ 1n : value));
      writeFileSync(files.witness, writeWitness(values));
      await expect(prover.prove(files)).rejects.toMatchObject({
        kind: "Internal",
        message: expect.stringMatching(/breaks constraint \d+ of the circuit/),
      });
    }
    const made = (await runSnarkjs("groth16.prove", files.zkey, files.witness)) as {
      readonly proof: unknown;
      readonly publicSignals: readonly string[];
    };
    const given = { zkey: files.zkey, proof: made.proof, publicValues: made.publicSignals };
    await expect(prover.verifyProof(given)).rejects.toThrow("does not verify");
  });

  it("is not made with a key of another circuit, of another size or of the same", async () => {
    const prover = useProver();
    const folder = useFolder();
    const files = writeCircuit(folder, "c", denseGraph([3, 4, 2], { seed: 1 }));
    const larger = writeCircuit(folder, "larger", denseGraph([3, 5, 2]));
    const twin = writeCircuit(folder, "twin", twinGraph());
    await prover.devSetup(larger);
    await prover.devSetup(twin);
    await expect(prover.prove({ ...files, zkey: larger.zkey })).rejects.toMatchObject({
      kind: "FailedPrecondition",
      violations: [{ type: "KEY_OF_ANOTHER_CIRCUIT" }],
    });
    const same = writeCircuit(folder, "same", twinGraph(1));
    await expect(prover.prove({ ...same, zkey: twin.zkey })).rejects.toMatchObject({
      kind: "Internal",
      message: expect.stringContaining("does not verify"),
    });
  });

  it("is not made with files that were cut off or are none", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2, 2]));
    await prover.devSetup(files);
    const whole = readFileSync(files.zkey);
    for (const size of [0, 11, 100, 700, whole.length - 1]) {
      writeFileSync(files.zkey, whole.subarray(0, size));
      await expect(prover.prove(files), `${size} bytes`).rejects.toMatchObject({
        kind: "InvalidArgument",
        message: expect.stringContaining("not a whole .zkey file"),
      });
    }
    writeFileSync(files.zkey, whole);
    truncateSync(files.witness, 200);
    await expect(prover.prove(files)).rejects.toThrow("not one of this circuit");
    truncateSync(files.r1cs, 300);
    await expect(prover.prove(files)).rejects.toThrow("not a whole .r1cs file");
  });

  it("is not made with a key whose points are not points", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2]));
    await prover.devSetup(files);
    const bytes = readFileSync(files.zkey);
    bytes[12 + 12 + 4 + 12 + 84 + 3]! ^= 1;
    writeFileSync(files.zkey, bytes);
    await expect(prover.prove(files)).rejects.toThrow("the key's alpha is not on the curve");
  });

  it("is not given out where points of the key were changed", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([2, 2, 2]));
    await prover.devSetup(files);
    const whole = readFileSync(files.zkey);
    const { places } = await readZkey(files.zkey);
    for (const section of ["a", "b1", "b2", "c", "h"] as const) {
      const bytes = Buffer.from(whole);
      // The lowest byte of each number, but of points at infinity, which are all zeros.
      const { at, size } = places[section];
      for (let i = at; i < at + size; i += 32) if (bytes[i] !== 0) bytes[i]! ^= 1;
      writeFileSync(files.zkey, bytes);
      await expect(prover.prove(files), section).rejects.toMatchObject({ kind: "Internal" });
    }
  });

  it("leaves nothing but what was asked for when it fails", async () => {
    const prover = useProver();
    const folder = useFolder();
    const files = writeCircuit(folder, "c", denseGraph([2, 2]));
    const before = readdirSync(folder).toSorted();
    truncateSync(files.r1cs, 300);
    await expect(prover.devSetup(files)).rejects.toThrow();
    await expect(prover.newPhase2({ ...files, ptau })).rejects.toThrow();
    expect(readdirSync(folder).toSorted()).toEqual(before);
  });
});

describe("PLONK", { timeout: 120_000 }, () => {
  it("proves a small model with no secrets, and its key can be made again", async () => {
    const prover = useProver();
    const files = writeCircuit(useFolder(), "c", denseGraph([1, 1]));
    const record = await prover.plonkSetup({ ...files, ptau });
    expect(record).toMatchObject({ protocol: "plonk", setup: "universal", contributions: [] });
    expect(record.ptauHash).toBe(await fileDigest(ptau));
    const { publicValues } = await prover.plonkProve(files);
    expect(fromField(BigInt(publicValues[0]!))).toBe(BigInt(files.values[1]!));
    expect((await prover.verifyZkey({ ...files, ptau })).zkeyHash).toBe(record.zkeyHash);

    const bytes = readFileSync(files.zkey);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(files.zkey, bytes);
    await expect(prover.verifyZkey({ ...files, ptau })).rejects.toMatchObject({
      violations: [{ type: "KEY_DOES_NOT_FOLLOW" }],
    });
  });

  it("refuses a wrong witness, a circuit that is too large, and a ptau that is too small", async () => {
    const prover = useProver();
    const folder = useFolder();
    const files = writeCircuit(folder, "c", denseGraph([1, 1]));
    await prover.plonkSetup({ ...files, ptau });
    const wrong = files.values.map((value, i) => (i === 1 ? BigInt(value) + 1n : value));
    writeFileSync(files.witness, writeWitness(wrong));
    await expect(prover.plonkProve(files)).rejects.toThrow("breaks constraint");

    const large = writeCircuit(folder, "large", denseGraph([64, 100, 10]));
    await expect(prover.plonkSetup({ ...large, ptau })).rejects.toMatchObject({
      violations: [{ type: "CIRCUIT_TOO_LARGE" }],
    });
    const many = writeCircuit(folder, "many", denseGraph([14, 6]));
    await expect(prover.plonkSetup({ ...many, ptau })).rejects.toThrow("too small for the gates");
    expect(readdirSync(folder).filter((name) => name.includes("part"))).toEqual([]);
  });
});

/** A model of one shape whatever the weight is. */
function twinGraph(change = 0): ReturnType<typeof denseGraph> {
  const graph = denseGraph([2, 2], { seed: 3 });
  const step = graph.steps[0]!;
  if (step.kind === "linear") step.rows.bias[0]! += change;
  return graph;
}
