// Reports of monitoring to messages. Pure and total.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  ModelHealth_State,
  type ModelHealthSchema,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import type { HealthReport, HealthState } from "./model-health.ts";

const STATES: Readonly<Record<HealthState, ModelHealth_State>> = {
  HEALTHY: ModelHealth_State.HEALTHY,
  DRIFTED: ModelHealth_State.DRIFTED,
  ALERTING: ModelHealth_State.ALERTING,
  UNKNOWN: ModelHealth_State.UNKNOWN,
};

/** A report as callers see it. */
export function toHealth(report: HealthReport): MessageInitShape<typeof ModelHealthSchema> {
  const { windowEndTime, featureDriftShare, predictionDriftShare } = report;
  return {
    deployment: report.deployment,
    state: STATES[report.state],
    ...(windowEndTime === null ? {} : { windowEndTime: timestampFromDate(windowEndTime) }),
    rows: BigInt(report.rows),
    ...(featureDriftShare === null ? {} : { featureDriftShare }),
    ...(predictionDriftShare === null ? {} : { predictionDriftShare }),
    driftedColumns: [...report.driftedColumns],
    liveMetrics: Object.fromEntries(report.liveMetrics.map(({ key, value }) => [key, value])),
    firingAlerts: [...report.firingAlerts],
    reportTime: timestampFromDate(report.reportTime),
  };
}
