// A caller's file as a relation: its columns by the names they have in the file, and its rows with
// their positions. Nothing is guessed: text stays text (cell-reader.ts makes values of it), and what
// DuckDB says of a broken file becomes a fault of the file.

import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { DuckDBConnection } from "@duckdb/node-api";
import type { TableFile, TableFormat } from "../engine-tasks.ts";
import { openCsvFile } from "./csv-source.ts";
import { tableFault } from "./faults.ts";
import { numberedScan, parquetScan } from "./parquet-scan.ts";
import { readingTable } from "./read-fault.ts";
import { readAll } from "./read-rows.ts";
import { identifier, literal, literals } from "./sql.ts";
import { LINE_BYTES_MAX, readTableHead, type TableHead } from "./table-format.ts";

/** The row's position in the file, from 0; a BIGINT in every relation of a table. */
export const ROW = "@row";
/** NDJSON only: whether the line is an object. */
export const IS_OBJECT = "@is_object";

const COLUMNS_MAX = 10_000;

/** A column of a table. */
export interface SourceColumn {
  /** As in the file; several columns may have one name. */
  readonly name: string;
  /** As the file has it, in SQL terms; VARCHAR in CSV; in NDJSON what its values have in common. */
  readonly type: string;
  /** Its name in the relation, an SQL identifier. */
  readonly ref: string;
}

/** A table that was looked at. */
export interface TableSource {
  readonly format: TableFormat;
  readonly columns: readonly SourceColumn[];
  /**
   * SQL of a relation, in parentheses: ROW and these columns by their `ref`. Parquet columns have
   * the file's types, CSV columns are VARCHAR (an empty cell is null), NDJSON columns are JSON.
   */
  relation(columns: readonly SourceColumn[]): string;
}

/**
 * Looks at a file. Run whatever reads its relation within readingTable.
 * @throws InvalidArgument when it cannot be read, and says why.
 */
export async function openTable(
  connection: DuckDBConnection,
  table: { readonly path: string; readonly format: TableFormat | undefined },
  scratchDir: string,
): Promise<TableSource> {
  const head = await readTableHead(table.path, table.format);
  const { format } = head;
  const file = { path: table.path, format };
  const source = await readingTable(format, async () => {
    switch (format) {
      case "parquet":
        return await openParquet(connection, file);
      case "csv":
        return await openCsv(head, { path: table.path, scratchDir });
      case "ndjson":
        return await openNdjson(connection, head, { file, scratchDir });
    }
  });
  if (source.columns.length > COLUMNS_MAX) {
    throw tableFault(
      `The file has ${source.columns.length} columns; at most ${COLUMNS_MAX} are taken.`,
    );
  }
  return source;
}

async function openParquet(connection: DuckDBConnection, file: TableFile): Promise<TableSource> {
  const path = literal(file.path);
  const scan = parquetScan([file.path]);
  const described = await readAll(connection, `DESCRIBE SELECT * FROM ${scan}`);
  const schema = await readAll(
    connection,
    `SELECT name, coalesce(num_children, 0) FROM parquet_schema(${path})`,
  );
  const names = topLevelNames(schema.map(([name, count]) => [String(name), Number(count)]));
  const columns = described.map(([alias, type], index) => ({
    name: names[index] ?? String(alias),
    type: String(type),
    ref: `c${index}`,
  }));
  const aliases = described.map(([alias]) => String(alias));
  const numbered = numberedScan({ path: file.path, columns: aliases }, `"${ROW}"`);
  return {
    format: "parquet",
    columns,
    relation: (wanted) => {
      const selected = wanted.map(({ ref }) => {
        return `${identifier(aliases[Number(ref.slice(1))] ?? "")} AS ${ref}`;
      });
      return `(SELECT ${[`"${ROW}"`, ...selected].join(", ")} FROM ${numbered})`;
    },
  };
}

/** Names of the columns out of a schema in depth-first order, its root first. */
function topLevelNames(schema: readonly (readonly [string, number])[]): readonly string[] {
  const names: string[] = [];
  let at = 1;
  const skip = (): void => {
    const children = schema[at]?.[1] ?? 0;
    at++;
    for (let child = 0; child < children; child++) {
      skip();
    }
  };
  while (at < schema.length) {
    names.push(schema[at]?.[0] ?? "");
    skip();
  }
  return names;
}

async function openCsv(
  head: TableHead,
  file: { readonly path: string; readonly scratchDir: string },
): Promise<TableSource> {
  const { names, scan } = await openCsvFile(head, file);
  return {
    format: "csv",
    columns: names.map((name, index) => ({ name, type: "VARCHAR", ref: `c${index}` })),
    relation: (wanted) => {
      const selected = [`row_number() OVER () - 1 AS "${ROW}"`, ...wanted.map(({ ref }) => ref)];
      return `(SELECT ${selected.join(", ")} FROM ${scan})`;
    },
  };
}

async function openNdjson(
  connection: DuckDBConnection,
  head: TableHead,
  table: { readonly file: TableFile; readonly scratchDir: string },
): Promise<TableSource> {
  const path = head.bomBytes === 0 ? table.file.path : await withoutBom(table);
  const scan =
    `read_ndjson_objects(${literal(path)}, ignore_errors = true, ` +
    `compression = 'uncompressed', ` +
    `hive_partitioning = false, maximum_object_size = ${LINE_BYTES_MAX})`;
  const isObject = `coalesce(json_type(json) = 'OBJECT', false)`;
  const [[structure] = []] = await readAll(
    connection,
    `SELECT json_group_structure(json)::VARCHAR FROM ${scan} WHERE ${isObject}`,
  );
  const types = JSON.parse(String(structure ?? null)) as unknown;
  if (typeof types !== "object" || types === null) {
    throw tableFault("No line of the file is a JSON object; expected NDJSON, one object a line.");
  }
  const columns = Object.entries(types).map(([name, type], index) => {
    return { name, type: jsonColumnType(type), ref: `c${index}` };
  });
  return {
    format: "ndjson",
    columns,
    relation: (wanted) => {
      const pointers = wanted.map(({ name }) => jsonPointer(name));
      const lists = pointers.length === 0 ? [] : [`json_extract(json, ${literals(pointers)}) AS l`];
      const cells = wanted.map(({ ref }, index) => `l[${index + 1}] AS ${ref}`);
      const facts = [`row_number() OVER () - 1 AS "${ROW}"`, `${isObject} AS "${IS_OBJECT}"`];
      return (
        `(SELECT ${[`"${ROW}"`, `"${IS_OBJECT}"`, ...cells].join(", ")} FROM ` +
        `(SELECT ${[...facts, ...lists].join(", ")} FROM ${scan}))`
      );
    },
  };
}

function jsonColumnType(type: unknown): string {
  if (typeof type !== "string") {
    return "JSON";
  }
  return type === "NULL" ? "JSON" : type.replace(/^UBIGINT$/, "BIGINT");
}

function jsonPointer(name: string): string {
  return `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** DuckDB takes a byte order mark for part of the first object. */
async function withoutBom(table: {
  readonly file: TableFile;
  readonly scratchDir: string;
}): Promise<string> {
  const copy = join(table.scratchDir, "table.ndjson");
  await pipeline(createReadStream(table.file.path, { start: 3 }), createWriteStream(copy));
  return copy;
}
