// The handlers of MonitoringService that are about predictions and their labels.

import {
  LabelOutcome,
  type MonitoringService,
  type RecordGroundTruthRequest,
} from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { type Principal, requireWorkspace } from "../../common/auth/principal.ts";
import { deploymentName, workspaceName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import type { ServiceHandlers } from "../../common/rpc/context.ts";
import { checkVersion, chooseTarget, workspaceOfVersion } from "../reports/choose-target.ts";
import { type AskedRange, askedRange } from "../reports/time-range.ts";
import type { Target } from "../target.ts";
import type { WindowStore } from "../windows/window-store.ts";
import { answerInOrder } from "./answer-in-order.ts";
import { checkEntities, checkLabels } from "./check-labels.ts";
import { deploymentKey } from "./deployment-key.ts";
import type { LabelFate } from "./label-book.ts";
import type { PredictionStore } from "./prediction-store.ts";

/** Messages of one stream of labels that are under way. */
const UNDER_WAY_MAX = 8;

const OUTCOMES: Readonly<Record<LabelFate, LabelOutcome>> = {
  joined: LabelOutcome.JOINED,
  replaced: LabelOutcome.REPLACED,
  waiting: LabelOutcome.WAITING,
  "no-row": LabelOutcome.NO_SUCH_ROW,
};

export interface PerformanceHandlersDeps {
  readonly predictions: PredictionStore;
  readonly windows: Pick<WindowStore, "targets" | "newestClosed" | "list">;
}

/** The handlers of labels, of performance and of erasure. */
export function performanceHandlers(
  deps: PerformanceHandlersDeps,
): Pick<
  ServiceHandlers<typeof MonitoringService>,
  "getPerformance" | "recordGroundTruth" | "streamGroundTruth" | "erasePredictions"
> {
  const { predictions, windows } = deps;
  return {
    async getPerformance({ deployment, modelVersion, range }, { principal, signal }) {
      const { workspace } = deploymentName.parse(deployment, "deployment");
      requireWorkspace(principal, workspace);
      requireWorkspace(principal, workspaceOfVersion(modelVersion) ?? workspace);
      const faults = new RequestFaults();
      checkVersion(modelVersion, "model_version", faults);
      const asked = askedRange(range, "range", faults);
      faults.done();
      const targets = await windows.targets(workspace, deployment);
      const field = "model_version";
      const target = chooseTarget(targets, { deployment, version: modelVersion, field });
      const isAll = range === undefined;
      const within = isAll ? {} : await rangeOf(windows, target, asked);
      return await predictions.performanceOf(target, within, signal);
    },

    async recordGroundTruth(request, { principal }) {
      return { outcomes: await record(predictions, request, principal) };
    },

    async *streamGroundTruth(requests, { principal }) {
      const answers = answerInOrder(requests, UNDER_WAY_MAX, async ({ request }) => {
        return record(predictions, request, principal);
      });
      for await (const outcomes of answers) {
        yield { response: { outcomes } };
      }
    },

    async erasePredictions({ parent, entities, dryRun }, { principal, signal }) {
      const { workspace } = workspaceName.parse(parent, "parent");
      requireWorkspace(principal, workspace);
      const checked = checkEntities(entities);
      const erased = await predictions.erase(workspace, { entities: checked, dryRun, signal });
      return { predictions: BigInt(erased.predictions), labels: BigInt(erased.labels) };
    },
  };
}

async function record(
  predictions: PredictionStore,
  request: RecordGroundTruthRequest | undefined,
  principal: Principal,
): Promise<LabelOutcome[]> {
  const { deployment = "", labels = [] } = request ?? {};
  const { workspace } = deploymentName.parse(deployment, "deployment");
  requireWorkspace(principal, workspace);
  const knowledge = await predictions.knowledge.read(deployment);
  const checked = checkLabels(labels, deploymentKey(deployment), knowledge);
  const fates = await predictions.recordLabels(deployment, checked);
  return fates.map((fate) => OUTCOMES[fate]);
}

/** Absent start: the newest window that has closed, by the end where there is one. */
async function rangeOf(
  windows: PerformanceHandlersDeps["windows"],
  target: Target,
  asked: AskedRange,
): Promise<AskedRange> {
  const { startUs, endUs } = asked;
  if (startUs !== undefined) {
    return asked;
  }
  const newest =
    endUs === undefined
      ? await windows.newestClosed(target._id)
      : (await windows.list(target._id, { endUs })).find((window) => {
          return window.closed && window.level === "window" && window.endUs <= endUs;
        });
  return newest === undefined ? asked : { startUs: newest.startUs, endUs: newest.endUs };
}
