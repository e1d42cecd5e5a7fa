// A performance report as lines for a terminal: what labels say, and beside it what the scores
// promised without them.

import { TaskType } from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import type {
  Estimate,
  PerformanceReport,
  PerformanceSlice,
} from "../../gen/plinth/monitoring/v1/performance_pb.js";
import { formatNumber } from "./format.ts";
import { percentText, rangeText } from "./monitor-words.ts";
import type { Output } from "./output.ts";
import { counted, formatCount } from "./progress.ts";
import { type Column, factLines, tableLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

const right = (title: string): Column => ({ title, align: "right" });

/** A metric by the name it is shown under, and where it stands in a slice. */
export interface MetricColumn {
  readonly title: string;
  readonly of: (slice: PerformanceSlice) => number | undefined;
  /** The estimate of the same number, where there is one. */
  readonly estimate?: (slice: PerformanceSlice) => Estimate | undefined;
}

const CLASSIFICATION: readonly MetricColumn[] = [
  {
    title: "accuracy",
    of: ({ classification }) => classification?.accuracy,
    estimate: ({ estimated }) => estimated?.accuracy,
  },
  {
    title: "precision",
    of: ({ classification }) => classification?.precision,
    estimate: ({ estimated }) => estimated?.precision,
  },
  {
    title: "recall",
    of: ({ classification }) => classification?.recall,
    estimate: ({ estimated }) => estimated?.recall,
  },
  {
    title: "F1",
    of: ({ classification }) => classification?.f1,
    estimate: ({ estimated }) => estimated?.f1,
  },
  {
    title: "ROC AUC",
    of: ({ classification }) => classification?.rocAuc,
    estimate: ({ estimated }) => estimated?.rocAuc,
  },
  { title: "log loss", of: ({ classification }) => classification?.logLoss },
];

const REGRESSION: readonly MetricColumn[] = [
  { title: "MAE", of: ({ regression }) => regression?.mae },
  { title: "RMSE", of: ({ regression }) => regression?.rmse },
  { title: "R2", of: ({ regression }) => regression?.r2 },
  { title: "mean error", of: ({ regression }) => regression?.meanError },
];

/** The metrics of a report's task. */
export function metricsOf({ task }: PerformanceReport): readonly MetricColumn[] {
  return task === TaskType.REGRESSION ? REGRESSION : CLASSIFICATION;
}

/** All of a report. */
export function performanceLines(output: Output, report: PerformanceReport): readonly string[] {
  const { overall, windows, segments } = report;
  return [
    ...headLines(report),
    ...(overall === undefined ? [] : ["", ...overallLines(output, report, overall)]),
    ...confusionLines(output, report),
    ...sliceLines(output, report, {
      title: "WINDOW",
      slices: windows,
      nameOf: ({ range }) => rangeText(range),
    }),
    ...sliceLines(output, report, {
      title: "SEGMENT",
      slices: segments,
      nameOf: ({ segmentColumn, segment }) => `${segmentColumn} ${segment}`,
    }),
  ];
}

function headLines(report: PerformanceReport): readonly string[] {
  const { overall } = report;
  const { predictions = 0n, labelled = 0n, coverage = 0, notKept = 0n } = overall ?? {};
  return factLines([
    ["deployment", shortName(report.deployment)],
    ["version", shortName(report.modelVersion)],
    ["time", rangeText(report.range)],
    ["task", (TaskType[report.task] ?? "").toLowerCase()],
    ["positive class", report.positiveClass],
    ["predictions", formatCount(Number(predictions))],
    ["labelled", `${formatCount(Number(labelled))} (${percentText(coverage)})`],
    [
      "not kept",
      notKept === 0n ? "" : `${counted(Number(notKept), "prediction")}; too many came at once`,
    ],
  ]);
}

/** Each metric: the truth, the estimate and its interval. */
function overallLines(
  output: Output,
  report: PerformanceReport,
  overall: PerformanceSlice,
): readonly string[] {
  const { classification, estimated } = overall;
  const rows = metricsOf(report)
    .map((metric) => {
      const estimate = metric.estimate?.(overall);
      return [metric.title, numberText(metric.of(overall)), ...estimateCells(estimate)];
    })
    .filter((cells) => cells.some((cell, index) => index > 0 && cell !== ""));
  if (rows.length === 0) {
    return ["No labels have come yet, and there are no scores to estimate from."];
  }
  const ofLabelled = estimated?.accuracyOfLabelled;
  // Only classes have scores to estimate from.
  const estimates = estimated === undefined ? [] : [right("ESTIMATED"), { title: "95% INTERVAL" }];
  const columns = [{ title: "METRIC" }, right("FROM LABELS"), ...estimates];
  const [head = "", ...body] = tableLines(columns, rows);
  const unknown = classification?.unknownLabels ?? 0n;
  return [
    output.tone("strong", head),
    ...body,
    ...(ofLabelled === undefined || estimated?.confirmed === undefined
      ? []
      : [
          "",
          `Of the labelled rows the scores promised an accuracy of ${intervalText(ofLabelled)}: ` +
            (estimated.confirmed
              ? output.tone("good", "the truth lies in it.")
              : output.tone("bad", "the truth lies outside; the scores are not calibrated here.")),
        ]),
    ...(classification?.calibrationError === undefined
      ? []
      : [`Calibration error (ECE, 10 bins): ${numberText(classification.calibrationError)}`]),
    ...(unknown === 0n
      ? []
      : [
          output.tone(
            "warn",
            `${counted(Number(unknown), "label")} named no class of the model; counted as wrong.`,
          ),
        ]),
  ];
}

function confusionLines(output: Output, report: PerformanceReport): readonly string[] {
  const counts = report.overall?.classification?.confusion ?? [];
  const { classLabels } = report;
  if (counts.length === 0 || counts.length !== classLabels.length ** 2) {
    return [];
  }
  const columns = [{ title: "TRUE \\ PREDICTED" }, ...classLabels.map(right)];
  const rows = classLabels.map((label, row) => [
    label,
    ...classLabels.map((_, column) =>
      formatCount(Number(counts[row * classLabels.length + column] ?? 0n)),
    ),
  ]);
  const [head = "", ...body] = tableLines(columns, rows, { lineWidth: output.lineWidth });
  return ["", output.tone("strong", head), ...body];
}

function sliceLines(
  output: Output,
  report: PerformanceReport,
  table: {
    readonly title: string;
    readonly slices: readonly PerformanceSlice[];
    readonly nameOf: (slice: PerformanceSlice) => string;
  },
): readonly string[] {
  const { slices, title, nameOf } = table;
  if (slices.length === 0) {
    return [];
  }
  const metrics = metricsOf(report).filter((metric) =>
    slices.some((slice) => metric.of(slice) !== undefined),
  );
  const estimates = slices.some(({ estimated }) => estimated?.accuracy !== undefined);
  const columns = [
    { title },
    right("PREDICTIONS"),
    right("LABELLED"),
    ...metrics.map((metric) => right(metric.title.toUpperCase())),
    ...(estimates ? [right("EST. ACCURACY"), { title: "95% INTERVAL" }] : []),
  ];
  const rows = slices.map((slice) => [
    nameOf(slice),
    formatCount(Number(slice.predictions)),
    percentText(slice.coverage),
    ...metrics.map((metric) => numberText(metric.of(slice))),
    ...(estimates ? estimateCells(slice.estimated?.accuracy) : []),
  ]);
  const [head = "", ...body] = tableLines(columns, rows, { lineWidth: output.lineWidth });
  return ["", output.tone("strong", head), ...body];
}

/** Four significant digits; "" where there is no number. */
export function numberText(value: number | undefined): string {
  return value === undefined ? "" : formatNumber(Number(value.toPrecision(4)));
}

/** "0.912 (0.905 to 0.919)" */
function intervalText({ value, lower, upper }: Estimate): string {
  return `${numberText(value)} (${numberText(lower)} to ${numberText(upper)})`;
}

function estimateCells(estimate: Estimate | undefined): readonly [string, string] {
  return estimate === undefined
    ? ["", ""]
    : [
        numberText(estimate.value),
        `${numberText(estimate.lower)} to ${numberText(estimate.upper)}`,
      ];
}
