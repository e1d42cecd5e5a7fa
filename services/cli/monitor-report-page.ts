// The whole report: one HTML file that loads nothing and runs nothing.

import { Alert_State as State } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { PLINTH_VERSION } from "../common/version.ts";
import { formatTime } from "./format.ts";
import { severityText } from "./monitor-alert-words.ts";
import type { ReportData } from "./monitor-report-data.ts";
import { columnsSection, driftSection } from "./monitor-report-drift.ts";
import { html, type Markup } from "./monitor-report-markup.ts";
import { empty, type Heading, section, type Tone, table, tag } from "./monitor-report-parts.ts";
import { performanceSection } from "./monitor-report-performance.ts";
import { freshnessSection, qualitySection } from "./monitor-report-quality.ts";
import { STYLE } from "./monitor-report-style.ts";
import { head, summary } from "./monitor-report-summary.ts";
import { windowsSection } from "./monitor-report-windows.ts";
import { measureText } from "./monitor-words.ts";
import { shortName } from "./version-reference.ts";

/** No script, no font, no picture from anywhere, whatever a name in it may say. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

/** The file's text. */
export function reportPage(data: ReportData): string {
  const { drift } = data;
  const sections: readonly (readonly [string, string, Markup])[] = [
    ["drift", "Drift", driftSection(drift)],
    ["columns", "Columns", columnsSection(drift)],
    ["quality", "Data quality", qualitySection(drift)],
    ["freshness", "Feature freshness", freshnessSection(drift)],
    ["windows", "Windows", windowsSection(data.windows)],
    ["performance", "Performance", performanceSection(data.performance)],
    ["alerts", "Alerts", alertsSection(data.alerts)],
  ];
  const shown = sections.filter(([, , content]) => content.markup !== "");
  const title = `${shortName(drift.deployment)}, ${shortName(drift.modelVersion)}`;
  const made = data.now.toISOString().slice(0, 16).replace("T", " ");
  const links = shown.map(([id, name]) => [id, name] as const);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${{ markup: POLICY }}">
<title>Monitoring: ${title}</title>
<style>${{ markup: STYLE }}</style>
</head>
<body>
${head(data, links)}
<main>
${summary(data)}
${shown.map(([, , content]) => html`${content}\n`)}
</main>
<footer>Made by Plinth ${PLINTH_VERSION} on ${made} UTC. All times are UTC, by the event clock of the
deployment. What each method computes, and whose definition it follows, stands in
services/monitoring/README.md.</footer>
</body>
</html>
`;
  return page.markup;
}

const ALERTS: readonly Heading[] = [
  { title: "Rule" },
  { title: "State", number: false },
  { title: "Severity", number: false },
  { title: "What" },
  { title: "Value", number: true },
  { title: "Bound", number: true },
  { title: "Since", number: false },
  { title: "Seen by", number: false },
];

const TONES: Readonly<Record<State, Tone>> = {
  [State.UNSPECIFIED]: "",
  [State.PENDING]: "warn",
  [State.FIRING]: "bad",
  [State.RESOLVED]: "good",
};

function alertsSection(alerts: ReportData["alerts"]): Markup {
  const lead = "Alerts of this version in the deployment: first what is wrong now, then what was.";
  if (!("value" in alerts)) {
    return section("alerts", "Alerts", lead, empty(alerts.missing));
  }
  const rows = alerts.value.map((alert) => ({
    off: alert.state === State.RESOLVED,
    cells: [
      shortName(alert.rule),
      tag((State[alert.state] ?? "").toLowerCase(), TONES[alert.state]),
      severityText(alert.severity),
      alert.summary,
      measureText(alert.value),
      measureText(alert.bound),
      formatTime(alert.fireTime ?? alert.createTime),
      alert.acknowledgement?.actor ?? "",
    ],
  }));
  return section(
    "alerts",
    "Alerts",
    lead,
    rows.length === 0 ? empty("None.") : table("Alerts", ALERTS, rows),
  );
}
