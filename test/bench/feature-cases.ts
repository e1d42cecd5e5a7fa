// The rows of the bench for the feature store. The point-in-time join has a file of its own,
// point-in-time.ts.

import type { Case, Contender } from "./case.ts";
import { measureReplay, type Replay } from "./contenders.ts";
import { STREAM_BATCH_ROWS } from "./feature-mesh.ts";
import { atLeast, atMost, difference, figure } from "./figures.ts";
import type { Turn } from "./lab.ts";
import { pointInTimeCase } from "./point-in-time.ts";

const GET_ONLINE = "/plinth.features.v1.FeatureStoreService/GetOnlineFeatures";
const STREAM_PUSH = "/plinth.features.v1.FeatureStoreService/StreamPushFeatures";
const PREDICT = "/plinth.inference.v1.InferenceService/Predict";

/** Feast's bench calls at a fixed rate. */
const CALLS_A_SECOND = 200;
/** The 99th percentile of fewer calls is a matter of luck. */
const PACED_SECONDS_MIN = 10;
/** Milliseconds at p99, by keys a call. */
const ONLINE_P99_MS: Readonly<Record<number, number>> = { 1: 2, 10: 3, 100: 12 };

/** Every case of the feature store, in the order of the report. */
export const FEATURE_CASES: readonly Case[] = [
  ...[1, 10, 100].map(
    (keys): Case => ({
      name: `online-${keys}`,
      title: `GetOnlineFeatures, 50 features of 5 views, ${keys} keys, 200 calls a second`,
      contenders: [onlineReads(keys, { inFlight: 32, rate: CALLS_A_SECOND })],
      checks: [atMost(ONLINE_P99_MS[keys]!, "p99", figure("plinth", "p99Ms"))],
    }),
  ),
  {
    name: "online-rate",
    title: "GetOnlineFeatures, 50 features of 5 views, 1 key, 64 in flight",
    contenders: [onlineReads(1, { inFlight: 64 })],
    checks: [atLeast(8000, "calls a second", figure("plinth", "rate"), "/s")],
  },
  {
    name: "push",
    title: "StreamPushFeatures, 500 rows a message, 10 features, online and offline, durable",
    contenders: [
      {
        name: "plinth",
        measure: async (turn) => {
          const mesh = await turn.lab.features();
          const push = { mode: "push", rows: STREAM_BATCH_ROWS, method: STREAM_PUSH } as const;
          return mesh && replay(turn, { ...push, payloads: await mesh.push(), inFlight: 1 });
        },
      },
    ],
    checks: [atLeast(20_000, "rows a second", figure("plinth", "rowRate"), "/s")],
  },
  {
    name: "materialize",
    title: "materialisation of 300,000 keys to SQLite, by the job's own times",
    contenders: [
      {
        name: "plinth",
        measure: async ({ lab }) => {
          const mesh = await lab.features();
          return mesh && { rowRate: await mesh.materialize() };
        },
      },
    ],
    checks: [atLeast(50_000, "entity rows a second", figure("plinth", "rowRate"), "/s")],
  },
  {
    name: "predict-by-key",
    title: "Predict one row, one in flight: by entity key over by its 30 columns",
    contenders: [predicts("columns"), predicts("keys")],
    checks: [atMost(0.4, "p50", difference("by keys", "by columns", "p50Ms"))],
  },
  pointInTimeCase,
];

function onlineReads(
  keys: number,
  load: { readonly inFlight: number; readonly rate?: number },
): Contender {
  return {
    name: "plinth",
    measure: async (turn) => {
      const mesh = await turn.lab.features();
      const reads = { mode: "unary", method: GET_ONLINE, rows: keys, ...load } as const;
      return mesh && replay(turn, { ...reads, payloads: await mesh.online(keys) });
    },
  };
}

function predicts(by: "columns" | "keys"): Contender {
  return {
    name: `by ${by}`,
    measure: async (turn) => {
      const mesh = await turn.lab.features();
      const calls = { mode: "unary", method: PREDICT, rows: 1, inFlight: 1 } as const;
      return mesh && replay(turn, { ...calls, payloads: await mesh.predict(by) });
    },
  };
}

async function replay(turn: Turn, load: Omit<Replay, "connections">) {
  const mesh = await turn.lab.features();
  const connections = Math.min(2, load.inFlight);
  const seconds = Math.max(turn.span.seconds, load.rate === undefined ? 0 : PACED_SECONDS_MIN);
  const span = { ...turn.span, seconds };
  return mesh && measureReplay(turn.lab.loadProgram, mesh, { ...load, connections }, span);
}
