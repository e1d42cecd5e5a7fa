// Actions that change a deployment, done once even where this process dies between doing and
// recording: what is to be replaced, and by what, is written down first. Found again, the
// deployment's own history says whether it was done; what somebody else did meanwhile stays.

import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type Deployment,
  type DeploymentConfig,
  DeploymentConfigSchema,
} from "../../../gen/plinth/registry/v1/deployment_pb.js";
import type { DeploymentService } from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { Aborted, FailedPrecondition, NotFound } from "../../common/errors/domain-error.ts";
import type { Client } from "../../common/rpc/context.ts";
import type { ActionPlan, AlertRecord } from "./alert.ts";

/** Of one call; several fit into the lease of an action. */
export const CALL_TIMEOUT_MS = 10_000;

/** How an action has ended. What may yet succeed is thrown instead. */
export interface ActionOutcome {
  readonly state: "DONE" | "SKIPPED" | "FAILED";
  readonly detail: string;
}

export interface DeploymentAction {
  readonly deployments: Client<typeof DeploymentService>;
  readonly alert: AlertRecord;
  /** What was written down before; null: nothing was begun. */
  readonly plan: ActionPlan | null;
  /** Writes a plan down, or takes it back. */
  readonly write: (plan: ActionPlan | null) => Promise<void>;
}

const CHANGED: ActionOutcome = {
  state: "SKIPPED",
  detail: "Somebody changed the deployment meanwhile; it stays as they left it.",
};

/**
 * Makes the newest earlier configuration current again in which the version is no live target. One
 * that the registry refuses (a version of it was archived) is passed over.
 */
export async function rollBack(action: DeploymentAction): Promise<ActionOutcome> {
  const { deployments, alert, plan } = action;
  const found = await deploymentOf(action);
  if ("state" in found) {
    return found;
  }
  const { deployment } = found;
  const { name, etag, revision } = deployment;
  const done = `Went back to the configuration of revision ${plan?.to}.`;
  const earlier = earlierOutcome(deployment, plan, done);
  if (earlier !== undefined) {
    return earlier;
  }
  const serves = (config: DeploymentConfig | undefined): boolean =>
    config?.targets.some(({ modelVersion }) => modelVersion === alert.modelVersion) ?? false;
  if (!serves(deployment.config)) {
    return {
      state: "SKIPPED",
      detail: "The version is no live target of the deployment (any more).",
    };
  }
  const refusals: string[] = [];
  for (const candidate of deployment.history.filter(({ config }) => !serves(config))) {
    const to = Number(candidate.revision);
    // The registry keeps what is captured as it is when it goes back.
    const { capture } = deployment.config ?? {};
    const next = candidate.config && { ...candidate.config, capture };
    const configDigest = digestOf(next as DeploymentConfig | undefined);
    await action.write({ revision: Number(revision), to, configDigest });
    try {
      const request = { name, revision: candidate.revision, etag };
      await deployments.rollbackDeployment(request, { timeoutMs: CALL_TIMEOUT_MS });
      return { state: "DONE", detail: `Went back to the configuration of revision ${to}.` };
    } catch (error) {
      await withdraw(action, error);
      if (!(error instanceof FailedPrecondition)) {
        throw error;
      }
      refusals.push(`revision ${to}: ${error.message}`);
    }
  }
  const why = refusals.length === 0 ? "there is none in its history" : refusals.join(" ");
  return {
    state: "FAILED",
    detail: `No earlier configuration without the version could be made current: ${why}`,
  };
}

/** Takes the version out of the deployment's shadows. */
export async function stopShadow(action: DeploymentAction): Promise<ActionOutcome> {
  const { deployments, alert, plan } = action;
  const found = await deploymentOf(action);
  if ("state" in found) {
    return found;
  }
  const { deployment } = found;
  const { name, etag, revision, config } = deployment;
  const stopped: ActionOutcome = { state: "DONE", detail: "The version is no shadow any more." };
  const earlier = earlierOutcome(deployment, plan, stopped.detail);
  if (earlier !== undefined) {
    return earlier;
  }
  const all = config?.shadows ?? [];
  const shadows = all.filter(({ modelVersion }) => modelVersion !== alert.modelVersion);
  if (config === undefined || shadows.length === all.length) {
    return { state: "SKIPPED", detail: "The version is no shadow of the deployment (any more)." };
  }
  const next = { ...config, shadows };
  await action.write({ revision: Number(revision), to: 0, configDigest: digestOf(next) });
  try {
    await deployments.updateDeployment(
      { deployment: { name, etag, config: next }, updateMask: { paths: ["config.shadows"] } },
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    return stopped;
  } catch (error) {
    await withdraw(action, error);
    if (error instanceof FailedPrecondition) {
      return { state: "FAILED", detail: error.message };
    }
    throw error;
  }
}

/** The deployment that the alert is about, or why there is nothing to do. */
async function deploymentOf({
  deployments,
  alert,
}: DeploymentAction): Promise<{ readonly deployment: Deployment } | ActionOutcome> {
  try {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    const deployment = await deployments.getDeployment({ name: alert.deployment }, options);
    return deployment.uid === alert.deploymentUid
      ? { deployment }
      : { state: "SKIPPED", detail: "The deployment was deleted and made anew." };
  } catch (error) {
    if (error instanceof NotFound) {
      return { state: "SKIPPED", detail: "The deployment is gone." };
    }
    throw error;
  }
}

/** What became of a plan that was written down before; undefined: it is still to be done. */
function earlierOutcome(
  { revision, config, history }: Deployment,
  plan: ActionPlan | null,
  done: string,
): ActionOutcome | undefined {
  if (plan === null || Number(revision) === plan.revision) {
    return undefined;
  }
  const next = BigInt(plan.revision) + 1n;
  const made =
    revision === next ? config : history.find((entry) => entry.revision === next)?.config;
  const isOurs = made !== undefined && digestOf(made) === plan.configDigest;
  return isOurs ? { state: "DONE", detail: done } : CHANGED;
}

/** What the registry has certainly not done must not be taken for done later. */
async function withdraw(action: DeploymentAction, error: unknown): Promise<void> {
  if (error instanceof Aborted || error instanceof FailedPrecondition) {
    await action.write(null);
  }
}

function digestOf(config: DeploymentConfig | undefined): string {
  const bytes = toBinary(DeploymentConfigSchema, config ?? create(DeploymentConfigSchema));
  return createHash("sha256").update(bytes).digest("hex");
}
