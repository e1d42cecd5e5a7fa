// What is kept of a closed window's comparison with its baseline: the shares of drifted columns and
// their names, enough for lists, alerts and the model's health.

import type { DatasetDrift } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import type { DriftSettings } from "../monitors/monitor-settings.ts";
import type { DriftShare, WindowVerdict } from "../windows/window-record.ts";
import type { ComparedWindows } from "./compare-windows.ts";

/** As the API promises of a model's health. */
const DRIFTED_NAMED_MAX = 20;

/** Of a window that was compared with its baseline. */
export function verdictOf({ features, predictions, columns }: ComparedWindows): WindowVerdict {
  return {
    baseline: true,
    features: shareOf(features),
    predictions: shareOf(predictions),
    driftedColumns: columns
      .filter(({ drift }) => drift?.drifted === true)
      .map(({ name }) => name)
      .slice(0, DRIFTED_NAMED_MAX),
  };
}

/** Of a window that there is no baseline for. */
export function unknownVerdict(drift: DriftSettings): WindowVerdict {
  const none = {
    columns: 0,
    measured: 0,
    drifted: 0,
    share: 0,
    threshold: drift.datasetShare,
    isDrifted: false,
  };
  return { baseline: false, features: none, predictions: none, driftedColumns: [] };
}

function shareOf(drift: DatasetDrift): DriftShare {
  const { columns, measured, drifted, share, threshold, isDrifted } = drift;
  return { columns, measured, drifted, share, threshold, isDrifted };
}
