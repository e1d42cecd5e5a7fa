// The few numbers of a slice that are shown with a model version, by name.

import type { PerformanceSlice } from "../../../gen/plinth/monitoring/v1/performance_pb.js";

/** By name, as models' own metrics are; what is not known is left out. */
export function liveMetrics(slice: PerformanceSlice): Record<string, number> {
  const { classification, regression, estimated } = slice;
  const metrics: Record<string, number | undefined> = {
    accuracy: classification?.accuracy,
    precision: classification?.precision,
    recall: classification?.recall,
    f1: classification?.f1,
    roc_auc: classification?.rocAuc,
    log_loss: classification?.logLoss,
    mae: regression?.mae,
    rmse: regression?.rmse,
    r2: regression?.r2,
    label_coverage: slice.coverage,
    estimated_accuracy: estimated?.accuracy?.value,
  };
  const known = Object.entries(metrics).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as Record<string, number>;
}
