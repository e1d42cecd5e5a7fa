// For tests: a monitoring and an alert service that serve fixed answers.

import { AlertService } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { MonitoringService } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { bindService, type ServiceHandlers } from "../common/rpc/context.ts";
import { useServer } from "./testing.ts";

/** Handlers of the two services. */
export type MonitoringHandlers = Partial<ServiceHandlers<typeof MonitoringService>>;
/** Handlers of the alerts. */
export type AlertHandlers = Partial<ServiceHandlers<typeof AlertService>>;

const unused = (): never => {
  throw new Error("not part of this test");
};

function rest(methods: readonly { readonly localName: string }[]): never {
  return Object.fromEntries(methods.map(({ localName }) => [localName, unused])) as never;
}

/** A server of both services with these handlers; ends with the test. */
export function useMonitoring(
  monitoring: MonitoringHandlers,
  alerts: AlertHandlers = {},
): Promise<string> {
  return useServer(
    bindService(MonitoringService, {
      ...(rest(MonitoringService.methods) as object),
      ...monitoring,
    } as never),
    bindService(AlertService, { ...(rest(AlertService.methods) as object), ...alerts } as never),
  );
}
