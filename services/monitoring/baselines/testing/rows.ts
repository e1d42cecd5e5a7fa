// For tests: the rows of the Parquet files beside this one (make-fixtures.py), and the same as CSV.

import { fileURLToPath } from "node:url";
import type { FileColumn } from "../table-file.ts";

export const FIXTURE_ROWS = 300;
export const FIXTURES = [
  "pyarrow-snappy.parquet",
  "pyarrow-v2-gzip.parquet",
  "pyarrow-lz4.parquet",
  "duckdb-zstd.parquet",
] as const;

/** The columns that hold one value a row, as a version might have them. */
export const FIXTURE_COLUMNS: readonly FileColumn[] = [
  { name: "amount", kind: "numeric" },
  { name: "ratio", kind: "numeric", precision: "single" },
  { name: "whole", kind: "numeric" },
  { name: "small", kind: "numeric" },
  { name: "flag", kind: "bool" },
  { name: "city", kind: "category" },
  { name: "price", kind: "numeric" },
  { name: "at", kind: "timestamp" },
  { name: "prediction.label", kind: "category" },
];

const CITIES = ["Atlanta", "Boston", "Zürich", "東京"];

export function fixturePath(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** The cells of a row, "" where it has no value. */
export function fixtureRow(i: number): readonly string[] {
  return [
    amount(i),
    String((i % 10) / 10),
    String(i * 10_000_000_000),
    i % 9 === 4 ? "" : String(i % 24),
    i % 7 === 3 ? "" : String(i % 3 === 0),
    i % 8 === 5 ? "" : CITIES[i % 4]!,
    String((i % 100) / 100),
    String(i * 60_000_000),
    ["no", "yes"][i % 2]!,
  ];
}

/** All rows, with a header. */
export function fixtureCsv(): string {
  const rows = Array.from({ length: FIXTURE_ROWS }, (_, i) => fixtureRow(i).join(","));
  return `${[FIXTURE_COLUMNS.map(({ name }) => name).join(","), ...rows].join("\n")}\n`;
}

function amount(i: number): string {
  if (i % 50 === 7) {
    return "";
  }
  if (i % 60 === 11) {
    return "NaN";
  }
  return i % 100 === 13 ? "-inf" : String(i * 0.25 - 20);
}
