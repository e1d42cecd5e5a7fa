// The gateway: one web port for people and browsers, put together from its parts. Services are
// reached by gRPC only, with the rights of whoever calls.

import assert from "node:assert";
import { assertListenAllowed } from "../common/auth/listen.ts";
import { RequestHandler, type RequestHandlerOptions } from "./request-handler.ts";
import { openWebPort } from "./web-port.ts";

export interface GatewayOptions extends RequestHandlerOptions {
  /** Whether an API key exists, without which only loopback is listened on. Absent: none. */
  readonly anyKey?: boolean;
}

export interface Gateway extends AsyncDisposable {
  /** "127.0.0.1:8080" */
  readonly address: string;
  readonly port: number;
  /** Refuses new requests, ends watches, lets the rest finish up to the grace, then cuts them. */
  drain(): Promise<void>;
}

/**
 * Starts the gateway; resolves once it answers.
 * @throws FailedPrecondition for an address that others reach while no key exists; the system's
 *   error when the address is taken.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config } = options;
  for (const channel of Object.values(options.channels)) {
    assert(channel?.token === undefined, "the gateway's channels must hold no rights");
  }
  assertListenAllowed({ host: config.listen.host, anyKey: options.anyKey ?? false });
  const handler = new RequestHandler(options);
  const port = await openWebPort({
    ...config.listen,
    connectionsMax: config.connectionsMax,
    headersTimeoutMs: config.headersTimeoutMs,
    idleTimeoutMs: config.idleTimeoutMs,
    onRequest: (request, response) => handler.serve(request, response),
  });
  return {
    address: port.address,
    port: port.port,
    drain: () => handler.stop(port, config.drainGraceMs),
    [Symbol.asyncDispose]: () => handler.stop(port, 0),
  };
}
