// Keys that one party made alone have no place where others rely on proofs.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";

/** The error where such a key is asked for, or is to be used, in production. */
export function developmentRefused(subject: string, workspace: string): FailedPrecondition {
  const description =
    `is of the workspace "${workspace}", which is marked production: a development set-up is made ` +
    "by one party, who could forge proofs";
  return new FailedPrecondition(
    `${subject} ${description}. Import public powers of tau and take SETUP_CEREMONY, or ` +
      "SETUP_UNIVERSAL for a small model.",
    {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: subject },
      violations: [{ type: "DEV_SETUP", subject, description }],
    },
  );
}
