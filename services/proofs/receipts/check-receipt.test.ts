import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../common/receipts/sha256.ts";
import { tensorBytes } from "../../common/receipts/tensor-bytes.ts";
import {
  checkCheckpoint,
  checkConsistency,
  checkReceipt,
  checkSignedReceipt,
  type Expectations,
  type LogTrust,
  parseVerifierKey,
} from "./check-receipt.ts";
import { noteKeyHash, parseCheckpoint, signedNote, verifierKey } from "./checkpoint.ts";
import { consistencyProof, inclusionProof, rootOfLeaves } from "./merkle-tree.ts";
import { serverTree } from "./node-hash.ts";
import { MalformedProof, parseProofText, proofText, type ReceiptEvidence } from "./proof-text.ts";
import type { SigningKeys } from "./signing-key.ts";
import { MODEL_FILE, receiptOf, receiptsOf } from "./testing/inferences.ts";
import { trustIn, useFolder, useKeys } from "./testing/use-log.ts";

const TIME_US = 1_763_641_234_567_890;

/** A log in memory: its head, and the evidence for each receipt. */
function logOf(keys: SigningKeys, receipts: readonly Uint8Array[], trust = trustIn(keys)) {
  const leaves = receipts.map((receipt) => serverTree.leaf(receipt));
  const root = rootOfLeaves(leaves, serverTree);
  const head = { origin: trust.origin, size: leaves.length, root, timeUs: TIME_US };
  const checkpoint = keys.current.signTreeHead(head);
  return {
    leaves,
    checkpoint,
    evidence: (index: number): ReceiptEvidence => ({
      receipt: receipts[index]!,
      index,
      path: inclusionProof(leaves, index, serverTree),
      checkpoint,
    }),
  };
}

const reasonOf = (evidence: ReceiptEvidence, trust: LogTrust, expected?: Expectations) => {
  const verdict = checkReceipt(evidence, trust, expected);
  return verdict.valid ? "VALID" : verdict.reason;
};

describe("check-receipt", () => {
  it("accepts every receipt of a log, of one receipt too", async () => {
    const keys = await useKeys();
    for (const size of [1, 2, 7]) {
      const log = logOf(keys, receiptsOf(keys, 0, size));
      for (let index = 0; index < size; index++) {
        const verdict = checkReceipt(log.evidence(index), trustIn(keys));
        expect(verdict).toMatchObject({
          valid: true,
          receipt: { inferenceId: `inference-${index}` },
        });
      }
    }
  });

  it("refuses whatever byte of the receipt, the proof or the checkpoint is changed", async () => {
    const keys = await useKeys();
    const good = logOf(keys, receiptsOf(keys, 0, 7)).evidence(3);
    const trust = trustIn(keys);
    for (let at = 0; at < good.receipt.length; at++) {
      for (const flip of [1, 0x80]) {
        const receipt = Uint8Array.from(good.receipt);
        receipt[at]! ^= flip;
        expect(reasonOf({ ...good, receipt }, trust), `receipt ${at}`).not.toBe("VALID");
      }
    }
    for (const [i, hash] of good.path.entries()) {
      for (let at = 0; at < hash.length; at++) {
        const changed = Uint8Array.from(hash);
        changed[at]! ^= 1;
        const path = good.path.with(i, changed);
        expect(reasonOf({ ...good, path }, trust)).toBe("NOT_INCLUDED");
      }
    }
    const text = Buffer.from(good.checkpoint);
    for (let at = 0; at < text.length; at++) {
      for (const flip of [1, 0x20, 0x80]) {
        const changed = Buffer.from(text);
        changed[at]! ^= flip;
        const checkpoint = changed.toString("utf8");
        expect(reasonOf({ ...good, checkpoint }, trust), `checkpoint ${at}`).not.toBe("VALID");
      }
    }
    for (let length = 0; length < good.checkpoint.length; length++) {
      const checkpoint = good.checkpoint.slice(0, length);
      expect(reasonOf({ ...good, checkpoint }, trust)).not.toBe("VALID");
    }
  });

  it("refuses whatever byte of a proof's text is changed", async () => {
    const keys = await useKeys();
    const evidence = logOf(keys, receiptsOf(keys, 0, 5)).evidence(2);
    const text = Buffer.from(proofText(evidence));
    expect(parseProofText(text.toString())).toEqual({
      ...evidence,
      receipt: Uint8Array.from(evidence.receipt),
      path: evidence.path.map((hash) => Uint8Array.from(hash)),
    });
    for (let at = 0; at < text.length; at++) {
      const changed = Buffer.from(text);
      changed[at]! ^= 1;
      try {
        const reason = reasonOf(parseProofText(changed.toString("utf8")), trustIn(keys));
        expect(reason, `byte ${at}`).not.toBe("VALID");
      } catch (error) {
        if (!(error instanceof MalformedProof)) throw error;
      }
    }
    expect(() => parseProofText("")).toThrow(MalformedProof);
    const deep = { ...evidence, path: Array.from({ length: 54 }, () => evidence.path[0]!) };
    expect(() => parseProofText(proofText(deep))).toThrow(MalformedProof);
  });

  it("refuses another place, a swapped receipt, and a path that is cut or longer", async () => {
    const keys = await useKeys();
    const receipts = receiptsOf(keys, 0, 6);
    const log = logOf(keys, receipts);
    const good = log.evidence(2);
    const trust = trustIn(keys);
    for (const bad of [
      { ...good, index: 3 },
      { ...good, index: 6 },
      { ...good, index: -1 },
      { ...good, receipt: receipts[3]! },
      { ...good, path: [] },
      { ...good, path: good.path.slice(1) },
      { ...good, path: good.path.slice(0, -1) },
      { ...good, path: [...good.path, good.path[0]!] },
      { ...good, path: good.path.toReversed() },
      { ...good, path: good.path.with(0, good.path[0]!.subarray(1)) },
    ]) {
      expect(reasonOf(bad, trust)).toBe("NOT_INCLUDED");
    }
    const swapped = logOf(keys, [receipts[0]!, receipts[1]!, receipts[3]!, receipts[2]!]);
    expect(reasonOf({ ...good, checkpoint: swapped.checkpoint }, trust)).toBe("NOT_INCLUDED");
    const empty = keys.current.signTreeHead({
      origin: trust.origin,
      size: 0,
      root: serverTree.emptyRoot,
      timeUs: 0,
    });
    expect(checkCheckpoint(empty, trust).valid).toBe(true);
    expect(reasonOf({ ...good, index: 0, path: [], checkpoint: empty }, trust)).toBe(
      "NOT_INCLUDED",
    );
  });

  it("refuses a node of the tree that is passed off as a receipt", async () => {
    const keys = await useKeys();
    const log = logOf(keys, receiptsOf(keys, 0, 4));
    const node = Buffer.concat([log.leaves[0]!, log.leaves[1]!]);
    const path = [serverTree.node(log.leaves[2]!, log.leaves[3]!)];
    const { checkpoint } = log;
    const forged = { receipt: node, index: 0, path, checkpoint };
    expect(reasonOf(forged, trustIn(keys))).toBe("MALFORMED_RECEIPT");
  });

  it("refuses keys, logs and workspaces that are not trusted", async () => {
    const keys = await useKeys();
    const others = await useKeys();
    const good = logOf(keys, receiptsOf(keys, 0, 3)).evidence(1);
    const trust = trustIn(keys);
    expect(reasonOf(good, trustIn(others))).toBe("UNKNOWN_KEY");
    expect(reasonOf(good, { ...trust, publicKeys: [] })).toBe("UNKNOWN_KEY");
    // The receipt names a trusted key, but a stranger signed the head, in its own or in our name.
    const receipts = receiptsOf(keys, 0, 3);
    expect(reasonOf(logOf(others, receipts, trust).evidence(1), trust)).toBe("NOT_SIGNED");
    const { body } = parseCheckpoint(good.checkpoint);
    const keyHash = noteKeyHash(trust.origin, keys.current.publicKey, sha256);
    const line = { name: trust.origin, keyHash, signature: others.current.sign(body) };
    const forged = signedNote(Buffer.from(body).toString(), [line]);
    expect(reasonOf({ ...good, checkpoint: forged }, trust)).toBe("BAD_SIGNATURE");
    const elsewhere = { ...trust, origin: "plinth.example.com/workspaces/other" };
    expect(reasonOf(good, elsewhere)).toBe("OTHER_WORKSPACE");
    const mirror = { ...trust, origin: "mirror.example.com/workspaces/acme" };
    expect(reasonOf(good, mirror)).toBe("OTHER_LOG");
    // The same key signs the logs of all workspaces: one may not vouch for another's receipts.
    const planted = logOf(keys, receipts, elsewhere).evidence(1);
    expect(reasonOf(planted, elsewhere)).toBe("OTHER_WORKSPACE");
  });

  it("refuses a head with lines of which it does not know what they mean", async () => {
    const keys = await useKeys();
    const good = logOf(keys, receiptsOf(keys, 0, 3)).evidence(1);
    const { body, signatures } = parseCheckpoint(good.checkpoint);
    const text = `${Buffer.from(body).toString()}revoked\n`;
    const signature = keys.current.sign(Buffer.from(text));
    const checkpoint = signedNote(text, [{ ...signatures[0]!, signature }]);
    expect(reasonOf({ ...good, checkpoint }, trustIn(keys))).toBe("MALFORMED_CHECKPOINT");
  });

  it("ignores witnesses that it does not know, and no signature that breaks the rules", async () => {
    const keys = await useKeys();
    const good = logOf(keys, receiptsOf(keys, 0, 3)).evidence(1);
    const witness = "— witness.example AAAAAQID\n";
    const trust = trustIn(keys);
    expect(reasonOf({ ...good, checkpoint: good.checkpoint + witness }, trust)).toBe("VALID");
    for (const bad of [
      "— witness.example AAAAAR==\n",
      "witness AAAAAQID\n",
      "\n",
      "— a b AAAAAQID\n",
    ]) {
      const checkpoint = good.checkpoint + bad;
      expect(reasonOf({ ...good, checkpoint }, trust)).toBe("MALFORMED_CHECKPOINT");
    }
  });

  it("compares with what is expected", async () => {
    const keys = await useKeys();
    const data = Buffer.from("0000803f000000c0", "hex");
    const inputs = [{ name: "x", datatype: "FP32", shape: [1, 2], data }];
    const outputs = [{ name: "y", datatype: "FP32", shape: [1], data: data.subarray(4) }];
    const receipt = receiptOf(keys, 0, {
      context: Buffer.from("nonce"),
      inputDigest: sha256(Buffer.concat([...tensorBytes(inputs)])),
      outputDigest: sha256(Buffer.concat([...tensorBytes(outputs)])),
    });
    const evidence = logOf(keys, [receipt]).evidence(0);
    const expected: Expectations = {
      deployment: "workspaces/acme/deployments/churn",
      modelVersion: "workspaces/acme/models/churn/versions/3",
      inferenceId: "inference-0",
      context: Buffer.from("nonce"),
      modelFile: MODEL_FILE,
      inputs,
      outputs,
    };
    const trust = trustIn(keys);
    expect(reasonOf(evidence, trust, expected)).toBe("VALID");
    for (const [change, reason] of [
      [{ deployment: "workspaces/acme/deployments/other" }, "OTHER_INFERENCE"],
      [{ modelVersion: "workspaces/acme/models/churn/versions/4" }, "OTHER_INFERENCE"],
      [{ inferenceId: "inference-1" }, "OTHER_INFERENCE"],
      [{ context: Buffer.from("nonc") }, "OTHER_INFERENCE"],
      [{ modelFile: Buffer.from("another") }, "OTHER_MODEL"],
      [{ inputs: outputs }, "OTHER_INPUTS"],
      [{ outputs: [] }, "OTHER_OUTPUTS"],
    ] as const) {
      expect(reasonOf(evidence, trust, { ...expected, ...change })).toBe(reason);
    }
  });

  it("checks a receipt that was signed by itself", async () => {
    const keys = await useKeys();
    const receipt = receiptOf(keys, 0);
    const signature = keys.current.sign(receipt);
    const trust = trustIn(keys);
    expect(checkSignedReceipt({ receipt, signature }, trust).valid).toBe(true);
    for (let at = 0; at < signature.length; at++) {
      const changed = Uint8Array.from(signature);
      changed[at]! ^= 1;
      expect(checkSignedReceipt({ receipt, signature: changed }, trust).valid).toBe(false);
    }
    const other = receiptOf(keys, 1);
    expect(checkSignedReceipt({ receipt: other, signature }, trust)).toMatchObject({
      reason: "BAD_SIGNATURE",
    });
    const short = signature.subarray(0, 63);
    expect(checkSignedReceipt({ receipt, signature: short }, trust).valid).toBe(false);
  });

  it("convicts a log that forks", async () => {
    const keys = await useKeys();
    const trust = trustIn(keys);
    const receipts = receiptsOf(keys, 0, 20);
    const honest = logOf(keys, receipts);
    const before = logOf(keys, receipts.slice(0, 12));
    const forked = logOf(keys, receipts.with(4, receiptOf(keys, 99)));
    const path = consistencyProof(honest.leaves, 12, serverTree);
    const older = before.checkpoint;
    const grown = { older, newer: honest.checkpoint, path };
    expect(checkConsistency(grown, trust)).toMatchObject({ valid: true, checkpoint: { size: 20 } });
    const theirs = consistencyProof(forked.leaves, 12, serverTree);
    for (const bad of [
      { ...grown, newer: forked.checkpoint },
      { ...grown, newer: forked.checkpoint, path: theirs },
      { ...grown, path: theirs },
      { ...grown, path: path.slice(1) },
      { ...grown, path: [] },
      { ...grown, path: [...path, path[0]!] },
      { older: honest.checkpoint, newer: older, path },
      { older: honest.checkpoint, newer: forked.checkpoint, path: [] },
    ]) {
      expect(checkConsistency(bad, trust)).toMatchObject({ valid: false, reason: "INCONSISTENT" });
    }
    const others = await useKeys();
    expect(checkConsistency(grown, trustIn(others))).toMatchObject({ reason: "NOT_SIGNED" });
  });

  it("reads a verifier key, and no other text as one", async () => {
    const { current } = await useKeys();
    const text = verifierKey("log.example/workspaces/a", current.publicKey, sha256);
    expect(parseVerifierKey(text)).toEqual({
      origin: "log.example/workspaces/a",
      publicKey: current.publicKey,
    });
    for (let at = 0; at < text.length; at++) {
      const character = text[at] === "A" ? "B" : "A";
      const changed = text.slice(0, at) + character + text.slice(at + 1);
      expect(parseVerifierKey(changed)).toBeUndefined();
    }
    // The example of the specification's Go package, golang.org/x/mod/sumdb/note.
    const known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    expect(parseVerifierKey(known)?.origin).toBe("PeterNeumann");
  });
});

describe("check-receipt outside of Plinth", () => {
  it("imports nothing of node, so that it runs in a browser", () => {
    const seen = new Set<string>();
    const visit = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      const source = readFileSync(path, "utf8");
      expect(source.replace(/^\s*(\/\/|\*).*$/gm, "")).not.toMatch(/\b(Buffer|process)\b/);
      for (const [, target = ""] of source.matchAll(/from "([^"]+)"/g)) {
        if (target.startsWith(".")) visit(join(dirname(path), target));
        else expect(target).toMatch(/^@noble\/(curves|hashes)\//);
      }
    };
    const here = dirname(fileURLToPath(import.meta.url));
    visit(join(here, "check-receipt.ts"));
    visit(join(here, "proof-text.ts"));
    expect([...seen].map((path) => relative(here, path))).toContain("merkle-tree.ts");
  });

  const python = spawnSync("python3", ["--version"]).status === 0;
  const script = fileURLToPath(new URL("testing/check_receipt.py", import.meta.url));

  it.skipIf(!python && process.env.CI === undefined)(
    "agrees with an auditor's script in Python (skipped where there is no python3)",
    async () => {
      const keys = await useKeys();
      const log = logOf(keys, receiptsOf(keys, 0, 11));
      const key = verifierKey(trustIn(keys).origin, keys.current.publicKey, sha256);
      const path = join(await useFolder(), "receipt.tlog-proof");
      const good = proofText(log.evidence(9));
      writeFileSync(path, good);
      const fields = JSON.parse(execFileSync("python3", [script, path, key], { encoding: "utf8" }));
      expect(fields).toMatchObject({
        keyId: keys.current.keyId,
        inferenceId: "inference-9",
        modelVersion: "workspaces/acme/models/churn/versions/3",
        modelDigest: Buffer.from(sha256(MODEL_FILE)).toString("hex"),
        rows: "00000001",
      });
      const signature = good.lastIndexOf(" ") + 20;
      for (const bad of [
        good.replace("index 9", "index 8"),
        proofText({ ...log.evidence(9), receipt: receiptOf(keys, 8) }),
        good.slice(0, signature) +
          (good[signature] === "A" ? "B" : "A") +
          good.slice(signature + 1),
      ]) {
        writeFileSync(path, bad);
        const { status, stderr } = spawnSync("python3", [script, path, key], { encoding: "utf8" });
        expect(status, bad).toBe(1);
        expect(stderr).toMatch(/^invalid: /);
      }
    },
  );
});
