// The rows of the bench for receipts: what a receipt for each inference costs, by the size of
// messages.

import type { Case } from "./case.ts";
import { type Load, measureLoad } from "./contenders.ts";
import { atLeast, type Figures, ratio } from "./figures.ts";
import type { Turn } from "./lab.ts";
import { residentBytes } from "./process.ts";
import { LARGE_PAIR, type ReceiptsPair, SMALL_PAIR } from "./receipts-mesh.ts";

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
      { pair: SMALL_PAIR, load: { mode: "stream", rows, inFlight, connections: 1, streams: 4 } },
    ),
  ),
  receiptCase(
    "receipts-large",
    "stream, 64 rows a message, compute-bound MLP: a receipt for each over none",
    {
      pair: LARGE_PAIR,
      load: { mode: "stream", rows: 64, inFlight: 8, connections: 1, streams: 2 },
    },
  ),
  receiptCase(
    "receipts-unary",
    "unary ModelInfer, 1 row, 128 in flight: a receipt for each over none",
    { pair: SMALL_PAIR, load: { mode: "unary", rows: 1, inFlight: 128, connections: 2 } },
  ),
];

function receiptCase(
  name: string,
  title: string,
  { pair, load }: { readonly pair: ReceiptsPair; readonly load: Omit<Load, "model"> },
): Case {
  const { receipted, plain } = pair;
  return {
    name,
    title,
    contenders: [
      { name: "receipts", measure: (turn) => underLoad(turn, { ...load, model: receipted }, true) },
      { name: "none", measure: (turn) => underLoad(turn, { ...load, model: plain }, false) },
    ],
    checks: [atLeast(0.95, "of the rate", ratio(["receipts", "rate"], ["none", "rate"]))],
  };
}

async function underLoad(
  { lab, span }: Turn,
  load: Load,
  isReceipted: boolean,
): Promise<Figures | undefined> {
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
  if (isReceipted && logged < figures.rate * span.seconds) {
    throw new Error(`${figures.rate} inferences a second were answered, and ${logged} logged.`);
  }
  return { ...figures, logCores, residentMb };
}
