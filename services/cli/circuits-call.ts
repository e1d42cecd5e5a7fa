// Calls that make or verify keys: single ones that may take as long as the server allows them.

import type { CallOptions } from "../common/rpc/context.ts";
import type { Session } from "./session.ts";

/** The server's own limit of a set-up. */
const SETUP_MS = 3_600_000;

/** The options of such a call; --timeout wins. */
export function setupCall({ call }: Session): CallOptions {
  return { ...call, timeoutMs: call.timeoutMs ?? SETUP_MS };
}
