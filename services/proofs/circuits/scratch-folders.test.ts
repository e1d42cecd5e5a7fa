import { spawn } from "node:child_process";
import { existsSync, mkdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { makeScratch, sweepScratch } from "./scratch-folders.ts";
import { ownMark } from "./scratch-owner.ts";

const HOLDER = fileURLToPath(new URL("./testing/hold-scratch.ts", import.meta.url));
const LONG_AGO = new Date(Date.now() - 3_600_000);

/** Another process with a folder of work. */
async function useHolder(scratchDir: string) {
  const child = spawn(process.execPath, ["--no-warnings", HOLDER, scratchDir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value: path = "" } = await lines.next();
  const kill = async () => {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  };
  return { path, kill };
}

function made(scratchDir: string, name: string, time?: Date): string {
  const path = join(scratchDir, name);
  mkdirSync(path, { recursive: true });
  if (time !== undefined) {
    utimesSync(path, time, time);
  }
  return path;
}

describe("folders of work", () => {
  it("go at once when their process was killed, and not while it works, however long", async () => {
    const scratchDir = join(useFolder(), "scratch");
    const [one, other] = [await useHolder(scratchDir), await useHolder(scratchDir)];
    await using own = await makeScratch(scratchDir, "compile");
    for (const { path } of [one, other, own]) {
      utimesSync(path, LONG_AGO, LONG_AGO);
    }
    await sweepScratch(scratchDir);
    expect([one, other, own].map(({ path }) => existsSync(path))).toEqual([true, true, true]);
    await one.kill();
    await sweepScratch(scratchDir);
    expect([one, other, own].map(({ path }) => existsSync(path))).toEqual([false, true, true]);
    expect(existsSync(join(other.path, "row-0.wtns"))).toBe(true);
  });

  it("go where another process has the number of theirs by now", async () => {
    const scratchDir = useFolder();
    const reborn = ownMark().replace(/[0-9a-f]{16}-$/, `${"0".repeat(16)}-`);
    const path = made(scratchDir, `proofs-${reborn}prove-x`);
    await sweepScratch(scratchDir);
    expect(existsSync(path)).toBe(false);
  });

  it("of processes that cannot be seen stay while those say that they are wanted", async () => {
    const scratchDir = useFolder();
    const elsewhere = ownMark().replace(/^[0-9a-f]{16}/, "0".repeat(16));
    const wanted = made(scratchDir, `proofs-${elsewhere}prove-x`);
    const silent = made(scratchDir, `proofs-${elsewhere}prove-y`, LONG_AGO);
    const nameless = made(scratchDir, "proofs-prove-z", LONG_AGO);
    const others = made(scratchDir, "history-z", LONG_AGO);
    await using own = await makeScratch(scratchDir, "prove");
    utimesSync(own.path, LONG_AGO, LONG_AGO);
    await sweepScratch(scratchDir);
    expect([wanted, silent, nameless, others].map(existsSync)).toEqual([true, false, false, true]);
    // Which this process has just done.
    expect(statSync(own.path).mtimeMs).toBeGreaterThan(LONG_AGO.getTime());
  });

  it("are for their process alone", async () => {
    const scratchDir = join(useFolder(), "scratch");
    await using own = await makeScratch(scratchDir, "prove");
    const modes = [scratchDir, own.path].map((path) => statSync(path).mode & 0o777);
    expect(modes).toEqual([0o700, 0o700]);
  });
});
