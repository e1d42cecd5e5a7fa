// `plinth monitor watch`: what each version of a deployment, or of all, looks like now. A table that
// redraws itself on a terminal; elsewhere one line a change, or one JSON value a line.

import { Baseline_State as BaselineState } from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import {
  type VersionMetrics,
  WatchMetricsResponseSchema,
} from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { LiveTable } from "./live-table.ts";
import { shareText, versionText } from "./monitor-windows.ts";
import { momentText, rangeText } from "./monitor-words.ts";
import { messageJson, type Output, writeText } from "./output.ts";
import { counted, formatCount } from "./progress.ts";
import { reopened } from "./reopened.ts";
import type { Session } from "./session.ts";
import { type Column, printable, tableLines } from "./table.ts";
import { shortName } from "./version-reference.ts";

/** `plinth monitor watch`: until Ctrl-C. */
export async function watchMetrics(session: Session, [id]: readonly [string]): Promise<void> {
  const { output, signal } = session;
  const parent = id === "all" ? session.parent : session.deploymentName(id);
  const versions = new Map<string, VersionMetrics>();
  using table = LiveTable.fits(output)
    ? new LiveTable(() => tableOf(output, versions, parent))
    : undefined;
  const open = () => session.monitoring.watchMetrics({ parent }, session.call);
  for await (const response of reopened(session, open, { tells: table === undefined })) {
    const { event } = response;
    if (output.json) {
      const json = await messageJson(WatchMetricsResponseSchema, response);
      await writeText(process.stdout, `${JSON.stringify(json)}\n`, signal);
      continue;
    }
    if (event.case === "metrics") {
      const { deployment, modelVersion } = event.value;
      versions.set(`${deployment} ${modelVersion}`, event.value);
    }
    if (table !== undefined) {
      table.changed();
    } else if (event.case === "metrics") {
      await writeText(process.stdout, `${lineOf(event.value)}\n`, signal);
    } else if (event.case === "synced" && versions.size === 0) {
      output.note("Nothing has been captured yet; waiting.");
    }
  }
}

const right = (title: string): Column => ({ title, align: "right" });

const COLUMNS: readonly Column[] = [
  { title: "DEPLOYMENT" },
  { title: "VERSION" },
  { title: "WINDOW" },
  right("ROWS"),
  right("LATE"),
  { title: "LAST VERDICT" },
  { title: "FEATURES" },
  { title: "PREDICTIONS" },
  { title: "BASELINE" },
  right("ALERTS"),
];

function tableOf(
  output: Output,
  versions: ReadonlyMap<string, VersionMetrics>,
  parent: string,
): readonly string[] {
  const all = [...versions.entries()]
    .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
    .map(([, metrics]) => metrics);
  if (all.length === 0) {
    return [`Nothing of ${shortName(parent)} has been captured yet; waiting.`];
  }
  const { lineWidth } = output;
  const [head = "", ...body] = tableLines(COLUMNS, all.map(cells), { lineWidth });
  return [
    output.tone("strong", head),
    ...body.map((line, index) => (isWrong(all[index]) ? output.tone("bad", line) : line)),
  ];
}

function isWrong(metrics: VersionMetrics | undefined): boolean {
  const { features, predictions } = metrics?.closedWindow ?? {};
  return (
    (metrics?.activeAlerts ?? 0) > 0 ||
    features?.isDrifted === true ||
    predictions?.isDrifted === true
  );
}

function cells(metrics: VersionMetrics): readonly string[] {
  const { window, closedWindow } = metrics;
  return [
    shortName(metrics.deployment),
    versionText(metrics),
    window === undefined ? "none yet" : rangeText(window.range),
    window === undefined ? "" : formatCount(Number(window.rows)),
    window === undefined || window.lateRows === 0n ? "" : formatCount(Number(window.lateRows)),
    closedWindow === undefined ? "none yet" : rangeText(closedWindow.range),
    closedWindow === undefined ? "" : shareText(closedWindow, closedWindow.features),
    closedWindow === undefined ? "" : shareText(closedWindow, closedWindow.predictions),
    baselineWord(metrics.baselineState),
    metrics.activeAlerts === 0 ? "" : String(metrics.activeAlerts),
  ];
}

function baselineWord(state: BaselineState): string {
  return state === BaselineState.UNSPECIFIED ? "none" : (BaselineState[state] ?? "").toLowerCase();
}

/** One change in one line: for logs and pipes. */
function lineOf(metrics: VersionMetrics): string {
  const { window, closedWindow: closed } = metrics;
  const parts = [
    momentText(metrics.time),
    shortName(metrics.deployment),
    versionText(metrics),
    window === undefined
      ? "no window yet"
      : `${rangeText(window.range)}: ${counted(Number(window.rows), "row")}`,
    closed === undefined
      ? ""
      : `verdict on ${rangeText(closed.range)}: features ${shareText(closed, closed.features)}, ` +
        `predictions ${shareText(closed, closed.predictions)}`,
    metrics.baselineState === BaselineState.READY
      ? ""
      : `baseline ${baselineWord(metrics.baselineState)}`,
    metrics.activeAlerts === 0 ? "" : counted(metrics.activeAlerts, "active alert"),
  ];
  return printable(parts.filter((part) => part !== "").join("  "));
}
