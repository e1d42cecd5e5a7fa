// A circuit with a universal key, from powers of tau to a proof that stock snarkjs verifies, with the
// commands against the real mesh. In order.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { runSnarkjs, smallPtau } from "../proofs/prover/testing/files.ts";
import { fileFolder, plinth, shareMeshProcess } from "./testing.ts";
import { TINY } from "./testing-models.ts";

/** The key's domain holds the constraints of additions too, which Groth16 has for nothing. */
const POWER = 8;

const folder = fileFolder();
const path = (name: string): string => join(folder, name);
const mesh = shareMeshProcess(path("data"));
const { run, json } = mesh;

beforeAll(async () => {
  writeFileSync(path("tiny.onnx"), TINY);
  await json(`models push tiny ${path("tiny.onnx")} --approve`);
});

describe("circuits create --setup universal", () => {
  const create = "circuits create tiny/1 --range x=0:255:0 --setup universal";

  it("wants powers of tau that are there", async () => {
    const none = await run(`${create} --id none`);
    expect(none).toMatchObject({ code: 2, stdout: "" });
    expect(none.stderr).toContain("--powers-of-tau <id> goes with --setup ceremony or universal");
    const missing = await run(`${create} --id none --powers-of-tau small`);
    expect(missing).toMatchObject({ code: 3, stdout: "" });
  });

  it("makes a key that is ready without contributions", async () => {
    const ptau = await smallPtau(POWER);
    const sha256 = createHash("sha256").update(readFileSync(ptau)).digest("hex");
    await json(`circuits ptau import ${ptau} --id small --sha256 ${sha256}`);
    const { code, stdout, stderr } = await run(`${create} --id plonk --powers-of-tau small`);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^state: +READY, active$/m);
    expect(stdout).toMatch(/^key: +PLONK, from powers of tau, [\d.,]+ [KM]iB$/m);
    expect(stderr).not.toContain("DEVELOPMENT");
    expect((await run("circuits list tiny")).stdout).toMatch(
      /\ntiny\/1\/plonk +READY, active +PLONK +/,
    );
  });

  it("proves what snarkjs verifies, and no more", async () => {
    const words = ["prove", "tiny/1", "--row", '{"a": 250, "b": 1}', "--out", path("proofs")];
    const proved = await plinth(words, { address: mesh.address });
    expect(proved.code, proved.stderr).toBe(0);
    expect(proved.stdout).toMatch(/^ROW +OUTPUT OF THE CIRCUIT\n {2}1 +498\n/);
    expect(proved.stderr).toContain("A PLONK proof is verified by snarkjs: snarkjs plonk verify.");
    expect(proved.stderr).not.toContain("DEVELOPMENT");
    const [file = ""] = readdirSync(path("proofs"));
    const { proof, publicValues } = JSON.parse(readFileSync(join(path("proofs"), file), "utf8"));
    await json(`circuits export tiny/1 --file proving-key --out ${path("key.zkey")}`);
    const key = await runSnarkjs("zKey.exportVerificationKey", path("key.zkey"));
    const verify = (values: readonly string[]) => runSnarkjs("plonk.verify", key, values, proof);
    expect(await verify(publicValues)).toBe(true);
    for (const [i, value] of publicValues.entries()) {
      const changed = publicValues.with(i, String(BigInt(value) + 1n));
      expect(await verify(changed), `value ${i}`).toBe(false);
    }
  });

  it("takes no contributions, and says so", async () => {
    const { code, stdout, stderr } = await run("circuits contribute tiny/1/plonk --name somebody");
    expect({ code, stdout }, stderr).toEqual({ code: 7, stdout: "" });
    expect(stderr).toContain("This is a PLONK key");
  });

  it("has no verifying key and no contract of ours, and says so", async () => {
    for (const kind of ["verifying-key", "solidity"]) {
      const out = path(kind);
      const { code, stderr } = await run(`circuits export tiny/1 --file ${kind} --out ${out}`);
      expect({ code, kind }).toEqual({ code: 7, kind });
      expect(stderr).toContain("PLONK");
      expect(existsSync(out)).toBe(false);
    }
    const [file = ""] = readdirSync(path("proofs"));
    const { proofs } = await json("proof list");
    const id: string = proofs[0].name.split("/").at(-1);
    expect(await run(`proof calldata ${id}`)).toMatchObject({ code: 7, stdout: "" });
    writeFileSync(path("vk.json"), "{}");
    const words = ["proof", "verify", join(path("proofs"), file), "--key", path("vk.json")];
    const verified = await plinth(words);
    expect(verified).toMatchObject({ code: 4, stdout: "" });
    expect(verified.stderr).toContain("Verify it with snarkjs");
  });
});
