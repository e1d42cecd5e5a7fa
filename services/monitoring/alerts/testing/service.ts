// For tests: AlertService behind a real server.

import { onTestFinished } from "vitest";
import { AlertService } from "../../../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { anonymous, type Principal } from "../../../common/auth/principal.ts";
import { Channel, createClient } from "../../../common/rpc/client.ts";
import { bindService, type Client } from "../../../common/rpc/context.ts";
import { startRpcServer } from "../../../common/rpc/server.ts";
import { alertHandlers } from "../alert-handlers.ts";
import type { AlertParts } from "./alerts.ts";

export interface ServedAlerts {
  readonly client: Client<typeof AlertService>;
  /** Ends the watches. */
  readonly stop: () => void;
}

/** The service over these parts, called as `principal`; ended with the test. */
export async function serveAlerts(
  parts: AlertParts,
  given: { readonly registry?: Channel; readonly principal?: Principal } = {},
): Promise<ServedAlerts> {
  const stopping = new AbortController();
  const deps = { ...parts, registry: given.registry };
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    authenticate: () => given.principal ?? anonymous,
    bindings: [bindService(AlertService, alertHandlers(deps, stopping.signal))],
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    stopping.abort();
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  return { client: createClient(AlertService, channel), stop: () => stopping.abort() };
}
