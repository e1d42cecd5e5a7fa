// For tests: two entities, three views and a feature service, small enough to reason about.

import {
  type BadRows,
  PushTarget,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { FieldStatus, ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { type FeaturesClients, uploadTable } from "./use-features.ts";

export const PARENT = "workspaces/default";
export const AIRPORT_STATS = `${PARENT}/featureViews/airport_stats`;
export const ROUTE_STATS = `${PARENT}/featureViews/route_stats`;
export const FLIGHT_DELAY = `${PARENT}/featureServices/flight_delay`;

/**
 * Applies them: `flight_delay` reads airport_stats by origin and by dest, and route_stats.
 * `ttlDays` of airport_stats: 0 for ever; absent 10.
 */
export async function applyFlights(
  { registry }: FeaturesClients,
  options: { readonly sampleRate?: number; readonly ttlDays?: number } = {},
): Promise<void> {
  const { STRING, DOUBLE, INT64 } = ValueType;
  await registry.applyDefinitions({
    parent: PARENT,
    entities: [
      { name: "airport", joinKeys: [{ name: "airport", valueType: STRING }] },
      { name: "carrier", joinKeys: [{ name: "carrier", valueType: INT64 }] },
    ],
    featureViews: [
      {
        name: "airport_stats",
        entities: ["airport"],
        features: [
          { name: "delay", valueType: DOUBLE },
          { name: "flights", valueType: INT64 },
        ],
        ttl: { seconds: 86_400n * BigInt(options.ttlDays ?? 10), nanos: 0 },
      },
      {
        name: "route_stats",
        entities: ["airport", "carrier"],
        features: [{ name: "share", valueType: DOUBLE }],
      },
    ],
    featureServices: [
      {
        name: "flight_delay",
        projections: [
          {
            featureView: "airport_stats",
            features: [{ feature: "delay", alias: "origin_delay" }],
            joinKeys: { airport: "origin" },
          },
          {
            featureView: "airport_stats",
            features: [
              { feature: "delay", alias: "dest_delay" },
              { feature: "flights", alias: "dest_flights" },
            ],
            joinKeys: { airport: "dest" },
          },
          {
            featureView: "route_stats",
            features: [{ feature: "share", alias: "share" }],
            joinKeys: { airport: "origin" },
          },
        ],
        loggingSampleRate: options.sampleRate ?? 0,
      },
    ],
  });
}

/** Rows of airport_stats as CSV; times are days of January 2026. */
export function airportCsv(
  rows: readonly (readonly [airport: string, day: number, delay: number | "", flights: number])[],
): string {
  const lines = rows.map(([airport, day, delay, flights]) => {
    return `${airport},${at(day)},${at(day)},${delay},${flights}`;
  });
  return ["airport,event_timestamp,created_timestamp,delay,flights", ...lines, ""].join("\n");
}

/** Noon UTC of a day of January 2026. */
export function at(day: number): string {
  return new Date(Date.UTC(2026, 0, day, 12)).toISOString();
}

/** Noon UTC of the 10th of January 2026. */
export function clockOfTheTenth(): FakeClock {
  return new FakeClock(Date.UTC(2026, 0, 10, 12));
}

/** Asks for an ingestion of a CSV file into airport_stats; the job's name. */
export async function ingest(
  features: FeaturesClients,
  csv: string,
  fields: {
    readonly badRows?: BadRows;
    readonly target?: PushTarget;
    readonly featureView?: string;
  } = {},
): Promise<string> {
  const table = await uploadTable(features, csv);
  const ingestion = { featureView: AIRPORT_STATS, table, ...fields };
  return (await features.jobs.ingestFeatures({ parent: PARENT, ingestion })).name;
}

/** `delay` of airports as it is online, or why it is not. */
export async function onlineDelays(
  { store }: FeaturesClients,
  airports: readonly string[],
): Promise<readonly (number | string | undefined)[]> {
  const { results } = await store.getOnlineFeatures({
    parent: PARENT,
    features: ["airport_stats:delay"],
    entities: [{ name: "airport", strings: [...airports] }],
  });
  const [result] = results;
  return (result?.statuses ?? []).map((status, row) =>
    status === FieldStatus.PRESENT ? result?.values?.doubles[row] : FieldStatus[status],
  );
}

/** Pushes one row of airport_stats. */
export async function push(
  { store }: FeaturesClients,
  row: readonly [airport: string, day: number, delay: number],
  target: PushTarget = PushTarget.UNSPECIFIED,
): Promise<void> {
  const [airport, day, delay] = row;
  const time = { seconds: BigInt(Date.parse(at(day)) / 1000), nanos: 0 };
  await store.pushFeatures({
    featureView: AIRPORT_STATS,
    target,
    columns: [
      { name: "airport", strings: [airport] },
      { name: "event_timestamp", timestamps: [time] },
      { name: "created_timestamp", timestamps: [time] },
      { name: "delay", doubles: [delay] },
      { name: "flights", ints: [1n] },
    ],
  });
}
