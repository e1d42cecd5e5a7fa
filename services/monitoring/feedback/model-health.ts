// What the registry is told of a version in one deployment. Pure.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  ModelHealth_State,
  type ModelHealthSchema,
} from "../../../gen/plinth/registry/v1/model_version_pb.js";
import { timestampOf } from "../reports/time-range.ts";
import type { WindowVerdict } from "../windows/window-record.ts";

/** As the API promises. */
const ALERTS_NAMED_MAX = 20;

/** What is known of a version's newest window with a verdict, and of its alerts and labels. */
export interface HealthFacts {
  readonly deployment: string;
  readonly window: {
    readonly endUs: number;
    readonly rows: number;
    readonly verdict: WindowVerdict;
  };
  /** Names. */
  readonly firing: readonly string[];
  /** From labels; what is not finite is left out. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** The message. */
export function modelHealth(facts: HealthFacts): MessageInitShape<typeof ModelHealthSchema> {
  const { verdict, endUs, rows } = facts.window;
  const { features, predictions } = verdict;
  return {
    deployment: facts.deployment,
    state: stateOf(facts),
    windowEndTime: timestampOf(endUs),
    rows: BigInt(rows),
    ...(features.measured > 0 ? { featureDriftShare: features.share } : {}),
    ...(predictions.measured > 0 ? { predictionDriftShare: predictions.share } : {}),
    driftedColumns: [...verdict.driftedColumns],
    liveMetrics: Object.fromEntries(
      Object.entries(facts.metrics).filter(([, value]) => Number.isFinite(value)),
    ),
    firingAlerts: facts.firing.slice(0, ALERTS_NAMED_MAX),
  };
}

/** An alert says more than drift, and drift more than that there is too little to say. */
function stateOf({ firing, window }: HealthFacts): ModelHealth_State {
  const { baseline, features, predictions } = window.verdict;
  if (firing.length > 0) {
    return ModelHealth_State.ALERTING;
  }
  if (features.isDrifted || predictions.isDrifted) {
    return ModelHealth_State.DRIFTED;
  }
  const isKnown = baseline && features.measured + predictions.measured > 0;
  return isKnown ? ModelHealth_State.HEALTHY : ModelHealth_State.UNKNOWN;
}
