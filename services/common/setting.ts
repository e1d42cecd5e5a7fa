// The kinds of settings a process has: integers with a range, durations, sizes, addresses ... Each
// kind knows how its text is read and how to say what it expects. config.ts reads whole groups.

import assert from "node:assert";

/** One setting: the variable that carries it and how its text becomes a value. */
export interface Setting<T> {
  /** "PLINTH_GRPC_LISTEN" */
  readonly env: string;
  /** One sentence for the table in the service's README and for `--help`. */
  readonly about: string;
  /** Completes "expected ...": "an integer from 0 to 65535". */
  readonly expected: string;
  /**
   * In the setting's own text form. Absent: the value of a variable that is not set is undefined.
   */
  readonly default: string | undefined;
  /** Its text is never repeated in an error. */
  readonly secret: boolean;
  /** The value, or undefined when the text is not one. */
  readonly parse: (text: string) => T | undefined;
}

interface Common {
  readonly env: string;
  readonly about: string;
}

type Value<T, O> = O extends { readonly default: string | number } ? T : T | undefined;

export interface IntegerOptions extends Common {
  readonly default?: number;
  readonly min: number;
  readonly max: number;
}

/** A whole number in decimal, with both ends of its range included. */
export function integer<const O extends IntegerOptions>(options: O): Setting<Value<number, O>> {
  return setting(options, `an integer from ${options.min} to ${options.max}`, (text) =>
    /^[+-]?\d{1,16}$/.test(text) ? inRange(Number(text), options) : undefined,
  );
}

/** A number with or without a fraction, such as a share of traffic; both ends included. */
export function decimal<const O extends IntegerOptions>(options: O): Setting<Value<number, O>> {
  return setting(options, `a number from ${options.min} to ${options.max}`, (text) =>
    /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? inRange(Number(text), options) : undefined,
  );
}

/** Limits and default of a setting whose text has a unit: "5s", "4GiB". */
export interface MeasureOptions extends Common {
  readonly default?: string;
  readonly min?: string;
  readonly max?: string;
}

const MS_PER: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A length of time, "250ms", "1.5s", "10m" or "0"; its value is in milliseconds. */
export function duration<const O extends MeasureOptions>(options: O): Setting<Value<number, O>> {
  const what = 'a duration such as "250ms", "5s", "10m" or "2h"';
  return measure(options, what, (text) => scaled(text, MS_PER));
}

const BYTES_PER: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** A size, "64MiB", "4GiB", "1MB" (powers of ten) or plain bytes; its value is in whole bytes. */
export function bytes<const O extends MeasureOptions>(options: O): Setting<Value<number, O>> {
  const what = 'a size such as "65536", "64MiB" or "4GiB"';
  return measure(options, what, (text) => {
    const value = scaled(text.toLowerCase(), BYTES_PER, 1);
    return value === undefined ? undefined : Math.round(value);
  });
}

/** One of a few words; case does not matter, the value is as written in `options`. */
export function choice<
  const W extends string,
  const O extends Common & { readonly options: readonly W[]; readonly default?: NoInfer<W> },
>(options: O & { readonly options: readonly W[] }): Setting<Value<W, O>> {
  return setting(options, `one of ${options.options.join(", ")}`, (text) =>
    options.options.find((word) => word.toLowerCase() === text.toLowerCase()),
  );
}

/** Where something listens or is reached. An IPv6 host stands here without its brackets. */
export interface HostPort {
  readonly host: string;
  /** 0: the system picks a free one. */
  readonly port: number;
}

/** "127.0.0.1:50051", "registry.plinth:50051" or "[::1]:0"; the host is not optional. */
export function hostPort<const O extends Common & { readonly default?: string }>(
  options: O,
): Setting<Value<HostPort, O>> {
  const what = 'an address such as "127.0.0.1:50051" or "[::1]:50051"';
  return setting(options, what, (text) => {
    const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9._-]+)):(\d{1,5})$/.exec(text);
    const host = parts?.[1] ?? parts?.[2];
    const port = Number(parts?.[3]);
    return host === undefined || port > 65_535 ? undefined : { host, port };
  });
}

/** A URI with one of the schemes; credentials in it are not repeated in errors. */
export function uri<
  const O extends Common & { readonly schemes: readonly string[]; readonly default?: string },
>(options: O): Setting<Value<string, O>> {
  const what = `a URI that begins with ${options.schemes.map((s) => `"${s}:"`).join(" or ")}`;
  // Not `new URL`: a MongoDB URI may name several hosts, which that refuses.
  return setting(options, what, (text) => {
    const scheme = /^([a-z][a-z0-9+.-]*):\S+$/i.exec(text)?.[1]?.toLowerCase();
    return scheme !== undefined && options.schemes.includes(scheme) ? text : undefined;
  });
}

export interface TextOptions extends Common {
  readonly default?: string;
  readonly secret?: boolean;
  /** What the text must match, and how to say that ("16 or more characters"). */
  readonly must?: { readonly match: RegExp; readonly be: string };
}

/** Free text: a path, a name, a secret. */
export function text<const O extends TextOptions>(options: O): Setting<Value<string, O>> {
  const { must } = options;
  return setting(options, must?.be ?? "some text", (value) =>
    must === undefined || must.match.test(value) ? value : undefined,
  );
}

/** Comma-separated values of another kind's text form; "" cannot be told from not set. */
export function list<T>(
  item: Setting<T>,
  options: { readonly default?: string } = {},
): Setting<readonly NonNullable<T>[]> {
  const made = { env: item.env, about: item.about, default: options.default ?? "" };
  const parse = (value: string): readonly NonNullable<T>[] | undefined => {
    const parts = value.split(",").map((part) => part.trim());
    const values = parts.filter((part) => part !== "").map((part) => item.parse(part));
    return values.every((v) => v !== undefined && v !== null)
      ? (values as readonly NonNullable<T>[])
      : undefined;
  };
  return setting(
    { ...made, secret: item.secret },
    `a comma-separated list, each ${item.expected}`,
    parse,
  );
}

function setting<T, V>(
  options: Common & { readonly default?: string | number; readonly secret?: boolean },
  expected: string,
  parse: (text: string) => V | undefined,
): Setting<T> {
  const fallback = options.default === undefined ? undefined : String(options.default);
  assert(
    fallback === undefined || parse(fallback) !== undefined,
    `The default of ${options.env} is not ${expected}.`,
  );
  return {
    env: options.env,
    about: options.about,
    expected,
    default: fallback,
    secret: options.secret ?? false,
    parse: parse as (text: string) => T | undefined,
  };
}

function measure<T>(
  options: MeasureOptions,
  what: string,
  parse: (text: string) => number | undefined,
): Setting<T> {
  const min = parse(options.min ?? "0") ?? 0;
  const max = options.max === undefined ? Number.MAX_SAFE_INTEGER : (parse(options.max) ?? 0);
  const from = options.min === undefined ? "" : `, at least ${options.min}`;
  const to = options.max === undefined ? "" : `, at most ${options.max}`;
  return setting(options, what + from + to, (value) => {
    const amount = parse(value);
    return amount === undefined ? undefined : inRange(amount, { min, max });
  });
}

/** "1.5s" by the table; a number without a unit is 0, or counted in `bare` when that is given. */
function scaled(
  value: string,
  units: Readonly<Record<string, number>>,
  bare?: number,
): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(value);
  const amount = Number(parts?.[1]);
  const unit = parts?.[2] === "" ? (amount === 0 ? 1 : bare) : units[parts?.[2] ?? ""];
  return parts === null || unit === undefined ? undefined : amount * unit;
}

function inRange(value: number, range: { min: number; max: number }): number | undefined {
  return value >= range.min && value <= range.max ? value : undefined;
}
