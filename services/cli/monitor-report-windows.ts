// The report's section on windows: drift and rows over time.

import type { DatasetDrift, Window } from "../../gen/plinth/monitoring/v1/report_pb.js";
import { html, type Markup } from "./monitor-report-markup.ts";
import { chartCard, empty, legend, section } from "./monitor-report-parts.ts";
import { spanOf } from "./monitor-report-time.ts";
import { type Bar, type Line, timeBars, timeline } from "./monitor-report-timeline.ts";
import { percentText, rangeText } from "./monitor-words.ts";
import { counted } from "./progress.ts";

/** Drift and rows of every window shown. */
export function windowsSection(windows: readonly Window[]): Markup {
  const [first, last] = [windows[0], windows.at(-1)];
  if (first === undefined || last === undefined) {
    return section("windows", "Windows", "", empty("No windows are kept."));
  }
  const threshold = windows.find(({ features }) => features !== undefined)?.features?.threshold;
  const lines: readonly Line[] = [
    lineOf("features", "now", windows, ({ features }) => features),
    lineOf("predictions", "other", windows, ({ predictions }) => predictions),
  ];
  const drift = timeline({
    title: "Share of drifted columns in each window",
    lines,
    fromZero: true,
    atMost: 1,
    label: percentText,
    threshold:
      threshold === undefined
        ? undefined
        : { value: threshold, text: `drift from ${percentText(threshold)} on` },
  });
  const rows = timeBars("Rows in each window", windows.map(barOf));
  const open = windows.filter(({ closed }) => !closed).length;
  const isOpen = open === 0 ? "" : `, ${open} still open`;
  const span = { startTime: first.range?.startTime, endTime: last.range?.endTime };
  return section(
    "windows",
    "Windows",
    `${counted(windows.length, "window")}, ${rangeText(span as never)}${isOpen}.`,
    html`<div class="grid2">${[
      chartCard(
        "Share of drifted columns",
        drift,
        legend([
          ["line now", "features"],
          ["line other", "predictions"],
        ]),
      ),
      chartCard("Rows", rows),
    ]}</div>`,
  );
}

function lineOf(
  name: string,
  style: Line["style"],
  windows: readonly Window[],
  of: (window: Window) => DatasetDrift | undefined,
): Line {
  return {
    name,
    style,
    points: windows.map((window) => {
      const drift = of(window);
      const isMeasured = drift !== undefined && drift.measured > 0;
      return {
        at: spanOf(window.range).middle,
        value: isMeasured ? drift.share : undefined,
        text: isMeasured
          ? `${rangeText(window.range)}: ${drift.drifted} of ${drift.measured} ${name}`
          : "",
      };
    }),
  };
}

function barOf(window: Window): Bar {
  const { start, end } = spanOf(window.range);
  const text = `${rangeText(window.range)}: ${counted(Number(window.rows), "row")}`;
  return { from: start, to: end, value: Number(window.rows), text, open: !window.closed };
}
