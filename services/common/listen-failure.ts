// Why a server could not listen, in words that say what to do.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition } from "./errors/domain-error.ts";

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process listens there. Stop it, or choose another port",
  EADDRNOTAVAIL: "this machine has no such address. Choose one of its own",
  EACCES: "this user may not. Choose a port above 1023",
};

/** The failure of a listen on an address; one that is not known by its code comes back as it is. */
export function listenFailure(error: unknown, address: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const advice = ADVICE[code];
  return advice === undefined
    ? error
    : new FailedPrecondition(`Cannot listen on ${address}: ${advice}.`, {
        reason: ErrorReason.STATE_FORBIDS,
        cause: error,
      });
}
