// grpc.health.v1: what load balancers and Kubernetes probes ask. Check and Watch per service; the
// empty name stands for the whole server.

import type { DescService } from "@bufbuild/protobuf";
import {
  type HealthCheckResponse_ServingStatus,
  Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.js";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { NotFound } from "../errors/domain-error.ts";
import { bindService, type ServiceBinding } from "./context.ts";

export interface Health {
  /** Says whether a service can do its work; "" is the server as a whole. */
  set(service: string, options: { readonly serving: boolean }): void;
  isServing(service: string): boolean;
  /** Everything NOT_SERVING from now on. */
  drain(): void;
}

/** The service and its controls. Every service begins NOT_SERVING. */
export function healthBinding(services: readonly string[]): {
  readonly binding: ServiceBinding;
  readonly control: Health;
} {
  const statuses = new Map<string, HealthCheckResponse_ServingStatus>(
    ["", ...services].map((service) => [service, Status.NOT_SERVING]),
  );
  const watchers = new Set<() => void>();
  let draining = false;
  const control: Health = {
    set(service, { serving }) {
      const status = serving && !draining ? Status.SERVING : Status.NOT_SERVING;
      if (statuses.get(service) !== status) {
        statuses.set(service, status);
        for (const wake of watchers) {
          wake();
        }
      }
    },
    isServing: (service) => statuses.get(service) === Status.SERVING,
    drain() {
      draining = true;
      for (const service of statuses.keys()) {
        control.set(service, { serving: false });
      }
    },
  };
  const binding = bindService(HealthService satisfies DescService, {
    async check({ service }) {
      const status = statuses.get(service);
      if (status === undefined) {
        throw new NotFound(
          `No service "${service}" is served here. Served: ${[...statuses.keys()].filter(Boolean).join(", ")}.`,
          { reason: ErrorReason.RESOURCE_NOT_FOUND },
        );
      }
      return { status };
    },
    async list() {
      return {
        statuses: Object.fromEntries([...statuses].map(([name, status]) => [name, { status }])),
      };
    },
    async *watch({ service }, { signal }) {
      let wake = (): void => undefined;
      const onChange = (): void => wake();
      watchers.add(onChange);
      signal.addEventListener("abort", onChange, { once: true });
      try {
        let sent: HealthCheckResponse_ServingStatus | undefined;
        while (!signal.aborted) {
          const status = statuses.get(service) ?? Status.SERVICE_UNKNOWN;
          if (status !== sent) {
            sent = status;
            yield { status };
            continue;
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        watchers.delete(onChange);
      }
    },
  });
  return { binding, control };
}
