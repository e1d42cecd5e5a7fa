// The rows of a view out of its files, as one relation. Files of one view may have other columns
// than the reader wants, because the view changed over time: what a file lacks is null, and what was
// widened since is cast.

import { isReadableAs } from "../../definitions/definitions.ts";
import { CREATED_TIMESTAMP, EVENT_TIMESTAMP, type Field } from "../../value.ts";
import type { Shape, SourceFile } from "../engine-tasks.ts";
import { isShadowed, numberedScan, parquetScan } from "./parquet-scan.ts";
import { identifier, sqlType } from "./sql.ts";

/**
 * Columns of a view relation besides join keys and features. Their names are no field names, so that
 * no feature can clash with them; always quote them: identifier(EVENT_US).
 */
export const EVENT_US = "@event_us";
export const CREATED_US = "@created_us";
/** Index of the row's file in the list given: of rows equal in all times, the lowest came first. */
export const FILE_ORDER = "@file";
/** A number for the row among all rows of the files given: by FILE_ORDER, then by place: of rows
 * equal in all times, the lowest came first. */
export const ROW_ID = "@row_id";

/** Rows of a file are fewer than this. */
const FILE_ROWS_MAX = 2 ** 32;

/** What a view relation is to have. */
export interface ViewRelationOptions {
  /** True: has FILE_ORDER as well (BIGINT). Default: false. */
  readonly fileOrder?: boolean;
  /** True: has ROW_ID as well (BIGINT). Default: false. */
  readonly rowId?: boolean;
  /** Only rows with an event time from here on; this condition reaches the files' statistics. */
  readonly startUs?: number | undefined;
  /** Only rows with an event time before this. */
  readonly endUs?: number | undefined;
}

/**
 * SQL of a relation, in parentheses, to stand after FROM: the join keys, EVENT_US and CREATED_US
 * (BIGINT, microseconds since the epoch), then the features, by their names and in their types
 * (sqlType). No files: a relation without rows.
 */
export function viewRelation(
  files: readonly SourceFile[],
  shape: Shape,
  options: ViewRelationOptions = {},
): string {
  const groups = groupByColumns(files);
  if (groups.length === 0) {
    return `(${emptySelect(shape, options)})`;
  }
  return `(${groups.map((group) => groupSelect(group, shape, options)).join(" UNION ALL ")})`;
}

interface Group {
  readonly columns: readonly Field[];
  readonly paths: string[];
  /** Index of each path among all files. */
  readonly order: number[];
}

function groupByColumns(files: readonly SourceFile[]): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const [index, file] of files.entries()) {
    const names = file.columns.map(({ name, type }) => `${name} ${type}`).sort();
    const key = isPlain(file.columns) ? names.join(",") : `${index}`;
    const group = groups.get(key) ?? { columns: file.columns, paths: [], order: [] };
    groups.set(key, group);
    group.paths.push(file.path);
    group.order.push(index);
  }
  return [...groups.values()];
}

/** Whether no feature has the name of a column that DuckDB adds; else each file stands alone. */
function isPlain(columns: readonly Field[]): boolean {
  const names = columns.map(({ name }) => name);
  return !isShadowed("file_index", names) && !isShadowed("file_row_number", names);
}

function groupSelect(group: Group, shape: Shape, options: ViewRelationOptions): string {
  const read = (field: Field): string => columnSelect(field, group.columns);
  const columns = [
    ...shape.joinKeys.map(read),
    `epoch_us(${identifier(EVENT_TIMESTAMP)}) AS ${identifier(EVENT_US)}`,
    `epoch_us(${identifier(CREATED_TIMESTAMP)}) AS ${identifier(CREATED_US)}`,
    ...shape.features.map(read),
  ];
  const plain = isPlain(group.columns);
  const order = fileOrder(group.order);
  if (options.fileOrder === true) {
    columns.push(`${order} AS ${identifier(FILE_ORDER)}`);
  }
  if (options.rowId === true) {
    const row = plain ? "file_row_number::BIGINT" : identifier(ROW_ID);
    columns.push(`${order} * ${FILE_ROWS_MAX} + ${row} AS ${identifier(ROW_ID)}`);
  }
  const names = group.columns.map(({ name }) => name);
  const source = plain
    ? parquetScan(group.paths)
    : numberedScan({ path: group.paths[0] ?? "", columns: names }, identifier(ROW_ID));
  return `SELECT ${columns.join(", ")} FROM ${source}${timeCondition(options)}`;
}

/** SQL of a file's index among all files, from its index in its group. */
function fileOrder(order: readonly number[]): string {
  const [first = 0] = order;
  if (order.length === 1) {
    return `${first}::BIGINT`;
  }
  if (order.every((index, at) => index === first + at)) {
    return `(file_index::BIGINT + ${first})`;
  }
  return `([${order.map((index) => `${index}::BIGINT`).join(", ")}])[file_index::BIGINT + 1]`;
}

function timeCondition({ startUs, endUs }: ViewRelationOptions): string {
  const event = identifier(EVENT_TIMESTAMP);
  const conditions = [
    ...(startUs === undefined ? [] : [`${event} >= make_timestamptz(${startUs}::BIGINT)`]),
    ...(endUs === undefined ? [] : [`${event} < make_timestamptz(${endUs}::BIGINT)`]),
  ];
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
}

function columnSelect(wanted: Field, columns: readonly Field[]): string {
  const name = identifier(wanted.name);
  const stored = columns.find((column) => column.name === wanted.name);
  if (stored === undefined || !isReadableAs(stored.type, wanted.type)) {
    return `NULL::${sqlType(wanted.type)} AS ${name}`;
  }
  return stored.type === wanted.type ? name : `${name}::${sqlType(wanted.type)} AS ${name}`;
}

function emptySelect(shape: Shape, options: ViewRelationOptions): string {
  const nothing = (name: string, type: string): string => `NULL::${type} AS ${identifier(name)}`;
  const columns = [
    ...shape.joinKeys.map(({ name, type }) => nothing(name, sqlType(type))),
    nothing(EVENT_US, "BIGINT"),
    nothing(CREATED_US, "BIGINT"),
    ...shape.features.map(({ name, type }) => nothing(name, sqlType(type))),
  ];
  if (options.fileOrder === true) {
    columns.push(nothing(FILE_ORDER, "BIGINT"));
  }
  if (options.rowId === true) {
    columns.push(nothing(ROW_ID, "BIGINT"));
  }
  return `SELECT ${columns.join(", ")} WHERE false`;
}
