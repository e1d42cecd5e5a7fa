// Configuration in two steps, reading the environment and parsing it, so that all but the first is
// pure and testable, and so that an operator sees every fault of an environment at once instead of
// one per start.
//
// A service's config.ts declares its settings and nothing else:
//
//   export const registrySettings = {
//     uploadBytesMax: bytes({ env: "PLINTH_REGISTRY_UPLOAD_MAX", default: "4GiB", about: "" }),
//     log: logSettings, // groups nest
//   };
//   export type RegistryConfig = ConfigOf<typeof registrySettings>;
//
// The mesh parses the settings of all services as one group, so a fault in any of them is in the
// same report; what the command line says is laid over the environment before that.
// Rules: an empty variable counts as not set. Name an address ..._LISTEN or ..._ADDRESS, never
// ..._PORT: Kubernetes sets PLINTH_<SERVICE>_PORT itself for a Service called plinth-<service>.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "./errors/domain-error.ts";
import { nearestName } from "./nearest-name.ts";
import type { Setting } from "./setting.ts";

const PREFIX = "PLINTH_";

/** Variables of the OpenTelemetry specification, which settings may name. */
const OPEN_TELEMETRY_PREFIX = "OTEL_";

/** What Kubernetes adds for each Service of a namespace; not an operator's mistake. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/;

export type Env = Readonly<Record<string, string | undefined>>;

/** Settings by the name the code calls them; groups nest. */
export interface Settings {
  readonly [key: string]: Setting<unknown> | Settings;
}

/** The configuration that a group of settings parses to. */
export type ConfigOf<S> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : ConfigOf<S[K]>;
};

/** The variables that are ours, from the process: the only reader of `process.env`. */
export function readEnv(): Env {
  const ours = (name: string): boolean =>
    name.startsWith(PREFIX) || name.startsWith(OPEN_TELEMETRY_PREFIX);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => ours(name)));
}

/**
 * The configuration an environment gives. `elsewhere` are beginnings of PLINTH_ variables that
 * other processes read from the same environment.
 * @throws InvalidArgument with one violation a fault: its variable, what came and what was
 *   expected; PLINTH_ variables that no setting reads are faults too, with the nearest setting.
 */
export function parseSettings<const S extends Settings>(
  env: Env,
  settings: S,
  options: { readonly elsewhere?: readonly string[] } = {},
): ConfigOf<S> {
  const faults = new Map<string, string>();
  const config = parseGroup(env, settings, faults) as ConfigOf<S>;
  for (const [name, fault] of unknownVariables(env, settings, options.elsewhere ?? [])) {
    faults.set(name, fault);
  }
  if (faults.size > 0) {
    const violations = Array.from(faults, ([field, description]) => ({ field, description }));
    const lines = violations.map(({ field, description }) => `  ${field} ${description}`);
    const count = faults.size === 1 ? "a fault" : `${faults.size} faults`;
    throw new InvalidArgument(`The configuration has ${count}:\n${lines.join("\n")}`, {
      reason: ErrorReason.INVALID_FIELD,
      violations,
    });
  }
  return config;
}

/** Every setting once, in the order declared: the rows of a configuration table. */
export function listSettings(settings: Settings): readonly Setting<unknown>[] {
  const byEnv = new Map<string, Setting<unknown>>();
  for (const entry of Object.values(settings)) {
    for (const one of isSetting(entry) ? [entry] : listSettings(entry)) {
      byEnv.set(one.env, one);
    }
  }
  return [...byEnv.values()];
}

function parseGroup(env: Env, settings: Settings, faults: Map<string, string>): unknown {
  return Object.fromEntries(
    Object.entries(settings).map(([key, entry]) => [
      key,
      isSetting(entry) ? parseOne(env, entry, faults) : parseGroup(env, entry, faults),
    ]),
  );
}

function parseOne(env: Env, setting: Setting<unknown>, faults: Map<string, string>): unknown {
  const given = env[setting.env]?.trim() || undefined;
  const source = given ?? setting.default;
  if (source === undefined) {
    return undefined;
  }
  const value = setting.parse(source);
  if (value === undefined) {
    faults.set(setting.env, `is ${shown(source, setting)}; expected ${setting.expected}.`);
  }
  return value;
}

/** The text as it may stand in an error: short, without secrets. */
function shown(text: string, setting: Setting<unknown>): string {
  if (setting.secret) {
    return `(${text.length} characters, not shown)`;
  }
  return JSON.stringify(text.replace(/\/\/.*@/, "//***@").slice(0, 100));
}

function unknownVariables(
  env: Env,
  settings: Settings,
  elsewhere: readonly string[],
): readonly (readonly [string, string])[] {
  const known = listSettings(settings).map((setting) => setting.env);
  const isUnknown = ([name, value]: readonly [string, string | undefined]): boolean =>
    value !== undefined &&
    name.startsWith(PREFIX) &&
    !known.includes(name) &&
    !elsewhere.some((prefix) => name.startsWith(prefix)) &&
    !SERVICE_LINK.test(name) &&
    !(name.endsWith("_PORT") && /^\w+:\/\//.test(value));
  return Object.entries(env)
    .filter(isUnknown)
    .map(([name]) => {
      const near = nearestName(name, known);
      const hint = near === undefined ? "Remove it." : `Did you mean ${near}?`;
      return [name, `is not a setting of this process. ${hint}`] as const;
    });
}

function isSetting(entry: Setting<unknown> | Settings): entry is Setting<unknown> {
  return typeof entry.parse === "function";
}
