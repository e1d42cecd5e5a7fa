// Windows and the parts that they are merged from, as others see them. While rows come each sender
// has a part of its own, which one writer at a time changes by compare-and-set: the sketch and the
// sequences that are in it are one document, so a batch is counted once however often it is sent.
// A window that has closed is one document with its sketch beside it; so is a day.

import type { Document } from "../../common/documents/port.ts";

/** What is added up beside the sketch. */
export interface WindowTotals {
  readonly inferences: number;
  readonly queueMs: number;
  readonly computeMs: number;
  /** Rows that came when the window had closed. */
  readonly lateRows: number;
  /** Rows that senders dropped. */
  readonly droppedRows: number;
  readonly freshness: readonly FreshnessTotals[];
}

/** Of one feature. */
export interface FreshnessTotals {
  readonly feature: string;
  readonly featureView: string;
  /** Rows by plinth.features.v1.FieldStatus, 0 to 4. */
  readonly statuses: readonly number[];
}

/** What all stored sketches have. */
interface SketchRecord extends Document {
  /** Target's document id, or the model version's for a draft of a baseline. */
  readonly owner: string;
  readonly layoutId: string;
  /** Microseconds since 1970; both 0 for a draft. */
  readonly startUs: number;
  readonly endUs: number;
  readonly rows: number;
  /** encodeWindow */
  readonly sketch: Uint8Array;
  readonly totals: WindowTotals;
  readonly expireTime: Date;
}

/** What one sender has brought, on one layout. */
export interface PartRecord extends SketchRecord {
  /** All parts that are merged together share it. */
  readonly group: string;
  readonly sender: string;
  /** Batches up to here never come again. */
  readonly acknowledged: number;
  /** Those above it that are counted, ascending. */
  readonly sequences: readonly number[];
  /** No batch is counted in it any more. */
  readonly sealed: boolean;
}

/** A window that has closed, or a day of them. */
export interface WindowRecord extends SketchRecord {
  readonly level: "window" | "day";
  readonly shadow: boolean;
  /** Ids of the parts, or starts of the windows, that are in it; ascending. */
  readonly merged: readonly string[];
  /** What was found; absent: not judged yet. */
  readonly verdict?: WindowVerdict | null;
  /** Alerts and reports have seen it. */
  readonly judged: boolean;
}

/** A window without its sketch: of a target, a start and a layout. */
export interface WindowInfo {
  /** Of the record; empty while the window is open. */
  readonly id: string;
  readonly startUs: number;
  readonly endUs: number;
  readonly closed: boolean;
  readonly level: WindowRecord["level"];
  readonly rows: number;
  readonly totals: WindowTotals;
  readonly layoutId: string;
  /** Of the sketch, encoded; of all its parts while it is open. */
  readonly sizeBytes: number;
  readonly verdict: WindowVerdict | undefined;
  readonly shadow: boolean;
}

/** Drift of a closed window, in short. */
export interface WindowVerdict {
  readonly baseline: boolean;
  readonly features: DriftShare;
  readonly predictions: DriftShare;
  /** At most 20 names. */
  readonly driftedColumns: readonly string[];
}

/** See plinth.monitoring.v1.DatasetDrift. */
export interface DriftShare {
  readonly columns: number;
  readonly measured: number;
  readonly drifted: number;
  readonly share: number;
  readonly threshold: number;
  readonly isDrifted: boolean;
}
