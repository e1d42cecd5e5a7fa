import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { enginePids, hasProc, shape, type TestEngine, useEngine } from "./engine/testing.ts";

const SHAPE = shape(["k INT64"], ["a INT64", "b INT64", "c INT64"]);
const ENGINE = new URL("./engine.ts", import.meta.url).href;

/** Makes an ingestion of that many rows, each of its own key; the file is compact, its rows not. */
function ingestion(test: TestEngine, rows: number) {
  const lines = Array.from(
    { length: rows },
    (_, at) => `${(at * 7919) % rows},${at},1,2,2001-01-01`,
  );
  const path = test.file("rows.csv", `k,a,b,c,at\n${lines.join("\n")}\n`);
  return {
    table: { path, format: "csv" },
    shape: SHAPE,
    eventTimestampColumn: "at",
    createdTimestampColumn: "",
    defaultCreatedUs: 0,
    fieldMapping: [],
    skipBadRows: true,
    outDir: test.outDir,
  } as const;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await sleep(20);
  }
}

describe("engine", () => {
  it("uses a process again, and ends it when idle for long", async () => {
    const test = useEngine({ engineIdleMs: 200 });
    const path = test.file("t.csv", "a\n1\n");
    const describeTable = () => test.run("describe-table", { path, format: undefined });
    await describeTable();
    const [first] = enginePids();
    await describeTable();
    expect(enginePids()).toEqual([first]);
    await until(() => enginePids().length === 0);
    await describeTable();
    expect(enginePids()).not.toContain(first);
    expect(readdirSync(test.scratchDir)).toEqual([]);
  });

  it("runs as many processes as it may, and the rest after them", async () => {
    const test = useEngine({ engineProcessesMax: 2 });
    const path = test.file("t.csv", "a\n1\n");
    const tasks = Array.from({ length: 8 }, () => {
      return test.run("describe-table", { path, format: undefined });
    });
    await Promise.all(tasks);
    expect(enginePids()).toHaveLength(2);
  });

  it("refuses more than 1,000 waiting tasks", async () => {
    const test = useEngine();
    const path = test.file("t.csv", "a\n1\n");
    const abort = new AbortController();
    const run = () => {
      return test.run("describe-table", { path, format: undefined }, { signal: abort.signal });
    };
    const waiting = Promise.allSettled(Array.from({ length: 1_001 }, run));
    await expect(run()).rejects.toMatchObject({ kind: "ResourceExhausted" });
    abort.abort();
    const kinds = (await waiting).map(
      (result) => result.status === "rejected" && result.reason.kind,
    );
    expect(new Set(kinds)).toEqual(new Set(["Cancelled"]));
  });

  it("kills the process of an aborted task and removes its scratch folder", async () => {
    const test = useEngine();
    const abort = new AbortController();
    const input = ingestion(test, 300_000);
    let phases = 0;
    const task = test.run("ingest-table", input, {
      signal: abort.signal,
      onProgress: ({ phase }) => {
        phases++;
        if (phase === "sorting") {
          expect(readdirSync(test.scratchDir)).toHaveLength(1);
          abort.abort();
        }
      },
    });
    await expect(task).rejects.toMatchObject({ kind: "Cancelled" });
    expect(phases).toBeGreaterThan(1);
    expect(enginePids()).toEqual([]);
    expect(readdirSync(test.scratchDir)).toEqual([]);
    const again = await test.run("ingest-table", input);
    expect(again).toMatchObject({ rowsRead: 300_000, rowsRefused: 0 });
  });

  it("says INSTANCE_LOST when its process dies, and goes on with another", async () => {
    const test = useEngine();
    const input = ingestion(test, 300_000);
    const task = test.run("ingest-table", input, {
      onProgress: () => {
        for (const pid of enginePids()) {
          process.kill(pid, "SIGKILL");
        }
      },
    });
    await expect(task).rejects.toMatchObject({ kind: "Unavailable", reason: 15 });
    expect(readdirSync(test.scratchDir)).toEqual([]);
    const path = test.file("t.csv", "a\n1\n");
    const table = await test.run("describe-table", { path, format: undefined });
    expect(table.rows).toBe(1);
  });

  it.skipIf(!hasProc)(
    "sorts more than its memory holds, on disk",
    async () => {
      const test = useEngine({ engineMemoryBytes: 2 ** 28 });
      let spilled = 0;
      let resident = 0;
      const look = (): void => {
        const [folder = "", ...others] = existsSync(test.scratchDir)
          ? readdirSync(test.scratchDir)
          : [];
        expect(others).toEqual([]);
        const spill = join(test.scratchDir, folder, "spill");
        spilled = Math.max(spilled, existsSync(spill) ? readdirSync(spill).length : 0);
        for (const pid of enginePids()) {
          const status = readFileSync(`/proc/${pid}/status`, "utf8");
          resident = Math.max(resident, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024);
        }
      };
      const watch = setInterval(look, 20);
      onTestFinished(() => clearInterval(watch));
      const wide = shape(
        ["k INT64"],
        Array.from({ length: 60 }, (_, at) => `f${at} DOUBLE`),
      );
      const cells = (at: number) => Array.from({ length: 2_000 }, (_, row) => (at * row) / 7);
      const features = Object.fromEntries(wide.features.map(({ name }, at) => [name, cells(at)]));
      const times = Array.from({ length: 2_000 }, () => 0);
      // 1.2 million rows of 62 columns: 600 MB as they stand in memory.
      const batches = Array.from({ length: 600 }, (_, index) => ({
        rows: 2_000,
        keys: { k: Array.from({ length: 2_000 }, (_, row) => (row * 7919 + index) % 1_000_003) },
        features,
        eventUs: times,
        createdUs: times.map(() => index),
      }));
      const { files } = await test.run("write-rows", { shape: wide, batches, outDir: test.outDir });
      clearInterval(watch);
      expect(files.map(({ rows }) => rows)).toEqual([1_200_000]);
      expect(spilled).toBeGreaterThan(0);
      // Staged and sorted they are 1.2 GB; beside its buffers the process has code, heap and writers.
      expect(resident).toBeLessThan(2 ** 28 + 2 ** 29);
    },
    120_000,
  );

  it("says ResourceExhausted when disk does not suffice either", async () => {
    const test = useEngine({ engineMemoryBytes: 2 ** 25, engineSpillBytes: 0 });
    const task = test.run("ingest-table", ingestion(test, 2_000_000));
    await expect(task).rejects.toMatchObject({ kind: "ResourceExhausted" });
    await expect(task).rejects.toThrow(/ran out of (memory|disk)/);
  });

  it("fails what waits and runs when it is disposed of", async () => {
    const test = useEngine();
    const path = test.file("t.csv", "a\n1\n");
    const tasks = Array.from({ length: 3 }, () => {
      return test.run("describe-table", { path, format: undefined });
    });
    const settled = Promise.allSettled(tasks);
    await test.engine[Symbol.asyncDispose]();
    for (const result of await settled) {
      expect(result).toMatchObject({ status: "rejected", reason: { kind: "Unavailable" } });
    }
    expect(enginePids()).toEqual([]);
    await expect(test.run("describe-table", { path, format: undefined })).rejects.toMatchObject({
      kind: "Unavailable",
    });
  });

  it.skipIf(!hasProc).each(["SIGKILL", "SIGTERM"] as const)(
    "ends with its parent, which died of %s",
    async (signal) => {
      const folder = useFolder();
      const scratchDir = join(folder, "scratch");
      const path = join(folder, "t.csv");
      writeFileSync(path, "a\n1\n");
      const config = `{ engineMemoryBytes: 2 ** 28, engineSpillBytes: 0, engineThreads: 1, engineProcessesMax: 1, engineIdleMs: 60000 }`;
      const script = `
        import { openOfflineEngine } from ${JSON.stringify(ENGINE)};
        const engine = openOfflineEngine({ config: ${config}, scratchDir: ${JSON.stringify(scratchDir)} });
        const never = setInterval(() => undefined, 1000);
        await engine.run("describe-table", { path: ${JSON.stringify(path)}, format: undefined }, { signal: new AbortController().signal });
        console.log("ready");`;
      const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
        cwd: fileURLToPath(new URL(".", import.meta.url)),
        stdio: ["ignore", "pipe", "inherit"],
      });
      await new Promise((resolve) => parent.stdout.once("data", resolve));
      const [child] = enginePids(parent.pid);
      expect(child).toBeGreaterThan(0);
      parent.kill(signal);
      await until(() => !existsSync(`/proc/${child}`));
    },
  );

  it("removes what a dead server left in the scratch folder, and nothing else", async () => {
    const folder = useFolder();
    const scratch = join(folder, "scratch");
    for (const name of ["engine-999999999-x", `engine-${process.ppid}-y`, "other"]) {
      mkdirSync(join(scratch, name), { recursive: true });
    }
    const { openOfflineEngine } = await import("./engine.ts");
    const config = {
      engineMemoryBytes: 2 ** 28,
      engineSpillBytes: 0,
      engineThreads: 1,
      engineProcessesMax: 1,
      engineIdleMs: 0,
    };
    await using _engine = openOfflineEngine({ config, scratchDir: scratch });
    expect(readdirSync(scratch).sort()).toEqual([`engine-${process.ppid}-y`, "other"]);
  });
});
