// The request parameters that mean something to the server: Triton's reserved names and our own
// `routing_key`, `event_time` and `context`. Others are the caller's business and are let through.

import { EVENT_TIME_EXPECTED, eventTimeFromText } from "./event-time.ts";
import type { Parameter, Parameters } from "./infer-messages.ts";
import { quote, type Violations } from "./violations.ts";

/** The priority of a request that names none. */
export const PRIORITY_DEFAULT = 5;
/** The last to be served; there are so many levels. */
export const PRIORITY_LEVELS = 9;

export interface InferOptions {
  /** 1 (first) to 9. */
  readonly priority: number;
  /** Absent: as long as the call's deadline allows. */
  readonly timeoutMs: number | undefined;
  readonly routingKey: string | undefined;
  /** Microseconds since 1970. Absent: when it arrives. */
  readonly eventUs: number | undefined;
  /** The caller's own bytes, for its receipt. */
  readonly context: Uint8Array | undefined;
  /** Whether the answer shall say that it is the last one of its request. */
  readonly finalResponse: boolean;
}

/** What a receipt takes. */
const CONTEXT_BYTES_MAX = 256;

const DEFAULTS: InferOptions = {
  priority: PRIORITY_DEFAULT,
  timeoutMs: undefined,
  routingKey: undefined,
  eventUs: undefined,
  context: undefined,
  finalResponse: false,
};

type Written = { -readonly [K in keyof InferOptions]: InferOptions[K] };

/**
 * Reads the parameters of a request; adds what is wrong with them and goes on with the defaults.
 */
export function readInferOptions(parameters: Parameters, violations: Violations): InferOptions {
  if (parameters.size === 0) {
    return DEFAULTS;
  }
  const options: Written = { ...DEFAULTS };
  for (const [name, parameter] of parameters) {
    const fault = readOption(options, name, parameter);
    if (fault !== undefined) {
      violations.add(`parameters[${quote(name)}]`, `parameter ${quote(name)} ${fault}`);
    }
  }
  return options;
}

/** Sets what one parameter says; gives what is wrong with it. */
function readOption(options: Written, name: string, parameter: Parameter): string | undefined {
  switch (name) {
    case "priority":
      return readPriority(options, parameter);
    case "timeout":
      return readTimeout(options, parameter);
    case "routing_key":
      if (parameter.kind !== "string") {
        return expected("string_param", parameter);
      }
      options.routingKey = parameter.value === "" ? undefined : parameter.value;
      return undefined;
    case "event_time":
      return readEventTime(options, parameter);
    case "context":
      return readContext(options, parameter);
    case "sequence_id":
      if (parameter.kind === "int64" || parameter.kind === "uint64") {
        return parameter.value === 0n ? undefined : SEQUENCES;
      }
      if (parameter.kind === "string") {
        return parameter.value === "" ? undefined : SEQUENCES;
      }
      return expected("int64_param or string_param", parameter);
    case "sequence_start":
    case "sequence_end":
      if (parameter.kind !== "bool") {
        return expected("bool_param", parameter);
      }
      return parameter.value ? SEQUENCES : undefined;
    case "triton_enable_empty_final_response":
      if (parameter.kind !== "bool") {
        return expected("bool_param", parameter);
      }
      options.finalResponse = parameter.value;
      return undefined;
    case "binary_data_output":
      return parameter.kind === "bool" ? undefined : expected("bool_param", parameter);
    default:
      return refusedName(name);
  }
}

/**
 * What is wrong with the name of a parameter that may stand at a request, an input or an output.
 */
export function refusedName(name: string): string | undefined {
  if (name.startsWith("shared_memory_")) {
    return "asks for shared memory, which this server does not offer; send the data in the message";
  }
  if (name.startsWith("triton_")) {
    return 'is not known; names that begin with "triton_" are reserved';
  }
  return undefined;
}

const SEQUENCES =
  "asks for a sequence, and sequences are not supported: " +
  "models here keep no state between requests";

function readPriority(options: Written, parameter: Parameter): string | undefined {
  if (parameter.kind !== "int64" && parameter.kind !== "uint64") {
    return expected("int64_param or uint64_param", parameter);
  }
  if (parameter.value < 0n || parameter.value > BigInt(PRIORITY_LEVELS)) {
    return `is ${parameter.value}; expected 1 (first) to ${PRIORITY_LEVELS}, or 0 for the default`;
  }
  options.priority = parameter.value === 0n ? PRIORITY_DEFAULT : Number(parameter.value);
  return undefined;
}

function readEventTime(options: Written, parameter: Parameter): string | undefined {
  if (parameter.kind !== "string") {
    return expected("string_param", parameter);
  }
  options.eventUs = parameter.value === "" ? undefined : eventTimeFromText(parameter.value);
  return parameter.value !== "" && options.eventUs === undefined
    ? `is ${quote(parameter.value)}; expected ${EVENT_TIME_EXPECTED}`
    : undefined;
}

function readContext(options: Written, parameter: Parameter): string | undefined {
  if (parameter.kind !== "string") {
    return expected("string_param", parameter);
  }
  const context = Buffer.from(parameter.value);
  options.context = context.length === 0 ? undefined : context;
  return context.length > CONTEXT_BYTES_MAX
    ? `has ${context.length} bytes of UTF-8; expected ${CONTEXT_BYTES_MAX} at most`
    : undefined;
}

function readTimeout(options: Written, parameter: Parameter): string | undefined {
  if (parameter.kind !== "int64" && parameter.kind !== "uint64") {
    return expected("int64_param (microseconds)", parameter);
  }
  if (parameter.value < 0n) {
    return `is ${parameter.value}; expected microseconds from 0 (no timeout) on`;
  }
  options.timeoutMs = parameter.value === 0n ? undefined : Number(parameter.value) / 1000;
  return undefined;
}

function expected(what: string, parameter: Parameter): string {
  const came = parameter.kind === "unset" ? "no value" : `${parameter.kind}_param`;
  return `must be ${what}; got ${came}`;
}
