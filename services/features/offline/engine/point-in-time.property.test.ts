import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../../common/testing/seeded-random.ts";
import type { Cell } from "../../value.ts";
import type { SourceFile, TableFile } from "../engine-tasks.ts";
import {
  type Case,
  expectedOf,
  PUSHES,
  planOf,
  randomCase,
  randomSetting,
  type Setting,
  shrink,
  VIEWS,
} from "./point-in-time.testing.ts";
import { literal } from "./sql.ts";
import { columnsOf, query, type TestEngine, useEngine, writeParquet } from "./testing.ts";

const SETTINGS = 6;
const CASES = 50;
/** PLINTH_TEST_SEED takes another one. */
const SEED = 20_010_101;
const TIMEOUT_MS = 120_000;

/** The files of each view, written push by push as pushes are. */
async function writeHistory(test: TestEngine, cases: readonly Case[]) {
  const stored = cases.flatMap((one) => one.stored);
  const views: SourceFile[][] = [];
  for (const [view, shape] of VIEWS.entries()) {
    const sources: SourceFile[] = [];
    for (let push = 0; push < PUSHES; push++) {
      const rows = stored.filter((row) => row.view === view && row.push === push);
      const batch = {
        rows: rows.length,
        keys: byName(shape.joinKeys, (index) => rows.map(({ key }) => key[index] ?? null)),
        features: byName(shape.features, (index) =>
          rows.map(({ values }) => values[index] ?? null),
        ),
        eventUs: rows.map(({ event }) => event),
        createdUs: rows.map(({ created }) => created),
      };
      const input = { shape, batches: [batch], outDir: test.outDir };
      const { files } = await test.run("write-rows", input);
      sources.push(...files.map(({ path }) => ({ path, columns: columnsOf(shape) })));
    }
    views.push(sources);
  }
  return views;
}

function byName(fields: readonly { readonly name: string }[], cells: (index: number) => Cell[]) {
  return Object.fromEntries(fields.map(({ name }, index) => [name, cells(index)]));
}

/** The entity table: two columns to carry over around what the join needs. */
async function writeTable(
  test: TestEngine,
  cases: readonly Case[],
  { tableFormat }: Setting,
): Promise<TableFile> {
  const rows = cases.flatMap(({ asked }) => asked);
  const table = rows.map(({ origin, destination, hour, time }, row) => {
    return {
      row,
      origin,
      event_timestamp: timeText(time, row),
      hour,
      destination,
      label: `l${row}`,
    };
  });
  const columns = ["row", "origin", "event_timestamp", "hour", "destination", "label"] as const;
  const path = join(test.folder, `table.${tableFormat}`);
  if (tableFormat === "ndjson") {
    test.file("table.ndjson", table.map((row) => JSON.stringify(row)).join("\n"));
  } else if (tableFormat === "csv") {
    const quoted = (cell: unknown) => `"${String(cell).replaceAll('"', '""')}"`;
    const lines = table.map((row) => {
      return columns.map((name) => (row[name] === null ? "" : quoted(row[name]))).join(",");
    });
    test.file("table.csv", [columns.join(","), ...lines].join("\n"));
  } else {
    const values = table.map((row) => {
      const cells = columns.map((name) => {
        const cell = row[name];
        return typeof cell === "string" ? literal(cell) : String(cell);
      });
      return `(${cells.join(", ")})`;
    });
    const types = "row::BIGINT AS row, origin, event_timestamp::TIMESTAMPTZ AS event_timestamp, ";
    const rest = "hour::INTEGER AS hour, destination, label";
    const from = `(VALUES ${values.join(", ")}) t(${columns.join(", ")})`;
    await writeParquet(path, `SELECT ${types}${rest} FROM ${from}`);
  }
  return { path, format: tableFormat };
}

/** RFC 3339 with microseconds, in one of several time zones. */
function timeText(micros: number, row: number): string {
  const hours = [0, 2, -5][row % 3] ?? 0;
  const local = new Date(Math.floor(micros / 1000) + hours * 3_600_000).toISOString();
  const rest = String(((micros % 1000) + 1000) % 1000).padStart(3, "0");
  const zone = hours === 0 ? "Z" : `${hours < 0 ? "-" : "+"}0${Math.abs(hours)}:00`;
  return `${local.slice(0, -1)}${rest}${zone}`;
}

async function readResult(path: string, { outFormat }: Setting) {
  const file = literal(path);
  const rows = await query(
    outFormat === "csv"
      ? `SELECT * FROM read_csv(${file}, header = true, all_varchar = true, delim = ',', ` +
          `quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false)`
      : `SELECT COLUMNS(*)::VARCHAR FROM read_parquet(${file})`,
  );
  return rows.map((row) => new Map(Object.entries(row)));
}

/** Values of numbers alike, however they are written. */
function canonical(cell: unknown, type: string): string | null {
  if (cell === null || cell === undefined || type === "STRING") {
    return (cell as string | null | undefined) ?? null;
  }
  return String(Number(String(cell).replace(/^nan$/i, "NaN")));
}

function shown(value: unknown): string {
  return JSON.stringify(value, (_, cell) => (Number.isNaN(cell) ? "NaN" : cell));
}

interface Failure {
  readonly case: Case;
  readonly text: string;
}

/** Runs cases through the engine; the first of them that is not as the oracle has it. */
async function check(
  test: TestEngine,
  cases: readonly Case[],
  setting: Setting,
): Promise<Failure | undefined> {
  const plan = planOf(setting);
  const out = { path: join(test.outDir, "result"), format: setting.outFormat };
  const output = await test.run("join-training-set", {
    table: await writeTable(test, cases, setting),
    plan,
    eventTimestampColumn: "event_timestamp",
    ignoreCreatedTimestamp: setting.ignoreCreatedTimestamp,
    files: await writeHistory(test, cases),
    out,
  });
  const result = await readResult(out.path, setting);
  const counts = plan.outputs.map(() => ({
    present: 0,
    nullValue: 0,
    notFound: 0,
    outsideMaxAge: 0,
  }));
  let row = 0;
  for (const one of cases) {
    for (const ask of one.asked) {
      const expected = expectedOf(one, ask, setting);
      const found = result[row];
      const values = plan.outputs.map(({ name, type }) => canonical(found?.get(name), type));
      const wanted = plan.outputs.map(({ type }, at) => canonical(expected.values[at], type));
      const carried = [found?.get("row"), found?.get("origin"), found?.get("label")];
      const keys = [String(row), ask.origin, `l${row}`];
      if (shown([carried, values]) !== shown([keys, wanted])) {
        const text =
          `asked ${shown(ask)}: found ${shown([...carried, ...values])}, ` +
          `expected ${shown([...keys, ...wanted])}`;
        return { case: one, text };
      }
      for (const [at, fate] of expected.fates.entries()) {
        const count = counts[at];
        if (count !== undefined) {
          count[fate]++;
        }
      }
      row++;
    }
  }
  expect({ rows: output.rows, counts: output.features }).toEqual({ rows: row, counts });
  return undefined;
}

async function explain(test: TestEngine, failure: Failure, setting: Setting): Promise<string> {
  const smallest = await shrink(failure.case, async (smaller) => {
    return (await check(test, [smaller], setting)) !== undefined;
  });
  const last = (await check(test, [smallest], setting)) ?? failure;
  const lines = smallest.stored.map((row) => `stored ${shown(row)}`);
  return [`setting ${shown(setting)}`, ...lines, last.text].join("\n");
}

describe("point-in-time join", () => {
  it("gives what a plain loop gives", { timeout: TIMEOUT_MS }, async () => {
    const seed = Number(process.env.PLINTH_TEST_SEED ?? SEED);
    const random = new SeededRandom(seed);
    const test = useEngine();
    for (let index = 0; index < SETTINGS; index++) {
      const setting = randomSetting(random, index);
      const cases = Array.from({ length: CASES }, (_, at) => randomCase(random, at, setting));
      const failure = await check(test, cases, setting);
      if (failure !== undefined) {
        expect.fail(`PLINTH_TEST_SEED=${seed}\n${await explain(test, failure, setting)}`);
      }
    }
  });
});
