// The rows of the bench: who is measured, under which load, and what Plinth shall reach.

import type { Case, Contender } from "./case.ts";
import { type Load, measureLoad, measureRaw, type Target } from "./contenders.ts";
import { FEATURE_CASES } from "./feature-cases.ts";
import { atLeast, atMost, difference, type Figures, type Round, ratio } from "./figures.ts";
import type { Turn } from "./lab.ts";
import { type BenchModel, LARGE, SLOW, SMALL } from "./models.ts";
import { MONITORING_CASES } from "./monitoring-cases.ts";
import { measureExamplesMemory, measureLoopDelay } from "./plinth.ts";
import { PROVING_CASES } from "./proving-cases.ts";
import { RECEIPT_CASES } from "./receipt-cases.ts";

/** Rows a second that a stream of large messages shall reach, whoever is slower. */
const STREAM_ROWS_MIN = 2_000_000;
const RAW_BATCHES = [1, 64, 256];
const RAW_SECONDS_MAX = 1;

const UNARY_SMALL: Load = {
  mode: "unary",
  model: SMALL,
  rows: 1,
  inFlight: 128,
  connections: 2,
};
const STREAM_SMALL: Load = {
  ...UNARY_SMALL,
  mode: "stream",
  inFlight: 512,
  connections: 1,
  streams: 4,
};
const STREAM_SMALL_256: Load = { ...STREAM_SMALL, rows: 256, inFlight: 64 };
const UNARY_LARGE: Load = { ...UNARY_SMALL, model: LARGE };
const STREAM_LARGE_64: Load = {
  mode: "stream",
  model: LARGE,
  rows: 64,
  inFlight: 8,
  connections: 1,
  streams: 2,
};
const UNARY_ALONE: Load = { ...UNARY_SMALL, inFlight: 1, connections: 1 };

/** Every case, in the order of the report. */
export const CASES: readonly Case[] = [
  {
    name: "unary-small",
    title: "unary ModelInfer, 30-feature MLP, 128 in flight",
    contenders: [echo(UNARY_SMALL), python(UNARY_SMALL), plinth(UNARY_SMALL)],
    checks: [
      atLeast(0.6, "of the bare echo server's rate", ratio(["plinth", "rate"], ["echo", "rate"])),
      atLeast(2, "of the Python server's rate", ratio(["plinth", "rate"], ["python", "rate"])),
    ],
  },
  {
    name: "stream-small-1",
    title: "stream, 1 row a message, same model",
    contenders: [
      echo(STREAM_SMALL),
      python(STREAM_SMALL),
      plinth(UNARY_SMALL, "plinth unary"),
      plinth(STREAM_SMALL),
    ],
    checks: [
      atLeast(2, "of our unary rate", ratio(["plinth", "rate"], ["plinth unary", "rate"])),
      atLeast(5, "of the Python server's rate", ratio(["plinth", "rate"], ["python", "rate"])),
    ],
  },
  {
    name: "stream-small-256",
    title: "stream, 256 rows a message, same model",
    contenders: [echo(STREAM_SMALL_256), python(STREAM_SMALL_256), plinth(STREAM_SMALL_256)],
    checks: [atLeast(1, "of 2 million rows/s or Python's, the higher", ofRowsWanted)],
  },
  {
    name: "unary-large",
    title: "unary, 1 row, compute-bound MLP, 128 in flight",
    contenders: [
      raw(LARGE, 64, { threads: LARGE.instances }),
      raw(LARGE, 64, { threads: 2 }),
      python(UNARY_LARGE),
      plinth(UNARY_LARGE),
    ],
    checks: [
      atLeast(5, "of the Python server's rate", ratio(["plinth", "rate"], ["python", "rate"])),
      atLeast(
        0.8,
        "of raw onnxruntime, batch 64, as many threads",
        ratio(["plinth", "rowRate"], [rawName(64, LARGE.instances), "rowRate"]),
      ),
    ],
  },
  {
    name: "stream-large-64",
    title: "stream, 64 rows a message, same compute-bound MLP",
    contenders: [
      raw(LARGE, 64, { threads: LARGE.instances }),
      raw(LARGE, 64, { threads: 2 }),
      python(STREAM_LARGE_64),
      plinth(STREAM_LARGE_64),
    ],
    checks: [
      atLeast(
        0.9,
        "of raw onnxruntime, batch 64, as many threads",
        ratio(["plinth", "rowRate"], [rawName(64, LARGE.instances), "rowRate"]),
      ),
    ],
  },
  {
    name: "latency",
    title: "one request in flight, unary: added over the raw run",
    contenders: [
      raw(SMALL, 1, { threads: 1 }),
      echo(UNARY_ALONE),
      python(UNARY_ALONE),
      plinth(UNARY_ALONE),
    ],
    checks: [
      atMost(0.25, "p50", difference("plinth", rawName(1, 1), "p50Ms")),
      atMost(1, "p99", difference("plinth", rawName(1, 1), "p99Ms")),
    ],
  },
  {
    name: "loop-delay",
    title: "event loop delay of the serving thread while a 100 ms model runs",
    contenders: [
      raw(SLOW, 1, { threads: 1 }),
      { name: "plinth", measure: ({ lab, span }) => measureLoopDelay(lab, span) },
    ],
    checks: [
      {
        what: "p99",
        unit: "ms",
        target: 5,
        bound: "under",
        value: (round) => round.get("plinth")?.loopDelayP99Ms,
      },
    ],
  },
  {
    name: "memory",
    title: "resident memory after start with the example models",
    contenders: [{ name: "plinth", measure: () => measureExamplesMemory() }],
    checks: [
      {
        what: "resident",
        unit: "MB",
        target: 350,
        bound: "under",
        value: (round) => round.get("plinth")?.residentMb,
      },
    ],
  },
  ...FEATURE_CASES,
  ...MONITORING_CASES,
  ...PROVING_CASES,
  ...RECEIPT_CASES,
  {
    name: "limits",
    title: "for reference: raw onnxruntime by model, batch and threads; the load generator alone",
    contenders: [
      ...[SMALL, LARGE].flatMap((model) =>
        RAW_BATCHES.flatMap((rows) =>
          [1, 2].map((threads) => ({
            ...raw(model, rows, { threads, secondsMax: RAW_SECONDS_MAX }),
            name: `${model.name} ${rawName(rows, threads)}`,
          })),
        ),
      ),
      calibration(UNARY_SMALL),
      calibration(STREAM_SMALL),
    ],
    checks: [],
  },
];

function echo(load: Load): Contender {
  return { name: "echo", measure: (turn) => byLoad(turn, load, turn.lab.echo(load)) };
}

function python(load: Load): Contender {
  return { name: "python", measure: (turn) => byLoad(turn, load, turn.lab.python()) };
}

function plinth(load: Load, name = "plinth"): Contender {
  return { name, measure: (turn) => byLoad(turn, load, turn.lab.plinth()) };
}

function calibration(load: Load): Contender {
  return {
    name: `load generator against its own echo, ${load.mode}`,
    measure: (turn) => byLoad(turn, load, turn.lab.calibration()),
  };
}

async function byLoad(
  turn: Turn,
  load: Load,
  server: Promise<Target | undefined>,
): Promise<Figures | undefined> {
  const target = await server;
  return target && measureLoad(turn.lab.loadProgram, target, load, turn.span);
}

/** Two ways to use N cores are possible, N sessions or N threads in one; the first is no slower. */
function raw(
  model: BenchModel,
  rows: number,
  options: { readonly threads: number; readonly secondsMax?: number },
): Contender {
  return {
    name: rawName(rows, options.threads),
    measure: ({ lab, span }) =>
      measureRaw({
        path: lab.paths.get(model.name)!,
        model,
        rows,
        sessions: options.threads,
        intraOpThreads: 1,
        span: { ...span, seconds: Math.min(span.seconds, options.secondsMax ?? span.seconds) },
      }),
  };
}

function rawName(rows: number, threads: number): string {
  return `raw, batch ${rows}, ${threads} thread${threads === 1 ? "" : "s"}`;
}

function ofRowsWanted(round: Round): number | undefined {
  const rows = round.get("plinth")?.rowRate;
  return rows && rows / Math.max(STREAM_ROWS_MIN, round.get("python")?.rowRate ?? 0);
}
