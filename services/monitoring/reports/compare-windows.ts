// A report's comparison: every column of the current windows against the reference, and the share
// of those that drifted. Pure, from sketches alone; raw rows are long gone.

import { create } from "@bufbuild/protobuf";
import { ColumnRole } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import {
  type ColumnReport,
  ColumnReportSchema,
  type DatasetDrift,
  DatasetDriftSchema,
} from "../../../gen/plinth/monitoring/v1/report_pb.js";
import { inTurns } from "../../common/in-turns.ts";
import { type DriftResult, datasetDrift } from "../drift/drift-result.ts";
import { columnOptions, type DriftSettings } from "../monitors/monitor-settings.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import type { WindowSketch } from "../sketch/window-sketch.ts";
import { roleOf } from "./column-profile-message.ts";
import { type CountedColumn, compareColumn } from "./compare-columns.ts";
import { datasetDriftMessage } from "./drift-message.ts";

export interface WindowComparison {
  /** Of the current windows. */
  readonly layout: WindowLayout;
  readonly current: WindowSketch;
  /**
   * What they are compared with, on this layout or on its own. Absent: nothing, and every column
   * says so.
   */
  readonly reference: WindowSketch | undefined;
  /**
   * What data quality is held against, on the layout of the current windows. Absent: the
   * reference, where it is on that layout.
   */
  readonly baseline?: WindowSketch | undefined;
  readonly drift: DriftSettings;
  /** Without bins and profiles. */
  readonly brief?: boolean;
  /** Only these. Absent: all. */
  readonly columns?: ReadonlySet<string>;
}

export interface ComparedWindows {
  readonly features: DatasetDrift;
  readonly predictions: DatasetDrift;
  /** Features first, each in the order of the layout, without those that the settings ignore. */
  readonly columns: ColumnReport[];
}

/**
 * Compares all columns. Where it is called for a person who waits, use compareInTurns, which lets
 * others run between columns.
 */
export function compareWindows(comparison: WindowComparison): ComparedWindows {
  const steps = comparing(comparison);
  for (;;) {
    const step = steps.next();
    if (step.done) {
      return step.value;
    }
  }
}

/** As compareWindows, in short turns; rejects with the signal's reason once aborted. */
export function compareInTurns(
  comparison: WindowComparison,
  signal?: AbortSignal,
): Promise<ComparedWindows> {
  return inTurns(comparing(comparison), signal);
}

/** One column a step. */
function* comparing(comparison: WindowComparison): Generator<undefined, ComparedWindows> {
  const { layout, current, reference, drift } = comparison;
  const baseline =
    comparison.baseline ?? (reference?.layout.id === layout.id ? reference : undefined);
  const results: Record<"feature" | "prediction", DriftResult[]> = { feature: [], prediction: [] };
  const reports: Record<"feature" | "prediction", ColumnReport[]> = { feature: [], prediction: [] };
  for (const [place, column] of layout.columns.entries()) {
    const { ignored, ...options } = columnOptions(drift, column.name);
    if (ignored || comparison.columns?.has(column.name) === false) {
      continue;
    }
    const { result, report } = compareColumn({
      current: { layout: column, sketch: current.columns[place]! },
      reference: columnIn(reference, column.name),
      baseline: baseline?.columns[place],
      options,
      brief: comparison.brief ?? false,
    });
    const role = roleOf(column.name) === ColumnRole.PREDICTION ? "prediction" : "feature";
    results[role].push(result);
    reports[role].push(create(ColumnReportSchema, report));
    yield;
  }
  const shareOf = (of: readonly DriftResult[]): DatasetDrift => {
    const share = datasetDrift(of, { threshold: drift.datasetShare });
    return create(DatasetDriftSchema, datasetDriftMessage(share));
  };
  return {
    features: shareOf(results.feature),
    predictions: shareOf(results.prediction),
    columns: [...reports.feature, ...reports.prediction],
  };
}

function columnIn(window: WindowSketch | undefined, name: string): CountedColumn | undefined {
  const place = window?.layout.places.get(name);
  return window === undefined || place === undefined
    ? undefined
    : { layout: window.layout.columns[place]!, sketch: window.columns[place]! };
}
