// Who is calling, and what that allows. Every call has a principal; on an open mesh it is
// `anonymous` with all rights.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import { PermissionDenied } from "../errors/domain-error.ts";

export interface Principal {
  /**
   * `workspaces/w/apiKeys/k`, `anonymous` or `services/inference`; written into records and logs.
   */
  readonly id: string;
  /** The one workspace it reaches, or `-` for all of them. */
  readonly workspace: string;
  readonly roles: readonly Role[];
}

/** The caller on a loopback mesh that has no keys. */
export const anonymous: Principal = { id: "anonymous", workspace: "-", roles: [Role.ADMIN] };

/** The workspace of a caller that names none and reaches all. */
export const DEFAULT_WORKSPACE = "default";

const INCLUDES: Readonly<Record<Role, readonly Role[]>> = {
  [Role.UNSPECIFIED]: [],
  [Role.VIEWER]: [Role.VIEWER],
  [Role.PREDICTOR]: [Role.PREDICTOR],
  [Role.EDITOR]: [Role.EDITOR, Role.VIEWER, Role.PREDICTOR],
  [Role.APPROVER]: [Role.APPROVER, Role.VIEWER],
  [Role.ADMIN]: [Role.ADMIN, Role.EDITOR, Role.APPROVER, Role.VIEWER, Role.PREDICTOR],
  [Role.SERVICE]: [
    Role.SERVICE,
    Role.ADMIN,
    Role.EDITOR,
    Role.APPROVER,
    Role.VIEWER,
    Role.PREDICTOR,
  ],
};

/** @throws PermissionDenied when none of the principal's roles includes `required`. */
export function requireRole(principal: Principal, required: Role): void {
  if (required === Role.UNSPECIFIED) {
    return;
  }
  if (!principal.roles.some((role) => INCLUDES[role].includes(required))) {
    const held = principal.roles.map((role) => Role[role]).join(", ") || "none";
    throw new PermissionDenied(
      `This call needs the role ${Role[required]}; the key has ${held}. ` +
        "Ask an administrator of the workspace for a key with that role.",
      { reason: ErrorReason.PERMISSION_DENIED, metadata: { required_role: Role[required] } },
    );
  }
}

/**
 * Every handler calls this with the workspace of each resource name it was given, before it reads
 * anything. `-` (all workspaces) needs a principal that reaches all.
 * @throws PermissionDenied, whether or not the workspace exists.
 */
export function requireWorkspace(principal: Principal, workspace: string): void {
  if (principal.workspace !== "-" && principal.workspace !== workspace) {
    throw new PermissionDenied(
      `The key belongs to workspace "${principal.workspace}" and cannot reach "${workspace}".`,
      { reason: ErrorReason.PERMISSION_DENIED, metadata: { workspace } },
    );
  }
}

/** The workspace meant by a call that names none: the key's own, else `default`. */
export function implicitWorkspace(principal: Principal): string {
  return principal.workspace === "-" ? DEFAULT_WORKSPACE : principal.workspace;
}
