// What became of the features that were read for the rows of some windows.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import type { FeatureFreshnessSchema } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import type { FreshnessTotals, WindowTotals } from "../windows/window-record.ts";

/** One entry a feature. */
export function freshnessMessages(
  totals: WindowTotals,
): MessageInitShape<typeof FeatureFreshnessSchema>[] {
  return totals.freshness.map((entry) => ({
    feature: entry.feature,
    featureView: entry.featureView,
    rows: BigInt(rowsRead(entry)),
    presentRate: statusRate(entry, FieldStatus.PRESENT),
    nullRate: statusRate(entry, FieldStatus.NULL_VALUE),
    notFoundRate: statusRate(entry, FieldStatus.NOT_FOUND),
    outsideMaxAgeRate: statusRate(entry, FieldStatus.OUTSIDE_MAX_AGE),
  }));
}

/** Rows that the feature was read for. */
export function rowsRead({ statuses }: FreshnessTotals): number {
  return statuses.reduce((sum, rows) => sum + rows, 0);
}

/** Share of them with that status; 0 where there were none. */
export function statusRate(entry: FreshnessTotals, status: FieldStatus): number {
  const rows = rowsRead(entry);
  return rows === 0 ? 0 : (entry.statuses[status] ?? 0) / rows;
}
