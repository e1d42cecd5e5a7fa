// From what a caller writes as model or deployment to the workspace and id it means, and whether
// the caller may reach it.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  implicitWorkspace,
  type Principal,
  requireWorkspace,
} from "../../common/auth/principal.ts";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { deploymentName, workspaceName } from "../../common/names.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import type { ModelRef } from "../engine.ts";
import { quote } from "./violations.ts";

/** Request header that names the workspace of bare deployment ids. */
const WORKSPACE_HEADER = "plinth-workspace";

const VERSION = /^[1-9][0-9]{0,17}$/;

/**
 * The workspace of a call that names none: the header's, else the caller's own, else `default`.
 * @throws PermissionDenied when the caller does not reach it; InvalidArgument when it is no id.
 */
export function workspaceOf(context: Pick<CallContext, "principal" | "header">): string {
  const named = context.header(WORKSPACE_HEADER);
  const workspace =
    named === undefined || named === ""
      ? implicitWorkspace(context.principal)
      : workspaceName.parse(
          named.includes("/") ? named : `workspaces/${named}`,
          `header ${WORKSPACE_HEADER}`,
        ).workspace;
  requireWorkspace(context.principal, workspace);
  return workspace;
}

/** What the methods of one call need to find deployments. */
export interface DeploymentScope {
  readonly principal: Principal;
  /** Of bare ids; see `workspaceOf`. */
  readonly workspace: string;
}

/**
 * The deployment that is meant by an id or a whole name.
 * @throws InvalidArgument for a name or version that can be none; PermissionDenied.
 */
export function deploymentRef(
  scope: DeploymentScope,
  name: string,
  version: string,
  field: string,
): ModelRef {
  let workspace = scope.workspace;
  let deployment = name;
  if (name === "") {
    throw invalid(field, `${field} is empty; it must name a deployment.`);
  }
  if (name.includes("/")) {
    ({ workspace, deployment } = deploymentName.parse(name, field));
    requireWorkspace(scope.principal, workspace);
  }
  if (version === "") {
    return { workspace, deployment };
  }
  if (!VERSION.test(version)) {
    throw invalid(
      "version",
      `The version of ${quote(name)} is ${quote(version)}; it must be a number such as "3", ` +
        "or empty for the one that the traffic weights choose.",
    );
  }
  return { workspace, deployment, version };
}

function invalid(field: string, description: string): InvalidArgument {
  return new InvalidArgument(description, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}
