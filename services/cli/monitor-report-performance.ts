// The report's section on performance: the truth from labels beside the estimate from scores, over
// all, over windows, per segment, and the confusion matrix as a heat map.

import type {
  PerformanceReport,
  PerformanceSlice,
} from "../../gen/plinth/monitoring/v1/performance_pb.js";
import { type MetricColumn, metricsOf, numberText } from "./monitor-performance-lines.ts";
import { shortNumber } from "./monitor-report-axes.ts";
import type { Answer } from "./monitor-report-data.ts";
import { html, type Markup, nothing } from "./monitor-report-markup.ts";
import {
  chartCard,
  empty,
  type Heading,
  legend,
  section,
  table,
  tag,
} from "./monitor-report-parts.ts";
import { spanOf } from "./monitor-report-time.ts";
import { timeline } from "./monitor-report-timeline.ts";
import { percentText, rangeText } from "./monitor-words.ts";
import { counted, formatCount } from "./progress.ts";

/** A matrix of more classes is no picture any more. */
const CLASSES_MAX = 20;

/** How good the predictions were. */
export function performanceSection(answer: Answer<PerformanceReport>): Markup {
  const title = "Performance";
  if (!("value" in answer)) {
    return section("performance", title, "", empty(answer.missing));
  }
  const report = answer.value;
  const { overall } = report;
  if (overall === undefined || overall.predictions === 0n) {
    return section("performance", title, "", empty("No predictions are kept for this time."));
  }
  return section(
    "performance",
    title,
    leadOf(report, overall),
    html`${grid([overallTable(report, overall), confusion(report)])}
${calibration(overall)}
${grid(charts(report))}
${segments(report)}`,
  );
}

function grid(cards: readonly Markup[]): Markup {
  return html`<div class="grid2">${cards}</div>`;
}

function leadOf(report: PerformanceReport, overall: PerformanceSlice): string {
  const positive =
    report.positiveClass === "" ? "" : ` The positive class is "${report.positiveClass}".`;
  const notKept =
    overall.notKept === 0n
      ? ""
      : ` ${counted(Number(overall.notKept), "prediction")} more came than are kept.`;
  return (
    `${rangeText(report.range)}: ${formatCount(Number(overall.labelled))} of ` +
    `${counted(Number(overall.predictions), "prediction")} have a label ` +
    `(${percentText(overall.coverage)}).${positive}${notKept}`
  );
}

const OVERALL: readonly Heading[] = [{ title: "Metric" }, { title: "From labels", number: true }];

const ESTIMATED: readonly Heading[] = [
  { title: "Estimated (CBPE)", number: true },
  { title: "95% interval", number: false },
];

function overallTable(report: PerformanceReport, overall: PerformanceSlice): Markup {
  const hasEstimates = overall.estimated !== undefined;
  const rows = metricsOf(report).flatMap((metric) => {
    const value = metric.of(overall);
    const estimate = metric.estimate?.(overall);
    if (value === undefined && estimate === undefined) {
      return [];
    }
    const interval =
      estimate === undefined
        ? ""
        : `${numberText(estimate.lower)} to ${numberText(estimate.upper)}`;
    const estimated = hasEstimates ? [numberText(estimate?.value), interval] : [];
    return [{ cells: [metric.title, numberText(value), ...estimated] }];
  });
  return rows.length === 0
    ? empty("No labels have come yet, and there are no scores to estimate from.")
    : table("Metrics over all", [...OVERALL, ...(hasEstimates ? ESTIMATED : [])], rows);
}

function calibration({ classification, estimated }: PerformanceSlice): Markup {
  const error = classification?.calibrationError;
  const confirmed = estimated?.confirmed;
  if (error === undefined && confirmed === undefined) {
    return nothing;
  }
  const verdict =
    confirmed === undefined
      ? nothing
      : confirmed
        ? tag("estimate confirmed by labels", "good")
        : tag("labels lie outside the estimate", "bad");
  const ece = error === undefined ? "" : `Calibration error (ECE, ten bins): ${numberText(error)}.`;
  return html`<p class="legend">${verdict}<span>${ece}</span></p>`;
}

/** A chart for each metric that windows have: two of them are enough to see the course. */
function charts(report: PerformanceReport): readonly Markup[] {
  const { windows } = report;
  const metrics = metricsOf(report).filter((metric) =>
    windows.some((slice) => metric.of(slice) !== undefined || metric.estimate?.(slice)),
  );
  const [first] = metrics;
  const second = metrics.find(({ title }) => title === "ROC AUC" || title === "RMSE") ?? metrics[1];
  return [first, second].flatMap((metric) =>
    metric === undefined ? [] : [metricChart(metric, windows)],
  );
}

function metricChart(metric: MetricColumn, windows: readonly PerformanceSlice[]): Markup {
  const estimates = windows.flatMap((slice) => {
    const estimate = metric.estimate?.(slice);
    return estimate === undefined ? [] : [{ at: spanOf(slice.range).middle, ...estimate }];
  });
  const truth = windows.map((slice) => {
    const value = metric.of(slice);
    const labelled = `${formatCount(Number(slice.labelled))} labels`;
    const text = `${rangeText(slice.range)}: ${numberText(value)} (${labelled})`;
    return { at: spanOf(slice.range).middle, value, text };
  });
  const isError = ["MAE", "RMSE", "log loss"].includes(metric.title);
  const chart = timeline({
    title: `${metric.title} in each window`,
    lines: [
      {
        name: "estimate",
        style: "other",
        points: estimates.map(({ at, value }) => ({
          at,
          value,
          text: `estimated ${numberText(value)}`,
        })),
      },
      { name: "from labels", style: "now", points: truth },
    ],
    band: estimates,
    fromZero: isError,
    ...(isError ? {} : { atMost: 1 }),
    label: shortNumber,
  });
  return chartCard(
    metric.title.slice(0, 1).toUpperCase() + metric.title.slice(1),
    chart,
    legend([
      ["line now", "from labels"],
      ...(estimates.length === 0
        ? []
        : ([
            ["line other", "estimated (CBPE)"],
            ["band", "95% interval"],
          ] as const)),
    ]),
  );
}

/** Each row's shares as the strength of a colour. */
function confusion({ overall, classLabels }: PerformanceReport): Markup {
  const counts = (overall?.classification?.confusion ?? []).map(Number);
  const size = classLabels.length;
  if (counts.length === 0 || counts.length !== size ** 2 || size > CLASSES_MAX) {
    return nothing;
  }
  const rows = classLabels.map((label, row) => {
    const own = counts.slice(row * size, (row + 1) * size);
    const sum = own.reduce((total, count) => total + count, 0);
    const cells = own.map((count, column) => {
      const share = sum === 0 ? 0 : count / sum;
      const style = html`style="--heat:${share.toFixed(3)}"${row === column && html` class="right"`}`;
      return html`<td ${style}>${formatCount(count)}<small>${percentText(share)}</small></td>`;
    });
    return html`<tr><th scope="row">${label}</th>${cells}</tr>`;
  });
  const heads = classLabels.map((label) => html`<th scope="col" class="n">${label}</th>`);
  return html`<figure class="card"><h3>Confusion matrix</h3>
<p class="measure">Rows are true classes, columns what was predicted; shares are of each row.</p>
<div class="wide"><table class="heat" aria-label="Confusion matrix">
<thead><tr><th scope="col">True \\ predicted</th>${heads}</tr></thead><tbody>${rows}</tbody>
</table></div></figure>`;
}

function segments(report: PerformanceReport): Markup {
  if (report.segments.length === 0) {
    return nothing;
  }
  const metrics = metricsOf(report).filter((metric) =>
    report.segments.some((slice) => metric.of(slice) !== undefined),
  );
  const headings: readonly Heading[] = [
    { title: "Segment" },
    { title: "Column", number: false },
    { title: "Predictions", number: true },
    { title: "Labelled", number: true },
    ...metrics.map(({ title }) => ({ title, number: true })),
  ];
  const rows = report.segments.map((slice) => ({
    cells: [
      slice.segment,
      slice.segmentColumn,
      formatCount(Number(slice.predictions)),
      percentText(slice.coverage),
      ...metrics.map((metric) => numberText(metric.of(slice))),
    ],
  }));
  return table("Performance of each segment", headings, rows);
}
