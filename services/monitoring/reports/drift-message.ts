// What was measured of one column or of all, as callers see it. Pure and total.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  DriftResult_Outcome,
  type DriftResultSchema,
  DriftSeverity,
} from "../../../gen/plinth/monitoring/v1/drift_pb.js";
import type { DatasetDriftSchema } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import type { DatasetDrift, DriftResult, Severity } from "../drift/drift-result.ts";
import { methodMessage } from "../monitors/drift-options.ts";
import type { DriftShare } from "../windows/window-record.ts";

const SEVERITIES: Readonly<Record<Severity, DriftSeverity>> = {
  none: DriftSeverity.NONE,
  moderate: DriftSeverity.MODERATE,
  significant: DriftSeverity.SIGNIFICANT,
};

/** The result of one column. */
export function driftResultMessage(
  result: DriftResult,
): MessageInitShape<typeof DriftResultSchema> {
  const head = {
    method: methodMessage(result.method),
    baselineSize: BigInt(result.sizes.baseline),
    currentSize: BigInt(result.sizes.current),
  };
  switch (result.outcome) {
    case "measured": {
      const { value, statistic, degreesOfFreedom, threshold, comparison, drifted } = result;
      return {
        ...head,
        outcome: DriftResult_Outcome.MEASURED,
        value,
        ...(statistic === undefined ? {} : { statistic }),
        ...(degreesOfFreedom === undefined ? {} : { degreesOfFreedom }),
        threshold,
        comparison,
        drifted,
        severity: SEVERITIES[result.severity],
      };
    }
    case "too-few-samples":
      return {
        ...head,
        outcome: DriftResult_Outcome.TOO_FEW_SAMPLES,
        sizeMin: BigInt(result.sizeMin),
      };
    case "not-comparable":
      return {
        ...head,
        outcome: DriftResult_Outcome.NOT_COMPARABLE,
        reason: result.reason,
      };
  }
}

/** The share of drifted columns, as measured or as a window's verdict has kept it. */
export function datasetDriftMessage(
  drift: DatasetDrift | DriftShare,
): MessageInitShape<typeof DatasetDriftSchema> {
  const { columns, measured, drifted, share, threshold, isDrifted } = drift;
  return { columns, measured, drifted, share, threshold, isDrifted };
}
