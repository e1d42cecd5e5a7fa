// The profile of a file of rows, in two passes: the first chooses edges and categories, the second
// counts on them. The same file gives the same profile.

import { open } from "node:fs/promises";
import { nearestName } from "../../common/nearest-name.ts";
import { type BaselineProfile, chooseLayout } from "../sketch/column-profile.ts";
import {
  addRows,
  countersOf,
  newWindowSketch,
  type WindowSketch,
} from "../sketch/window-sketch.ts";
import { openCsv } from "./csv-file.ts";
import { fileLayout } from "./draft-layout.ts";
import { openParquet, PARQUET_MAGIC } from "./parquet-file.ts";
import { type FileColumn, type TableBatch, type TableFile, unreadable } from "./table-file.ts";

/** Names in an error. */
const SHOWN_MAX = 12;

export type FileFormat = "csv" | "parquet";

/** What to make a profile of. */
export interface ProfileTask {
  readonly path: string;
  /** Absent: found out from the first bytes. */
  readonly format?: FileFormat | undefined;
  /** All columns of the version; the profile has them in this order, also those the file lacks. */
  readonly columns: readonly FileColumn[];
  /** Columns of the file to leave out. */
  readonly excluded: readonly string[];
}

/**
 * Reads the file twice.
 * @throws InvalidArgument that says what is wrong with the file, and where.
 */
export async function makeProfile(task: ProfileTask): Promise<BaselineProfile> {
  await using file = await openTable(task);
  const wanted = wantedColumns(task, file);
  const draft = newWindowSketch(fileLayout(task.columns));
  await addAll(draft, file, wanted);
  if (draft.rows === 0) {
    throw unreadable("has no rows; a baseline needs some");
  }
  const layout = chooseLayout(draft, { edges: "exact" });
  const baseline = newWindowSketch(layout);
  await addAll(baseline, file, wanted);
  return { layout, baseline };
}

async function openTable({ path, format }: ProfileTask): Promise<TableFile> {
  const start = await firstBytes(path);
  if (start === "") {
    throw unreadable("is empty; send CSV with a header, or Parquet");
  }
  const isParquet = start === PARQUET_MAGIC;
  if (format === "parquet" && !isParquet) {
    throw unreadable('is no Parquet, which begins with "PAR1"; say CSV, or leave the format out');
  }
  if (format === "csv" && isParquet) {
    throw unreadable("is Parquet, and not CSV; say so, or leave the format out");
  }
  return isParquet ? openParquet(path) : openCsv(path);
}

/** The columns that are looked for in the file. @throws InvalidArgument where it has none of them. */
function wantedColumns(task: ProfileTask, file: TableFile): readonly FileColumn[] {
  const { columns, excluded } = task;
  const there = [...file.columns, ...file.nested];
  const unknown = excluded.find((name) => !there.includes(name));
  if (unknown !== undefined) {
    throw unreadable(
      `has no column ${JSON.stringify(unknown)} to leave out; it has ${listed(there)}`,
    );
  }
  const wanted = columns.filter(({ name }) => !excluded.includes(name));
  const nested = wanted.find(({ name, kind }) => kind !== "counted" && file.nested.includes(name));
  if (nested !== undefined) {
    throw unreadable(
      `has lists or structures in its column ${JSON.stringify(nested.name)}; expected one value a ` +
        "row. Flatten it, or leave it out with excluded_columns",
    );
  }
  if (!wanted.some(({ name }) => file.columns.includes(name))) {
    const names = wanted.map(({ name }) => name);
    throw unreadable(
      `has no column of the version. Expected ${listed(names)}; it has ${listed(there)}` +
        hints(there, names),
    );
  }
  return wanted;
}

async function addAll(
  window: WindowSketch,
  file: TableFile,
  wanted: readonly FileColumn[],
): Promise<void> {
  for await (const batch of file.batches(wanted)) {
    addBatch(window, batch);
  }
}

/** As addRows, for batches by column and with single values of another kind. */
function addBatch(window: WindowSketch, { newRows, columns, mistyped }: TableBatch): void {
  const rows = window.rows + newRows;
  const [first] = columns.values();
  if (first !== undefined) {
    addRows(window, { rows: first.kind === "counted" ? first.rows : first.values.length, columns });
  }
  window.rows = rows;
  for (const [name, count] of mistyped) {
    const counters = countersOf(window.columns[window.layout.places.get(name)!]!);
    counters.nulls -= count;
    counters.mistyped += count;
  }
}

async function firstBytes(path: string): Promise<string> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
  return buffer.toString("latin1", 0, bytesRead);
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN_MAX).map((name) => JSON.stringify(name.slice(0, 80)));
  const rest = names.length - shown.length;
  return `${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/** Which columns may have been meant. */
function hints(there: readonly string[], names: readonly string[]): string {
  const near = there.slice(0, SHOWN_MAX).flatMap((name) => {
    const meant = nearestName(name, names);
    return meant === undefined ? [] : `${JSON.stringify(name)} may be ${JSON.stringify(meant)}`;
  });
  return near.length === 0 ? "" : `. ${near.slice(0, 3).join(", ")}`;
}
