// Reads the value of a rule's metric in one window, in the windows before it and in the baseline.
// What closed windows say hardly ever changes, so it is kept for the rules that look back.

import { Metric_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { ReadyBaseline } from "../baselines/baseline-store.ts";
import type { MonitorSettings } from "../monitors/monitor-settings.ts";
import { compareInTurns } from "../reports/compare-windows.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import type { WindowSketch } from "../sketch/window-sketch.ts";
import type { Target } from "../target.ts";
import type { WindowInfo } from "../windows/window-record.ts";
import { comesFromPredictions, EVERY_COLUMN, type MetricSpec, rowsNeeded } from "./alert-rule.ts";
import {
  driftShare,
  driftValues,
  type MetricValues,
  type PredictionsOfWindow,
  predictionValues,
  qualityValues,
  sketchValues,
  totalsValues,
} from "./metric-values.ts";
import { ValueCache } from "./value-cache.ts";

/** How far back the windows before are looked for: so many times as long as they would take. */
const LOOK_BACK = 4;
/** Labels of windows that others are held against may be so old. */
const LABELS_STALE_MS = 60_000;

export interface Span {
  readonly startUs: number;
  readonly endUs: number;
}

/** Where windows are read; the window store. */
export interface WindowSource {
  target(id: string): Promise<Target | undefined>;
  /** Newest first; at most `limit`, the newest. */
  list(
    targetId: string,
    range: Partial<Span>,
    options?: { readonly limit?: number },
  ): Promise<readonly WindowInfo[]>;
  read(
    target: Target,
    range: Span,
    layout: WindowLayout,
  ): Promise<{ readonly sketch: WindowSketch }>;
}

/** Where baselines are read; the baseline store. */
export interface BaselineSource {
  ready(modelVersionUid: string): Promise<Pick<ReadyBaseline, "layout" | "baseline"> | undefined>;
  layout(modelVersionUid: string, layoutId: string): Promise<WindowLayout | undefined>;
}

/** Where predictions are read; the prediction store. */
export interface PredictionSource {
  windowMetrics(target: Target, window: Span): Promise<PredictionsOfWindow | undefined>;
}

export interface MetricReaderDeps {
  readonly windows: WindowSource;
  readonly baselines: BaselineSource;
  readonly monitors: { get(deployment: string): Promise<MonitorSettings> };
  readonly predictions: PredictionSource;
  readonly clock: Clock;
}

/** Owns the values kept of earlier windows. */
export class MetricReader {
  readonly #deps: MetricReaderDeps;
  readonly #kept: ValueCache;

  constructor(deps: MetricReaderDeps) {
    this.#deps = deps;
    this.#kept = new ValueCache(deps.clock);
  }

  /**
   * The values of a metric in a closed window. `*` gives one for each column. Columns without one
   * are left out; those of too few rows are in, with their rows.
   */
  async values(target: Target, window: WindowInfo, metric: MetricSpec): Promise<MetricValues> {
    const all = await this.#read(target, window, metric);
    return narrowed(all, metric.column);
  }

  /** The same metric of the baseline; empty where there is none. */
  async baseline(target: Target, metric: MetricSpec): Promise<MetricValues> {
    const ready = await this.#deps.baselines.ready(target.modelVersionUid);
    const all = ready === undefined ? new Map() : sketchValues(ready.baseline, metric);
    return narrowed(all, metric.column);
  }

  /**
   * The values of the last `count` windows before this one that have enough rows, newest first, by
   * column. Windows are looked for as far back as four times as many would take.
   */
  async earlier(
    target: Target,
    window: WindowInfo,
    look: { readonly metric: MetricSpec; readonly count: number },
  ): Promise<ReadonlyMap<string, readonly number[]>> {
    const { metric, count } = look;
    const lengthUs = window.endUs - window.startUs;
    const startUs = window.startUs - LOOK_BACK * count * lengthUs;
    const range = { startUs, endUs: window.startUs };
    // A window is there twice where the baseline was replaced meanwhile.
    const before = await this.#deps.windows.list(target._id, range, { limit: 2 * count });
    const found = new Map<string, number[]>();
    for (const info of closedWindows(before).toReversed().slice(0, count)) {
      const values = await this.#keptValues(target, info, metric);
      for (const [column, { value, rows }] of narrowed(values, metric.column)) {
        if (rows >= rowsNeeded(metric)) {
          const list = found.get(column) ?? [];
          found.set(column, list);
          list.push(value);
        }
      }
    }
    return found;
  }

  /** Windows of a target that have closed, oldest first, each time once. */
  async closed(targetId: string, range: Partial<Span>): Promise<readonly WindowInfo[]> {
    return closedWindows(await this.#deps.windows.list(targetId, range));
  }

  async #keptValues(target: Target, window: WindowInfo, metric: MetricSpec): Promise<MetricValues> {
    const { kind, q, column } = metric;
    // Late parts are merged into closed windows; the rows tell.
    const id = [target._id, window.startUs, window.endUs, window.layoutId, window.rows];
    const key = JSON.stringify([...id, kind, q, column]);
    const ttlMs = comesFromPredictions(kind) ? LABELS_STALE_MS : Number.POSITIVE_INFINITY;
    return this.#kept.get(key, ttlMs, () => this.#read(target, window, metric));
  }

  async #read(target: Target, window: WindowInfo, metric: MetricSpec): Promise<MetricValues> {
    switch (metric.kind) {
      case Metric_Kind.UNSPECIFIED:
        return new Map();
      case Metric_Kind.FEATURE_DRIFT_SHARE:
      case Metric_Kind.PREDICTION_DRIFT_SHARE:
      case Metric_Kind.COLUMN_DRIFT:
      case Metric_Kind.COLUMN_DRIFTED:
        return this.#drift(target, window, metric);
      case Metric_Kind.MISSING_RATE:
      case Metric_Kind.MEAN:
      case Metric_Kind.QUANTILE: {
        const sketch = await this.#sketch(target, window);
        return sketch === undefined ? new Map() : sketchValues(sketch, metric);
      }
      case Metric_Kind.TYPE_VIOLATION_RATE:
      case Metric_Kind.RANGE_VIOLATION_RATE:
      case Metric_Kind.UNSEEN_RATE:
      case Metric_Kind.NAN_RATE: {
        const sketch = await this.#sketch(target, window);
        const baseline = await this.#baselineOf(target, window);
        return sketch === undefined ? new Map() : qualityValues(sketch, baseline, metric.kind);
      }
      case Metric_Kind.OUTSIDE_MAX_AGE_RATE:
      case Metric_Kind.ROWS:
      case Metric_Kind.QUEUE_MS:
      case Metric_Kind.COMPUTE_MS:
        return totalsValues(window, metric.kind);
      default: {
        const slice = await this.#deps.predictions.windowMetrics(target, window);
        return slice === undefined ? new Map() : predictionValues(slice, metric.kind);
      }
    }
  }

  async #drift(target: Target, window: WindowInfo, metric: MetricSpec): Promise<MetricValues> {
    const { kind, column } = metric;
    const isFeatures = kind === Metric_Kind.FEATURE_DRIFT_SHARE;
    const isShare = isFeatures || kind === Metric_Kind.PREDICTION_DRIFT_SHARE;
    const { verdict, rows } = window;
    if (isShare && verdict !== undefined) {
      return driftShare(isFeatures ? verdict.features : verdict.predictions, rows);
    }
    const reference = await this.#baselineOf(target, window);
    const current = reference && (await this.#sketch(target, window));
    if (current === undefined) {
      return new Map();
    }
    const { drift } = await this.#deps.monitors.get(target.deployment);
    const isOne = column !== "" && column !== EVERY_COLUMN;
    const compared = await compareInTurns({
      layout: current.layout,
      current,
      reference,
      drift,
      brief: true,
      ...(isOne ? { columns: new Set([column]) } : {}),
    });
    return isShare
      ? driftShare(isFeatures ? compared.features : compared.predictions, rows)
      : driftValues(compared.columns, kind, rows);
  }

  async #sketch(target: Target, window: WindowInfo): Promise<WindowSketch | undefined> {
    const { baselines, windows } = this.#deps;
    const layout = await baselines.layout(target.modelVersionUid, window.layoutId);
    return layout && (await windows.read(target, window, layout)).sketch;
  }

  /** The baseline, where the window was counted on it. */
  async #baselineOf(target: Target, window: WindowInfo): Promise<WindowSketch | undefined> {
    const ready = await this.#deps.baselines.ready(target.modelVersionUid);
    return ready?.layout.id === window.layoutId ? ready.baseline : undefined;
  }
}

/** Of a window that was counted on two layouts the part with more rows. */
function closedWindows(windows: readonly WindowInfo[]): readonly WindowInfo[] {
  const found = new Map<string, WindowInfo>();
  for (const window of windows) {
    const span = `${window.startUs}-${window.endUs}`;
    const known = found.get(span);
    const isWindow = window.closed && window.level === "window";
    if (isWindow && (known === undefined || known.rows < window.rows)) {
      found.set(span, window);
    }
  }
  return [...found.values()].sort((a, b) => a.endUs - b.endUs);
}

function narrowed(values: MetricValues, column: string): MetricValues {
  if (column === EVERY_COLUMN) {
    return values;
  }
  const one = values.get(column);
  return one === undefined ? new Map() : new Map([[column, one]]);
}
