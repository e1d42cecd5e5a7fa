import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useFolder } from "../../../common/testing/use-folder.ts";
import { openDatabase } from "./database.ts";

async function open() {
  const folder = useFolder();
  const database = await openDatabase({
    kind: "write-rows",
    input: { shape: { joinKeys: [], features: [] }, batches: [], outDir: join(folder, "o'ut") },
    limits: { memoryBytes: 2 ** 28, spillBytes: 0, threads: 1 },
    options: {},
    scratchDir: join(folder, "scratch"),
  });
  return { ...database, folder };
}

describe("database", () => {
  it.each([
    "SELECT * FROM read_text('/proc/self/status')",
    "SELECT * FROM read_csv('/proc/self/status')",
    "SELECT * FROM glob('/*')",
    "COPY (SELECT 1) TO '/dev/shm/x.csv'",
    "ATTACH '/dev/shm/x.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "SET allowed_directories = ['/']",
  ])("does not let a statement out: %s", async (sql) => {
    const { connection, close } = await open();
    await expect(connection.run(sql)).rejects.toThrow(
      /Permission|Invalid Input|locked|disabled|home directory/i,
    );
    close();
  });

  it("counts in UTC", async () => {
    const { connection, close } = await open();
    const rows = await connection.runAndReadAll("SELECT epoch_us(TIMESTAMPTZ '1970-01-01')");
    expect(rows.getRows()).toEqual([[0n]]);
    close();
  });
});
