// Golden numbers: numpy 2.4.6 and scipy 1.17.1 over the rows, once. Inputs any language can make
// again: u from the LCG of drift/testing.ts (one seed each), and from them the formulas below.
// numpy.histogram_bin_edges(both, "sturges") or a bin a value up to 20, Evidently's zero fill, PSI;
// scipy.spatial.distance.jensenshannon; scipy.stats.wasserstein_distance over the baseline's
// population deviation; ks_2samp; chisquare with expected counts scaled to the current size.

import { describe, expect, it } from "vitest";
import { DriftMethod } from "../../../gen/plinth/monitoring/v1/drift_pb.js";
import type { ColumnReport } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import type { DriftMethod as Method } from "../drift/drift-method.ts";
import { lcg } from "../drift/testing.ts";
import { DEFAULT_SETTINGS, type DriftSettings } from "../monitors/monitor-settings.ts";
import { compareWindows } from "./compare-windows.ts";
import { baselineOf, type Columns, sums, windowOf } from "./testing.ts";

const cubes = (seed: number, size: number, factor: number) =>
  lcg(seed, size).map((u) => u * u * u * factor);
const zeros = (seed: number, size: number, share: number) => {
  const u = lcg(seed, 2 * size);
  return Float64Array.from({ length: size }, (_, i) =>
    u[2 * i]! < share ? 0 : 10 * u[2 * i + 1]! * u[2 * i + 1]!,
  );
};

const SETS = {
  normal: { before: sums(1, 6000, 0), now: sums(2, 3000, 0.1) },
  skewed: { before: cubes(3, 5000, 100), now: cubes(4, 2000, 120) },
  hours: {
    before: lcg(5, 4000).map((u) => Math.floor(24 * u)),
    now: lcg(6, 1500).map((u) => Math.floor(24 * ((u + u * u) / 2))),
  },
  zeros: { before: zeros(7, 5000, 0.7), now: zeros(8, 2000, 0.6) },
};

/** psi, jensen_shannon, wasserstein, psi_deciles, and D of Kolmogorov-Smirnov with its p-value. */
const GOLDEN: Readonly<Record<keyof typeof SETS, readonly number[]>> = {
  normal: [
    0.048618428646594436, 0.07740845918828781, 0.18438117283588726, 0.037735584125753056,
    0.08233333333333333, 3.197073911920486e-12,
  ],
  skewed: [
    0.34963416717884954, 0.1502012839887785, 0.23945401904503072, 0.04781954801965603, 0.0752,
    1.8217885394496888e-7,
  ],
  hours: [
    0.11456309717394247, 0.11900145795232017, 0.304381353626188, 0.10642025630451299, 0.13675,
    3.0750089030613346e-18,
  ],
  zeros: [
    0.04108385339540365, 0.07135503738002034, 0.13853493803195097, 0.043911002460980585, 0.0989,
    1.3237685499843275e-12,
  ],
};

const settings = (method?: Method): DriftSettings => ({
  ...DEFAULT_SETTINGS.drift,
  ...(method === undefined ? {} : { method }),
});

function columnOf(
  columns: { readonly before: Columns[string]; readonly now: Columns[string] },
  method?: Method,
  passes: 1 | 2 = 2,
): ColumnReport {
  const { layout, baseline } = baselineOf({ x: columns.before }, passes);
  const compared = compareWindows({
    layout,
    reference: baseline,
    current: windowOf(layout, { x: columns.now }),
    drift: settings(method),
  });
  return compared.columns[0]!;
}

describe("a report from windows against scipy over the rows", () => {
  const bounds = [0.01, 0.012, 0.002, 0.01, 0.006];
  const methods = [
    "psi",
    "jensen_shannon",
    "wasserstein",
    "psi_deciles",
    "kolmogorov_smirnov",
  ] as const;
  for (const name of Object.keys(SETS) as (keyof typeof SETS)[]) {
    it(`is within its bounds: ${name}`, () => {
      for (const passes of [1, 2] as const) {
        methods.forEach((method, i) => {
          const { drift } = columnOf(SETS[name], method, passes);
          const isTest = method === "kolmogorov_smirnov";
          const value = (isTest ? drift?.statistic : drift?.value) ?? Number.NaN;
          expect(Math.abs(value - GOLDEN[name][i]!), method).toBeLessThanOrEqual(bounds[i]!);
          // Where the value cannot be told from rows it is that of the rows.
          const exact = name === "hours" ? 1e-9 : 1;
          expect(Math.abs(value / GOLDEN[name][i]! - 1), method).toBeLessThanOrEqual(exact);
        });
      }
    });
  }

  it("has a p-value as near as D is, and the same verdict", () => {
    for (const name of Object.keys(SETS) as (keyof typeof SETS)[]) {
      const { drift } = columnOf(SETS[name], "kolmogorov_smirnov");
      expect(Math.log10(drift!.value)).toBeCloseTo(Math.log10(GOLDEN[name][5]!), 0);
      expect(drift).toMatchObject({ drifted: true, comparison: "<=", threshold: 0.05 });
    }
  });

  it("has the chi-square of categories and of numbers with few values exactly", () => {
    const kind = (u: number) => "abcde"[Math.floor(5 * u)]!;
    const kinds = {
      before: Array.from(lcg(9, 3000), (u) => kind(u * u)),
      now: Array.from(lcg(10, 1000), kind),
    };
    const { drift } = columnOf(kinds, "chi_square");
    expect(drift?.statistic).toBeCloseTo(251.43797731558723, 9);
    expect(drift?.value).toBeCloseTo(3.1899116420776606e-53, 60);
    expect(drift?.degreesOfFreedom).toBe(4);
    const distance = columnOf(kinds);
    expect(distance.drift).toMatchObject({ method: DriftMethod.JENSEN_SHANNON });
    expect(distance.drift?.value).toBeCloseTo(0.17409359629809357, 12);
    expect(columnOf(kinds, "psi").drift?.value).toBeCloseTo(0.24670526694426972, 12);
    const hours = columnOf(SETS.hours, "chi_square");
    expect(hours.drift?.statistic).toBeCloseTo(231.42857763559275, 9);
  });
});
