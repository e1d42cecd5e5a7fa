// The caller's entity table as the table that the join takes: times and request columns read
// strictly, as rows of an ingestion are, and every column of the file kept for the result.

import type { DuckDBConnection } from "@duckdb/node-api";
import type { ReadPlan } from "../../definitions/read-plan.ts";
import type { Field } from "../../value.ts";
import type { TableFile } from "../engine-tasks.ts";
import { cellFault, missingColumns, typeFault } from "./cell-fault.ts";
import { type CellReader, cellReader, noCells } from "./cell-reader.ts";
import { tableFault } from "./faults.ts";
import { ENTITY } from "./point-in-time.ts";
import { readingTable } from "./read-fault.ts";
import { readAll, readNumber } from "./read-rows.ts";
import { sqlType } from "./sql.ts";
import { IS_OBJECT, openTable, ROW, type SourceColumn, type TableSource } from "./table-source.ts";

/** Bad rows that an error names. */
const FAULTS_SHOWN = 10;
const MISSING_ADVICE = "Rename the column, or name the column of the time when the job is made.";
/** Characters of a bad cell that are looked at. */
const TEXT_READ = 200;

/** A column of the result. */
export interface ResultColumn {
  readonly name: string;
  /** SQL over the tables of the join. */
  readonly value: string;
}

/** What the entity table is to have. */
export interface EntityTableInput {
  readonly table: TableFile;
  readonly plan: ReadPlan;
  readonly eventTimestampColumn: string;
  /** For the files that the reader may need. */
  readonly scratchDir: string;
}

/**
 * Makes ENTITY of the file, in its order. Returns the file's columns, in its order: those of
 * Parquet as they are; request columns and the time of other files in their types, the rest of
 * NDJSON in the types its values have in common, the rest of CSV as numbers or booleans where every
 * cell is written as one, else as text.
 * @throws InvalidArgument for columns that are missing, of other types, or named as a feature, and
 *   for rows without a time or with a cell that is no value of its type.
 */
export async function loadEntityTable(
  connection: DuckDBConnection,
  input: EntityTableInput,
): Promise<readonly ResultColumn[]> {
  const source = await openTable(connection, input.table, input.scratchDir);
  const bound = bind(source, input);
  const kept = source.columns.map((column) => keep(source, bound, column));
  const loaded = [
    `(${badCells(source, bound).join(" OR ")}) AS bad`,
    ...bound.map(({ stored, name }) => `${stored} AS ${name}`),
    ...kept.flatMap(({ load }) => (load === undefined ? [] : [load])),
  ];
  await readingTable(source.format, async () => {
    const from = source.relation(source.columns);
    await connection.run(`CREATE TEMP TABLE ${ENTITY} AS SELECT ${loaded.join(", ")} FROM ${from}`);
    await checkRows(connection, source, bound);
  });
  return source.format === "csv" ? await typeText(connection, kept) : kept;
}

/** A column that the join needs. */
interface Bound {
  readonly column: SourceColumn;
  readonly field: Field;
  readonly role: "event" | "key" | "feature";
  readonly reader: CellReader;
  /** SQL of what is kept in ENTITY, and its name there. */
  readonly stored: string;
  readonly name: string;
}

/** A column of the file in ENTITY. */
interface Kept extends ResultColumn {
  /** Undefined: it is there as another column. */
  readonly load: string | undefined;
  /** Whether it is text whose type is still to be found out. */
  readonly isText: boolean;
}

function bind(source: TableSource, input: EntityTableInput): readonly Bound[] {
  const { plan, eventTimestampColumn } = input;
  const names = source.columns.map(({ name }) => name);
  const wanted = [
    { column: eventTimestampColumn, role: "time of each row" },
    ...plan.requestColumns.map(({ name }, index) => {
      return { column: name, role: index < plan.keyColumns ? "join key" : "request data" };
    }),
  ];
  const missing = wanted.filter(({ column }) => !names.includes(column));
  const faults = [
    ...(missing.length > 0 ? [missingColumns(missing, names, MISSING_ADVICE)] : []),
    ...nameFaults(names, plan),
  ];
  const time: Field = { name: eventTimestampColumn, type: "TIMESTAMP" };
  const bound = [time, ...plan.requestColumns].flatMap((field, index): Bound[] => {
    const column = source.columns.find(({ name }) => name === field.name);
    if (column === undefined) {
      return [];
    }
    const key = index > 0 && index <= plan.keyColumns;
    const reader = cellReader({ format: source.format, ...column }, field, { key });
    if (reader === undefined) {
      faults.push(typeFault(column, field));
    }
    const { value } = reader ?? noCells(field);
    const stored = index > 0 && field.type === "TIMESTAMP" ? `make_timestamptz(${value})` : value;
    const name = index === 0 ? "t" : `q${index - 1}`;
    const role = index === 0 ? "event" : key ? "key" : "feature";
    return [{ column, field, role, reader: reader ?? noCells(field), stored, name }];
  });
  if (faults.length > 0) {
    throw tableFault(faults.join(" "));
  }
  return bound;
}

/** Names that are there twice, in the file or with the features; SQL does not tell case apart. */
function nameFaults(names: readonly string[], plan: ReadPlan): readonly string[] {
  const outputs = new Map(plan.outputs.map((output) => [output.name.toLowerCase(), output]));
  const seen = new Map<string, string>();
  return names.flatMap((name) => {
    const folded = name.toLowerCase();
    const before = seen.get(folded);
    const output = outputs.get(folded);
    seen.set(folded, name);
    if (name === "") {
      return ["The file has a column without a name; name it, or leave it out."];
    }
    if (before !== undefined) {
      return [`The file has the columns "${before}" and "${name}"; names may not be there twice.`];
    }
    return output === undefined
      ? []
      : [
          `The file has a column "${name}", and so is a feature of ${output.view} called ` +
            `("${output.name}"): rename the column, or give the feature another name in the ` +
            "feature service.",
        ];
  });
}

function keep(source: TableSource, bound: readonly Bound[], column: SourceColumn): Kept {
  const { name, ref, type } = column;
  const same = bound.find((one) => one.column.ref === ref);
  if (same !== undefined && (source.format !== "parquet" || isSame(same, type))) {
    const value = same.name === "t" ? "make_timestamptz(t)" : same.name;
    return { name, value, load: undefined, isText: false };
  }
  const load = source.format === "ndjson" ? `${ofJson(ref, type)} AS ${ref}` : ref;
  return { name, value: ref, load, isText: source.format === "csv" };
}

/** Whether a Parquet column is the same values as what is read of it. */
function isSame({ field }: Bound, type: string): boolean {
  return type === sqlType(field.type);
}

const SCALAR_TYPES: readonly string[] = ["BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR"];

function ofJson(ref: string, type: string): string {
  const text = `(${ref} ->> '$')`;
  return SCALAR_TYPES.includes(type) ? `try_cast(${text} AS ${type})` : `${ref}::VARCHAR`;
}

/** SQL of each bound column that tells a bad cell; for NDJSON one more, of lines without object. */
function badCells(source: TableSource, bound: readonly Bound[]): readonly string[] {
  const bad = bound.map(({ role, reader }) => {
    return role === "event"
      ? `(${reader.value} IS NULL)`
      : `(${reader.given} AND ${reader.value} IS NULL)`;
  });
  return source.format === "ndjson" ? [...bad, `(NOT "${IS_OBJECT}")`] : bad;
}

async function checkRows(
  connection: DuckDBConnection,
  source: TableSource,
  bound: readonly Bound[],
): Promise<void> {
  const count = await readNumber(connection, `SELECT count(*) FROM ${ENTITY} WHERE bad`);
  if (count === 0) {
    return;
  }
  const bad = badCells(source, bound);
  const cells = bound.flatMap(({ reader }, index) => [
    `${bad[index]}`,
    `left(${reader.text}, ${TEXT_READ})`,
    `coalesce(octet_length(encode(${reader.text})), 0)`,
  ]);
  const isObject = source.format === "ndjson" ? `"${IS_OBJECT}"` : "true";
  const rows = await readAll(
    connection,
    `SELECT ${[`"${ROW}"`, isObject, ...cells].join(", ")} ` +
      `FROM ${source.relation(source.columns)} WHERE ${bad.join(" OR ")} ` +
      `ORDER BY "${ROW}" LIMIT ${FAULTS_SHOWN}`,
  );
  const faults = rows.map(([row, isRow, ...found]) => {
    const reasons = bound.flatMap(({ role, field }, index) => {
      const [isBad, text, bytes] = found.slice(index * 3);
      const cell = { text: text === null ? null : String(text), bytes: Number(bytes) };
      const wanted = { role, type: field.type, format: source.format };
      return isBad === true ? [`"${field.name}" ${cellFault(cell, wanted)}`] : [];
    });
    return `row ${row}: ${isRow === true ? reasons.join(", ") : "is no JSON object"}`;
  });
  const more = count > rows.length ? `; and ${count - rows.length} more` : "";
  throw tableFault(
    `${count} rows of the entity table cannot be used (counted from 0): ` +
      `${faults.join("; ")}${more}. Correct them, or leave them out.`,
  );
}

/** Text that is written as these is not just text; zeros in front make a name of a number. */
const TEXT_TYPES: readonly (readonly [type: string, pattern: string])[] = [
  ["BOOLEAN", "true|false|True|False"],
  ["BIGINT", "-?(0|[1-9][0-9]{0,17})"],
  ["DOUBLE", "-?(0|[1-9][0-9]*)(\\.[0-9]*)?([eE][+-]?[0-9]{1,3})?|nan|NaN|-?inf"],
];

async function typeText(
  connection: DuckDBConnection,
  kept: readonly Kept[],
): Promise<readonly ResultColumn[]> {
  const texts = kept.filter(({ isText }) => isText);
  if (texts.length === 0) {
    return kept;
  }
  const checks = texts.flatMap(({ value }) => {
    return TEXT_TYPES.map(
      ([, pattern]) => `coalesce(bool_and(regexp_full_match(${value}, '${pattern}')), false)`,
    );
  });
  const [found = []] = await readAll(connection, `SELECT ${checks.join(", ")} FROM ${ENTITY}`);
  return kept.map((column) => {
    const at = texts.indexOf(column) * TEXT_TYPES.length;
    const index = at < 0 ? -1 : found.slice(at, at + TEXT_TYPES.length).indexOf(true);
    const type = TEXT_TYPES[index]?.[0];
    return type === undefined ? column : { ...column, value: `${column.value}::${type}` };
  });
}
