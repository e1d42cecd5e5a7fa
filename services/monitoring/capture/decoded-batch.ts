// A captured batch once it is decoded and checked: what windows count and what the prediction log
// keeps.

import type { ColumnBatch } from "../sketch/column-batch.ts";
import type { TargetIdentity } from "../target.ts";

/** Rows of one version in one deployment, as one sender captured them. */
export interface DecodedBatch {
  /** [a-zA-Z0-9-]{1,64}; one life of one inference server. */
  readonly sender: string;
  /** Of the batch, unique for the sender; with the sender it names the batch. */
  readonly sequence: number;
  /** No batch of the sender up to here comes again. */
  readonly acknowledged: number;
  readonly target: TargetIdentity;
  readonly shadow: boolean;
  readonly classLabels: readonly string[];
  /** `workspaces/{w}/featureServices/{f}/versions/{n}`, or empty. */
  readonly featureService: string;
  /** Of all inferences together. */
  readonly rows: number;
  readonly inferences: DecodedInferences;
  /**
   * By column name, each with `rows` values. Features are named as the version's columns or inputs
   * are; a version's output is `prediction.{output}`, its scores are `prediction.{output}.{class}`,
   * the predicted class is `prediction.label`.
   */
  readonly columns: ReadonlyMap<string, ColumnBatch>;
  readonly statuses: readonly DecodedStatuses[];
  /** Join keys of the rows; empty: the request had no entities. */
  readonly entityKeys: readonly { readonly joinKey: string; readonly values: readonly string[] }[];
  /** Rows that the sender dropped since its batch before. */
  readonly droppedRows: number;
}

/** One entry an inference in each list. */
export interface DecodedInferences {
  readonly count: number;
  /** "" where nobody knows one. */
  readonly ids: readonly string[];
  readonly rows: readonly number[];
  /** Microseconds since 1970, safe integers. */
  readonly eventUs: readonly number[];
  readonly queueMs: readonly number[];
  readonly computeMs: readonly number[];
}

/** What became of one feature, by row. */
export interface DecodedStatuses {
  readonly feature: string;
  /** `workspaces/{w}/featureViews/{v}`, or empty. */
  readonly featureView: string;
  /** plinth.features.v1.FieldStatus, one byte a row. */
  readonly statuses: Uint8Array;
}
