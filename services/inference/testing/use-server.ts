// For tests: a channel to a real server with the bindings of the inference service.

import { onTestFinished } from "vitest";
import { anonymous } from "../../common/auth/principal.ts";
import { systemClock } from "../../common/clock.ts";
import { parseSettings } from "../../common/config.ts";
import { Channel } from "../../common/rpc/client.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { createServerObserver } from "../../common/telemetry/rpc-observer.ts";
import { inferenceBindings } from "../bindings.ts";
import { inferenceSettings } from "../config.ts";
import type { Engine } from "../engine.ts";

/** Ends with the test. An error that no handler foresaw fails it. */
export async function useServer(
  engine: Engine,
  { features, proofs }: { readonly features?: Channel; readonly proofs?: Channel } = {},
): Promise<Channel> {
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: inferenceBindings(engine, {
      serverVersion: "1.2.3",
      config: parseSettings({}, inferenceSettings),
      clock: systemClock,
      features,
      proofs,
      onUnforeseen: (error) => {
        throw error;
      },
    }),
    authenticate: () => anonymous,
    observer: createServerObserver(createLogger({ service: "test", level: "error" })),
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  return channel;
}
