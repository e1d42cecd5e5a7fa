// Which fields an Update changes.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "./errors/domain-error.ts";

/**
 * The paths an update changes, from its mask: all of `allowed` when the mask is absent or empty.
 * The path `*` means all too.
 * @throws InvalidArgument that names each path which is not one of `allowed`.
 */
export function maskedPaths<const P extends string>(
  mask: { readonly paths: readonly string[] } | undefined,
  allowed: readonly P[],
  whenEmpty: readonly P[] = allowed,
): ReadonlySet<P> {
  const paths = mask?.paths ?? [];
  if (paths.length === 0 || paths.includes("*")) {
    return new Set(whenEmpty);
  }
  const isAllowed = (path: string): path is P => (allowed as readonly string[]).includes(path);
  const unknown = paths.filter((path) => !isAllowed(path));
  if (unknown.length > 0) {
    const list = allowed.join(", ");
    const shown = unknown.map((path) => JSON.stringify(path.slice(0, 100))).join(", ");
    throw new InvalidArgument(`update_mask may name ${list}; got ${shown}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: unknown.map((path) => ({
        field: "update_mask.paths",
        description: `${JSON.stringify(path.slice(0, 100))} cannot be updated; expected ${list}`,
      })),
    });
  }
  return new Set(paths.filter(isAllowed));
}
