// Does what a rule has done when it fires. Each kind may be begun again at any time and happens
// once.

import { AlertAction_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { DeploymentService } from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../../gen/plinth/registry/v1/model_service_pb.js";
import {
  Aborted,
  Cancelled,
  DeadlineExceeded,
  DomainError,
  Internal,
  NotFound,
  ResourceExhausted,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { Client } from "../../common/rpc/context.ts";
import type { ActionPlan, AlertRecord, StoredAction } from "./alert.ts";
import { type ActionOutcome, CALL_TIMEOUT_MS, rollBack, stopShadow } from "./change-deployment.ts";

/** The tag that MARK_VERSION sets, to the rule's name. */
const ALERT_TAG = "plinth.alert";

/** Does one action. @throws what may pass, see mayPass. */
export type RunAction = (
  alert: AlertRecord,
  action: StoredAction,
  write: (plan: ActionPlan | null) => Promise<void>,
) => Promise<ActionOutcome>;

/** Actions on the registry behind a channel. */
export function actionsOn(registry: Channel | undefined): RunAction {
  const clients =
    registry === undefined
      ? undefined
      : {
          deployments: createClient(DeploymentService, registry),
          models: createClient(ModelService, registry),
        };
  return async (alert, { kind, plan }, write) => {
    if (clients === undefined) {
      return { state: "FAILED", detail: "This monitoring service knows no registry to act on." };
    }
    const { deployments, models } = clients;
    switch (kind) {
      case AlertAction_Kind.MARK_VERSION:
        return markVersion(models, alert);
      case AlertAction_Kind.ROLLBACK_DEPLOYMENT:
        return rollBack({ deployments, alert, plan, write });
      case AlertAction_Kind.STOP_SHADOW:
        return stopShadow({ deployments, alert, plan, write });
      case AlertAction_Kind.REQUEST_RETRAINING:
        return { state: "DONE", detail: "Asked for in WatchAlerts and at the webhooks." };
      case AlertAction_Kind.UNSPECIFIED:
        return { state: "FAILED", detail: "The action is not known." };
    }
  };
}

/** Whether the same call may succeed later. */
export function mayPass(error: unknown): boolean {
  const kinds = [Unavailable, Aborted, DeadlineExceeded, ResourceExhausted, Cancelled, Internal];
  return !(error instanceof DomainError) || kinds.some((kind) => error instanceof kind);
}

async function markVersion(
  models: Client<typeof ModelService>,
  alert: AlertRecord,
): Promise<ActionOutcome> {
  const options = { timeoutMs: CALL_TIMEOUT_MS };
  const { modelVersion: name, rule } = alert;
  const done: ActionOutcome = { state: "DONE", detail: `Tagged ${ALERT_TAG}: ${rule}.` };
  try {
    const version = await models.getModelVersion({ name }, options);
    if (version.uid !== alert.modelVersionUid) {
      return { state: "SKIPPED", detail: "The version was deleted and made anew." };
    }
    if (version.tags[ALERT_TAG] === rule) {
      return done;
    }
    const tags = { ...version.tags, [ALERT_TAG]: rule };
    await models.updateModelVersion(
      { modelVersion: { name, etag: version.etag, tags }, updateMask: { paths: ["tags"] } },
      options,
    );
    return done;
  } catch (error) {
    if (error instanceof NotFound) {
      return { state: "SKIPPED", detail: "The version is gone." };
    }
    throw error;
  }
}
