// Writes the configuration of a deployment: looks its versions up, checks that they may serve and
// answer the same calls, stores it, and looks at the versions once more, since one may have been
// taken out of use in the meantime (see decide-model-version.ts for the other half).

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { type Principal, requireWorkspace } from "../common/auth/principal.ts";
import { findDocument } from "../common/documents/resource.ts";
import {
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  type PreconditionViolation,
} from "../common/errors/domain-error.ts";
import { modelVersionName } from "../common/names.ts";
import { RequestFaults } from "../common/request-faults.ts";
import { configFaults, type DeploymentConfig, duplicateFaults, versionsOf } from "./deployment.ts";
import { type ModelVersion, undeployable } from "./model-version.ts";
import { resolveVersion } from "./resolve-version.ts";
import { signatureDifference } from "./signature.ts";
import type { RegistryStore } from "./store.ts";

const FIELD = "deployment.config";

/** Where a configuration belongs and who asks for it. */
export interface ConfigOwner {
  readonly workspace: string;
  readonly principal: Principal;
}

/**
 * The names in a configuration are the caller's to use, before anything is read.
 * @throws PermissionDenied for a version of a workspace the caller cannot reach; InvalidArgument
 * with every
 *   fault of the configuration by itself, a version of another workspace among them
 */
export function checkConfig(config: DeploymentConfig, owner: ConfigOwner): void {
  const faults = new RequestFaults();
  for (const list of ["targets", "shadows"] as const) {
    for (const [i, target] of config[list].entries()) {
      const field = `${FIELD}.${list}[${i}].model_version`;
      const parts = modelVersionName.match(target.modelVersion);
      if (parts === undefined) {
        faults.check(false, field, `must match ${modelVersionName.pattern}`);
        continue;
      }
      requireWorkspace(owner.principal, parts.workspace);
      const isOwn = parts.workspace === owner.workspace;
      faults.check(isOwn, field, `must be of the workspace ${owner.workspace}`);
    }
  }
  faults.add(...configFaults(config, FIELD));
  faults.done();
}

/**
 * The configuration with every version by its number, each of them fit to serve.
 * @throws InvalidArgument when a version does not exist or stands twice; FailedPrecondition
 *   (STATE_FORBIDS) naming every version that may not serve, or the first difference of signatures
 */
export async function resolveConfig(
  store: RegistryStore,
  config: DeploymentConfig,
): Promise<DeploymentConfig> {
  const faults = new RequestFaults();
  const versions = new Map<string, ModelVersion>();
  const resolve = async (name: string, field: string): Promise<string> => {
    try {
      const { version } = await resolveVersion(store, name, field);
      versions.set(version._id, version);
      return version._id;
    } catch (error) {
      if (error instanceof NotFound) {
        faults.check(false, field, `names ${name}, which does not exist`);
      } else if (error instanceof InvalidArgument) {
        faults.add(...error.violations);
      } else {
        throw error;
      }
      return name;
    }
  };
  const targets = [];
  for (const [i, target] of config.targets.entries()) {
    const field = `${FIELD}.targets[${i}].model_version`;
    targets.push({ ...target, modelVersion: await resolve(target.modelVersion, field) });
  }
  const shadows = [];
  for (const [i, shadow] of config.shadows.entries()) {
    const field = `${FIELD}.shadows[${i}].model_version`;
    shadows.push({ ...shadow, modelVersion: await resolve(shadow.modelVersion, field) });
  }
  const resolved: DeploymentConfig = { ...config, targets, shadows };
  faults.add(...duplicateFaults(resolved, FIELD));
  faults.done();
  requireServable(resolved, versions);
  return resolved;
}

/**
 * Whether the versions of a stored configuration may still serve.
 * @throws FailedPrecondition naming those that may not
 */
export async function requireStillServable(
  store: RegistryStore,
  config: DeploymentConfig,
): Promise<void> {
  const violations: PreconditionViolation[] = [];
  for (const name of versionsOf(config)) {
    const version = await findDocument(store.versions, name);
    // A model that is being removed takes its versions with it one by one.
    const model = version && (await findDocument(store.models, version.model));
    const isThere = version !== undefined && model !== undefined;
    const why = isThere ? undeployable(version) : `${name} does not exist`;
    if (why !== undefined) {
      violations.push({ type: "STATE", subject: name, description: why });
    }
  }
  refuse(violations);
}

function requireServable(
  config: DeploymentConfig,
  versions: ReadonlyMap<string, ModelVersion>,
): void {
  const names = versionsOf(config);
  const unfit: PreconditionViolation[] = [];
  for (const name of names) {
    const version = versions.get(name);
    const why = version === undefined ? undefined : undeployable(version);
    if (why !== undefined) {
      unfit.push({ type: "STATE", subject: name, description: why });
    }
  }
  refuse(unfit);
  const [first, ...others] = names;
  const reference = versions.get(first ?? "")?.signature;
  const differing: PreconditionViolation[] = [];
  for (const name of others) {
    const signature = versions.get(name)?.signature;
    const difference =
      reference == null || signature == null
        ? undefined
        : signatureDifference(reference, signature);
    if (difference !== undefined) {
      const both = `${first} (the first) and ${name} (the second)`;
      const description = `the signatures of ${both} differ: ${difference}`;
      differing.push({ type: "SIGNATURE", subject: name, description });
    }
  }
  refuse(differing);
}

function refuse(violations: readonly PreconditionViolation[]): void {
  if (violations.length > 0) {
    const text = violations.map((violation) => violation.description).join("; ");
    throw new FailedPrecondition(`The deployment cannot be made so: ${text}.`, {
      reason: ErrorReason.STATE_FORBIDS,
      violations,
    });
  }
}
