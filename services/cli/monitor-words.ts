// What reports of monitoring are called in words: methods, verdicts, shares, times. The commands
// and the HTML report say the same of the same number.

import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import {
  DriftMethod,
  type DriftResult,
  DriftResult_Outcome as Outcome,
  DriftSeverity as Severity,
} from "../../gen/plinth/monitoring/v1/drift_pb.js";
import type {
  DatasetDrift,
  DriftReport,
  TimeRange,
} from "../../gen/plinth/monitoring/v1/report_pb.js";
import { baselineName, modelVersionName } from "../common/names.ts";
import { didYouMean } from "../common/nearest-name.ts";
import { UsageError } from "./exit-codes.ts";
import { exactTime } from "./features-times.ts";
import { exactMs } from "./format.ts";
import { counted } from "./progress.ts";
import { shortName } from "./version-reference.ts";

/** Words for --method: the proto's names in small letters. */
export const METHODS: readonly string[] = Object.keys(DriftMethod)
  .filter((name) => Number.isNaN(Number(name)) && name !== "UNSPECIFIED")
  .map((name) => name.toLowerCase());

const TITLES: Readonly<Record<DriftMethod, string>> = {
  [DriftMethod.UNSPECIFIED]: "none",
  [DriftMethod.PSI]: "PSI",
  [DriftMethod.PSI_DECILES]: "PSI, deciles",
  [DriftMethod.KL_DIVERGENCE]: "Kullback-Leibler",
  [DriftMethod.JENSEN_SHANNON]: "Jensen-Shannon",
  [DriftMethod.JENSEN_SHANNON_BASE2]: "Jensen-Shannon, base 2",
  [DriftMethod.HELLINGER]: "Hellinger",
  [DriftMethod.WASSERSTEIN]: "Wasserstein, normed",
  [DriftMethod.KOLMOGOROV_SMIRNOV]: "Kolmogorov-Smirnov, p",
  [DriftMethod.CHI_SQUARE]: "chi-square, p",
  [DriftMethod.CHI_SQUARE_CONTINGENCY]: "chi-square contingency, p",
  [DriftMethod.Z_TEST]: "z-test, p",
};

/** "jensen_shannon", as --method takes it; "" where none was chosen. */
export function methodWord(method: DriftMethod): string {
  return method === DriftMethod.UNSPECIFIED ? "" : (DriftMethod[method] ?? "").toLowerCase();
}

/** "Jensen-Shannon", for people; ", p" where the number is a p-value. */
export function methodTitle(method: DriftMethod): string {
  return TITLES[method] ?? String(method);
}

/** A method by its word, in any case, with dashes or underscores. `auto`: chosen by the server. */
export function methodOf(word: string): DriftMethod | undefined {
  const said = word.toLowerCase().replaceAll("-", "_");
  return said === "auto"
    ? DriftMethod.UNSPECIFIED
    : METHODS.includes(said)
      ? DriftMethod[said.toUpperCase() as keyof typeof DriftMethod]
      : undefined;
}

/** The method of an option. @throws UsageError with the nearest one. */
export function methodOption(word: string): DriftMethod {
  const method = methodOf(word);
  if (method === undefined) {
    const hint = didYouMean(word, METHODS);
    throw new UsageError(`Methods are ${METHODS.join(", ")} and auto; got "${word}".${hint}`);
  }
  return method;
}

/** Whether a measure was taken and it says drift. */
export function isDrifted(drift: DriftResult | undefined): boolean {
  return drift?.outcome === Outcome.MEASURED && drift.drifted;
}

/** "DRIFTED", "no drift", "too few: 12 of 500", "not comparable: constant". */
export function verdictText(drift: DriftResult | undefined): string {
  switch (drift?.outcome) {
    case Outcome.MEASURED:
      return drift.drifted ? "DRIFTED" : "no drift";
    case Outcome.TOO_FEW_SAMPLES: {
      const { baselineSize, currentSize, sizeMin } = drift;
      const least = Math.min(Number(baselineSize), Number(currentSize));
      return `too few: ${least} of ${sizeMin}`;
    }
    case Outcome.NOT_COMPARABLE:
      return `not comparable: ${drift.reason}`;
    default:
      return "not measured";
  }
}

/** "none", "moderate", "significant"; "" where nothing was measured. */
export function severityWord(severity: Severity): string {
  return severity === Severity.UNSPECIFIED ? "" : (Severity[severity] ?? "").toLowerCase();
}

/** Up to 4 significant digits; small p-values as powers of ten. */
export function measureText(value: number): string {
  if (value === 0 || !Number.isFinite(value)) {
    return String(value);
  }
  return Math.abs(value) < 1e-4 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

/** ">= 0.1"; "" where nothing was measured. */
export function thresholdText(drift: DriftResult | undefined): string {
  return drift?.outcome === Outcome.MEASURED
    ? `${drift.comparison} ${measureText(drift.threshold)}`
    : "";
}

/** "44%", "0.5%", "0%": a share of 1 with as many digits as say something. */
export function percentText(share: number): string {
  const percent = share * 100;
  if (percent !== 0 && Math.abs(percent) < 0.01) {
    return "<0.01%";
  }
  return `${Number(percent.toFixed(percent < 1 ? 2 : 1))}%`;
}

/** A rate for a table: nothing where there is nothing to say. */
export function rateText(rate: number | undefined): string {
  return rate === undefined || rate === 0 ? "" : percentText(rate);
}

/** "2001-03-01 08:00:12Z": when something happened; a fraction of a second says nothing. */
export function momentText(time: Timestamp | undefined): string {
  return exactTime(time).replace(/\.\d+Z$/, "Z");
}

/** "2001-03-01 08:00Z": seconds only where there are some. */
export function briefTime(time: Timestamp | undefined): string {
  return exactTime(time).replace(/:00Z$/, "Z");
}

/** "2001-03-01 08:00Z to 09:00Z"; the day is not said twice, seconds for both or for neither. */
export function rangeText(range: TimeRange | undefined): string {
  const [start, end] = [exactTime(range?.startTime), exactTime(range?.endTime)];
  const isBrief = [start, end].every((time) => time === "" || time.endsWith(":00Z"));
  const written = (time: string): string => (isBrief ? time.replace(/:00Z$/, "Z") : time);
  if (start === "" || end === "") {
    return start === "" ? end && `up to ${written(end)}` : `since ${written(start)}`;
  }
  const day = start.slice(0, "2001-03-01 ".length);
  return `${written(start)} to ${written(end).replace(day, "")}`;
}

/** "DRIFTED: 4 of 9 columns (44%; from 50% on)" */
export function datasetText(drift: DatasetDrift | undefined): string {
  if (drift === undefined || drift.measured === 0) {
    return drift === undefined || drift.columns === 0
      ? "no columns"
      : `nothing measured of ${counted(drift.columns, "column")}`;
  }
  const { drifted, measured, columns, share, threshold } = drift;
  const unmeasured = columns - measured;
  const beside = unmeasured === 0 ? "" : `, ${unmeasured} not measured`;
  return (
    `${drift.isDrifted ? "DRIFTED" : "no drift"}: ${drifted} of ${counted(measured, "column")} ` +
    `(${percentText(share)}; drift from ${percentText(threshold)} on)${beside}`
  );
}

/** What a report was compared with, in words. */
export function referenceText(report: DriftReport): string {
  const { reference, modelVersion } = report;
  const baseline = baselineName.match(reference);
  if (baseline !== undefined) {
    const { model, version } = baseline;
    return `the baseline of ${model}/${version}`;
  }
  if (modelVersionName.match(reference) !== undefined) {
    return `version ${shortName(reference)} at the same time`;
  }
  return reference || `the baseline of ${shortName(modelVersion)}`;
}

const SPANS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
] as const;

/** "1d12h", exactly, as files and options take it; "" for none and 0. */
export function spanText(duration: Duration | undefined): string {
  let rest = exactMs(duration);
  let text = "";
  for (const [unit, size] of SPANS) {
    const count = unit === "ms" ? rest : Math.floor(rest / size);
    rest -= count * size;
    text += count === 0 ? "" : `${count}${unit}`;
  }
  return text;
}
