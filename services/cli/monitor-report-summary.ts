// The top of the report: what it is about, and the few numbers to look at first.

import { Alert_State as State } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import type { DatasetDrift } from "../../gen/plinth/monitoring/v1/report_pb.js";
import { qualityWords } from "./monitor-drift-lines.ts";
import { metricsOf, numberText } from "./monitor-performance-lines.ts";
import type { ReportData } from "./monitor-report-data.ts";
import { html, type Markup } from "./monitor-report-markup.ts";
import { percentText, rangeText, referenceText } from "./monitor-words.ts";
import { counted, formatCount } from "./progress.ts";
import { shortName } from "./version-reference.ts";

/** The heading, what was compared, and links to the sections. */
export function head(data: ReportData, sections: readonly (readonly [string, string])[]): Markup {
  const { drift } = data;
  const rows = `${counted(Number(drift.rows), "row")} in ${counted(drift.windows, "window")}`;
  const against = `${referenceText(drift)} (${counted(Number(drift.referenceRows), "row")})`;
  const links = sections.map(([id, title]) => html`<a href="#${id}">${title}</a>`);
  const open = drift.open ? ", still open" : "";
  return html`<header>
<h1>${shortName(drift.deployment)} <span class="soft">${shortName(drift.modelVersion)}</span></h1>
<p class="lead">${rangeText(drift.range)}${open}: ${rows}, compared with ${against}.</p>
<nav aria-label="Sections">${links}</nav>
</header>`;
}

/** The cards of numbers. */
export function summary(data: ReportData): Markup {
  return html`<div class="cards">${[
    datasetCard("Feature drift", data.drift.features),
    datasetCard("Prediction drift", data.drift.predictions),
    qualityCard(data),
    performanceCard(data),
    alertCard(data),
    rowsCard(data),
  ]}</div>`;
}

type Style = "" | "bad-card" | "warn-card" | "good-card";

function card(what: string, number: string, beside: string, style: Style = ""): Markup {
  return html`<div class="card ${style}">
<div class="what">${what}</div>
<div class="number${/\d/.test(number) ? "" : " word"}">${number}</div>
<div class="beside">${beside}</div>
</div>`;
}

function datasetCard(what: string, drift: DatasetDrift | undefined): Markup {
  if (drift === undefined || drift.measured === 0) {
    return card(what, "not measured", "too few values, or nothing to compare");
  }
  const { drifted, measured, share, threshold, isDrifted } = drift;
  return card(
    what,
    `${drifted} of ${measured}`,
    `${percentText(share)} of columns; the data set has drifted from ${percentText(threshold)} on`,
    isDrifted ? "bad-card" : drifted > 0 ? "warn-card" : "good-card",
  );
}

function qualityCard({ drift }: ReportData): Markup {
  const wrong = drift.columns.filter(
    ({ quality }) => quality !== undefined && qualityWords(quality).length > 0,
  );
  return card(
    "Data quality",
    wrong.length === 0 ? "clean" : String(wrong.length),
    wrong.length === 0
      ? "no new gaps, types, ranges or categories"
      : `of ${counted(drift.columns.length, "column")} with gaps, ranges, types or categories that are new`,
    wrong.length === 0 ? "good-card" : "warn-card",
  );
}

function performanceCard({ performance }: ReportData): Markup {
  const report = "value" in performance ? performance.value : undefined;
  const { overall } = report ?? {};
  if (report === undefined || overall === undefined) {
    return card("Performance", "not known", "no predictions are kept");
  }
  const [metric] = metricsOf(report);
  const value = metric?.of(overall);
  if (metric !== undefined && value !== undefined) {
    const labelled = `${percentText(overall.coverage)} of ${formatCount(Number(overall.predictions))}`;
    return card(
      capital(metric.title),
      numberText(value),
      `from labels, on ${labelled} predictions`,
    );
  }
  const estimate = overall.estimated?.accuracy;
  return estimate === undefined
    ? card("Performance", "no labels", `on ${counted(Number(overall.predictions), "prediction")}`)
    : card(
        "Estimated accuracy",
        numberText(estimate.value),
        `${numberText(estimate.lower)} to ${numberText(estimate.upper)}; no labels yet`,
      );
}

function alertCard({ alerts }: ReportData): Markup {
  if (!("value" in alerts)) {
    return card("Alerts", "not known", alerts.missing);
  }
  const of = (state: State): number => alerts.value.filter((alert) => alert.state === state).length;
  const [firing, pending] = [of(State.FIRING), of(State.PENDING)];
  return card(
    "Alerts firing",
    String(firing),
    pending === 0 ? "none pending" : `${pending} pending`,
    firing > 0 ? "bad-card" : pending > 0 ? "warn-card" : "good-card",
  );
}

function rowsCard({ drift, windows }: ReportData): Markup {
  const sum = (of: "lateRows" | "droppedRows"): number =>
    windows.reduce((total, window) => total + Number(window[of]), 0);
  const [late, dropped] = [sum("lateRows"), sum("droppedRows")];
  const lost = `${formatCount(late)} late, ${formatCount(dropped)} dropped in all windows shown`;
  return card("Rows", formatCount(Number(drift.rows)), lost);
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
