// The rows of the bench for monitoring.

import { setTimeout as sleep } from "node:timers/promises";
import type { Case, Contender } from "./case.ts";
import { type Load, measureLoad, measureReplay } from "./contenders.ts";
import { driftReferenceCase } from "./drift-reference.ts";
import { atLeast, atMost, type Check, difference, type Figures, figure, ratio } from "./figures.ts";
import type { Turn } from "./lab.ts";
import type { BenchModel } from "./models.ts";
import { heldBytes } from "./monitoring-memory.ts";
import {
  CAPTURED,
  type MonitoringMesh,
  timedReport,
  UNCAPTURED,
  windowBytes,
} from "./monitoring-mesh.ts";
import { residentBytes } from "./process.ts";

/** Calls a second of the latency row: few enough that the generator keeps its pace on two cores. */
const PACED_RATE = 2_000;
/** The 99th percentile of fewer calls is a matter of luck. */
const PACED_SECONDS_MIN = 10;
/** How long monitoring is away. */
const AWAY_SECONDS = 60;
/** Into the outage: by then the queue is full, at 9,000 calls a second and more. */
const SETTLED_SECONDS = 30;
const INGESTED_ROWS = 1_000_000;
const INGESTED_COLUMNS = 30;
const REPORT = { deployment: "wide", rows: 1_000_000, columns: 1_000, windows: 4 } as const;

/** Every case of monitoring, in the order of the report. */
export const MONITORING_CASES: readonly Case[] = [
  {
    name: "capture",
    title: "unary ModelInfer, 30 features, 128 in flight: captured in full over not at all",
    contenders: [
      { name: "captured", measure: (turn) => underLoad(turn, CAPTURED) },
      { name: "uncaptured", measure: (turn) => underLoad(turn, UNCAPTURED) },
    ],
    checks: [atLeast(0.95, "of the rate", ratio(["captured", "rate"], ["uncaptured", "rate"]))],
  },
  {
    name: "capture-latency",
    title: `the same, ${PACED_RATE} calls a second`,
    contenders: [
      { name: "captured", measure: (turn) => paced(turn, CAPTURED) },
      { name: "uncaptured", measure: (turn) => paced(turn, UNCAPTURED) },
    ],
    checks: [atMost(0.3, "p99", difference("captured", "uncaptured", "p99Ms"))],
  },
  {
    name: "monitoring-away",
    title: `the same, captured, monitoring stalled (SIGSTOP) or down for ${AWAY_SECONDS} s`,
    contenders: [
      { name: "there", measure: (turn) => whileAway(turn, THERE) },
      { name: "stalled", measure: (turn) => whileAway(turn, STALLED) },
      { name: "down", measure: (turn) => whileAway(turn, DOWN) },
    ],
    checks: [...whileAwayChecks("stalled"), ...whileAwayChecks("down")],
  },
  {
    name: "ingest",
    title: "captured rows of 30 columns into windows, durable",
    contenders: [
      ingestion("rows of their own inference", 1),
      ingestion("16 rows an inference", 16),
    ],
    checks: [
      atLeast(
        100_000,
        "rows a second of one core",
        (round) => rowsOfOneCore(round.get("rows of their own inference")),
        "/s",
      ),
      {
        what: "bytes of a window",
        unit: "kB",
        target: 40,
        bound: "under",
        value: (round) => round.get("16 rows an inference")?.windowKb,
      },
    ],
  },
  {
    name: "drift-report",
    title: "drift report of 1,000 columns, 1 million rows of 4 windows against the baseline",
    contenders: [{ name: "plinth", measure: measureReport }],
    checks: [
      {
        what: "seconds",
        unit: "s",
        target: 1,
        bound: "under",
        value: figure("plinth", "seconds"),
      },
    ],
  },
  driftReferenceCase,
];

function unary(model: BenchModel): Load {
  return { mode: "unary", model, rows: 1, inFlight: 128, connections: 2 };
}

async function underLoad(turn: Turn, model: BenchModel): Promise<Figures | undefined> {
  const mesh = await turn.lab.monitoring();
  return mesh && measureLoad(turn.lab.loadProgram, mesh, unary(model), turn.span);
}

async function paced(turn: Turn, model: BenchModel): Promise<Figures | undefined> {
  const mesh = await turn.lab.monitoring();
  if (mesh === undefined) {
    return undefined;
  }
  const span = { ...turn.span, seconds: Math.max(turn.span.seconds, PACED_SECONDS_MIN) };
  const replay = {
    mode: "unary",
    method: "/inference.GRPCInferenceService/ModelInfer",
    payloads: await mesh.payloads(model.name),
    rows: 1,
    inFlight: 64,
    connections: 2,
    rate: PACED_RATE,
  } as const;
  return measureReplay(turn.lab.loadProgram, mesh, replay, span);
}

/** What happens to monitoring, and how it is undone. */
interface Outage {
  begin(mesh: MonitoringMesh): Promise<void>;
  end(mesh: MonitoringMesh): Promise<void>;
}

const THERE: Outage = { begin: async () => undefined, end: async () => undefined };
const STALLED: Outage = {
  begin: async ({ monitoring }) => void process.kill(monitoring.pid, "SIGSTOP"),
  end: async ({ monitoring }) => void process.kill(monitoring.pid, "SIGCONT"),
};
const DOWN: Outage = {
  begin: ({ monitoring }) => monitoring.stop(),
  end: ({ monitoring }) => monitoring.start(),
};

function whileAwayChecks(name: string): Check[] {
  return [
    atLeast(0.95, `of the rate, ${name}`, ratio([name, "rate"], ["there", "rate"])),
    {
      what: `growth after ${SETTLED_SECONDS} s, ${name}`,
      unit: "MB",
      target: 8,
      bound: "under",
      value: figure(name, "growthMb"),
    },
  ];
}

async function whileAway(turn: Turn, outage: Outage): Promise<Figures | undefined> {
  const mesh = await turn.lab.monitoring();
  if (mesh === undefined) {
    return undefined;
  }
  // A short turn is one that warms up.
  const seconds = turn.span.seconds < 3 ? turn.span.seconds : AWAY_SECONDS;
  await outage.begin(mesh);
  try {
    const span = { ...turn.span, seconds };
    const load = measureLoad(turn.lab.loadProgram, mesh, unary(CAPTURED), span);
    // Awaited below; until then a failure shall not end the process.
    load.catch(() => undefined);
    const memory = await heldMeanwhile(mesh.pid, seconds).finally(() => load);
    return { ...(await load), ...memory };
  } finally {
    await outage.end(mesh);
  }
}

/** What the server holds at the end of the load, and how much more that is than after a while. */
async function heldMeanwhile(
  pid: number,
  seconds: number,
): Promise<Required<Pick<Figures, "residentMb" | "growthMb">>> {
  const settled = Math.min(SETTLED_SECONDS, seconds / 2);
  await sleep(settled * 1000);
  const before = await heldBytes(pid);
  await sleep((seconds - settled) * 1000);
  const after = await heldBytes(pid);
  return { residentMb: after / 1e6, growthMb: (after - before) / 1e6 };
}

let ingestions = 0;

function ingestion(name: string, inferenceRows: number): Contender {
  return {
    name,
    measure: async ({ lab }) => {
      const mesh = await lab.monitoring();
      if (mesh === undefined) {
        return undefined;
      }
      ingestions += 1;
      const deployment = `narrow-${ingestions}`;
      const captured = { deployment, columns: INGESTED_COLUMNS, inferenceRows, windows: 1 };
      const { seconds, busySeconds } = await mesh.ingest({ ...captured, rows: INGESTED_ROWS });
      return {
        seconds,
        rowRate: INGESTED_ROWS / seconds,
        serverCores: busySeconds / seconds,
        windowKb: (await windowBytes(mesh, deployment)) / 1000,
      };
    },
  };
}

/** What is reached with one core, where the service used more than one. */
function rowsOfOneCore(figures: Figures | undefined): number | undefined {
  const { rowRate, serverCores } = figures ?? {};
  return rowRate && serverCores && rowRate / Math.max(1, serverCores);
}

const filled = new WeakSet<MonitoringMesh>();

async function measureReport({ lab }: Turn): Promise<Figures | undefined> {
  const mesh = await lab.monitoring();
  if (mesh === undefined) {
    return undefined;
  }
  if (!filled.has(mesh)) {
    await mesh.ingest({ ...REPORT, inferenceRows: 64 });
    filled.add(mesh);
  }
  const { seconds, columns, rows } = await timedReport(mesh, REPORT.deployment);
  if (columns < REPORT.columns || rows < REPORT.rows * 0.9) {
    throw new Error(`The report has ${columns} columns and ${rows} rows.`);
  }
  return { seconds, residentMb: (await residentBytes(mesh.monitoring.pid)) / 1e6 };
}
