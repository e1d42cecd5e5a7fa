// The task erase-keys: takes rows of some entities out of files of history. One query finds which
// files have any; only those are written anew, each in its own columns and order.

import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import { CREATED_TIMESTAMP, EVENT_TIMESTAMP, type Field } from "../../value.ts";
import type { EngineTasks, SourceFile, WrittenFile } from "../engine-tasks.ts";
import { numberedScan, parquetScan } from "./parquet-scan.ts";
import { copyToParquet } from "./parquet-writer.ts";
import { readAll } from "./read-rows.ts";
import { cellLiteral, identifier, identifiers } from "./sql.ts";
import type { EngineTask } from "./task.ts";
import { FILE_ORDER, viewRelation } from "./view-relation.ts";

type Output = EngineTasks["erase-keys"]["output"];

/** Counts the rows of the keys in each file and writes files that have some without them. */
export const eraseKeys: EngineTask<"erase-keys"> = async (connection, input, task) => {
  const { files, keyFields, countOnly, outDir } = input;
  const rowsOf = (await stageKeys(connection, input))
    ? await countRows(connection, files, keyFields)
    : new Map<number, number>();
  const results: Output["results"][number][] = [];
  for (const [index, file] of files.entries()) {
    task.progress({ phase: "erasing", done: index, total: files.length, unit: "files" });
    const rows = rowsOf.get(index);
    if (rows === undefined) {
      results.push(undefined);
    } else {
      const rest = countOnly ? undefined : await writeRest(connection, file, { keyFields, outDir });
      results.push({ rows, file: rest });
    }
  }
  return { results };
};

/** The keys as the table `erased_keys`; false where there are none. */
export async function stageKeys(
  connection: DuckDBConnection,
  { keys, keyFields }: Pick<EngineTasks["erase-keys"]["input"], "keys" | "keyFields">,
): Promise<boolean> {
  const columns = keyFields.map((field) => keys[field.name] ?? []);
  const count = columns[0]?.length ?? 0;
  if (count === 0) {
    return false;
  }
  const rows = Array.from({ length: count }, (_, row) => {
    return `(${keyFields.map((field, at) => cellLiteral(field, columns[at]?.[row] ?? null))})`;
  });
  const names = identifiers(keyFields.map(({ name }) => name));
  await connection.run(
    `CREATE TEMP TABLE erased_keys AS SELECT DISTINCT * FROM (VALUES ${rows}) AS keys(${names})`,
  );
  return true;
}

/** Rows of the keys by index of the file; files without any are absent. */
async function countRows(
  connection: DuckDBConnection,
  files: readonly SourceFile[],
  keyFields: readonly Field[],
): Promise<ReadonlyMap<number, number>> {
  const relation = viewRelation(files, { joinKeys: keyFields, features: [] }, { fileOrder: true });
  const names = identifiers(keyFields.map(({ name }) => name));
  const counts = await readAll(
    connection,
    `SELECT ${identifier(FILE_ORDER)}, count(*) FROM ${relation} ` +
      `SEMI JOIN erased_keys USING (${names}) GROUP BY ALL`,
  );
  return new Map(counts.map(([index, rows]) => [Number(index), Number(rows)]));
}

async function writeRest(
  connection: DuckDBConnection,
  file: SourceFile,
  options: { readonly keyFields: readonly Field[]; readonly outDir: string },
): Promise<WrittenFile | undefined> {
  const path = join(options.outDir, `erased-${randomUUID()}.parquet`);
  const columns = [EVENT_TIMESTAMP, CREATED_TIMESTAMP, ...file.columns.map(({ name }) => name)];
  const keys = identifiers(options.keyFields.map(({ name }) => name));
  const names = file.columns.map(({ name }) => name);
  // The order is asked for: a join keeps that of its bigger side only.
  const from =
    `SELECT ${identifiers(columns)} FROM ` +
    `${numberedScan({ path: file.path, columns: names }, '"@row"')} ` +
    `ANTI JOIN erased_keys USING (${keys}) ORDER BY "@row"`;
  await copyToParquet(connection, { from, path, columns: columns.length });
  const [facts = []] = await readAll(
    connection,
    `SELECT count(*), epoch_us(min(${EVENT_TIMESTAMP})), epoch_us(max(${EVENT_TIMESTAMP})), ` +
      `epoch_us(max(${CREATED_TIMESTAMP})), min(${EVENT_TIMESTAMP})::DATE::VARCHAR ` +
      `FROM ${parquetScan([path])}`,
  );
  const [rows, minEventUs, maxEventUs, maxCreatedUs, day] = facts;
  if (Number(rows) === 0) {
    return undefined;
  }
  return {
    path,
    day: String(day),
    rows: Number(rows),
    sizeBytes: (await stat(path)).size,
    minEventUs: Number(minEventUs),
    maxEventUs: Number(maxEventUs),
    maxCreatedUs: Number(maxCreatedUs),
  };
}
