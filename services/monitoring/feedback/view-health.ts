// What the features service is told of its views, as a deployment saw them in one window. Pure.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FeatureViewHealthSchema } from "../../../gen/plinth/features/v1/feature_view_pb.js";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import { DriftResult_Outcome } from "../../../gen/plinth/monitoring/v1/drift_pb.js";
import type { ColumnReport } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import { rowsRead, statusRate } from "../reports/freshness-message.ts";
import { timestampOf } from "../reports/time-range.ts";
import type { FreshnessTotals } from "../windows/window-record.ts";

/** One window of one version. */
export interface ViewFacts {
  readonly deployment: string;
  readonly modelVersion: string;
  readonly endUs: number;
  readonly freshness: readonly FreshnessTotals[];
  /** Of the comparison with the baseline. Empty: there was none. */
  readonly columns: readonly ColumnReport[];
}

/** What is said of one view. */
export interface ViewHealth {
  /** `workspaces/{w}/featureViews/{v}` */
  readonly name: string;
  readonly health: MessageInitShape<typeof FeatureViewHealthSchema>;
}

/** One entry a view that was read; what is computed on demand has none. */
export function viewHealths(facts: ViewFacts): readonly ViewHealth[] {
  const { deployment, modelVersion, endUs } = facts;
  const drifted = driftedByColumn(facts.columns);
  const read = facts.freshness.filter((entry) => entry.featureView !== "" && rowsRead(entry) > 0);
  return Array.from(
    Map.groupBy(read, ({ featureView }) => featureView),
    ([name, entries]) => ({
      name,
      health: {
        deployment,
        modelVersion,
        windowEndTime: timestampOf(endUs),
        rows: BigInt(Math.max(...entries.map(rowsRead))),
        features: entries.map((entry) => ({
          feature: entry.feature,
          missingRate: 1 - statusRate(entry, FieldStatus.PRESENT),
          outsideMaxAgeRate: statusRate(entry, FieldStatus.OUTSIDE_MAX_AGE),
          ...driftOf(drifted, entry.feature),
        })),
      },
    }),
  );
}

function driftedByColumn(columns: readonly ColumnReport[]): ReadonlyMap<string, boolean> {
  const measured = columns.flatMap(({ name, drift }) =>
    drift?.outcome === DriftResult_Outcome.MEASURED ? [[name, drift.drifted] as const] : [],
  );
  return new Map(measured);
}

/** A feature's column has its name; absent: not measured. */
function driftOf(drifted: ReadonlyMap<string, boolean>, feature: string): { drifted?: boolean } {
  const found = drifted.get(feature);
  return found === undefined ? {} : { drifted: found };
}
