// The task count-keys: whether a training set holds rows of some entities. The table may have kept
// its keys in other types than the entity's; what cannot be read as a key is none.

import type { TableFile } from "../engine-tasks.ts";
import { stageKeys } from "./erase-keys.ts";
import { readNumber } from "./read-rows.ts";
import { identifier, identifiers, literal, sqlType } from "./sql.ts";
import type { EngineTask } from "./task.ts";

/** Counts the rows of the table that have one of the keys. */
export const countKeys: EngineTask<"count-keys"> = async (connection, input) => {
  const { table, keyFields } = input;
  if (!(await stageKeys(connection, input))) {
    return { rows: 0 };
  }
  const columns = keyFields.map(({ name, type }) => {
    return `TRY_CAST(${identifier(name)} AS ${sqlType(type)}) AS ${identifier(name)}`;
  });
  const names = identifiers(keyFields.map(({ name }) => name));
  const rows = await readNumber(
    connection,
    `SELECT count(*) FROM (SELECT ${columns.join(", ")} FROM ${relation(table)}) ` +
      `SEMI JOIN erased_keys USING (${names})`,
  );
  return { rows };
};

/** Training sets are files of the server's own, so nothing of their layout is to be found out. */
function relation({ path, format }: TableFile): string {
  const file = literal(path);
  switch (format) {
    case "parquet":
      return `read_parquet(${file}, hive_partitioning = false)`;
    case "csv":
      return `read_csv(${file}, header = true, all_varchar = true, delim = ',', quote = '"')`;
    case "ndjson":
      return `read_ndjson_auto(${file})`;
  }
}
