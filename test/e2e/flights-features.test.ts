// The flights of June 2001 happen again: rows come in as they became known then, with online reads
// in between, and the point-in-time join over the whole history, made afterwards, must say of every
// moment what the online store said at it. A model that is trained so then predicts by entity key.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PushTarget } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import type { Prediction } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { DEPARTURE, type OnlineAnswer, Replay, type Values } from "./flights-replay.ts";
import { FLIGHTS, Flights } from "./use-flights.ts";
import { ROOT, shareMesh } from "./use-mesh.ts";
import { type Clients, clientsOn, DEFAULT } from "./use-models.ts";

const run = promisify(execFile);

/** Up to here rows come in as a file, from here on by pushes. */
const BEGIN = "2001-06-24 00:00:00";

/** Rows of an airport are there ten minutes after their hour, those of routes at four. */
const MOMENTS = [
  "2001-06-24 18:05:00",
  "2001-06-24 18:09:59.999999",
  "2001-06-24 18:10:00",
  "2001-06-25 03:59:59",
  "2001-06-25 04:00:00",
  "2001-06-27 12:34:56",
  "2001-06-30 23:59:00",
  "2001-07-01 04:10:00",
] as const;

/** A route into and one out of each airport, and one that no flight ever took. */
const ASKED = `
  SELECT origin, destination FROM (
    SELECT origin, min(destination) AS destination FROM route_delays GROUP BY origin
    UNION SELECT max(origin), destination FROM route_delays GROUP BY destination
    UNION SELECT 'ATL', 'ZZZ'
  ) ORDER BY origin, destination`;

const shared = shareMesh();
const answers = new Map<string, OnlineAnswer>();
let flights: Flights;
let replay: Replay;
let clients: Clients;
let stored = 0;

/** The entity table of what was asked at these moments, in that order. */
function askedAt(...moments: readonly string[]): string {
  const times = moments.map((time) => `TIMESTAMP '${time}'`).join(", ");
  return `
    SELECT origin, destination, TIMESTAMP '${DEPARTURE.slice(0, -1)}' AS departure, event_timestamp
    FROM (${ASKED}), (SELECT unnest([${times}]) AS event_timestamp)
    ORDER BY event_timestamp, origin, destination`;
}

beforeAll(async () => {
  clients = clientsOn(shared.current.channel);
  flights = await Flights.open();
  replay = new Replay(clients, flights, shared.current.dataDir);
  await replay.define();
  for (const view of ["airport_delays", "route_delays"] as const) {
    stored += await replay.ingest(view, `created_timestamp <= '${BEGIN}'`);
  }
  let before: string = BEGIN;
  for (const moment of MOMENTS) {
    const news = `created_timestamp > '${before}' AND created_timestamp <= '${moment}'`;
    stored += await replay.push("airport_delays", news);
    stored += await replay.push("route_delays", news);
    answers.set(moment, await replay.read(ASKED));
    before = moment;
  }
}, 120_000);

afterAll(async () => {
  await flights[Symbol.asyncDispose]();
});

describe("flights and their features", () => {
  it("are all stored, whether they came in a file or by a push", async () => {
    const { rows } = await flights.columns(
      "SELECT (SELECT count(*) FROM airport_delays) + (SELECT count(*) FROM route_delays) AS rows",
    );
    expect(stored).toBe(Number(rows![0]));
    expect(stored).toBeGreaterThan(300_000);
    const held = await Promise.all(
      ["airport_delays", "route_delays"].map((view) =>
        clients.definitions.getFeatureViewStatus({ name: `${DEFAULT}/featureViews/${view}` }),
      ),
    );
    const total = held.reduce((sum, one) => sum + one.offlineRows + one.pendingRows, 0n);
    expect(Number(total)).toBe(stored);
  });

  it("have online, at the end, what the join has at the end: every airport, 200 routes", async () => {
    const { origin, destination } = await flights.columns(ASKED);
    const { airport } = await flights.columns(
      "SELECT DISTINCT airport FROM airport_delays ORDER BY airport",
    );
    expect([...new Set(origin)]).toEqual(airport);
    expect(origin!.length).toBeGreaterThan(200);
    const end = MOMENTS.at(-1)!;
    const online = answers.get(end)!;
    const { values } = await replay.join(askedAt(end));
    expect(online.values).toEqual(values);
    // Not by both having nothing: all but the route that is none have a value.
    const unknown = destination!.indexOf("ZZZ");
    expect(online.values.distance!.flatMap((value, row) => (value === null ? [row] : []))).toEqual([
      unknown,
    ]);
    expect(online.statuses.distance![unknown]).toBe("NOT_FOUND");
    expect(new Set(online.values.origin_mean_delay_24h).size).toBeGreaterThan(150);
  });

  it("had online at each moment what the join over all history says of it", async () => {
    const { values, job } = await replay.join(askedAt(...MOMENTS));
    const rows = answers.get(MOMENTS[0])!.values.distance!.length;
    for (const [index, moment] of MOMENTS.entries()) {
      const online = answers.get(moment)!.values;
      const from = index * rows;
      const joined = Object.fromEntries(
        Object.entries(values).map(([name, cells]) => [name, cells.slice(from, from + rows)]),
      );
      expect(online, moment).toEqual(joined);
    }
    expect(values.distance).toHaveLength(rows * MOMENTS.length);
    const { work } = job;
    const counts = work.case === "trainingSet" ? (work.value.result?.features ?? []) : [];
    expect(counts.length).toBe(Object.keys(values).length);
    for (const { feature, present, nullValue, notFound } of counts) {
      const met = [...answers.values()].flatMap(({ statuses }) => statuses[feature] ?? []);
      const times = (name: string): bigint => BigInt(met.filter((one) => one === name).length);
      expect([present, nullValue, notFound], feature).toEqual(
        ["PRESENT", "NULL_VALUE", "NOT_FOUND"].map(times),
      );
    }
  });

  it("count only once they are there: not five minutes past the hour, but ten", async () => {
    const [early, almost, there] = MOMENTS.slice(0, 3).map((moment) => answers.get(moment)!.values);
    expect(almost).toEqual(early);
    const changed = there!.origin_flights_24h!.filter(
      (flown, row) => flown !== early!.origin_flights_24h![row],
    );
    expect(changed.length).toBeGreaterThan(100);
    // By event time alone the row of 18:00 would have been used at 18:05: the leak that is avoided.
    const leaky = await replay.join(askedAt(MOMENTS[0]), { ignoreCreatedTimestamp: true });
    expect(leaky.values.origin_flights_24h).toEqual(there!.origin_flights_24h);
    const [night, four] = MOMENTS.slice(3, 5).map((moment) => answers.get(moment)!.values);
    expect(four!.flights_28d).not.toEqual(night!.flights_28d);
    expect(four!.origin_flights_24h).toEqual(night!.origin_flights_24h);
  });

  it("do not leak what a backfill brings later", async () => {
    const moment = "2001-06-27 12:34:56";
    const before = answers.get(moment)!.values;
    await flights.run(`
      UPDATE airport_delays SET flights_24h = -1, created_timestamp = TIMESTAMP '2001-07-01 05:00'
      WHERE event_timestamp = TIMESTAMP '2001-06-27 12:00'`);
    const brought = await replay.push("airport_delays", "flights_24h = -1");
    expect(brought).toBeGreaterThan(100);
    const { values } = await replay.join(askedAt(moment));
    expect(values).toEqual(before);
    const leaky = await replay.join(askedAt(moment), { ignoreCreatedTimestamp: true });
    const changed = leaky.values.origin_flights_24h!.filter(
      (flown, row) => flown !== before.origin_flights_24h![row],
    );
    expect(new Set(changed)).toEqual(new Set([-1]));
    expect(changed.length).toBeGreaterThan(300);
    // It is older than what is online.
    const online = await replay.read(ASKED);
    expect(online.values).toEqual(answers.get(MOMENTS.at(-1)!)!.values);
  });
});

describe("a model that takes features of flights", () => {
  const end = MOMENTS.at(-1)!;
  let entities: { origin: string; destination: string; departure: string }[];
  let joined: Values;

  const predict = async (some: typeof entities) =>
    clients.predictions.predict({ deployment: "flights-live", entities: some });

  beforeAll(async () => {
    const { values, job } = await replay.join(askedAt(end));
    joined = values;
    const { origin, destination } = await flights.columns(ASKED);
    entities = origin!.map((from, row) => ({
      origin: String(from),
      destination: String(destination![row]),
      departure: DEPARTURE,
    }));
    await plinth(
      ...["models", "push", "flights-live", join(FLIGHTS, "live.onnx"), "--approve"],
      ...["--feature-service", "flight_delay", "--training-set", job.name],
    );
    await plinth(
      ...["deployments", "create", "flights-live", "--model", "flights-live", "--wait"],
      ...["--timeout", "20s"],
    );
  }, 60_000);

  it("is pinned to what its training set was made with", async () => {
    const version = await clients.models.getModelVersion({
      name: `${DEFAULT}/models/flights-live/versions/1`,
    });
    expect(version.featureService).toBe(`${DEFAULT}/featureServices/flight_delay/versions/1`);
    expect(version.lineage?.trainingDatasets).toHaveLength(1);
  });

  it("says of entity keys what it says of the columns of the joined rows", async () => {
    const byKey = await predict(entities);
    expect(byKey.featureService).toBe(`${DEFAULT}/featureServices/flight_delay/versions/1`);
    expect(byKey.featureStatuses.map(({ feature }) => feature)).toEqual(Object.keys(joined));
    const unknown = entities.findIndex(({ destination }) => destination === "ZZZ");
    expect(byKey.predictions[unknown]!.error?.message).toMatch(/"distance" is NOT_FOUND/);
    const known = entities.flatMap((_, row) => (row === unknown ? [] : [row]));
    const byColumns = await clients.predictions.predict({
      deployment: "flights-live",
      rows: known.map((row) => columnsOf(joined, row)),
    });
    const delays = byColumns.predictions.map(delayOf);
    expect(new Set(delays).size).toBeGreaterThan(150);
    for (const [index, row] of known.entries()) {
      expect(delayOf(byKey.predictions[row]!)).toBeCloseTo(delays[index]!, 6);
    }
  });

  it("shows no skew, and shows it when a row came online only", async () => {
    const known = entities.filter(({ destination }) => destination !== "ZZZ");
    const skewAfter = async (since: Date, rows: number) => {
      // Reads are kept a moment after they were answered.
      const checked = () => replay.checkSkew(since).then(({ rowsChecked }) => Number(rowsChecked));
      await expect.poll(checked, { timeout: 10_000, interval: 300 }).toBe(rows);
      return replay.checkSkew(since);
    };
    const before = new Date();
    await predict(known);
    expect((await skewAfter(before, known.length)).rowsDiffering).toBe(0n);

    await flights.run(`
      INSERT INTO airport_delays BY NAME SELECT 'ATL' AS airport, 99.5 AS mean_delay_3h,
      TIMESTAMP '2001-07-01 06:00' AS event_timestamp, event_timestamp AS created_timestamp`);
    const news = "event_timestamp = '2001-07-01 06:00'";
    expect(await replay.push("airport_delays", news, PushTarget.ONLINE)).toBe(1);
    const after = new Date();
    await predict(known);
    const { rowsDiffering, differences } = await skewAfter(after, known.length);
    const touched = known.filter((one) => Object.values(one).includes("ATL"));
    expect(touched.length).toBeGreaterThan(1);
    expect(Number(rowsDiffering)).toBe(touched.length);
    expect(differences).toContainEqual(
      expect.objectContaining({ feature: "origin_mean_delay_3h", onlineValue: "99.5" }),
    );
    expect(differences).toContainEqual(
      expect.objectContaining({ feature: "destination_flights_24h", onlineValue: "null" }),
    );
  });

  it("is asked by entity key on the command line", async () => {
    const route = { origin: "DEN", destination: "LAX", departure: DEPARTURE };
    const [expected] = (await predict([route])).predictions.map(delayOf);
    const keys = Object.entries(route).flatMap(([key, value]) => ["--entity", `${key}=${value}`]);
    const shown = await plinth("predict", "flights-live", ...keys);
    expect(shown).toMatch(/^ROW +origin +destination +departure +FEATURES +-> delay_minutes/);
    expect(shown).toMatch(/DEN +LAX +2001-06-30T18:00:00Z +all +-?\d/);
    const { predictions } = JSON.parse(await plinth("predict", "flights-live", ...keys, "--json"));
    expect(predictions[0].outputs.delay_minutes[0]).toBeCloseTo(expected!, 4);
    expect(predictions[0].features).toMatchObject({ hour: "PRESENT", distance: "PRESENT" });
  });
});

/** What the command prints on standard output. */
async function plinth(...args: readonly string[]): Promise<string> {
  const bin = join(ROOT, "bin", "plinth.mjs");
  const address = ["--address", shared.current.grpcAddress];
  const { stdout } = await run(process.execPath, [bin, ...args, ...address], {
    env: { ...process.env, NO_COLOR: "1" },
  });
  return stdout;
}

/** A joined row as the columns of the model; what is missing as features.yaml has it. */
function columnsOf(values: Values, row: number): Record<string, number | string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, cells]) => {
      const missing = name.includes("flights") ? 0 : "NaN";
      return [name, cells[row] ?? missing];
    }),
  );
}

function delayOf({ outputs }: Prediction): number {
  return (outputs!.delay_minutes as number[])[0]!;
}
