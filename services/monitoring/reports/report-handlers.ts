// The handlers of MonitoringService that read: windows, drift reports, and the watch of dashboards.

import type { MonitoringService } from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { deploymentName, workspaceName } from "../../common/names.ts";
import type { CallContext, ServiceHandlers } from "../../common/rpc/context.ts";
import { workspaceOfVersion } from "./choose-target.ts";
import { makeDriftReport } from "./drift-report.ts";
import { listWindows } from "./list-windows.ts";
import { SharedLooks } from "./shared-looks.ts";
import { type OpenWatches, type WatchDeps, watchMetrics } from "./watch-metrics.ts";

export type ReportHandlersDeps = WatchDeps;

/** Handlers over the stores of windows and baselines. `stopping` ends the watches. */
export function reportHandlers(
  deps: ReportHandlersDeps,
  stopping: AbortSignal,
): Pick<
  ServiceHandlers<typeof MonitoringService>,
  "listWindows" | "getDriftReport" | "watchMetrics"
> {
  const open: OpenWatches = { count: 0, looks: new SharedLooks() };
  return {
    async listWindows(request, context) {
      const { workspace } = deploymentName.parse(request.parent, "parent");
      authorize(context, workspace, [request.modelVersion]);
      return listWindows(deps, request, { workspace, signal: context.signal });
    },

    async getDriftReport(request, context) {
      const { workspace } = deploymentName.parse(request.deployment, "deployment");
      const { reference } = request;
      const other = reference.case === "referenceVersion" ? reference.value : "";
      authorize(context, workspace, [request.modelVersion, other]);
      return makeDriftReport(deps, request, { workspace, signal: context.signal });
    },

    async *watchMetrics({ parent }, context) {
      const of = deploymentName.match(parent);
      const { workspace } = of ?? workspaceName.parse(parent, "parent");
      authorize(context, workspace, []);
      yield* watchMetrics(deps, {
        workspace,
        deployment: of === undefined ? undefined : parent,
        signal: AbortSignal.any([context.signal, stopping]),
        open,
      });
    },
  };
}

/** Of the deployment, and of versions that are given by name. */
function authorize(context: CallContext, workspace: string, versions: readonly string[]): void {
  requireWorkspace(context.principal, workspace);
  for (const version of versions) {
    const named = workspaceOfVersion(version);
    if (named !== undefined) {
      requireWorkspace(context.principal, named);
    }
  }
}
