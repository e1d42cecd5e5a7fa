// The rows of the bench for receipts: what a receipt for each inference costs, by the size of
// messages.

import type { Case, Contender } from "./case.ts";
import { type Load, measureLoad } from "./contenders.ts";
import { atLeast, type Figures, ratio } from "./figures.ts";
import type { Turn } from "./lab.ts";
import type { BenchModel } from "./models.ts";
import { residentBytes } from "./process.ts";
import { PLAIN, RECEIPTED } from "./receipts-mesh.ts";

/** Rows of a message, and how many messages are in flight. */
const STREAMS = [
  { rows: 1, inFlight: 512 },
  { rows: 16, inFlight: 256 },
  { rows: 64, inFlight: 128 },
  { rows: 256, inFlight: 64 },
] as const;

/** Every case of receipts, in the order of the report. */
export const RECEIPT_CASES: readonly Case[] = [
  ...STREAMS.map(({ rows, inFlight }) =>
    receiptCase(
      `receipts-${rows}`,
      `stream, ${rows} rows a message, 30 features: a receipt for each over none`,
      (model) => ({ mode: "stream", model, rows, inFlight, connections: 1, streams: 4 }),
    ),
  ),
  receiptCase(
    "receipts-unary",
    "unary ModelInfer, 1 row, 128 in flight: a receipt for each over none",
    (model) => ({ mode: "unary", model, rows: 1, inFlight: 128, connections: 2 }),
  ),
];

function receiptCase(name: string, title: string, loadOf: (model: BenchModel) => Load): Case {
  return {
    name,
    title,
    contenders: [contender("receipts", loadOf(RECEIPTED)), contender("none", loadOf(PLAIN))],
    checks: [atLeast(0.95, "of the rate", ratio(["receipts", "rate"], ["none", "rate"]))],
  };
}

function contender(name: string, load: Load): Contender {
  return { name, measure: (turn) => underLoad(turn, load) };
}

async function underLoad({ lab, span }: Turn, load: Load): Promise<Figures | undefined> {
  const mesh = await lab.receipts();
  if (mesh === undefined) {
    return undefined;
  }
  // What the turn before left to be logged is not this one's.
  const before = await mesh.settled();
  const busyBefore = await mesh.logSeconds();
  const figures = await measureLoad(lab.loadProgram, mesh, load, span);
  const seconds = span.seconds + span.warmUp;
  const logCores = ((await mesh.logSeconds()) - busyBefore) / seconds;
  const residentMb = (await residentBytes(mesh.pid)) / 1e6;
  const logged = (await mesh.settled()) - before;
  if (load.model === RECEIPTED && logged < figures.rate * span.seconds) {
    throw new Error(`${figures.rate} inferences a second were answered, and ${logged} logged.`);
  }
  return { ...figures, logCores, residentMb };
}
