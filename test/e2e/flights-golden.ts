// The golden numbers of the flights' replay: what numpy and scipy make of the rows
// (examples/flights/golden_drift.py), and how near monitoring must come to them from sketches.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DriftMethod } from "../../gen/plinth/monitoring/v1/drift_pb.js";
import { FLIGHTS } from "./use-flights.ts";

/** A week of one version. */
export interface GoldenWindow {
  readonly version: number;
  readonly start: string;
  readonly rows: number;
  readonly performance: Performance;
  /** By column; `drifted` is null where there are too few values to say. */
  readonly drift: Readonly<Record<string, Drift>>;
}

/** From labels. */
export type Performance = Readonly<Record<"mae" | "rmse" | "r2" | "meanError", number>>;
/** Of one column. */
export type Drift = { readonly drifted: boolean | null } & Readonly<
  Record<"wasserstein" | "jensenShannon" | "psi" | "ks", number>
>;

/** See golden_drift.py. */
export const GOLDEN = JSON.parse(readFileSync(join(FLIGHTS, "drift.golden.json"), "utf8")) as {
  readonly wrong: readonly string[];
  readonly firedWindow: string;
  readonly overall: Performance;
  readonly windows: readonly GoldenWindow[];
};

/**
 * How far sketches may be from rows. PSI fills empty bins with 0.0001, so in the long tails of
 * delays it matters whether one flight is in a bin or, by its bucket, half in the next.
 */
export const METHODS = [
  { name: "wasserstein", method: DriftMethod.WASSERSTEIN, bound: 0.002 },
  { name: "jensenShannon", method: DriftMethod.JENSEN_SHANNON, bound: 0.012 },
  { name: "psi", method: DriftMethod.PSI, bound: 0.02 },
  { name: "ks", method: DriftMethod.KOLMOGOROV_SMIRNOV, bound: 0.006 },
] as const;

/** Whole numbers, each kept as itself: what is said of them is what the rows say. */
export const EXACT = [
  "hour",
  "day_of_week",
  "origin_flights_24h",
  "destination_flights_24h",
  "distance",
  "flights_28d",
];
