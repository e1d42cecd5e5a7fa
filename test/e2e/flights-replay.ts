// Lets the flights happen again on a mesh, through the API that anyone uses: definitions, files,
// pushes, online reads and point-in-time joins.

import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PushTarget } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type Job, Job_State, type SkewCheckResult } from "../../gen/plinth/features/v1/job_pb.js";
import { type Column, FieldStatus } from "../../gen/plinth/features/v1/value_pb.js";
import { readDefinitions } from "../../services/cli/features-lists.ts";
import { type ColumnInit, FLIGHTS, type Flights, timestamps, type ViewId } from "./use-flights.ts";
import { type Clients, collect, DEFAULT } from "./use-models.ts";

export const SERVICE = `${DEFAULT}/featureServices/flight_delay`;

/** What every online read is asked with; the hour and the day come from it. */
export const DEPARTURE = "2001-06-30T18:00:00Z";

/** Rows of one push; the API takes no more. */
const PUSH_ROWS_MAX = 10_000;

/** Values by feature, one a row; null where there is none. */
export type Values = Readonly<Record<string, readonly (number | null)[]>>;

export interface OnlineAnswer {
  readonly values: Values;
  /** Names of FieldStatus without the prefix. */
  readonly statuses: Readonly<Record<string, readonly string[]>>;
}

export interface Joined {
  readonly job: Job;
  readonly values: Values;
}

/** A mesh and the flights that happen on it. */
export class Replay {
  readonly #clients: Clients;
  readonly #flights: Flights;
  /** For files on their way. */
  readonly #folder: string;

  constructor(clients: Clients, flights: Flights, folder: string) {
    this.#clients = clients;
    this.#flights = flights;
    this.#folder = folder;
  }

  /** Applies the definitions of the example. */
  async define(): Promise<void> {
    const definitions = await readDefinitions(join(FLIGHTS, "features.yaml"));
    await this.#clients.definitions.applyDefinitions({ parent: DEFAULT, ...definitions });
  }

  /** Brings rows of a view in as a Parquet file; how many the job stored. */
  async ingest(view: ViewId, where: string): Promise<number> {
    const table = await this.#upload(`FROM ${view} WHERE ${where}`);
    const featureView = `${DEFAULT}/featureViews/${view}`;
    const { name } = await this.#clients.jobs.ingestFeatures({
      parent: DEFAULT,
      ingestion: { featureView, table },
    });
    const { work } = await this.#done(name);
    return work.case === "ingestion" ? Number(work.value.result?.rowsWritten) : 0;
  }

  /** Pushes rows of a view over a stream, in the order in which they became known; how many. */
  async push(view: ViewId, where: string, target = PushTarget.UNSPECIFIED): Promise<number> {
    const featureView = `${DEFAULT}/featureViews/${view}`;
    const { rows, columns } = await this.#flights.pushed(view, where);
    async function* batches() {
      for (let from = 0; from < rows; from += PUSH_ROWS_MAX) {
        const part = columns.map((column) => slice(column, from, from + PUSH_ROWS_MAX));
        yield { batch: { featureView, columns: part, target } };
      }
    }
    const { rowsWritten } = await this.#clients.features.streamPushFeatures(batches());
    return Number(rowsWritten);
  }

  /** Reads the service online now for the rows of a query with origin and destination. */
  async read(query: string): Promise<OnlineAnswer> {
    const { origin, destination } = await this.#flights.columns(query);
    const departure = BigInt(Date.parse(DEPARTURE)) * 1000n;
    const { results } = await this.#clients.features.getOnlineFeatures({
      parent: DEFAULT,
      featureService: "flight_delay",
      entities: [
        { name: "origin", strings: origin as string[] },
        { name: "destination", strings: destination as string[] },
        timestamps("departure", new Array<bigint>(origin!.length).fill(departure)),
      ],
    });
    const named = results.map(({ values, statuses }) => {
      const column = values!;
      return { name: column.name, column, statuses };
    });
    return {
      values: Object.fromEntries(
        named.map(({ name, column, statuses }) => [name, valuesOf(column, statuses)]),
      ),
      statuses: Object.fromEntries(
        named.map(({ name, statuses }) => [name, statuses.map((status) => FieldStatus[status])]),
      ),
    };
  }

  /** Joins the service to a query with origin, destination, departure and event_timestamp. */
  async join(
    query: string,
    options: { readonly ignoreCreatedTimestamp?: boolean } = {},
  ): Promise<Joined> {
    const { jobs } = this.#clients;
    const table = await this.#upload(query);
    const { name } = await jobs.createTrainingSet({
      parent: DEFAULT,
      trainingSet: { featureService: SERVICE, table, ...options },
    });
    const job = await this.#done(name);
    const chunks = await collect(jobs.downloadTrainingSet({ name }));
    const path = join(this.#folder, "joined.parquet");
    await writeFile(path, Buffer.concat(chunks.map(({ chunk }) => chunk)));
    const asked = ["origin", "destination", "departure", "event_timestamp"];
    const columns = await this.#flights.columns(`FROM read_parquet('${path}')`);
    const features = Object.entries(columns).filter(([column]) => !asked.includes(column));
    return {
      job,
      values: Object.fromEntries(features.map(([column, cells]) => [column, cells.map(number)])),
    };
  }

  /** Compares the reads that were kept since a time with history. */
  async checkSkew(since: Date): Promise<SkewCheckResult> {
    const { name } = await this.#clients.jobs.checkSkew({
      parent: DEFAULT,
      skewCheck: {
        featureService: SERVICE,
        startTime: timestamps("", [BigInt(since.getTime()) * 1000n]).timestamps![0]!,
      },
    });
    const { work } = await this.#done(name);
    if (work.case !== "skewCheck" || work.value.result === undefined) {
      throw new Error(`${name} has no result`);
    }
    return work.value.result;
  }

  async #upload(query: string): Promise<string> {
    const path = join(this.#folder, "upload.parquet");
    await this.#flights.parquet(query, path);
    async function* messages() {
      yield { payload: { case: "start" as const, value: { parent: DEFAULT } } };
      for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
        yield { payload: { case: "chunk" as const, value: chunk as Buffer } };
      }
    }
    return (await this.#clients.jobs.uploadTable(messages())).name;
  }

  async #done(name: string): Promise<Job> {
    let last: Job | undefined;
    for await (const { job } of this.#clients.jobs.watchJob({ name })) {
      last = job;
    }
    if (last?.state !== Job_State.SUCCEEDED) {
      throw new Error(`${name} is ${Job_State[last?.state ?? 0]}: ${last?.error?.message}`);
    }
    return last;
  }
}

function slice(column: ColumnInit, from: number, to: number): ColumnInit {
  const { name, strings, ints, doubles, timestamps: times, nulls } = column;
  return {
    name,
    ...(strings === undefined ? {} : { strings: strings.slice(from, to) }),
    ...(ints === undefined ? {} : { ints: ints.slice(from, to) }),
    ...(doubles === undefined ? {} : { doubles: doubles.slice(from, to) }),
    ...(times === undefined ? {} : { timestamps: times.slice(from, to) }),
    nulls: (nulls ?? []).filter((row) => row >= from && row < to).map((row) => row - from),
  };
}

/** The cells of a column that has numbers. */
function valuesOf(column: Column, statuses: readonly FieldStatus[]): (number | null)[] {
  const cells = column.ints.length > 0 ? column.ints : column.doubles;
  return statuses.map((status, row) =>
    status === FieldStatus.PRESENT ? number(cells[row]) : null,
  );
}

function number(cell: unknown): number | null {
  return cell === null || cell === undefined ? null : Number(cell);
}
