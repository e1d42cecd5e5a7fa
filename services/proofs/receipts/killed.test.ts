import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { openSqliteStore } from "../../common/documents/sqlite.ts";
import { checkConsistency, checkReceipt } from "./check-receipt.ts";
import { parseCheckpoint } from "./checkpoint.ts";
import { decodeReceipt } from "./receipt.ts";
import { SigningKeys } from "./signing-key.ts";
import { trustIn, useFolder, useLog } from "./testing/use-log.ts";

const PROGRAM = fileURLToPath(new URL("testing/append-until-killed.ts", import.meta.url));

it("keeps every acknowledged receipt of processes that are killed, two at a time", async () => {
  const folder = await useFolder();
  const [path, keyFolder] = [join(folder, "db.sqlite"), join(folder, "keys")];
  const acknowledged = new Map<number, string>();
  let older: string | undefined;
  for (let round = 0; round < 3; round++) {
    const processes = ["a", "b"].map((name) => {
      const child = spawn(process.execPath, [PROGRAM, path, keyFolder, `${round}${name}`], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      onTestFinished(() => {
        child.kill("SIGKILL");
      });
      return child;
    });
    await Promise.all(
      processes.map(async (child) => {
        const ended = once(child, "close");
        let count = 0;
        for await (const line of createInterface({ input: child.stdout! })) {
          const [index = "", id = ""] = line.split(" ");
          acknowledged.set(Number(index), id);
          if (++count === 20) child.kill("SIGKILL");
        }
        await ended;
        expect(count).toBeGreaterThanOrEqual(20);
      }),
    );

    const keys = await SigningKeys.open(keyFolder);
    const store = await openSqliteStore({ path });
    const log = await useLog(store, keys);
    for (const [index, id] of acknowledged) {
      expect(decodeReceipt((await log.get(index)).receipt).inferenceId).toBe(id);
    }
    for (const [index, id] of [...acknowledged].slice(-10)) {
      expect(checkReceipt(await log.prove(index + 39), trustIn(keys)).valid).toBe(true);
      expect((await log.find(id)).map((found) => found.index)).toEqual([index]);
    }
    const { path: consistency, checkpoint } = await log.proveConsistency(
      older === undefined ? 0 : parseCheckpoint(older).size,
    );
    if (older !== undefined) {
      const claim = { older, newer: checkpoint, path: consistency };
      expect(checkConsistency(claim, trustIn(keys)).valid).toBe(true);
    }
    older = checkpoint;
    await log[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  }
});
