// Whether a version still serves in its deployment in the way that a rule looks at: one that was
// rolled back or stopped raises no alerts by the rows that were still on their way.

import { AlertScope } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { DeploymentService } from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { NotFound } from "../../common/errors/domain-error.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { TargetIdentity } from "../target.ts";
import type { AlertRuleRecord } from "./alert-rule.ts";

const TIMEOUT_MS = 10_000;

/** Whether a rule looks at the version where it serves now. */
export type IsWatched = (rule: Pick<AlertRuleRecord, "scope">) => Promise<boolean>;

/**
 * How a target serves, as the registry has it now. Where there is no registry, or it cannot be
 * asked, the version is taken to serve: an alert too many is better than none.
 */
export async function servingOf(
  registry: Channel | undefined,
  target: Pick<TargetIdentity, "deployment" | "deploymentUid" | "modelVersion">,
): Promise<(scope: AlertScope) => boolean> {
  if (registry === undefined) {
    return () => true;
  }
  try {
    const { deployment: name, deploymentUid, modelVersion } = target;
    const client = createClient(DeploymentService, registry);
    const deployment = await client.getDeployment({ name }, { timeoutMs: TIMEOUT_MS });
    const isNamed = (list: readonly { readonly modelVersion: string }[] = []): boolean =>
      deployment.uid === deploymentUid && list.some((one) => one.modelVersion === modelVersion);
    const isLive = isNamed(deployment.config?.targets);
    const isShadow = isNamed(deployment.config?.shadows);
    return (scope) => {
      switch (scope) {
        case AlertScope.UNSPECIFIED:
        case AlertScope.LIVE:
          return isLive;
        case AlertScope.SHADOW:
          return isShadow;
        case AlertScope.ALL:
          return isLive || isShadow;
      }
    };
  } catch (error) {
    const isGone = error instanceof NotFound;
    return () => !isGone;
  }
}
