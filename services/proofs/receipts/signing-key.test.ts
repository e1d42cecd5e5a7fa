import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DataLoss, FailedPrecondition } from "../../common/errors/domain-error.ts";
import { checkCheckpoint, keyIdOf as keyIdInBrowser } from "./check-receipt.ts";
import { parseCheckpoint } from "./checkpoint.ts";
import { serverTree } from "./node-hash.ts";
import { keyIdOf, SigningKeys } from "./signing-key.ts";
import { trustIn, useFolder } from "./testing/use-log.ts";

const HEAD = {
  origin: "plinth.example.com/workspaces/acme",
  size: 0,
  root: serverTree.emptyRoot,
  timeUs: 1,
};

describe("signing-key", () => {
  it("makes a key once, which only its owner may read, and finds it again", async () => {
    const folder = join(await useFolder(), "keys");
    const keys = await SigningKeys.open(folder);
    expect(keys.current.keyId).toBe(keyIdOf(keys.current.publicKey));
    expect(keyIdInBrowser(keys.current.publicKey)).toBe(keys.current.keyId);
    const again = await SigningKeys.open(folder);
    expect(again.publicKeys).toEqual(keys.publicKeys);
    expect(again.current.sign(Buffer.from("x"))).toEqual(keys.current.sign(Buffer.from("x")));
    const { mode } = await stat(join(folder, `${keys.current.keyId}.pem`));
    if (process.platform !== "win32") expect(mode & 0o777).toBe(0o600);
  });

  it("makes one key where several processes open a new folder at once", async () => {
    const folder = join(await useFolder(), "keys");
    const opened = await Promise.all([1, 2, 3, 4].map(() => SigningKeys.open(folder)));
    expect(new Set(opened.map(({ current }) => current.keyId)).size).toBe(1);
    expect((await readdir(folder)).filter((name) => name.endsWith(".pem"))).toHaveLength(1);
  });

  it("rotates: the former key signs no more, what it signed stays good", async () => {
    const folder = join(await useFolder(), "keys");
    const keys = await SigningKeys.open(folder);
    const other = await SigningKeys.open(folder);
    const former = keys.current.keyId;
    const before = keys.current.signTreeHead(HEAD);
    const next = await keys.rotate();
    expect(next.keyId).not.toBe(former);
    expect(keys.publicKeys.map(({ keyId }) => keyId).sort()).toEqual([former, next.keyId].sort());
    await expect(stat(join(folder, `${former}.pem`))).rejects.toThrow(/ENOENT/);
    for (const text of [before, next.signTreeHead(HEAD)]) {
      expect(checkCheckpoint(text, trustIn(keys)).valid).toBe(true);
      expect(await keys.hasSigned(parseCheckpoint(text))).toBe(true);
    }
    // One that runs learns of the key when it meets it.
    expect(await other.hasSigned(parseCheckpoint(next.signTreeHead(HEAD)))).toBe(true);
    expect(other.current.keyId).toBe(next.keyId);
    const stranger = await SigningKeys.open(join(await useFolder(), "keys"));
    expect(await keys.hasSigned(parseCheckpoint(stranger.current.signTreeHead(HEAD)))).toBe(false);
  });

  it("refuses a private key that others may read, and files that do not belong together", async () => {
    const folder = join(await useFolder(), "keys");
    const keys = await SigningKeys.open(folder);
    const { keyId } = keys.current;
    const pem = join(folder, `${keyId}.pem`);
    if (process.platform !== "win32") {
      await chmod(pem, 0o640);
      await expect(SigningKeys.open(folder)).rejects.toBeInstanceOf(FailedPrecondition);
      await chmod(pem, 0o600);
    }
    const strangeFolder = join(await useFolder(), "keys");
    const stranger = await SigningKeys.open(strangeFolder);
    const good = await readFile(pem);
    const strange = JSON.stringify({
      publicKey: Buffer.from(stranger.current.publicKey).toString("base64"),
      createTime: new Date(),
    });
    const theirs = join(strangeFolder, `${stranger.current.keyId}.pem`);
    const record = join(folder, `${keyId}.json`);
    const goodRecord = await readFile(record);
    for (const [path, bytes, kept] of [
      [pem, "not a key", good],
      [pem, "", good],
      [pem, await readFile(theirs, "utf8"), good],
      [record, strange, goodRecord],
      [record, "{", goodRecord],
      [record, "{}", goodRecord],
      [join(folder, "current"), "0".repeat(32), Buffer.from(keyId)],
    ] as const) {
      await writeFile(path, bytes);
      await expect(SigningKeys.open(folder)).rejects.toBeInstanceOf(DataLoss);
      await writeFile(path, kept);
    }
    expect((await SigningKeys.open(folder)).current.keyId).toBe(keyId);
  });

  it("writes no line that could be read as another", async () => {
    const { current } = await SigningKeys.open(join(await useFolder(), "keys"));
    for (const origin of ["", "a b", "a+b", "a\n9\nb", "a\u00a0b", "a\u2028b"]) {
      expect(() => current.signTreeHead({ ...HEAD, origin })).toThrow(/origin/);
    }
    expect(() => current.signTreeHead({ ...HEAD, size: -1 })).toThrow(/Size/);
  });
});
