// GetOnlineFeatures, the method on the path of every prediction from features.

import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  FeatureStoreService,
  GetOnlineFeaturesRequest,
  GetOnlineFeaturesResponseSchema,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { InvalidArgument, Unavailable } from "../../common/errors/domain-error.ts";
import { workspaceName } from "../../common/names.ts";
import type { CallContext, MethodCodec, ServiceHandlers } from "../../common/rpc/context.ts";
import type { Definitions, FeatureView, ViewVersion } from "../definitions/definitions.ts";
import { entryOf, versionOf } from "../definitions/lookup.ts";
import { PlanCache } from "../definitions/plan-cache.ts";
import type { ReadPlan } from "../definitions/read-plan.ts";
import type { FeaturesDeps } from "../deps.ts";
import { getOnlineFeaturesCodec } from "./online-codec.ts";
import type { ReadLog } from "./read-log.ts";
import { type OnlineRead, readOnline } from "./read-online.ts";
import { requestCells } from "./request-columns.ts";

/** How long a change of definitions made by another process may take to arrive here. */
const CATCH_UP_MAX_MS = 2_000;
const CATCH_UP_PAUSE_MS = 50;

/** What an online read works with. */
export interface OnlineDeps extends Pick<FeaturesDeps, "definitions" | "online" | "clock"> {
  /** Keeps reads of services that ask for it. */
  readonly readLog: ReadLog | undefined;
}

/** The handler, to be bound with `onlineCodecs`. */
export function onlineHandlers(
  deps: OnlineDeps,
): Pick<ServiceHandlers<typeof FeatureStoreService>, "getOnlineFeatures"> {
  const plans = new PlanCache();
  return {
    getOnlineFeatures: async (request, context) => {
      // The codec takes an OnlineRead in place of the message.
      const read = await getOnlineFeatures({ ...deps, plans }, request, context);
      return read as unknown as MessageInitShape<typeof GetOnlineFeaturesResponseSchema>;
    },
  };
}

/** For bindService. */
export const onlineCodecs: Readonly<Record<string, MethodCodec>> = {
  getOnlineFeatures: getOnlineFeaturesCodec,
};

/** Reads the newest values. */
async function getOnlineFeatures(
  deps: OnlineDeps & { readonly plans: PlanCache },
  request: GetOnlineFeaturesRequest,
  context: CallContext,
): Promise<OnlineRead> {
  const { workspace } = workspaceName.parse(request.parent, "parent");
  requireWorkspace(context.principal, workspace);
  const plan = await deps.definitions.find(workspace, (definitions) =>
    planOf(deps.plans, definitions, workspace, request),
  );
  const cells = requestCells(plan, request.entities);
  const source = {
    read: (ids: readonly string[]) => deps.online.read(ids),
    storedVersion: (view: ViewVersion, number: number) => {
      return storedVersion(deps, workspace, view, number);
    },
  };
  const nowUs = deps.clock.now() * 1000;
  const read = await readOnline(source, plan, { ...cells, nowUs, signal: context.signal });
  deps.readLog?.offer(read, cells.columns);
  return read;
}

function planOf(
  plans: PlanCache,
  definitions: Definitions,
  workspace: string,
  request: GetOnlineFeaturesRequest,
): ReadPlan {
  const { featureService, features, fullFeatureNames } = request;
  const isService = featureService !== "";
  if (isService === features.length > 0) {
    const what = isService ? "both came" : "neither came";
    throw invalid("feature_service", `or features must be given, one of the two; ${what}`);
  }
  if (!isService) {
    return plans.features(definitions, { workspace, refs: features, fullNames: fullFeatureNames });
  }
  if (fullFeatureNames) {
    throw invalid(
      "full_feature_names",
      "goes with features only; a feature service has its own names",
    );
  }
  return plans.featureService(definitions, { workspace, name: featureService });
}

/** Rows may be stored under a version that another process made a moment ago. */
async function storedVersion(
  deps: OnlineDeps,
  workspace: string,
  view: ViewVersion,
  number: number,
): Promise<FeatureView> {
  const untilMs = deps.clock.monotonicMs() + CATCH_UP_MAX_MS;
  for (;;) {
    const { featureViews } = await deps.definitions.get(workspace);
    const current = entryOf(featureViews, view.view);
    const found = current?.uid === view.uid ? versionOf(current, number) : undefined;
    if (found !== undefined) return found;
    if (deps.clock.monotonicMs() > untilMs) {
      throw new Unavailable(
        `Rows of feature view "${view.view}" are of its version ${number}, which has not arrived ` +
          "at this server yet. Try again.",
        { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs: 1_000 },
      );
    }
    await sleep(CATCH_UP_PAUSE_MS);
  }
}

function invalid(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`${field} ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}
