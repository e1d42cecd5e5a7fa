// The handler of ModelService that takes what monitoring found.

import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import {
  type ModelHealth as HealthMessage,
  ModelHealth_State,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import { requireWorkspace } from "../common/auth/principal.ts";
import { deploymentName, modelVersionName } from "../common/names.ts";
import { RequestFaults } from "../common/request-faults.ts";
import type { ServiceHandlers } from "../common/rpc/context.ts";
import type { RegistryDeps } from "./deps.ts";
import { type HealthState, type ModelHealth, reportHealth } from "./model-health.ts";
import { pairsOf } from "./model-version.ts";
import { isVersionByNumber } from "./resolve-version.ts";

const LIST_MAX = 20;
const NAME_LENGTH_MAX = 512;

const STATES: ReadonlyMap<ModelHealth_State, HealthState> = new Map([
  [ModelHealth_State.HEALTHY, "HEALTHY"],
  [ModelHealth_State.DRIFTED, "DRIFTED"],
  [ModelHealth_State.ALERTING, "ALERTING"],
  [ModelHealth_State.UNKNOWN, "UNKNOWN"],
]);

/** Handlers over the registry's store. */
export function healthHandlers(
  deps: RegistryDeps,
): Pick<ServiceHandlers<typeof ModelService>, "reportModelHealth"> {
  return {
    async reportModelHealth({ name, health }, context) {
      requireWorkspace(context.principal, modelVersionName.parse(name, "name").workspace);
      const deployment = health?.deployment ?? "";
      const { workspace } = deploymentName.parse(deployment, "health.deployment");
      requireWorkspace(context.principal, workspace);
      const faults = new RequestFaults();
      faults.check(isVersionByNumber(name), "name", "must end in a version number, not an alias");
      const parsed = fromHealth(health, faults);
      faults.done();
      await reportHealth(deps, { version: name, deployment, health: parsed });
      return {};
    },
  };
}

function fromHealth(message: HealthMessage | undefined, faults: RequestFaults): ModelHealth {
  const state = STATES.get(message?.state ?? ModelHealth_State.UNSPECIFIED);
  faults.check(state !== undefined, "health.state", "must be one of the known states");
  const rows = Number(message?.rows ?? 0n);
  const isCount = rows >= 0 && Number.isSafeInteger(rows);
  faults.check(isCount, "health.rows", `is ${message?.rows}; a number of rows`);
  const featureDriftShare = message?.featureDriftShare ?? null;
  const predictionDriftShare = message?.predictionDriftShare ?? null;
  checkShare("health.feature_drift_share", featureDriftShare, faults);
  checkShare("health.prediction_drift_share", predictionDriftShare, faults);
  const driftedColumns = message?.driftedColumns ?? [];
  const firingAlerts = message?.firingAlerts ?? [];
  checkNames("health.drifted_columns", driftedColumns, faults);
  checkNames("health.firing_alerts", firingAlerts, faults);
  const liveMetrics = message?.liveMetrics ?? {};
  faults.metrics("health.live_metrics", liveMetrics);
  const end = message?.windowEndTime && timestampDate(message.windowEndTime);
  const isTime = end === undefined || !Number.isNaN(end.getTime());
  faults.check(isTime, "health.window_end_time", "is no time");
  return {
    state: state ?? "UNKNOWN",
    windowEndTime: end ?? null,
    rows,
    featureDriftShare,
    predictionDriftShare,
    driftedColumns: [...driftedColumns],
    liveMetrics: pairsOf(liveMetrics),
    firingAlerts: [...firingAlerts],
  };
}

function checkShare(field: string, share: number | null, faults: RequestFaults): void {
  const isShare = share === null || (share >= 0 && share <= 1);
  faults.check(isShare, field, `is ${share}; a share is from 0 to 1`);
}

function checkNames(field: string, names: readonly string[], faults: RequestFaults): void {
  faults.check(names.length <= LIST_MAX, field, `has ${names.length} names; at most ${LIST_MAX}`);
  for (const [i, name] of names.slice(0, LIST_MAX).entries()) {
    faults.text(`${field}[${i}]`, name, NAME_LENGTH_MAX);
  }
}
