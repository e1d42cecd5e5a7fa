// Log records: one JSON object a line on stderr, or a line for people when stderr is a terminal.
// Our own and not pino: what we need is this file; pino brings thirteen packages (17 ms and 9 MB at
// start) and its redaction works by field path, while a secret may stand anywhere in a text.

import { type Context, isSpanContextValid, trace } from "@opentelemetry/api";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { type Clock, systemClock } from "../clock.ts";
import { DomainError } from "../errors/domain-error.ts";
import { choice } from "../setting.ts";

const LEVELS = ["debug", "info", "warn", "error", "off"] as const;

export type LogLevel = (typeof LEVELS)[number];

/** Characters kept of one text; a record must not carry a tensor. */
const TEXT_MAX = 8192;

/** Errors followed along their causes. */
const CAUSES_MAX = 5;

const LEVEL_COLOR: Readonly<Record<LogLevel, number>> = {
  debug: 90,
  info: 36,
  warn: 33,
  error: 31,
  off: 0,
};

/** Part of every process's configuration. */
export const logSettings = {
  level: choice({
    env: "PLINTH_LOG",
    options: LEVELS,
    default: "info",
    about: "The least severe level that is logged.",
  }),
};

/** Facts about the event, in the names of the telemetry attributes where there is one. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * `fields.error` may be anything thrown; `context` adds the ids of the trace the event belongs to.
 */
export type LogMethod = (message: string, fields?: LogFields, context?: Context) => void;

export interface Logger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  /** Whether a record of this level would be written: ask before costly fields are gathered. */
  enabled(level: Exclude<LogLevel, "off">): boolean;
  /** A logger that adds these fields to each record. */
  with(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** "registry", "mesh" ... */
  readonly service: string;
  readonly level: LogLevel;
  /** Absent: whether stderr is a terminal. */
  readonly pretty?: boolean;
  /** Takes each line with its end. Absent: stderr. */
  readonly write?: (line: string) => void;
  readonly clock?: Clock;
}

/** A logger for a process or a service in it. Never throws, whatever it is given. */
export function createLogger(options: LoggerOptions): Logger {
  const pretty = options.pretty ?? process.stderr.isTTY === true;
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const clock = options.clock ?? systemClock;
  const format = pretty ? prettyLine : jsonLine;
  return bind((level, message, fields, context) => {
    const time = new Date(clock.now());
    const record = { time, level, service: options.service, message, context, fields };
    write(`${redact(format(record))}\n`);
  }, options.level);
}

/** The text with the secret part of API keys and service credentials taken out. */
function redact(text: string): string {
  if (!text.includes("plk_") && !text.includes("plm_")) {
    return text;
  }
  return text
    .replace(/plk_(?:([0-9a-z]{16})_)?[\w-]*/g, keepId)
    .replace(/plm_[^\s"\\]*/g, "plm_***");
}

type Emit = (
  level: LogLevel,
  message: string,
  fields: LogFields | undefined,
  context: Context | undefined,
) => void;

interface LogRecord {
  readonly time: Date;
  readonly level: LogLevel;
  readonly service: string;
  readonly message: string;
  readonly context: Context | undefined;
  readonly fields: LogFields | undefined;
}

function bind(emit: Emit, threshold: LogLevel): Logger {
  const enabled = (level: LogLevel): boolean => LEVELS.indexOf(level) >= LEVELS.indexOf(threshold);
  const method = (level: LogLevel): LogMethod =>
    enabled(level) ? (message, fields, context) => emit(level, message, fields, context) : ignore;
  return {
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
    enabled,
    with: (more) =>
      bind((level, text, fields, ctx) => emit(level, text, { ...more, ...fields }, ctx), threshold),
  };
}

function ignore(): void {}

function jsonLine(record: LogRecord): string {
  const { time, level, message, service, context, fields } = record;
  const fixed = {
    time: time.toISOString(),
    level,
    service,
    message: clip(message),
    ...ids(context),
  };
  // Fields first, then again what no field may replace.
  return safeJson({ ...fixed, ...plainFields(fields), ...fixed });
}

function prettyLine(record: LogRecord): string {
  const { time, level, message, service, context, fields } = record;
  const label = `\u001b[${LEVEL_COLOR[level]}m${level.padEnd(5)}\u001b[0m`;
  const facts = Object.entries({ ...plainFields(fields), ...ids(context) })
    .map(
      ([name, value]) => ` ${name}=${typeof value === "string" ? quoted(value) : safeJson(value)}`,
    )
    .join("");
  const clock = time.toISOString().slice(11, 23);
  return `${clock} ${label} ${service}: ${oneLine(clip(message))}\u001b[90m${facts}\u001b[0m`;
}

function ids(context: Context | undefined): LogFields {
  const span = context && trace.getSpanContext(context);
  return span !== undefined && isSpanContextValid(span)
    ? { trace_id: span.traceId, span_id: span.spanId }
    : {};
}

function plainFields(fields: LogFields = {}): LogFields {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, plain(value)]));
}

function plain(value: unknown): unknown {
  return value instanceof Error ? plainError(value, 1) : value;
}

function plainError(error: Error, depth: number): LogFields {
  const { name, message, stack, cause } = error;
  return {
    type: name,
    message,
    ...(error instanceof DomainError && { reason: ErrorReason[error.reason], ...error.metadata }),
    ...(stack !== undefined && { stack }),
    ...(cause !== undefined && {
      cause:
        cause instanceof Error && depth < CAUSES_MAX ? plainError(cause, depth + 1) : `${cause}`,
    }),
  };
}

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value, (name, field: unknown) => {
      if (/^(authorization|secret|password)$/i.test(name)) {
        return "***";
      }
      if (typeof field === "bigint") {
        return field.toString();
      }
      if (ArrayBuffer.isView(field)) {
        return `(${field.byteLength} bytes)`;
      }
      return typeof field === "string" ? clip(field) : plain(field);
    });
  } catch (error) {
    // A cycle, or a getter or toJSON that throws: the event is still worth a line.
    return JSON.stringify({ unloggable: String(error).slice(0, 200) });
  }
}

function clip(text: string): string {
  return text.length <= TEXT_MAX
    ? text
    : `${text.slice(0, TEXT_MAX)}... (${text.length} characters)`;
}

function quoted(text: string): string {
  return /^[\w.:/@-]+$/.test(text) ? text : JSON.stringify(clip(text));
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " | ");
}

function keepId(_match: string, id: string | undefined): string {
  return id === undefined ? "plk_***" : `plk_${id}_***`;
}
