// Every command against the real mesh, started by `plinth up` in a process of its own. The tests
// follow one model through its life, in order.

import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { fileFolder, plinth, shareMeshProcess, useCutWire } from "./testing.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
const LOGISTIC = join(EXAMPLES, "breast-cancer", "logistic.onnx");
const FLIGHTS = join(EXAMPLES, "flights", "delay.onnx");

const folder = fileFolder();
const mesh = shareMeshProcess(join(folder, "data"));
const { run, json } = mesh;

describe("models", () => {
  it("pushes, approves and aliases a version in one go", async () => {
    const { code, stdout, stderr } = await run(
      `models push tumour ${LOGISTIC} --metric auc=0.99 --parameter C=0.1 --tag team=health ` +
        "--alias champion --approve --source-run mlflow:/runs/1 --dataset wdbc",
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "Model tumour is new and was created.\n" });
    expect(stdout).toMatch(/^version: +workspaces\/default\/models\/tumour\/versions\/1\n/);
    expect(stdout).toMatch(/^state: +READY$/m);
    expect(stdout).toMatch(/^approval: +APPROVED by anonymous/m);
    expect(stdout).toMatch(/^aliases: +champion$/m);
    expect(stdout).toMatch(/^labels: +malignant, benign$/m);
    expect(stdout).toMatch(/^input +features +FP32 +\[N, 30\]$/m);
  });

  it("lists and shows them, as a table and as JSON", async () => {
    const { stdout } = await run("models list");
    expect(stdout).toMatch(/^MODEL +LATEST +ALIASES +UPDATED/);
    expect(stdout).toMatch(/\ntumour +1 +champion=1/);
    const list = await json("models list");
    expect(list.registeredModels).toMatchObject([{ name: "workspaces/default/models/tumour" }]);
    const versions = await json("models versions tumour");
    expect(versions.modelVersions).toMatchObject([
      { version: "1", state: "STATE_READY", metrics: { auc: 0.99 }, tags: { team: "health" } },
    ]);
    expect(await json("models show tumour@champion")).toEqual(versions.modelVersions[0]);
    expect(await json("models show tumour")).toMatchObject({ latestVersion: "1" });
  });

  it("tells why a version FAILED and answers 4", async () => {
    const path = join(folder, "junk.onnx");
    writeFileSync(path, "this is no model");
    const { code, stdout, stderr } = await run(`models push junk ${path}`);
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toMatch(/error: junk\/1 FAILED validation: CORRUPT\n {2}This is not/);
  });

  it("goes on with an upload whose connection was cut, and brings the file back whole", async () => {
    const path = join(folder, "large.onnx");
    writeFileSync(path, randomBytes(6 * 1024 * 1024));
    const wire = await useCutWire(mesh.address, { afterBytes: 3 * 1024 * 1024 });
    const { code, stderr } = await run(`models push large ${path}`, { address: wire.address });
    expect(wire.cuts()).toBe(1);
    expect(stderr).toMatch(/The stream broke .*Going on from [1-9][\d.]* [KM]iB of 6\.0 MiB/);
    expect(stderr).toContain("large/1 FAILED validation: CORRUPT");
    expect(code).toBe(4);
    const back = join(folder, "back.onnx");
    expect(await run(`models download large/1 -o ${back}`)).toMatchObject({ code: 0 });
    expect(readFileSync(back).equals(readFileSync(path))).toBe(true);
  });

  it("moves and removes aliases, rejects, archives, restores and deletes", async () => {
    const header = join(folder, "header.csv");
    const columns = Array.from({ length: 30 }, (_, index) => `c ${index}`);
    writeFileSync(header, `${columns.join(",")}\n`);
    const pushed = await json(
      `models push tumour ${LOGISTIC} --approve --columns-file ${header} --labels bad,good`,
    );
    expect(pushed).toMatchObject({ columns, classLabels: ["bad", "good"], version: "2" });
    expect(await run("models alias tumour champion 2")).toMatchObject({
      stdout: "tumour aliases: champion=2\n",
    });
    expect(await run("models reject tumour@champion --comment no")).toMatchObject({
      stdout: "tumour/2 is REJECTED and may not be deployed.\n",
    });
    expect(await run("models alias tumour champion --delete")).toMatchObject({ code: 0 });
    expect(await run("models show tumour@champion")).toMatchObject({ code: 3, stdout: "" });
    expect(await run("models archive tumour/2")).toMatchObject({ code: 0 });
    expect((await json("models versions tumour")).modelVersions).toHaveLength(1);
    expect(await run("models restore tumour/2")).toMatchObject({ stdout: "tumour/2 is back.\n" });
    expect(await run("models delete tumour/2")).toMatchObject({ stdout: "tumour/2 is deleted.\n" });
    expect(await run("models delete tumour")).toMatchObject({ code: 7, stdout: "" });
    expect(await run("models delete large --force")).toMatchObject({ code: 0 });
    expect(await run("models show large")).toMatchObject({ code: 3, stdout: "" });
  });

  it("answers 3 for a file or, with --no-create, a model that is not there", async () => {
    expect(await run("models push fresh absent.onnx")).toMatchObject({ code: 3 });
    expect(await run("models show fresh")).toMatchObject({ code: 3 });
    expect(await run(`models push nope ${LOGISTIC} --no-create`)).toMatchObject({ code: 3 });
  });
});

describe("deployments and predict", () => {
  it("creates one and waits until it serves", async () => {
    const { code, stdout } = await run("deployments create tumour --model tumour/1 --wait");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^state: +READY$/m);
    expect(stdout).toMatch(/^traffic: +tumour\/1 100%$/m);
  });

  it("answers 7 for a name that is taken and for a version that may not serve", async () => {
    const taken = await run("deployments create tumour --model tumour");
    expect(taken).toMatchObject({ code: 7, stdout: "" });
    await run(`models push pending ${LOGISTIC}`);
    const pending = await run("deployments create pending --model pending");
    expect(pending).toMatchObject({ code: 7, stdout: "" });
    expect(pending.stderr).toContain("pending/versions/1");
  });

  it("changes what was named and nothing else, and rolls back", async () => {
    const before = await json("deployments show tumour");
    const changed = await json(
      "deployments update tumour --max-batch-rows 128 --max-queue-delay 2ms --description tumours",
    );
    expect(changed).toMatchObject({
      revision: "2",
      description: "tumours",
      config: {
        targets: before.config.targets,
        batching: { maxBatchRows: 128, maxQueueDelay: "0.002s" },
      },
    });
    const again = await json("deployments update tumour --instances 2");
    expect(again.config.batching).toEqual(changed.config.batching);
    const back = await json("deployments rollback tumour --revision 1 --wait");
    expect(back).toMatchObject({ revision: "4", state: "STATE_READY" });
    expect(back.config.targets).toEqual(before.config.targets);
    expect(await run("deployments update tumour")).toMatchObject({ code: 2 });
  });

  it("says what is captured, and leaves it while other things change", async () => {
    const masked = await json(
      "deployments update tumour --capture-rate 0.25 --mask-field age --mask-field income",
    );
    const capture = { sampleRate: 0.25, maskedFields: ["age", "income"] };
    expect(masked.config.capture).toEqual(capture);
    const other = await json("deployments update tumour --threads 1");
    expect(other.config.capture).toEqual(capture);
    const { stdout } = await run("deployments show tumour");
    expect(stdout).toMatch(/^capture: +25% of inferences, without age, income$/m);
    const open = await json("deployments update tumour --no-mask-field");
    expect(open.config.capture).toEqual({ sampleRate: 0.25, maskedFields: [] });
    for (const rate of ["1.5", "some", "-1"]) {
      expect(await run(`deployments update tumour --capture-rate ${rate}`)).toMatchObject({
        code: 2,
      });
    }
    const back = await json("deployments rollback tumour --revision 1 --wait");
    expect(back.config.capture, "what is masked stays so").toEqual(open.config.capture);
  });

  it("says what is proved, and leaves it while other things change", async () => {
    const { stdout: before } = await run("deployments show tumour");
    expect(before).toMatch(/^proofs: +none$/m);
    const proved = await json("deployments update tumour --verifiable --receipts");
    expect(proved.config.proofs).toEqual({ verifiable: true, receipts: true });
    const other = await json("deployments update tumour --threads 2");
    expect(other.config.proofs).toEqual(proved.config.proofs);
    const { stdout } = await run("deployments show tumour");
    expect(stdout).toMatch(/^proofs: +answers are proved .*; every inference has a receipt$/m);
    const logged = await json("deployments update tumour --no-verifiable");
    expect(logged.config.proofs).toEqual({ verifiable: false, receipts: true });
    const back = await json("deployments rollback tumour --revision 1");
    expect(back.config.proofs, "what is proved stays so").toEqual(logged.config.proofs);
    const off = await json("deployments update tumour --no-receipts --wait");
    expect(off.config.proofs).toEqual({ verifiable: false, receipts: false });
  });

  it("refuses an event time that is none before it reads the input", async () => {
    const { code, stderr } = await run("predict tumour --file - --event-time noon");
    expect(code).toBe(2);
    expect(stderr).toContain("--event-time must be a time such as 2001-01-31 or");
  });

  it("predicts with labels and scores as the training library did", async () => {
    const heldOut = JSON.parse(
      readFileSync(join(EXAMPLES, "breast-cancer", "logistic.heldout.json"), "utf8"),
    );
    const { columns } = await json("models show tumour/1");
    const data: number[] = heldOut.inputs.features.data;
    const rows = heldOut.inputs.features.shape[0] as number;
    const lines = Array.from({ length: rows }, (_, row) =>
      data.slice(row * 30, row * 30 + 30).join(","),
    );
    const csv = join(folder, "rows.csv");
    writeFileSync(
      csv,
      `${columns.map((name: string) => `"${name}"`).join(",")}\n${lines.join("\n")}\n`,
    );
    const { predictions } = await json(`predict tumour --file ${csv}`);
    expect(predictions).toHaveLength(rows);
    const expected: number[] = heldOut.outputs.probabilities.data;
    for (const [row, { scores }] of predictions.entries()) {
      expect(scores.malignant).toBeCloseTo(expected[row * 2]!, 4);
    }
  });

  it("streams a large file through a cut connection: nothing twice, nothing lost", async () => {
    await run(`models push flights ${FLIGHTS} --approve`);
    await run("deployments create flights --model flights --wait");
    const rows = Array.from(
      { length: 20_000 },
      (_, i) => `${i % 24},${(i % 7) + 1},${100 + i},DTW,SFO`,
    );
    const csv = join(folder, "flights.csv");
    writeFileSync(csv, `hour,day_of_week,distance,origin,destination\n${rows.join("\n")}\n`);
    const whole = join(folder, "whole.csv");
    expect(await run(`predict flights --file ${csv} -o ${whole}`)).toMatchObject({ code: 0 });
    const parts = join(folder, "parts.csv");
    const wire = await useCutWire(mesh.address, { afterBytes: 800_000 });
    const words = `predict flights --file ${csv} -o ${parts}`;
    const broken = await run(words, { address: wire.address });
    expect(broken.code).toBe(5);
    const skip = Number(/--skip-rows (\d+) --append$/m.exec(broken.stderr)?.[1]);
    expect(skip).toBeGreaterThan(0);
    expect(readFileSync(parts, "utf8").split("\n")).toHaveLength(skip + 2);
    const rest = await run(`${words} --skip-rows ${skip} --append`, { address: wire.address });
    expect(rest.code).toBe(0);
    expect(readFileSync(parts, "utf8")).toBe(readFileSync(whole, "utf8"));
  });

  it("deletes one and then does not know it", async () => {
    expect(await run("deployments delete flights")).toMatchObject({
      code: 0,
      stdout: "flights is deleted.\n",
    });
    const row = ["predict", "flights", "--row", '{"hour": 1}'];
    expect(await plinth(row, { address: mesh.address })).toMatchObject({ code: 3, stdout: "" });
  });
});

describe("workspaces", () => {
  it("are made, marked as production, changed and removed", async () => {
    const line = "workspaces create live --production --label team=a --display-name Live";
    const { code, stdout } = await run(line);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^workspace: +workspaces\/live\nenvironment: +PRODUCTION$/m);
    expect(await json("workspaces create trial")).toMatchObject({
      environment: "ENVIRONMENT_DEVELOPMENT",
    });
    const list = await run("workspaces list");
    expect(list.stdout).toMatch(/^WORKSPACE +ENVIRONMENT +CREATED +LABELS +DISPLAY NAME$/m);
    expect(list.stdout).toMatch(/^live +PRODUCTION .* team=a +Live$/m);
    expect(list.stdout).toMatch(/^default +DEVELOPMENT /m);
    expect(await json("workspaces update live --display-name Us")).toMatchObject({
      environment: "ENVIRONMENT_PRODUCTION",
      displayName: "Us",
      labels: { team: "a" },
    });
    expect(await json("workspaces update live --no-production --no-label")).toMatchObject({
      environment: "ENVIRONMENT_DEVELOPMENT",
      displayName: "Us",
      labels: {},
    });
    expect(await run("workspaces update live")).toMatchObject({ code: 2, stdout: "" });
    expect(await run("workspaces create Live")).toMatchObject({ code: 4, stdout: "" });
    expect(await run("workspaces create live")).toMatchObject({ code: 7, stdout: "" });
    for (const id of ["live", "trial"]) {
      expect(await run(`workspaces delete ${id}`)).toMatchObject({ stdout: `${id} is deleted.\n` });
    }
    expect(await run("workspaces delete live")).toMatchObject({ code: 3, stdout: "" });
  });
});

describe("status and keys", () => {
  it("shows health, version and deployments", async () => {
    const { code, stdout } = await run("status");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^server: +plinth 0\.1\.0$/m);
    expect(stdout).toMatch(/^plinth\.registry\.v1\.ModelService +SERVING$/m);
    expect(stdout).toMatch(/^tumour +READY +tumour\/1 100%$/m);
    expect(await json("status")).toMatchObject({ reachable: true, serving: true });
  });

  it("makes the first key of a store without a server", async () => {
    const dataDir = join(folder, "fresh");
    mkdirSync(dataDir);
    const line = `keys create --role admin --all-workspaces --data-dir ${dataDir}`;
    const { code, stdout } = await run(line, { address: "127.0.0.1:1" });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^plk_[0-9a-z]{16}_[0-9A-Za-z]{49}\n$/);
    copyFileSync(join(dataDir, "plinth.db"), join(folder, "copy.db"));
    expect(readFileSync(join(folder, "copy.db")).includes(stdout.trim())).toBe(false);
  });

  it("makes keys, refuses calls without one from then on, and revokes", async () => {
    const admin = (await run("keys create --role admin --all-workspaces --quiet")).stdout.trim();
    const as = (key: string) => ({ env: { PLINTH_API_KEY: key } });
    const open = await run("models list");
    expect(open).toMatchObject({ code: 6, stdout: "" });
    expect(open.stderr).toContain("Give a key with --api-key or PLINTH_API_KEY.");
    const made = await json("keys create --role viewer --display-name bi --expires 30d", as(admin));
    expect(made.apiKey).toMatchObject({ displayName: "bi", roles: ["ROLE_VIEWER"] });
    expect(await run("models list", as(made.secret))).toMatchObject({ code: 0 });
    expect(await run("models delete tumour/1", as(made.secret))).toMatchObject({ code: 6 });
    expect(await run("models list --workspace other", as(made.secret))).toMatchObject({ code: 6 });
    const { stdout } = await run("keys list", as(admin));
    const id = made.apiKey.name.split("/").at(-1);
    expect(stdout).toMatch(new RegExp(`^${id} +viewer .* bi$`, "m"));
    expect(stdout).not.toContain("plk_");
    expect(await run(`keys revoke ${id}`, as(admin))).toMatchObject({
      stdout: `Key ${id} is revoked.\n`,
    });
    expect(await run("models list", as(made.secret))).toMatchObject({ code: 6, stdout: "" });
  });
});
