// How a deployment is monitored, as everything else in this service reads it: with the defaults
// filled in, in the units that windows count in.

import type { DriftMethod } from "../drift/drift-method.ts";
import type { DriftOptions } from "../drift/measure-drift.ts";

const SECOND_US = 1_000_000;
const DAY_MS = 86_400_000;

/** What a deployment's monitor says; storable as it is. */
export interface MonitorSettings {
  /** Length of a window. Windows begin at multiples of it since 1970. */
  readonly windowUs: number;
  /** How late, by event time, a row may come and still be counted. */
  readonly latenessUs: number;
  readonly learning: LearningSettings;
  readonly drift: DriftSettings;
  readonly task: TaskSettings;
  readonly retention: RetentionSettings;
}

/** How a version without a baseline gets one. */
export interface LearningSettings {
  /** Served rows that make the baseline. */
  readonly rows: number;
  /** True: never. */
  readonly disabled: boolean;
}

/** How drift is measured. */
export interface DriftSettings {
  /** Absent: chosen for each column, as Evidently does. */
  readonly method?: DriftMethod;
  /** Where a column differs; each at most once. */
  readonly columns: readonly ColumnDriftSettings[];
  /** Share of drifted columns from which the data set has drifted; above 0 to 1. */
  readonly datasetShare: number;
}

/** How drift of one column is measured. */
export interface ColumnDriftSettings {
  readonly column: string;
  /** Absent: as for all. */
  readonly method?: DriftMethod;
  /** Absent: the method's. */
  readonly threshold?: number;
  /** Absent: the method's. */
  readonly sizeMin?: number;
  /** Left out of reports and of the share of drifted columns. */
  readonly ignored: boolean;
}

/** What the model predicts. */
export interface TaskSettings {
  /** Absent: found out from the version. */
  readonly type?: "classification" | "regression";
  /** Empty: the last class. */
  readonly positiveClass: string;
  /** Empty: the first output that fits. */
  readonly output: string;
  /** Predicted positive from this score on; two classes only. */
  readonly scoreThreshold: number;
  /** At most 8, each once. */
  readonly segmentColumns: readonly string[];
}

/** How long things are kept. */
export interface RetentionSettings {
  readonly windowsMs: number;
  readonly daysMs: number;
  readonly predictionsMs: number;
}

/** Of a deployment whose monitor nobody has set. */
export const DEFAULT_SETTINGS: MonitorSettings = {
  windowUs: 3600 * SECOND_US,
  latenessUs: 300 * SECOND_US,
  learning: { rows: 5000, disabled: false },
  drift: { columns: [], datasetShare: 0.5 },
  task: { positiveClass: "", output: "", scoreThreshold: 0.5, segmentColumns: [] },
  retention: { windowsMs: 35 * DAY_MS, daysMs: 400 * DAY_MS, predictionsMs: 35 * DAY_MS },
};

const byColumn = new WeakMap<
  readonly ColumnDriftSettings[],
  ReadonlyMap<string, ColumnDriftSettings>
>();

/** How one column is measured: as its own options say, else as those for all. */
export function columnOptions(
  drift: DriftSettings,
  column: string,
): DriftOptions & { readonly ignored: boolean } {
  const own = ownOptions(drift.columns, column);
  const method = own?.method ?? drift.method;
  return {
    ...(method === undefined ? {} : { method }),
    ...(own?.threshold === undefined ? {} : { threshold: own.threshold }),
    ...(own?.sizeMin === undefined ? {} : { sizeMin: own.sizeMin }),
    ignored: own?.ignored ?? false,
  };
}

/** A report asks for each of up to 2,000 columns. */
function ownOptions(
  columns: readonly ColumnDriftSettings[],
  column: string,
): ColumnDriftSettings | undefined {
  let known = byColumn.get(columns);
  if (known === undefined) {
    known = new Map(columns.map((options) => [options.column, options]));
    byColumn.set(columns, known);
  }
  return known.get(column);
}
