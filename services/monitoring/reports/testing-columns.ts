// For the tests of comparisons: a baseline of five columns of every kind, and windows that differ
// from it in some.

import type { ColumnReport } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import { lcg } from "../drift/testing.ts";
import { DEFAULT_SETTINGS, type DriftSettings } from "../monitors/monitor-settings.ts";
import { compareWindows } from "./compare-windows.ts";
import { baselineOf, type Columns, sums, windowOf } from "./testing.ts";

export const COLUMNS: Columns = {
  "prediction.label": Array.from(lcg(21, 2000), (u) => (u < 0.5 ? "yes" : "no")),
  delay: sums(22, 2000, 0),
  hour: lcg(23, 2000).map((u) => Math.floor(24 * u)),
  carrier: Array.from(lcg(24, 2000), (u, i) =>
    i % 50 === 0 ? null : "abcdefgh"[Math.floor(8 * u)]!,
  ),
  cold: Array.from(lcg(25, 2000), (u) => u < 0.2),
};
const PROFILE = baselineOf(COLUMNS);
export const { layout: LAYOUT, baseline: BASELINE } = PROFILE;

export function compared(
  change: Partial<Columns>,
  drift: Partial<DriftSettings> = {},
  brief = false,
) {
  const current = windowOf(LAYOUT, { ...COLUMNS, ...change } as Columns);
  const all = { ...DEFAULT_SETTINGS.drift, ...drift };
  return compareWindows({ layout: LAYOUT, reference: BASELINE, current, drift: all, brief });
}

export function column(report: { readonly columns: readonly ColumnReport[] }, name: string) {
  return report.columns.find((one) => one.name === name)!;
}
