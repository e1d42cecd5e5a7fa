// What can be wrong with sketches: damaged bytes, different baselines, more rows than they count.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { DataLoss, FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";

/**
 * No sketch counts more rows: every sum of counts, and every zigzag difference of two, then stays a
 * safe integer.
 */
export const ROWS_MAX = 2 ** 48;

/** The one error of bytes that no version of this code wrote. */
export function damaged(what: string): DataLoss {
  return new DataLoss(
    `The kept sketch is damaged: ${what}. Its counts are lost; later windows are not affected.`,
    { reason: ErrorReason.DIGEST_MISMATCH },
  );
}

/** @throws InvalidArgument above what counts can hold exactly. */
export function checkRows(rows: number): void {
  if (rows > ROWS_MAX) {
    throw new InvalidArgument(`A sketch counts at most ${ROWS_MAX} rows; these are ${rows}.`, {
      reason: ErrorReason.INVALID_FIELD,
    });
  }
}

/** The one error of sketches that do not belong together. */
export function otherLayout(what: string): FailedPrecondition {
  const description =
    `The sketches were made for different baselines: ${what}. ` +
    "Only windows of one baseline can be merged or compared.";
  return new FailedPrecondition(description, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type: "BASELINE", subject: "sketch", description }],
  });
}
