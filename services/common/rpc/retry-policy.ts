// The gRPC service config of a channel, derived from its services' descriptors: round robin over
// the addresses of a name, retries only where a method's idempotency_level says that repeating is
// safe, and a retry budget so that a struggling server is not buried under repeats. The format is
// that of gRFC A6 (retries) and the gRPC service config.

import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";

const RETRY = {
  maxAttempts: 4,
  initialBackoff: "0.05s",
  maxBackoff: "2s",
  backoffMultiplier: 2,
  retryableStatusCodes: ["UNAVAILABLE"],
};

/** Ten failures without successes stop retries; each success earns back a tenth of one. */
const BUDGET = { maxTokens: 10, tokenRatio: 0.1 };

/** Whether repeating a call that may have been carried out does no harm. */
function retryable(method: DescMethod): boolean {
  const sendsOneMessage = method.methodKind === "unary" || method.methodKind === "server_streaming";
  return (
    sendsOneMessage &&
    (method.idempotency === Level.NO_SIDE_EFFECTS || method.idempotency === Level.IDEMPOTENT)
  );
}

/** The service config, ready for JSON. */
export function serviceConfig(services: readonly DescService[]): object {
  const safe = services.flatMap((service) => service.methods.filter(retryable));
  return {
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig:
      safe.length === 0
        ? []
        : [
            {
              name: safe.map((m) => ({ service: m.parent.typeName, method: m.name })),
              retryPolicy: RETRY,
            },
          ],
    retryThrottling: BUDGET,
  };
}
