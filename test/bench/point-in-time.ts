// The point-in-time join against pandas doing the same work on the same files: five views of two
// million rows each, in files as the offline store writes them, and a million entity rows.

import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DuckDBInstance } from "@duckdb/node-api";
import { parseSettings } from "../../services/common/config.ts";
import { featuresSettings } from "../../services/features/config.ts";
import type { ReadPlan } from "../../services/features/definitions/read-plan.ts";
import { openOfflineEngine } from "../../services/features/offline/engine.ts";
import type { Field } from "../../services/features/value.ts";
import type { Case } from "./case.ts";
import { atLeast, type Figures, figure, type Round } from "./figures.ts";
import { peakOfChildren, runToEnd } from "./process.ts";
import { CACHE, preparePython } from "./tools.ts";

const VIEWS = 5;
const ROWS_A_VIEW = 2_000_000;
const ENTITY_ROWS = 1_000_000;
const KEYS = 50_000;
const DAYS = 90;
const FEATURES_A_VIEW = 10;
/** 2001-01-01, in microseconds. */
const FIRST_US = 978_307_200_000_000;
const DAY_US = 86_400_000_000;
const TTL_US = 30 * DAY_US;
const KEY: Field = { name: "key", type: "STRING" };
const DATA = join(CACHE, "point-in-time-2");
const ENTITIES = join(DATA, "entities.parquet");

/** The case. */
export const pointInTimeCase: Case = {
  name: "point-in-time",
  title: "training set: 1 million entity rows, 5 views of 10 million rows together",
  contenders: [
    { name: "plinth", measure: measurePlinth },
    { name: "pandas merge_asof", measure: measurePandas },
  ],
  checks: [
    {
      what: "seconds",
      unit: "s",
      target: 25,
      bound: "under",
      value: figure("plinth", "seconds"),
    },
    {
      what: "resident at most",
      unit: "MB",
      target: 2000,
      bound: "under",
      value: figure("plinth", "residentMb"),
    },
    atLeast(5, "times as fast as pandas", timesAsFast),
  ],
};

function timesAsFast(round: Round): number | undefined {
  const [ours, theirs] = [round.get("plinth")?.seconds, round.get("pandas merge_asof")?.seconds];
  return ours === undefined || theirs === undefined ? undefined : theirs / ours;
}

async function measurePlinth(): Promise<Figures> {
  await makeData();
  const scratchDir = join(DATA, "scratch");
  await mkdir(scratchDir, { recursive: true });
  const config = parseSettings({}, featuresSettings);
  await using engine = openOfflineEngine({ config, scratchDir });
  const files = await Promise.all(range(VIEWS).map((view) => filesOf(view)));
  const columns = (view: number) => [KEY, ...featuresOf(view)];
  const peak = peakOfChildren(process.pid);
  const started = performance.now();
  await engine.run(
    "join-training-set",
    {
      table: { path: ENTITIES, format: "parquet" },
      plan: plan(),
      eventTimestampColumn: "event_timestamp",
      ignoreCreatedTimestamp: false,
      files: files.map((paths, view) => paths.map((path) => ({ path, columns: columns(view) }))),
      out: { path: join(DATA, "plinth.parquet"), format: "parquet" },
    },
    { signal: new AbortController().signal },
  );
  const seconds = (performance.now() - started) / 1000;
  return { seconds, residentMb: peak() / 1e6, output: await sums("plinth.parquet") };
}

async function measurePandas(): Promise<Figures> {
  await makeData();
  const { python } = await preparePython();
  const script = fileURLToPath(new URL("peers/point_in_time.py", import.meta.url));
  const out = join(DATA, "pandas.parquet");
  const views = range(VIEWS).map((view) => join(DATA, `view-${view}`));
  const args = [script, "--entities", ENTITIES, "--out", out, "--ttl-days", "30", ...views];
  const said = JSON.parse(await runToEnd({ command: python, args })) as Figures;
  return { ...said, output: await sums("pandas.parquet") };
}

/** What both must agree on: for each view the values there, and the mean of one feature. */
async function sums(file: string): Promise<number[]> {
  const path = join(DATA, file);
  const parts = range(VIEWS).map((view) => `count(f${view}_0), avg(f${view}_9)`);
  const [row] = await query(`SELECT ${parts.join(", ")} FROM read_parquet('${path}')`);
  return row!.map(Number);
}

function plan(): ReadPlan {
  const createTime = new Date(0);
  const source = { eventTimestampColumn: "", createdTimestampColumn: "", fieldMapping: [] };
  return {
    workspace: "default",
    featureService: undefined,
    loggingSampleRate: 0,
    requestColumns: [KEY],
    keyColumns: 1,
    keys: [{ parts: [{ joinKey: KEY.name, column: 0 }] }],
    views: range(VIEWS).map((view) => ({
      key: 0,
      source: {
        view: `view_${view}`,
        uid: String(view),
        version: {
          number: 1,
          createTime,
          entities: ["entity"],
          joinKeys: [KEY],
          features: featuresOf(view).map((f) => ({ ...f, description: "", defaultValue: null })),
          ttlUs: TTL_US,
          source,
          online: true,
          offline: true,
        },
      },
    })),
    transforms: [],
    outputs: range(VIEWS).flatMap((view) =>
      featuresOf(view).map((field, feature) => ({
        ...field,
        view: `view_${view}`,
        viewVersion: 1,
        defaultValue: null,
        from: { kind: "view" as const, read: view, feature },
      })),
    ),
  };
}

function featuresOf(view: number): Field[] {
  return range(FEATURES_A_VIEW).map((i) => ({ name: `f${view}_${i}`, type: "DOUBLE" }));
}

async function filesOf(view: number): Promise<string[]> {
  const folder = join(DATA, `view-${view}`);
  return (await readdir(folder)).sort().map((file) => join(folder, file));
}

/** Made once: rows from a seed, a creation time up to an hour after the event, some much later. */
async function makeData(): Promise<void> {
  if ((await stat(ENTITIES).catch(() => undefined)) !== undefined) {
    return;
  }
  console.error("Making ten million feature rows ...");
  await rm(DATA, { recursive: true, force: true });
  for (const view of range(VIEWS)) {
    const folder = join(DATA, `view-${view}`);
    await mkdir(folder, { recursive: true });
    await query(rowsSql(view), ...range(DAYS).map((day) => dayFileSql(folder, day)));
  }
  await query(
    "SELECT setseed(0.5)",
    `COPY (
       SELECT 'k' || (random() * ${KEYS})::INTEGER AS key,
         make_timestamp((${FIRST_US} + random() * ${DAYS * DAY_US})::BIGINT) AS event_timestamp,
         i AS id
       FROM range(${ENTITY_ROWS}) AS r(i)
     ) TO '${ENTITIES}' (FORMAT parquet)`,
  );
}

function rowsSql(view: number): string {
  const features = featuresOf(view).map(({ name }) => `random() AS ${name}`);
  const names = featuresOf(view).map(({ name }) => name);
  return `CREATE TEMP TABLE rows AS
    SELECT key, make_timestamptz(event_us) AS event_timestamp,
      make_timestamptz(event_us + (late ** 4 * ${3 * DAY_US})::BIGINT) AS created_timestamp,
      ${names.join(", ")}
    FROM (SELECT 'k' || (random() * ${KEYS})::INTEGER AS key,
      (${FIRST_US} + random() * ${DAYS * DAY_US})::BIGINT AS event_us,
      random() AS late, ${features.join(", ")}
    FROM range(${ROWS_A_VIEW}))`;
}

function dayFileSql(folder: string, day: number): string {
  const start = (of: number): string => `make_timestamptz(${FIRST_US + of * DAY_US})`;
  const path = join(folder, `${String(day).padStart(3, "0")}.parquet`);
  return `COPY (
      FROM rows WHERE event_timestamp >= ${start(day)} AND event_timestamp < ${start(day + 1)}
      ORDER BY key, event_timestamp, created_timestamp
    ) TO '${path}' (FORMAT parquet, COMPRESSION zstd)`;
}

/** Runs statements on a database of their own; the rows of the last one. */
async function query(...statements: readonly string[]): Promise<unknown[][]> {
  const database = await DuckDBInstance.create(":memory:");
  const connection = await database.connect();
  try {
    for (const statement of statements.slice(0, -1)) {
      await connection.run(statement);
    }
    return (await connection.runAndReadAll(statements.at(-1)!)).getRows();
  } finally {
    connection.closeSync();
    database.closeSync();
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
