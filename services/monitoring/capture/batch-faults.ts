// What is wrong with a captured batch: it is refused whole, with a reason for people, and the
// stream goes on.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";

const SHOWN_MAX = 60;

/** A batch that is refused. */
export function refused(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`${field} ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}

/** @throws InvalidArgument unless the condition holds. */
export function check(holds: boolean, field: string, description: () => string): asserts holds {
  if (!holds) {
    throw refused(field, description());
  }
}

/** @throws InvalidArgument unless there is one entry for each, or none where that is allowed. */
export function checkLength(
  field: string,
  length: number,
  expected: { readonly count: number; readonly orNone: boolean },
): void {
  check(
    length === expected.count || (expected.orNone && length === 0),
    field,
    () => `has ${length} entries; expected ${expected.count}${expected.orNone ? ", or none" : ""}`,
  );
}

/** A name as messages show it, whatever its length. */
export function shown(name: string): string {
  return JSON.stringify(name.length > SHOWN_MAX ? `${name.slice(0, SHOWN_MAX)}…` : name);
}
