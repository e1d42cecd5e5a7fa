// How many feature values predictions read, by feature service and what became of them: a feature
// that fades to NOT_FOUND shows here long before anybody looks at predictions.

import type { FeatureVector } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import { type CounterSeries, counter } from "../../common/telemetry/instruments.ts";

/** Counts the reads of one feature service. */
export interface FeatureMeter {
  /** To be called once a read. */
  read(results: readonly FeatureVector[]): void;
}

/** The meter of `workspaces/w/featureServices/f/versions/2`; it records a few additions a read. */
export function featureMeter(featureService: string): FeatureMeter {
  const values = counter({
    name: "plinth.inference.feature.values",
    description: "Feature values read for predictions, by status.",
    unit: "{value}",
  });
  const series: (CounterSeries | undefined)[] = [];
  return {
    read(results) {
      const counts: number[] = [];
      for (const { statuses } of results) {
        for (let row = 0; row < statuses.length; row++) {
          const status = statuses[row]!;
          counts[status] = (counts[status] ?? 0) + 1;
        }
      }
      for (const [status, count] of counts.entries()) {
        if (count !== undefined) {
          series[status] ??= values.bind({
            "plinth.feature_service": featureService,
            "plinth.feature.status": (FieldStatus[status] ?? String(status)).toLowerCase(),
          });
          series[status].add(count);
        }
      }
    },
  };
}
