// Where a server may listen: anywhere once a key exists, on this machine alone before that.

import { BlockList, isIP } from "node:net";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition } from "../errors/domain-error.ts";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/**
 * Whether only this machine reaches the address. A name other than `localhost` counts as reachable
 * from outside: what it resolves to may change.
 */
export function isLoopback(host: string): boolean {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  switch (isIP(bare)) {
    case 4:
      return LOOPBACK.check(bare, "ipv4");
    case 6:
      // The list looks through IPv4-mapped addresses (::ffff:127.0.0.1) by itself.
      return LOOPBACK.check(bare, "ipv6");
    default:
      return bare.toLowerCase() === "localhost";
  }
}

/**
 * Called before every listen. `anyKey`: whether a usable key exists (`ApiKeys.any`).
 * @throws FailedPrecondition when the address can be reached from outside and no key exists.
 */
export function assertListenAllowed(listener: {
  readonly host: string;
  readonly anyKey: boolean;
}): void {
  if (listener.anyKey || isLoopback(listener.host)) {
    return;
  }
  const subject = listener.host === "" ? "all addresses" : listener.host;
  throw new FailedPrecondition(
    `Refusing to listen on ${subject}: other machines could reach it and no API key exists, so ` +
      "anyone could do anything. Make a key first (`plinth keys create --roles admin`), or " +
      "listen on 127.0.0.1.",
    {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { host: listener.host },
      violations: [
        { type: "API_KEY", subject, description: "make an API key, or listen on loopback" },
      ],
    },
  );
}
