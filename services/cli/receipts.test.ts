// `plinth receipts`: against a real log, and offline with what was kept of it.

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sha256 } from "../common/receipts/sha256.ts";
import { type RawTensor, tensorBytes } from "../common/receipts/tensor-bytes.ts";
import { useFolder } from "../common/testing/use-folder.ts";
import { MODEL_FILE } from "../proofs/receipts/testing/inferences.ts";
import { batchOf, send, useReceipts } from "../proofs/receipts/testing/use-receipts.ts";
import { fileFolder, plinth } from "./testing.ts";

const folder = fileFolder();
const path = (name: string): string => join(folder, name);

const INPUT: RawTensor = {
  name: "x",
  datatype: "FP32",
  shape: [1, 2],
  data: new Uint8Array(Float32Array.of(0.1, -2).buffer),
};
const OUTPUT: RawTensor = {
  name: "label",
  datatype: "INT64",
  shape: [1],
  data: new Uint8Array(BigInt64Array.of(-9_007_199_254_740_993n).buffer),
};

writeFileSync(path("model.onnx"), MODEL_FILE);
writeFileSync(
  path("request.json"),
  '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[0.1, -2]]}]}',
);
writeFileSync(
  path("response.json"),
  '{"outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [-9007199254740993]}]}',
);

/** A log with three receipts; the first is of the tensors above. */
async function useLog() {
  const home = useFolder();
  const { address, client } = await useReceipts({ folder: home });
  const run = (...words: readonly string[]) =>
    plinth(["receipts", ...words, "--workspace", "acme"], { address });
  const digest = (tensor: RawTensor): Uint8Array =>
    sha256(Buffer.concat([...tensorBytes([tensor])]));
  const first = batchOf(1, {
    count: 1,
    inputDigests: digest(INPUT),
    outputDigests: digest(OUTPUT),
    contexts: [Uint8Array.of(10, 27)],
  });
  await send(client, [first, batchOf(2, { count: 2 })]);
  expect(await run("head", "--keys", path("keys.txt"), "--out", path("old.cp"))).toMatchObject({
    code: 0,
  });
  expect(await run("get", "s-1-0", "--out", path("r.tlog-proof"))).toMatchObject({ code: 0 });
  return { client, run, address, home };
}

function verify(file: string, ...words: readonly string[]) {
  return plinth(["receipts", "verify", file, "--key", path("keys.txt"), ...words]);
}

/** The evidence with one line changed. */
function changed(name: string, line: number, change: (text: string) => string): string {
  const lines = readFileSync(path("r.tlog-proof"), "utf8").split("\n");
  lines[line] = change(lines[line] ?? "");
  writeFileSync(path(name), lines.join("\n"));
  return path(name);
}

/** Another character of Base64 in the middle. */
function otherCharacter(text: string): string {
  const at = Math.floor(text.length / 2);
  return `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
}

describe("receipts", () => {
  it("lists and shows what the log has", async () => {
    const { run } = await useLog();
    const list = await run("list");
    expect(list.stdout.split("\n").map((line) => line.replace(/ [0-9a-f]{16}…$/, ""))).toEqual([
      "INDEX  INFERENCE  DEPLOYMENT  VERSION  ROWS  TIME                  OUTPUTS",
      "    2  s-2-1      churn       churn/3     2  2025-11-20 12:00:00Z ",
      "    1  s-2-0      churn       churn/3     1  2025-11-20 12:00:00Z ",
      "    0  s-1-0      churn       churn/3     1  2025-11-20 12:00:00Z ",
      "",
    ]);
    const json = await run("get", "s-2-1", "--json");
    expect(JSON.parse(json.stdout).receipts).toMatchObject([{ index: "2", rows: 2 }]);
    const none = await run("get", "nothing");
    expect(none).toMatchObject({ code: 3, stdout: "" });
    expect(none.stderr).toContain('no receipt of inference "nothing"');
  });

  it("verifies a receipt without the server, against all that is known of it", async () => {
    await useLog();
    const words = ["--inference-id", "s-1-0", "--deployment", "churn", "--context", "0a1b"];
    const more = ["--model-version", "churn/3", "--model", path("model.onnx")];
    const tensors = ["--request", path("request.json"), "--response", path("response.json")];
    const { code, stdout } = await verify(path("r.tlog-proof"), ...words, ...more, ...tensors);
    expect(code).toBe(0);
    const hash = "[0-9a-f]{64}";
    const lines = [
      "VALID  the log has stated this inference, for good",
      "",
      "inference: +s-1-0  \\(as expected\\)",
      "deployment: +workspaces/acme/deployments/churn  \\(as expected\\)",
      "model version: workspaces/acme/models/churn/versions/3  \\(as expected\\)",
      `model file: +${hash}  \\(is .+model.onnx\\)`,
      "time: +2025-11-20T12:00:00.001000Z",
      "rows: +1",
      "context: +0a1b  \\(as expected\\)",
      `inputs: +${hash}  \\(those of .+request.json\\)`,
      `outputs: +${hash}  \\(those of .+response.json\\)`,
      "signing key: +[0-9a-f]{32}",
      "",
      "log: +plinth.local/workspaces/acme",
      "head: +3 receipts, root .{44}",
      "signed: +20.+Z",
    ];
    expect(stdout).toMatch(new RegExp(`^${lines.join("\n")}\n$`));
    const json = await verify(path("r.tlog-proof"), "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({
      valid: true,
      inferenceId: "s-1-0",
      context: "0a1b",
      log: { origin: "plinth.local/workspaces/acme", size: 3 },
    });
  });

  it("refuses a receipt, a place, a path and a head that were changed", async () => {
    await useLog();
    const cases = [
      [changed("receipt", 1, otherCharacter), /NOT_INCLUDED|MALFORMED_RECEIPT/],
      [changed("place", 2, () => "index 1"), /NOT_INCLUDED/],
      [changed("path", 3, otherCharacter), /NOT_INCLUDED/],
      [changed("size", 7, () => "4"), /BAD_SIGNATURE/],
      [changed("root", 8, otherCharacter), /BAD_SIGNATURE/],
      [changed("no-proof", 0, () => "hello"), /MALFORMED_RECEIPT/],
    ] as const;
    for (const [file, reason] of cases) {
      const { code, stdout, stderr } = await verify(file);
      expect({ code, stderr }, file).toEqual({ code: 1, stderr: "" });
      expect(stdout, file).toMatch(/^INVALID {2}/);
      expect(stdout, file).toMatch(reason);
    }
    const json = await verify(
      changed("place", 2, () => "index 1"),
      "--json",
    );
    expect(JSON.parse(json.stdout)).toMatchObject({ valid: false, reason: "NOT_INCLUDED" });
  });

  it.each([
    [["--inference-id", "s-1-1"], "OTHER_INFERENCE"],
    [["--deployment", "other"], "OTHER_INFERENCE"],
    [["--model-version", "churn/4"], "OTHER_INFERENCE"],
    [["--context", "0a1c"], "OTHER_INFERENCE"],
    [["--model", path("request.json")], "OTHER_MODEL"],
  ])("refuses a valid receipt that is not of %j", async (words, reason) => {
    await useLog();
    const { code, stdout } = await verify(path("r.tlog-proof"), ...words);
    expect(code).toBe(1);
    expect(stdout).toContain(`[${reason}]`);
  });

  it("refuses other tensors, and says where a file holds none", async () => {
    await useLog();
    const other = path("other.json");
    writeFileSync(other, readFileSync(path("request.json"), "utf8").replace("-2", "-2.5"));
    const changedInput = await verify(path("r.tlog-proof"), "--request", other);
    expect(changedInput).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("[OTHER_INPUTS]"),
    });
    const wrong = [
      ['{"inputs": {}}', 'it has no list "inputs"'],
      ['{"inputs": [{"name": "x"}]}', "inputs[0] needs name, datatype, shape and data"],
      [
        '{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [300]}]}',
        "inputs[0].data[0] is 300, no INT8",
      ],
      [
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1]}]}',
        "inputs[0] has 1 elements; its shape is of 2",
      ],
      ["{", "it is not JSON"],
    ] as const;
    for (const [text, says] of wrong) {
      writeFileSync(other, text);
      const { code, stderr } = await verify(path("r.tlog-proof"), "--request", other);
      expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringContaining(says) });
    }
  });

  it("believes the keys that it is given, and no others", async () => {
    const { address } = await useReceipts();
    const words = ["receipts", "head", "--workspace", "acme", "--keys", path("other-keys.txt")];
    expect(await plinth(words, { address })).toMatchObject({ code: 0 });
    await useLog();
    const file = path("r.tlog-proof");
    const other = await plinth(["receipts", "verify", file, "--key", path("other-keys.txt")]);
    expect(other).toMatchObject({ code: 1, stdout: expect.stringContaining("[UNKNOWN_KEY]") });
    const [, key = ""] = readFileSync(path("keys.txt"), "utf8").split("\n");
    expect(await plinth(["receipts", "verify", file, "--key", key])).toMatchObject({ code: 0 });
    const elsewhere = key.replace("plinth.local", "elsewhere.local");
    const none = await plinth(["receipts", "verify", file, "--key", elsewhere]);
    expect(none).toMatchObject({ code: 3 });
    writeFileSync(path("no-keys.txt"), `${elsewhere}\n`);
    const bad = await plinth(["receipts", "verify", file, "--key", path("no-keys.txt")]);
    expect(bad).toMatchObject({ code: 4, stderr: expect.stringContaining("is no key of a log") });
  });

  it("shows that the log only grew, and that another did not", async () => {
    const { client, run } = await useLog();
    const words = ["consistency", "--old", path("old.cp"), "--key", path("keys.txt")];
    const same = await run(...words);
    expect(same).toMatchObject({
      code: 0,
      stdout: "CONSISTENT  plinth.local/workspaces/acme still has the same 3 receipts\n",
    });
    await send(client, [batchOf(3)]);
    const grown = await run(...words, "--out", path("new.cp"));
    expect(grown.stdout).toBe(
      "CONSISTENT  plinth.local/workspaces/acme only grew, from 3 to 6 receipts\n",
    );
    const json = await run(...words.with(2, path("new.cp")), "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ consistent: true, oldSize: 6, size: 6 });
    writeFileSync(
      path("forged.cp"),
      readFileSync(path("new.cp"), "utf8").replace("\n6\n", "\n5\n"),
    );
    expect(await run(...words.with(2, path("forged.cp")))).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^NOT CONSISTENT {2}.+\[BAD_SIGNATURE\]\n$/),
    });
  });

  it("convicts a log of the same keys that lost receipts, or states others", async () => {
    const { home } = await useLog();
    const folder = useFolder();
    cpSync(join(home, "receipt-keys"), join(folder, "receipt-keys"), { recursive: true });
    const { address, client } = await useReceipts({ folder });
    const words = ["receipts", "consistency", "--workspace", "acme"];
    const check = () =>
      plinth([...words, "--old", path("old.cp"), "--key", path("keys.txt")], { address });
    await send(client, [batchOf(1, { count: 1 })]);
    expect(await check()).toMatchObject({
      code: 1,
      stdout:
        "NOT CONSISTENT  The log has 1 receipt now; the older head has 3: receipts are gone. " +
        "Keep that head, it convicts the log. [INCONSISTENT]\n",
    });
    await send(client, [batchOf(2, { count: 4 })]);
    expect(await check()).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("[INCONSISTENT]"),
    });
  });
});
