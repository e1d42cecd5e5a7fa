// `plinth monitor windows`: what each version saw in each window, newest first.

import { create } from "@bufbuild/protobuf";
import { ListWindowsResponseSchema } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import type { DatasetDrift, Window } from "../../gen/plinth/monitoring/v1/report_pb.js";
import { isVersion, type RangeOptions, rangeOf, versionOption } from "./monitor-range.ts";
import { percentText, rangeText } from "./monitor-words.ts";
import { formatBytes, formatCount } from "./progress.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import type { Column } from "./table.ts";
import { shortName } from "./version-reference.ts";

interface WindowOptions extends RangeOptions {
  readonly version?: string;
  readonly limit: number;
}

/** `plinth monitor windows` */
export async function listWindows(
  session: Session,
  [id]: readonly [string],
  options: WindowOptions,
): Promise<void> {
  const { output } = session;
  const parent = session.deploymentName(id);
  const wanted = versionOption(session, options.version);
  const range = await rangeOf(session, parent, options);
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) =>
      session.monitoring.listWindows(
        {
          parent,
          // A number alone is none that the server could look for.
          modelVersion: wanted.includes("/") ? wanted : "",
          ...(range === undefined ? {} : { range }),
          ...page,
        },
        session.call,
      ),
    items: ({ windows }) => windows.filter(({ modelVersion }) => isVersion(modelVersion, wanted)),
  });
  if (output.json) {
    const all = create(ListWindowsResponseSchema, { windows: [...items] });
    return output.message(ListWindowsResponseSchema, all);
  }
  output.table(
    WINDOW_COLUMNS,
    items.map(windowCells),
    `Nothing of ${id} has been captured${range === undefined ? " yet" : " in that time"}.`,
  );
  noteMore(session, more);
}

const right = (title: string): Column => ({ title, align: "right" });

const WINDOW_COLUMNS: readonly Column[] = [
  { title: "VERSION" },
  { title: "TIME" },
  { title: "STATE" },
  right("ROWS"),
  right("LATE"),
  right("DROPPED"),
  right("LABELS"),
  { title: "FEATURES" },
  { title: "PREDICTIONS" },
  right("QUEUE MS"),
  right("RUN MS"),
  right("SIZE"),
];

function windowCells(window: Window): readonly string[] {
  return [
    versionText(window),
    rangeText(window.range),
    window.closed ? "closed" : "open",
    formatCount(Number(window.rows)),
    countText(window.lateRows),
    countText(window.droppedRows),
    countText(window.labels),
    shareText(window, window.features),
    shareText(window, window.predictions),
    window.meanQueueMs.toFixed(2),
    window.meanComputeMs.toFixed(2),
    formatBytes(Number(window.sizeBytes)),
  ];
}

/** "flights/3", "flights/4 (shadow)" */
export function versionText(window: Pick<Window, "modelVersion" | "shadow">): string {
  return `${shortName(window.modelVersion)}${window.shadow ? " (shadow)" : ""}`;
}

/** "4/9 DRIFTED", "1/9"; "" while the window is open, "no baseline" where there is none. */
export function shareText(window: Window, drift: DatasetDrift | undefined): string {
  if (drift === undefined) {
    return window.closed ? "no verdict" : "";
  }
  if (drift.measured === 0) {
    return "not measured";
  }
  const text = `${drift.drifted}/${drift.measured} (${percentText(drift.share)})`;
  return drift.isDrifted ? `${text} DRIFTED` : text;
}

function countText(count: bigint): string {
  return count === 0n ? "" : formatCount(Number(count));
}
