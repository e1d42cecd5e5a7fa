// The real flights of the npm package vega-datasets as the features of examples/flights, made by
// its features.sql, for tests that let them happen again.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import type { Column } from "../../gen/plinth/features/v1/value_pb.js";
import { EXAMPLES, ROOT } from "./use-mesh.ts";

/** The folder of the example. */
export const FLIGHTS = join(EXAMPLES, "flights");

const DATA = join(ROOT, "node_modules", "vega-datasets", "data");

/** The files of the package have a whole half-year; a test need not wait for all of it. */
const SINCE = "2001-05-20";

export type ViewId = "airport_delays" | "route_delays";

/** The join keys of each view; all other columns but its times are features. */
const KEYS: Readonly<Record<ViewId, readonly string[]>> = {
  airport_delays: ["airport"],
  route_delays: ["origin", "destination"],
};

const TIMES = ["event_timestamp", "created_timestamp"];

export type ColumnInit = Pick<Column, "name"> & Partial<Omit<Column, "$typeName" | "name">>;

/** The tables of features.sql in memory: `airport_delays`, `route_delays` and `landed`. */
export class Flights implements AsyncDisposable {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  /** Runs features.sql on the flights of the last six weeks of the data. */
  static async open(): Promise<Flights> {
    const instance = await DuckDBInstance.create(":memory:");
    const flights = new Flights(instance, await instance.connect());
    await flights.run(
      `CREATE VIEW flights AS FROM read_parquet('${DATA}/flights-3m.parquet') WHERE date >= '${SINCE}';
       CREATE VIEW airports AS FROM read_csv('${DATA}/airports.csv');
       ${readFileSync(join(FLIGHTS, "features.sql"), "utf8")}`,
    );
    return flights;
  }

  async run(sql: string): Promise<void> {
    await this.#connection.run(sql);
  }

  /** A query's result by column. */
  async columns(sql: string): Promise<Readonly<Record<string, readonly unknown[]>>> {
    const reader = await this.#connection.runAndReadAll(sql);
    return reader.getColumnsObjectJS();
  }

  /** A query's result as Parquet. */
  async parquet(sql: string, path: string): Promise<void> {
    await this.run(`COPY (${sql}) TO '${path}' (FORMAT parquet)`);
  }

  /** Rows of a view as columns to be pushed, in the order in which they became known. */
  async pushed(view: ViewId, where: string): Promise<{ rows: number; columns: ColumnInit[] }> {
    const table = await this.columns(
      `SELECT * REPLACE (epoch_us(event_timestamp) AS event_timestamp,
         epoch_us(created_timestamp) AS created_timestamp)
       FROM ${view} WHERE ${where} ORDER BY created_timestamp, ${KEYS[view].join(", ")}`,
    );
    const columns = Object.entries(table).map(([name, values]) => column(view, name, values));
    return { rows: table.event_timestamp?.length ?? 0, columns };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

function column(view: ViewId, name: string, values: readonly unknown[]): ColumnInit {
  if (KEYS[view].includes(name)) {
    return { name, strings: values as string[] };
  }
  if (TIMES.includes(name)) {
    return timestamps(name, values as bigint[]);
  }
  const nulls = values.flatMap((value, row) => (value === null ? [row] : []));
  if (values.some((value) => typeof value === "bigint")) {
    return { name, ints: values.map((value) => (value as bigint | null) ?? 0n), nulls };
  }
  return { name, doubles: values.map((value) => (value as number | null) ?? 0), nulls };
}

/** A column of microseconds since the Unix epoch. */
export function timestamps(name: string, micros: readonly bigint[]): ColumnInit {
  return {
    name,
    timestamps: micros.map((us) => ({
      $typeName: "google.protobuf.Timestamp" as const,
      seconds: us / 1_000_000n,
      nanos: Number(us % 1_000_000n) * 1000,
    })),
  };
}
