// What became of the features of a predicted row, in words.

import { FieldStatus } from "../../gen/plinth/features/v1/value_pb.js";
import type { PredictResponse } from "../../gen/plinth/inference/v1/inference_service_pb.js";

export interface FeatureOfRow {
  readonly feature: string;
  /** PRESENT, NOT_FOUND ... */
  readonly status: string;
}

/** The features of one row of an answer, in the order of the service; none without one. */
export function featuresOfRow(response: PredictResponse, row: number): readonly FeatureOfRow[] {
  return response.featureStatuses.map(({ feature, statuses }) => ({
    feature,
    status: statusText(statuses[row] ?? FieldStatus.UNSPECIFIED),
  }));
}

/** FAILED is what UNSPECIFIED means: the expression had no result on this row. */
export function statusText(status: FieldStatus): string {
  return status === FieldStatus.UNSPECIFIED ? "FAILED" : FieldStatus[status];
}
