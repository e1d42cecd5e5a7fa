// What reports are made from, as they see it: the stores of this service in part.

import type { BaselineStore } from "../baselines/baseline-store.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import type { MonitorStore } from "../monitors/monitor-store.ts";
import type { WindowStore } from "../windows/window-store.ts";

/** Microseconds since 1970: from start (included) to end (not included). */
export interface TimeSpan {
  readonly startUs: number;
  readonly endUs: number;
}

export type WindowReads = Pick<
  WindowStore,
  "targets" | "clockUs" | "list" | "read" | "newestClosed"
>;

/** See PredictionStore: how many labels have come for the predictions of each range, in order. */
export interface LabelCounts {
  labelCounts(targetId: string, ranges: readonly TimeSpan[]): Promise<readonly number[]>;
}

/** See AlertStore: alerts of a target that are pending or firing. */
export interface ActiveAlerts {
  active(targetId: string): Promise<number>;
}

export interface ReportDeps {
  readonly windows: WindowReads;
  readonly baselines: Pick<BaselineStore, "ready" | "current" | "currentLayout">;
  readonly monitors: Pick<MonitorStore, "get">;
  readonly config: Pick<MonitoringConfig, "watchIntervalMs">;
  readonly events: Pick<MonitoringEvents, "reportMade">;
  /** Absent: no labels are counted. */
  readonly predictions?: LabelCounts;
  /** Absent: no alerts are counted. */
  readonly alerts?: ActiveAlerts;
}
