// GetMonitor and UpdateMonitor. Whether there is such a deployment the registry knows.

import { create } from "@bufbuild/protobuf";
import { MonitorSchema } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import type { MonitoringService } from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { DeploymentService } from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import { maskedPaths } from "../../common/field-mask.ts";
import { deploymentName, monitorName } from "../../common/names.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { CallContext, Client, ServiceHandlers } from "../../common/rpc/context.ts";
import { changeSettings, MONITOR_PATHS, monitorMessage } from "./convert-monitor.ts";
import type { MonitorStore } from "./monitor-store.ts";

type Handlers = Pick<ServiceHandlers<typeof MonitoringService>, "getMonitor" | "updateMonitor">;

export interface MonitorHandlersDeps {
  readonly monitors: MonitorStore;
  /** Absent: deployments are taken as they are named. */
  readonly registry: Channel | undefined;
}

/** The handlers of monitors. */
export function monitorHandlers({ monitors, registry }: MonitorHandlersDeps): Handlers {
  const deployments = registry && createClient(DeploymentService, registry);
  return {
    async getMonitor({ name }, context) {
      const deployment = authorized(name, "name", context);
      const record = await monitors.record(deployment);
      try {
        await requireDeployment(deployments, deployment, context);
      } catch (error) {
        // What was set is known here; only whether the deployment is still there is not.
        if (record === undefined || !(error instanceof Unavailable)) {
          throw error;
        }
      }
      return monitorMessage(name, record);
    },

    async updateMonitor({ monitor = create(MonitorSchema), updateMask }, context) {
      const { name, etag } = monitor;
      const deployment = authorized(name, "monitor.name", context);
      const paths = maskedPaths(updateMask, MONITOR_PATHS);
      await requireDeployment(deployments, deployment, context);
      const record = await monitors.update({ deployment, name, etag }, (current) =>
        changeSettings(current, monitor, paths),
      );
      return monitorMessage(name, record);
    },
  };
}

/** The deployment's name. */
function authorized(name: string, field: string, context: CallContext): string {
  const { workspace, deployment } = monitorName.parse(name, field);
  requireWorkspace(context.principal, workspace);
  return deploymentName.format({ workspace, deployment });
}

/** @throws NotFound; Unavailable while the registry is away. */
async function requireDeployment(
  deployments: Client<typeof DeploymentService> | undefined,
  name: string,
  parent: CallContext,
): Promise<void> {
  await deployments?.getDeployment({ name }, { parent });
}
