// The report's table of columns, the worst first, and a card with a histogram for each.

import {
  type DriftResult,
  DriftResult_Outcome as Outcome,
} from "../../gen/plinth/monitoring/v1/drift_pb.js";
import type {
  ColumnBins,
  ColumnReport,
  DatasetDrift,
  DriftReport,
} from "../../gen/plinth/monitoring/v1/report_pb.js";
import { kindWord } from "./monitor-baseline-lines.ts";
import { worstFirst } from "./monitor-drift-lines.ts";
import { numberText } from "./monitor-performance-lines.ts";
import { binName, histogram, miniHistogram } from "./monitor-report-histogram.ts";
import { breakable, html, type Markup, nothing } from "./monitor-report-markup.ts";
import { empty, type Heading, legend, section, table, verdictTag } from "./monitor-report-parts.ts";
import { sharesOf } from "./monitor-sparkline.ts";
import { measureText, methodTitle, percentText, thresholdText } from "./monitor-words.ts";
import { formatCount } from "./progress.ts";

/** Columns that get a card; of a model with more, the worst. */
const CARDS_MAX = 120;

const HEADINGS: readonly Heading[] = [
  { title: "Column" },
  { title: "Verdict", number: false },
  { title: "Method and threshold", number: false },
  { title: "Value", number: true },
  { title: "Values compared", number: true },
  { title: "Baseline and current", number: false },
];

const SIDES = [
  ["base", "baseline"],
  ["now", "current"],
] as const;

/** The table of all columns. */
export function driftSection(report: DriftReport): Markup {
  const columns = worstFirst(report.columns);
  const lead =
    `${sentence("feature", report.features)} ${sentence("prediction", report.predictions)} ` +
    "A distance drifts when it is large, a p-value when it is small.";
  const rows = columns.map((column) => ({
    off: column.drift?.outcome !== Outcome.MEASURED,
    cells: driftCells(column),
  }));
  return section(
    "drift",
    "Drift",
    lead,
    rows.length === 0
      ? empty("The report has no columns.")
      : html`${table("Drift of each column", HEADINGS, rows)}${legend(SIDES)}`,
  );
}

/** "3 of 5 feature columns have drifted (60%), so the features as a whole have (...)." */
function sentence(what: string, drift: DatasetDrift | undefined): string {
  if (drift === undefined || drift.measured === 0) {
    return `No ${what} column was measured.`;
  }
  const { drifted, measured, share, threshold, isDrifted } = drift;
  const verdict = isDrifted ? "have" : "have not";
  return (
    `${drifted} of ${measured} ${what} columns have drifted (${percentText(share)}), so the ` +
    `${what}s as a whole ${verdict} (they do from ${percentText(threshold)} on).`
  );
}

function driftCells({ name, drift, bins }: ColumnReport): readonly (string | Markup)[] {
  const isMeasured = drift?.outcome === Outcome.MEASURED;
  const isChosen = drift !== undefined && drift.method !== 0;
  return [
    breakable(name),
    verdictTag(drift),
    isChosen
      ? twoLines(methodTitle(drift.method), isMeasured && `drift when ${thresholdText(drift)}`)
      : "",
    isMeasured ? html`<b>${measureText(drift.value)}</b>` : "",
    drift === undefined
      ? ""
      : twoLines(
          formatCount(Number(drift.currentSize)),
          `baseline ${formatCount(Number(drift.baselineSize))}`,
        ),
    miniHistogram(bins),
  ];
}

function twoLines(text: string, below: string | false): Markup {
  return html`${text}<small>${below}</small>`;
}

/** A card for each column that has bins. */
export function columnsSection(report: DriftReport): Markup {
  const all = worstFirst(report.columns).filter(({ bins }) => (bins?.reference.length ?? 0) > 0);
  const shown = all.slice(0, CARDS_MAX);
  const lead =
    all.length > shown.length
      ? `The ${shown.length} of ${all.length} columns that stand highest in the table above.`
      : "Shares of rows on the same bins for both sides, in the order of the table above.";
  return section(
    "columns",
    "Columns",
    lead,
    shown.length === 0
      ? empty("No column has bins.")
      : html`<div class="grid2">${shown.map(columnCard)}</div>`,
  );
}

function columnCard(column: ColumnReport): Markup {
  const { name, bins, drift } = column;
  if (bins === undefined) {
    return nothing;
  }
  const title = `${name}: baseline and current distribution`;
  return html`<article class="card">
<div class="head"><h3>${name}</h3>${verdictTag(drift)}</div>
<p class="measure">${measureLine(drift)}${profileLine(column)}</p>
${histogram(bins, title)}${legend(SIDES)}${binTable(bins)}
</article>`;
}

/** "Wasserstein, normed 0.31 (threshold >= 0.1); 50,000 and 12,000 values" */
function measureLine(drift: DriftResult | undefined): string {
  if (drift === undefined) {
    return "";
  }
  const sizes =
    `${formatCount(Number(drift.baselineSize))} and ` +
    `${formatCount(Number(drift.currentSize))} values`;
  if (drift.outcome !== Outcome.MEASURED) {
    return sizes;
  }
  const { statistic, degreesOfFreedom: df } = drift;
  const test = statistic === undefined ? "" : `, statistic ${measureText(statistic)}`;
  const freedom = df === undefined ? "" : ` with ${df} degrees of freedom`;
  const measure = `${methodTitle(drift.method)} ${measureText(drift.value)}${test}${freedom}`;
  return `${measure} (drift when ${thresholdText(drift)}); ${sizes}`;
}

function profileLine({ kind, profile }: ColumnReport): string {
  const { numeric } = profile ?? {};
  const word = kindWord(kind);
  if (word !== "numeric" || numeric === undefined) {
    return word === "" ? "" : `; ${word}`;
  }
  const median = numeric.quantiles.find(({ q }) => q === 0.5)?.value;
  const said = [
    ["min", numeric.min],
    ["median", median],
    ["mean", numeric.mean],
    ["max", numeric.max],
  ] as const;
  const now = said.filter(([, value]) => value !== undefined);
  return now.length === 0
    ? ""
    : `; now ${now.map(([what, value]) => `${what} ${numberText(value)}`).join(", ")}`;
}

function binTable(bins: ColumnBins): Markup {
  const [was, is] = [sharesOf(bins.reference), sharesOf(bins.current)];
  const kind = bins.categories.length > 0 ? "Category" : "Bin";
  const rows = was.map((share, index) => {
    const shares = [share, is[index] ?? 0].map(
      (one) => html`<td class="n">${percentText(one)}</td>`,
    );
    return html`<tr><th scope="row">${binName(bins, index)}</th>${shares}</tr>`;
  });
  const heads = ["Baseline", "Current"].map((side) => html`<th scope="col" class="n">${side}</th>`);
  return html`<details><summary>The same as a table</summary>
<table><thead><tr><th scope="col">${kind}</th>${heads}</tr></thead><tbody>${rows}</tbody></table>
</details>`;
}
