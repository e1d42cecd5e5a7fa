// From the global options and the environment to a session.

import { readFileSync } from "node:fs";
import { readEnv } from "../common/config.ts";
import type { GlobalOptions, Runtime } from "./command.ts";
import { UsageError } from "./exit-codes.ts";
import { Output } from "./output.ts";
import { Session } from "./session.ts";

const ADDRESS_DEFAULT = "127.0.0.1:50051";
const WORKSPACE_DEFAULT = "default";

/** `host:port`, `[::1]:port`, or grpc's `dns:///name:port`. */
const ADDRESS = /^(?:dns:\/\/\/)?(?:\[[0-9a-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/;

const WORKSPACE = /^(?:[a-z][a-z0-9-]{0,62}|-)$/;

/** Options win over the environment, the environment over the defaults. */
export function openSession(options: GlobalOptions, runtime: Runtime): Session {
  const env = readEnv();
  const address = options.address ?? (env.PLINTH_ADDRESS || ADDRESS_DEFAULT);
  if (!ADDRESS.test(address)) {
    throw new UsageError(`The address must look like 127.0.0.1:50051; got "${address}".`);
  }
  const workspace = options.workspace ?? (env.PLINTH_WORKSPACE || WORKSPACE_DEFAULT);
  if (!WORKSPACE.test(workspace)) {
    throw new UsageError(
      `A workspace is named with a-z, 0-9 and "-", beginning with a letter; got "${workspace}".`,
    );
  }
  return new Session({
    address,
    workspace,
    apiKey: options.apiKey ?? (env.PLINTH_API_KEY || undefined),
    tlsCa: trustedAuthority(options.tlsCa ?? (env.PLINTH_TLS_CA || undefined)),
    timeoutMs: options.timeout,
    output: outputOf(options),
    signal: runtime.signal,
    words: runtime.args,
  });
}

/** Absent: plain text. */
function trustedAuthority(given: string | undefined): Buffer | "system" | undefined {
  return given === undefined || given === "system" ? given : readFileSync(given);
}

/** The output that the global options ask for. */
export function outputOf(options: GlobalOptions): Output {
  return new Output({
    json: options.json ?? false,
    quiet: options.quiet ?? false,
    color: options.color ?? true,
  });
}
