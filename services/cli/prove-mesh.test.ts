// The commands of proofs against the real mesh, from a model to a proof that is verified without it,
// and a ceremony from powers of tau to a closed key. In order.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { smallPtau } from "../proofs/prover/testing/files.ts";
import { fileFolder, plinth, shareMeshProcess, startPlinth } from "./testing.ts";
import { TINY } from "./testing-models.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/breast-cancer/", import.meta.url));
const TRAINING = join(EXAMPLES, "training.csv");

/** Circuits with a domain of up to 2^this fit. */
const POWER = 8;

const folder = fileFolder();
const path = (name: string): string => join(folder, name);
const mesh = shareMeshProcess(path("data"));
const { run, json } = mesh;

/** The first row of the training data, by column. */
function trainingRow(): Record<string, number> {
  const [head = "", first = ""] = readFileSync(TRAINING, "utf8").split("\n");
  const cells = first.split(",");
  const names = head.split(",").slice(0, -1);
  return Object.fromEntries(names.map((name, i) => [name, Number(cells[i])]));
}

const ROW = JSON.stringify(trainingRow());

function prove(...words: readonly string[]) {
  return plinth(["prove", ...words], { address: mesh.address });
}

/** Offline: there is no server at the address. */
function verify(proof: string, ...words: readonly string[]) {
  return plinth(["proof", "verify", proof, "--key", path("vk.json"), ...words]);
}

beforeAll(async () => {
  writeFileSync(path("tiny.onnx"), TINY);
  await json(`models push tumour ${join(EXAMPLES, "logistic.onnx")} --approve`);
  await json(`models push tiny ${path("tiny.onnx")} --approve`);
});

describe("circuits create", () => {
  it("makes a circuit, and reports what whole numbers cost", async () => {
    const { code, stdout, stderr } = await run(
      `circuits create tumour/1 --id exact --calibration ${TRAINING} --label-column diagnosis --context`,
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^state: +READY, active$/m);
    expect(stdout).toMatch(/^made with: +12 weight bits, 12 activation bits, inputs public, /m);
    expect(stdout).toMatch(/^constraints: +[\d,]+ \(\d+ linear\), [\d,]+ wires, domain 2\^\d+, /m);
    expect(stdout).toMatch(/^key: +DEVELOPMENT SET-UP, made by one party, \d+\.\d KiB$/m);
    expect(stdout).toContain("on 398 calibration rows\n");
    expect(stdout).toMatch(/^accuracy: +0\.9\d+ float model, 0\.9\d+ circuit$/m);
    expect(stdout).toMatch(/^same class: +100%$/m);
    expect(stdout).toMatch(/^OUTPUT +MAX ERROR +MEAN +RMS +P99 +PROVED BOUND\n {5}0 /m);
    expect(stdout).toMatch(/^STEP +KIND +VALUES +BITS SEEN +BITS POSSIBLE +BITS SPARE/m);
    expect(stderr).toContain("Calibration: 398 rows.\n");
    expect(stderr).toContain("warning: DEVELOPMENT SET-UP: one party made this key alone");
  });

  it("lists and shows it, by name and as the active one", async () => {
    const { stdout } = await run("circuits list");
    expect(stdout).toMatch(/^CIRCUIT +STATE +KEY +CONSTRAINTS +PROVE TIME +CREATED +BY\n/);
    expect(stdout).toMatch(/\ntumour\/1\/exact +READY, active +DEVELOPMENT +[\d,]+ +~/);
    const circuit = await json("circuits show tumour/1/exact");
    expect(await json("circuits show tumour@latest")).toEqual(circuit);
    expect(await json("circuits list tumour")).toMatchObject({
      circuits: [{ name: circuit.name, active: true }],
    });
    expect(await json("circuits list tiny/1")).toMatchObject({ circuits: [] });
    expect(circuit.verifyingKeyHash).toMatch(/^[0-9a-f]{64}$/);
  });

  it("says what is missing, and what of the rows does not fit, with the exit code", async () => {
    const noRange = await run("circuits create tumour/1");
    expect(noRange.code).toBe(4);
    expect(noRange.stderr).toMatch(/error: tumour\/1\/circuit-[^ ]+ FAILED: options\.inputs/);
    expect(noRange.stderr).toContain("  Give rows with --calibration <file>, or ranges");
    writeFileSync(path("short.csv"), "a,b\n1,2\n3,\n");
    const row = await run(`circuits create tiny/1 --calibration ${path("short.csv")}`);
    expect(row).toMatchObject({ code: 4, stdout: "" });
    expect(row.stderr).toBe("error: row 2 (line 3): b: expected a finite number, got nothing.\n");
    expect(await run("circuits create nothing/1")).toMatchObject({ code: 3, stdout: "" });
    expect(await run("circuits show tumour/1/none")).toMatchObject({ code: 3, stdout: "" });
    const taken = await run(`circuits create tumour/1 --id exact --calibration ${TRAINING}`);
    expect(taken).toMatchObject({ code: 7, stdout: "" });
  });

  it("leaves it to the server, and comes back", async () => {
    const { code, stdout, stderr } = await run(
      "circuits create tiny/1 --id later --range x=0:255:0 --input-mode committed --no-wait",
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: "tiny/1/later is being made.\n" });
    expect(stderr).toContain('Follow it with "plinth circuits show tiny/1/later --watch"');
    expect(await json("circuits show tiny/1/later --watch")).toMatchObject({
      state: "STATE_READY",
    });
  });
});

describe("prove", () => {
  it("shows the output, proves it, and writes a file that anybody verifies", async () => {
    const out = path("proofs");
    const words = ["--row", ROW, "--context", "0a1b", "--inference-id", "order-7", "--out", out];
    const { code, stdout, stderr } = await prove("tumour@latest", ...words);
    expect(code, stderr).toBe(0);
    const [file = ""] = readdirSync(out);
    expect(file).toMatch(/^proof-1-[0-9a-f]{12}\.json$/);
    expect(stdout).toMatch(/^ROW +OUTPUT OF THE CIRCUIT\n {2}1 +benign +0\.0\d+, 0\.9\d+\n\nROW /);
    expect(stdout).toContain(join(out, file));
    expect(stderr).toContain("plinth proof verify");
    expect(stderr).toContain("warning: DEVELOPMENT SET-UP");
    const exported = await run(
      `circuits export tumour/1 --file verifying-key --out ${path("vk.json")}`,
    );
    expect(exported.code).toBe(0);
    const { verifyingKeyHash, schemaHash } = await json("circuits show tumour/1");
    const pins = ["--vk-hash", verifyingKeyHash, "--schema-hash", schemaHash];
    const valid = await verify(join(out, file), ...pins, "--context", "0a1b", "--row", ROW);
    expect(valid.code).toBe(0);
    expect(valid.stdout).toMatch(/^VALID /);
    expect(valid.stdout).toMatch(/^class: +benign \(class 1\)$/m);
    expect(valid.stdout).toMatch(/^context: +0a1b {2}\(as expected\)$/m);
    expect(valid.stdout).toMatch(/^input: +features \[30\] = 13\.1992, .*\(as expected\)$/m);
    const shown = (await run("proof list --inference-id order-7 --json")).stdout;
    const [proof] = JSON.parse(shown).proofs;
    expect(proof.name).toContain(/([0-9a-f]{12})\.json$/.exec(file)?.[1] ?? "?");
  });

  it("gives files that fail when anything in them is changed", async () => {
    const [file = ""] = readdirSync(path("proofs"));
    const text = readFileSync(join(path("proofs"), file), "utf8");
    const { publicValues } = JSON.parse(text);
    for (const [i, value] of publicValues.entries()) {
      const changed = JSON.parse(text);
      changed.publicValues[i] = String(BigInt(value) + 1n);
      writeFileSync(path("changed.json"), JSON.stringify(changed));
      const { code, stdout } = await verify(path("changed.json"));
      expect({ code, i }).toEqual({ code: 1, i });
      expect(stdout).toMatch(/^INVALID {2}.+\[(proof-invalid|undecodable)\]\n$/);
    }
  });

  it("finds, shows, fetches and removes proofs by the beginning of their id", async () => {
    const { proofs } = await json("proof list");
    const id: string = proofs[0].name.split("/").at(-1);
    const shown = await run(`proof show ${id.slice(0, 8)}`);
    expect(shown.stdout).toMatch(new RegExp(`^proof: +${id}\nclass: +benign`));
    const copy = path("copy.json");
    expect(await json(`proof download ${id.slice(0, 8)} --out ${copy}`)).toMatchObject({
      sha256: createHash("sha256").update(readFileSync(copy)).digest("hex"),
    });
    expect(await verify(copy, "--id", id)).toMatchObject({ code: 0 });
    const calldata = await run(`proof calldata ${id}`);
    const offline = await plinth(["proof", "calldata", copy, "--key", path("vk.json")]);
    expect(offline.stdout).toBe(calldata.stdout);
    expect(await run(`proof delete ${id}`)).toMatchObject({ code: 0 });
    expect(await run(`proof show ${id}`)).toMatchObject({ code: 3 });
    expect(await run("proof show 00000000")).toMatchObject({ code: 3 });
    expect(await verify(copy)).toMatchObject({ code: 0 });
  });

  it("proves rows of a file, and opens their commitments with the salts", async () => {
    writeFileSync(path("rows.csv"), "a,b\n1,2\n250,0\n");
    await json("circuits activate tiny/1/later");
    const words = ["tiny/1", "--file", path("rows.csv"), "--json", "--out", path("tiny")];
    const { code, stdout } = await prove(...words);
    expect(code).toBe(0);
    const { proofJob, proofs, files } = JSON.parse(stdout);
    expect(
      proofJob.rows.map(({ output }: { output: { values: number[] } }) => output.values),
    ).toEqual([[-3], [501]]);
    expect(proofs).toMatchObject([{ row: 0 }, { row: 1 }]);
    expect(files).toHaveLength(2);
    await json(`circuits export tiny/1 --file verifying-key --out ${path("tiny.vk.json")}`);
    const { salt } = proofJob.rows[1];
    const open = (row: string) =>
      plinth([
        "proof",
        "verify",
        files[1],
        "--key",
        path("tiny.vk.json"),
        "--row",
        row,
        "--salt",
        salt,
      ]);
    expect(await open('{"a": 250, "b": 0}')).toMatchObject({ code: 0 });
    expect(await open('{"a": 251, "b": 0}')).toMatchObject({ code: 1 });
  });

  it("leaves proofs to the server, follows and cancels jobs", async () => {
    const { code, stdout } = await prove("tiny/1", "--row", '{"a": 1, "b": 1}', "--no-wait");
    expect(code).toBe(0);
    const [job = ""] = /proofJobs\/[0-9a-f-]+/.exec(stdout) ?? [];
    const watched = await json(`proof job ${job} --watch`);
    expect(watched).toMatchObject({ state: "STATE_SUCCEEDED", rowsDone: 1 });
    const shown = await run(`proof job ${job}`);
    expect(shown.stdout).toMatch(/^rows: +1 of 1 proved$/m);
    // One that has ended stays as it is.
    expect(await json(`proof job ${job} --cancel`)).toMatchObject({ state: "STATE_SUCCEEDED" });
    expect((await run("proof jobs")).stdout).toContain(job);
  });

  it("refuses rows that do not fit, and proves nothing", async () => {
    const before = (await json("proof jobs")).proofJobs.length;
    const outside = await prove("tiny/1", "--row", '{"a": 300, "b": 0}');
    expect(outside).toMatchObject({ code: 4, stdout: "" });
    const unknown = await prove("tiny/1", "--row", '{"a": 1, "b": 0, "c": 0}');
    expect(unknown).toMatchObject({ code: 4, stdout: "" });
    expect(unknown.stderr).toContain('the model has no "c"');
    const context = await prove("tiny/1", "--row", '{"a": 1, "b": 0}', "--context", "01");
    expect(context).toMatchObject({ code: 4, stdout: "" });
    expect((await json("proof jobs")).proofJobs).toHaveLength(before);
  });

  it("goes on without the command, and says how to come back", async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `${i},0`).join("\n");
    writeFileSync(path("many.csv"), `a,b\n${rows}\n`);
    const words = ["prove", "tiny/1", "--file", path("many.csv")];
    const { child, outcome } = startPlinth(words, { address: mesh.address });
    child.stdout?.once("data", () => child.kill("SIGINT"));
    const { code, stderr } = await outcome;
    expect(code).toBe(130);
    const [, job] = /"plinth proof job (proofJobs\/[^ ]+) --cancel"/.exec(stderr) ?? [];
    const cancelled = await json(`proof job ${job} --cancel`);
    expect(["STATE_CANCELLED", "STATE_SUCCEEDED"]).toContain(cancelled.state);
  });
});

describe("circuits export", () => {
  it("writes each file whole, under its own name, with its digest", async () => {
    const out = `${path("exported")}/`;
    for (const file of ["constraints", "solidity", "solc-input", "abi", "model", "proving-key"]) {
      const told = await json(`circuits export tumour/1/exact --file ${file} --out ${out}`);
      const bytes = readFileSync(told.file);
      expect(told.sha256).toBe(createHash("sha256").update(bytes).digest("hex"));
      expect(told.sizeBytes).toBe(bytes.length);
    }
    expect(readdirSync(out).sort()).toEqual([
      "InferenceVerifier.abi.json",
      "InferenceVerifier.sol",
      "InferenceVerifier.solc.json",
      "circuit.r1cs",
      "circuit.zkey",
      "model.json",
    ]);
    const { modelCommitment } = await json("circuits show tumour/1");
    const model = readFileSync(join(out, "model.json"));
    expect(createHash("sha256").update(model).digest("hex")).toBe(modelCommitment);
    const none = await run(`circuits export tumour/1 --file transcript --out ${path("t.json")}`);
    expect(none).toMatchObject({ code: 7, stdout: "" });
    expect(existsSync(path("t.json"))).toBe(false);
  });
});

describe("a ceremony", () => {
  const circuit = "tiny/1/prod";

  it("begins with powers of tau that are what was said", async () => {
    const ptau = await smallPtau(POWER);
    const sha256 = createHash("sha256").update(readFileSync(ptau)).digest("hex");
    const wrong = await run(`circuits ptau import ${ptau} --id small --sha256 ${"0".repeat(64)}`);
    expect(wrong).toMatchObject({ code: 4, stdout: "" });
    const blake2b = createHash("blake2b512").update(readFileSync(ptau)).digest("hex");
    const { code, stdout } = await run(
      `circuits ptau import ${ptau} --id small --blake2b ${blake2b}`,
    );
    expect(code).toBe(0);
    expect(stdout).toContain("small is imported and verified: circuits with a domain of up to 2^8");
    expect((await run("circuits ptau list")).stdout).toMatch(
      new RegExp(`^ID +DOMAIN +SIZE .+\nsmall +2\\^8 .+ ${sha256.slice(0, 16)}…`),
    );
    const created = await run(
      "circuits create tiny/1 --id prod --range x=0:255:0 --setup ceremony --powers-of-tau small",
    );
    expect(created.code, created.stderr).toBe(0);
    expect(created.stdout).toMatch(/^state: +AWAITING_CONTRIBUTIONS$/m);
    expect(created.stderr).toContain("Nobody has contributed yet");
    expect(created.stderr).not.toContain("DEVELOPMENT");
  });

  it("is not closed before anybody has contributed", async () => {
    expect(await run(`circuits activate ${circuit}`)).toMatchObject({ code: 7, stdout: "" });
    expect(await run(`circuits beacon ${circuit} --hash 0102`)).toMatchObject({ code: 7 });
  });

  it("takes contributions, all at once and in steps", async () => {
    const words = ["circuits", "contribute", circuit, "--name", "Alice, Acme Ltd"];
    const alice = await plinth(words, { address: mesh.address });
    expect(alice.code, alice.stderr).toBe(0);
    expect(alice.stdout).toMatch(
      /^tiny\/1\/prod has 1 contribution now, the last by "Alice, Acme Ltd"\.\ncontribution hash: [0-9a-f]{128}\n$/,
    );
    const key = path("current.zkey");
    const { etag } = await json(`circuits export ${circuit} --file proving-key --out ${key}`);
    // The party has no server: there is none at its address.
    const bob = await plinth([
      "circuits",
      "contribute",
      "--key",
      key,
      "--out",
      path("bob.zkey"),
      "--name",
      "Bob",
      "--json",
    ]);
    expect(bob.code, bob.stderr).toBe(0);
    const { hash } = JSON.parse(bob.stdout);
    const bare = etag.replaceAll('"', "");
    const uploaded = await json(`circuits upload ${circuit} ${path("bob.zkey")} --etag ${bare}`);
    expect(uploaded.setup.contributions).toMatchObject([{}, { name: "Bob", hash }]);
    const late = await run(`circuits upload ${circuit} ${key} --etag ${bare}`);
    expect(late.code).toBe(7);
    const junk = await run(`circuits upload ${circuit} ${path("tiny.onnx")}`);
    expect(junk).toMatchObject({ code: 4, stdout: "" });
  });

  it("takes contributions of two parties at once, one upon the other", async () => {
    const contribute = (name: string) =>
      plinth(["circuits", "contribute", circuit, "--name", name, "--json"], {
        address: mesh.address,
      });
    const outcomes = await Promise.all([contribute("Carol"), contribute("Dave")]);
    const hashes = outcomes.map(({ code, stdout, stderr }) => {
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout).hash;
    });
    const { setup } = await json(`circuits show ${circuit}`);
    const taken = setup.contributions.slice(2).map(({ hash }: { hash: string }) => hash);
    expect(taken.toSorted()).toEqual(hashes.toSorted());
  });

  it("is closed by a beacon and an activation, and proves", async () => {
    const words = ["circuits", "beacon", circuit, "--hash", "0x9F2C5A01", "--label", "drand 1234"];
    const beacon = await plinth(words, { address: mesh.address });
    expect(beacon.code, beacon.stderr).toBe(0);
    expect(beacon.stdout).toMatch(
      /takes no contributions any more\.\nkey: +Groth16, ceremony of 4 /,
    );
    expect(beacon.stderr).toBe("Close the ceremony: plinth circuits activate tiny/1/prod\n");
    const activated = await run(`circuits activate ${circuit}`);
    expect(activated.stdout).toMatch(
      /is active: verifiable predictions use it\.\nkey: +Groth16, ceremony of 4 contributions, closed and verified/,
    );
    const shown = await run(`circuits show ${circuit}`);
    expect(shown.stdout).toMatch(/^drand 1234 +beacon 9f2c5a01… 2\^10 /m);
    const transcript = path("transcript.json");
    await json(`circuits export ${circuit} --file transcript --out ${transcript}`);
    expect(JSON.stringify(JSON.parse(readFileSync(transcript, "utf8")))).toContain(
      "Alice, Acme Ltd",
    );
    const { code, stderr } = await prove("tiny/1", "--row", '{"a": 3, "b": 1}');
    expect(code).toBe(0);
    expect(stderr).not.toContain("DEVELOPMENT");
  });

  it("keeps what is used, and removes what is not", async () => {
    expect(await run("circuits ptau delete small")).toMatchObject({ code: 7 });
    expect(await run(`circuits delete ${circuit}`)).toMatchObject({ code: 7 });
    expect(await run(`circuits delete ${circuit} --force`)).toMatchObject({
      code: 0,
      stdout: "tiny/1/prod is deleted.\n",
    });
    expect(await run("circuits ptau delete small")).toMatchObject({ code: 0 });
  });
});
