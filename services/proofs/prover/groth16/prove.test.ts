// Proofs of our own against both verifiers, ours and snarkjs', from keys of every kind and size; and
// what becomes of threads that end.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { useFolder } from "../../../common/testing/use-folder.ts";
import { FIELD_BYTES, toField } from "../../field.ts";
import { prepareUncheckedKey, verifyProof } from "../../verifier/groth16.ts";
import { proofJson, readProof } from "../../verifier/proof-format.ts";
import { verifyingKeyJson } from "../../verifier/verifying-key.ts";
import { type BuiltinProver, openBuiltinProver } from "../builtin-driver.ts";
import {
  type CircuitFiles,
  denseGraph,
  runSnarkjs,
  smallPtau,
  writeCircuit,
} from "../testing/files.ts";
import { writePowerChain } from "../testing/power-chain.ts";
import { readZkey } from "../zkey-file.ts";
import { COUNT_BYTES, ENTRY_BYTES } from "../zkey-format.ts";
import { type MadeProof, prove } from "./prove.ts";
import { ProveThreads } from "./prove-threads.ts";

const POWER = 8;
let keys: BuiltinProver;

beforeAll(() => {
  keys = openBuiltinProver();
});

afterAll(async () => await keys[Symbol.asyncDispose]());

function useThreads(count: number): ProveThreads {
  const threads = new ProveThreads(count);
  onTestFinished(async () => await threads[Symbol.asyncDispose]());
  return threads;
}

async function made(threads: ProveThreads, files: CircuitFiles): Promise<MadeProof> {
  return await prove(threads, await descriptionOf(files.zkey), valuesOf(files));
}

async function descriptionOf(path: string): Promise<Parameters<typeof prove>[1]> {
  const { places, wires, publicValues, domain } = await readZkey(path);
  return { path, places, wires, publicValues, domain };
}

function valuesOf({ witness, values }: CircuitFiles): SharedArrayBuffer {
  const bytes = readFileSync(witness).subarray(-FIELD_BYTES * values.length);
  const shared = new SharedArrayBuffer(bytes.length);
  new Uint8Array(shared).set(bytes);
  return shared;
}

/** Whether our verifier takes a proof, read again from its JSON. */
async function isValid(files: CircuitFiles, proof: MadeProof): Promise<boolean> {
  const { verifyingKey, publicValues } = await readZkey(files.zkey);
  const given = files.values.slice(1, 1 + publicValues).map((value) => toField(BigInt(value)));
  const read = readProof(proofJson(proof));
  return verifyProof(prepareUncheckedKey(verifyingKey), read, given);
}

async function isValidToSnarkjs(files: CircuitFiles, proof: MadeProof): Promise<unknown> {
  const { verifyingKey, publicValues } = await readZkey(files.zkey);
  const given = files.values.slice(1, 1 + publicValues).map((v) => String(toField(BigInt(v))));
  const key = verifyingKeyJson(verifyingKey);
  return await runSnarkjs("groth16.verify", key, given, proofJson(proof));
}

describe("a Groth16 proof", { timeout: 180_000 }, () => {
  it.each([
    // The domain has one element a constraint, one a public value, and one more.
    { constraints: 1, publicInputs: 0, domain: 2 },
    { constraints: 2, publicInputs: 1, domain: 4 },
    { constraints: 5, publicInputs: 2, domain: 8 },
    { constraints: 8, publicInputs: 0, domain: 16 },
    { constraints: 300, publicInputs: 40, domain: 512 },
  ])("verifies for a domain of $domain, on 1 to 8 threads", async (size) => {
    const files = writePowerChain(useFolder(), "c", size);
    await keys.devSetup(files);
    expect((await readZkey(files.zkey)).domain).toBe(size.domain);
    for (const count of [1, 2, 4, 8]) {
      const proof = await made(useThreads(count), files);
      expect(await isValid(files, proof), `${count} threads`).toBe(true);
    }
  });

  it("verifies for snarkjs as well, of a key of its own", async () => {
    const folder = useFolder();
    const files = writeCircuit(folder, "c", denseGraph([3, 4, 2]));
    const first = join(folder, "first.zkey");
    const ptau = await smallPtau(POWER);
    await runSnarkjs("zKey.newZKey", files.r1cs, ptau, first);
    await runSnarkjs("zKey.contribute", first, files.zkey, "a party", "not secret: for tests");
    const proof = await made(useThreads(2), files);
    expect(await isValid(files, proof)).toBe(true);
    expect(await isValidToSnarkjs(files, proof)).toBe(true);
  });

  it("is another one each time", async () => {
    const files = writePowerChain(useFolder(), "c", { constraints: 3, publicInputs: 1 });
    await keys.devSetup(files);
    const threads = useThreads(2);
    const [one, other] = [await made(threads, files), await made(threads, files)];
    for (const point of ["a", "c"] as const) expect(one[point].equals(other[point])).toBe(false);
    expect(one.b.equals(other.b)).toBe(false);
    expect([await isValid(files, one), await isValid(files, other)]).toEqual([true, true]);
  });

  it("does not verify where the witness is wrong: nothing is checked here", async () => {
    const files = writePowerChain(useFolder(), "c", { constraints: 3, publicInputs: 1 });
    await keys.devSetup(files);
    const values = valuesOf(files);
    new Uint8Array(values)[FIELD_BYTES * (files.values.length - 1)]! ^= 1;
    const proof = await prove(useThreads(2), await descriptionOf(files.zkey), values);
    expect(await isValid(files, proof)).toBe(false);
  });

  it("is made with keys in turn, more of them than are kept", async () => {
    const threads = useThreads(2);
    const folder = useFolder();
    const all: { readonly files: CircuitFiles; readonly key: Parameters<typeof prove>[1] }[] = [];
    for (let i = 0; i < 5; i += 1) {
      const files = writePowerChain(folder, `c${i}`, { constraints: 2 + i, publicInputs: i });
      await keys.devSetup(files);
      all.push({ files, key: await descriptionOf(files.zkey) });
    }
    for (const { files, key } of [...all, ...all.toReversed(), ...all]) {
      expect(await isValid(files, await prove(threads, key, valuesOf(files)))).toBe(true);
    }
  });

  it("is not made with a key that names rows or wires that it has not, and the next one is", async () => {
    const files = writePowerChain(useFolder(), "c", { constraints: 3, publicInputs: 1 });
    await keys.devSetup(files);
    const { places } = await readZkey(files.zkey);
    const whole = readFileSync(files.zkey);
    const threads = useThreads(2);
    for (const [word, what] of ["matrix", "row", "wire"].entries()) {
      const damaged = Buffer.from(whole);
      damaged.writeUInt32LE(1_000, places.coefficients.at + COUNT_BYTES + ENTRY_BYTES + 4 * word);
      writeFileSync(files.zkey, damaged);
      await expect(made(threads, files)).rejects.toMatchObject({
        kind: "InvalidArgument",
        message: expect.stringMatching(new RegExp(`coefficient 1 is of .*${what} 1000`)),
      });
    }
    writeFileSync(files.zkey, whole);
    expect(await isValid(files, await made(threads, files))).toBe(true);
  });

  it("is not made where a thread fails while others wait for it, and the next one is", async () => {
    const files = writePowerChain(useFolder(), "c", { constraints: 3, publicInputs: 1 });
    await keys.devSetup(files);
    const key = await descriptionOf(files.zkey);
    const threads = useThreads(2);
    expect(await isValid(files, await prove(threads, key, valuesOf(files)))).toBe(true);
    // The first thread alone has to do with r, which has a byte too many.
    const job = {
      witness: valuesOf(files),
      r: new Uint8Array(FIELD_BYTES + 1),
      s: new Uint8Array(FIELD_BYTES),
    };
    await expect(threads.sums(key, job)).rejects.toThrow("a thread of the prover failed");
    expect(await isValid(files, await prove(threads, key, valuesOf(files)))).toBe(true);
  });

  it("is not made where the threads are ended, nor is a later one", async () => {
    const files = writePowerChain(useFolder(), "c", { constraints: 3, publicInputs: 1 });
    await keys.devSetup(files);
    const key = await descriptionOf(files.zkey);
    const threads = useThreads(2);
    await prove(threads, key, valuesOf(files));
    const lost = prove(threads, key, valuesOf(files)).catch((error) => error);
    await setImmediate();
    await threads[Symbol.asyncDispose]();
    expect(await lost).toMatchObject({ kind: "Unavailable" });
    await expect(prove(threads, key, valuesOf(files))).rejects.toMatchObject({
      kind: "Unavailable",
    });
  });
});
