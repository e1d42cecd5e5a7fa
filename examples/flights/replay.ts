// Lets the flights of March to June 2001 happen again on a deployment: a day is one request, in its
// own time, and its delays are told the day after. Run it with `npx node replay.ts`, once the
// deployment is there (see the README); it says week by week what monitoring makes of it.

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const WORKSPACE = "workspaces/default";
/** Windows are closed and judged within seconds; a busy machine may need longer. */
const JUDGED_WITHIN_MS = 120_000;
const POLL_MS = 100;

export interface ReplayOptions {
  /** The gateway, as "http://127.0.0.1:8080". */
  readonly url: string;
  readonly deployment: string;
  readonly say: (line: string) => void;
}

/** Flights of one day: what the model is asked, and how late they were. */
interface Day {
  readonly startMs: number;
  readonly rows: readonly Readonly<Record<string, number | string>>[];
  readonly delays: readonly number[];
}

interface Health {
  readonly deployment: string;
  readonly windowEndTime: string;
  readonly featureDriftShare?: number;
}

interface Alert {
  readonly name: string;
  readonly rule: string;
  readonly modelVersion: string;
  readonly state: string;
  readonly actions?: readonly { readonly state: string; readonly detail: string }[];
}

/** Replays all days, and waits after each week until it is judged and acted upon. */
export async function replay({ url, deployment, say }: ReplayOptions): Promise<void> {
  const mesh = new Mesh(url, `${WORKSPACE}/deployments/${deployment}`);
  const told = new Map<string, string>();
  // An earlier replay may have left some.
  await mesh.alertNews(told);
  let before: Day | undefined;
  let asked = "";
  const days = await readDays();
  for (const day of days) {
    if (before !== undefined) {
      await mesh.recordDelays(before);
    }
    const lastWeek = asked;
    asked = await mesh.predict(day);
    // The window waited a day for labels, and has closed with the flights of this one.
    const endMs = day.startMs - DAY_MS;
    const week = { startMs: endMs - WEEK_MS, endMs };
    if (endMs % WEEK_MS === 0 && week.startMs >= days[0]!.startMs) {
      const health = await mesh.untilJudged(lastWeek, week.endMs);
      say(`${await mesh.describe(lastWeek, week)}, ${percent(health.featureDriftShare)} drifted`);
      for (const line of await mesh.alertNews(told)) {
        say(line);
      }
    }
    before = day;
  }
  if (before !== undefined) {
    await mesh.recordDelays(before);
  }
}

/** The public API as JSON over HTTP. */
class Mesh {
  readonly #url: string;
  readonly #deployment: string;

  constructor(url: string, deployment: string) {
    this.#url = url;
    this.#deployment = deployment;
  }

  /** Asks for a day's delays at its noon; the version that answered. */
  async predict({ startMs, rows }: Day): Promise<string> {
    const { modelVersion } = await this.#call<{ modelVersion: string }>(
      "plinth.inference.v1.InferenceService/Predict",
      {
        deployment: this.#deployment,
        id: dateOf(startMs),
        rows,
        eventTime: new Date(startMs + DAY_MS / 2).toISOString(),
      },
    );
    return modelVersion;
  }

  /** Tells how late the flights of a day were. */
  async recordDelays({ startMs, delays }: Day): Promise<void> {
    const inferenceId = dateOf(startMs);
    await this.#call("plinth.monitoring.v1.MonitoringService/RecordGroundTruth", {
      deployment: this.#deployment,
      labels: delays.map((number, row) => ({ inferenceId, row, number })),
    });
  }

  /** Waits until the window that ends then was judged; what the registry was told of it. */
  async untilJudged(name: string, endMs: number): Promise<Health> {
    const untilMs = Date.now() + JUDGED_WITHIN_MS;
    while (Date.now() < untilMs) {
      const { health = [] } = await this.#call<{ health?: readonly Health[] }>(
        "plinth.registry.v1.ModelService/GetModelVersion",
        { name },
      );
      const here = health.find(({ deployment }) => deployment === this.#deployment);
      if (here !== undefined && Date.parse(here.windowEndTime) >= endMs) {
        return here;
      }
      await sleep(POLL_MS);
    }
    throw new Error(`The week up to ${dateOf(endMs)} was not judged: is monitoring running?`);
  }

  /** "2001-03-01 to 2001-03-07, version 2: 465 flights, R2 0.078" */
  async describe(
    modelVersion: string,
    { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
  ): Promise<string> {
    const { overall } = await this.#call<{
      overall: { labelled: string; regression: { r2: number } };
    }>("plinth.monitoring.v1.MonitoringService/GetPerformance", {
      deployment: this.#deployment,
      modelVersion,
      range: {
        startTime: new Date(startMs).toISOString(),
        endTime: new Date(endMs).toISOString(),
      },
    });
    const days = `${dateOf(startMs)} to ${dateOf(endMs - DAY_MS)}`;
    const { labelled, regression } = overall;
    return `${days}, version ${lastPart(modelVersion)}: ${labelled} flights, R2 ${regression.r2.toFixed(3)}`;
  }

  /** What has become of alerts since; waits until what they cause is done and served. */
  async alertNews(told: Map<string, string>): Promise<readonly string[]> {
    const alerts = await this.#settledAlerts();
    const news: string[] = [];
    const tell = (key: string, line: string) => {
      if (told.get(key) !== line) {
        told.set(key, line);
        news.push(line);
      }
    };
    for (const { name, rule, modelVersion, state, actions = [] } of alerts.toReversed()) {
      const what = `${lastPart(rule)} of version ${lastPart(modelVersion)}`;
      tell(name, `  ${what} is ${state.replace("STATE_", "")}`);
      actions.forEach(({ detail }, i) => {
        tell(`${name} ${i}`, `  ${detail}`);
      });
    }
    return news;
  }

  async #settledAlerts(): Promise<readonly Alert[]> {
    while (true) {
      const { alerts = [] } = await this.#call<{ alerts?: readonly Alert[] }>(
        "plinth.monitoring.v1.AlertService/ListAlerts",
        { parent: WORKSPACE, deployment: this.#deployment, pageSize: 1000 },
      );
      const { state } = await this.#call<{ state: string }>(
        "plinth.registry.v1.DeploymentService/GetDeployment",
        { name: this.#deployment },
      );
      const actions = alerts.flatMap((alert) => alert.actions ?? []);
      if (state === "STATE_READY" && actions.every((action) => action.state !== "STATE_PENDING")) {
        return alerts;
      }
      await sleep(POLL_MS);
    }
  }

  async #call<Answer>(method: string, request: object): Promise<Answer> {
    const response = await fetch(`${this.#url}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    if (!response.ok) {
      throw new Error(`${method} failed: ${await response.text()}`);
    }
    return (await response.json()) as Answer;
  }
}

/** The flights of spring.parquet by day; a number that nobody knew is NaN, which JSON lacks. */
async function readDays(): Promise<readonly Day[]> {
  const bytes = await readFile(new URL("spring.parquet", import.meta.url));
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const flights = await parquetReadObjects({ file, compressors });
  const days = Map.groupBy(flights, (flight) =>
    Math.floor((flight.event_timestamp as Date).getTime() / DAY_MS),
  );
  return [...days].map(([day, all]) => ({
    startMs: day * DAY_MS,
    rows: all.map(({ event_timestamp: _time, delay: _delay, ...row }) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name, Number.isNaN(value) ? "NaN" : value]),
      ),
    ),
    delays: all.map(({ delay }) => delay as number),
  }));
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function percent(share: number | undefined): string {
  return share === undefined
    ? "unknown share of features"
    : `${Math.round(share * 100)}% of features`;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      url: { type: "string", default: "http://127.0.0.1:8080" },
      deployment: { type: "string", default: "flights-replay" },
    },
  });
  await replay({ ...values, say: (line) => console.log(line) });
}
