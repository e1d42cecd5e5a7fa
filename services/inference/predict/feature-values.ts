// Values of features as JSON says them: in the entities of a request, and as defaults in a
// definition. Everything is checked against the type that the feature service declares.

import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import type { Datatype } from "../tensor.ts";
import { type ElementOrFault, elementFromJson, showJson } from "./json-values.ts";

/**
 * BOOL a boolean; INT32, FLOAT and DOUBLE a number; INT64 a bigint; STRING a string; BYTES its
 * bytes; TIMESTAMP microseconds since the Unix epoch, a bigint.
 */
export type FeatureValue = boolean | number | bigint | string | Uint8Array;

/** A value, or why the JSON is none of the type. */
export type ValueOrFault =
  | { readonly value: FeatureValue; readonly fault?: undefined }
  | { readonly fault: string };

const BASE64 = /^(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2,3}={0,2})?$/;
const MICROS = 1_000_000n;

/** A JSON value as one of the type. */
export function valueFromJson(json: JsonValue | undefined, type: ValueType): ValueOrFault {
  switch (type) {
    case ValueType.BOOL:
      return numeric(json, "BOOL");
    case ValueType.INT32:
      return numeric(json, "INT32");
    case ValueType.INT64:
      return numeric(json, "INT64");
    case ValueType.FLOAT: {
      const result = numeric(json, "FP32");
      return result.fault === undefined ? { value: Math.fround(Number(result.value)) } : result;
    }
    case ValueType.DOUBLE:
      return numeric(json, "FP64");
    case ValueType.STRING:
      return typeof json === "string" ? { value: json } : wanted("a text", json);
    case ValueType.BYTES:
      return typeof json === "string" && BASE64.test(json)
        ? { value: Buffer.from(json, "base64") }
        : wanted("bytes in base64", json);
    case ValueType.TIMESTAMP:
      return time(json);
    case ValueType.UNSPECIFIED:
      return { fault: "is of a type that this server does not know" };
  }
}

/** Microseconds since the Unix epoch; what is finer is cut. */
export function microsOf({ seconds, nanos }: Timestamp): bigint {
  return seconds * MICROS + BigInt(Math.floor(nanos / 1000));
}

/** The time of so many microseconds since the Unix epoch. */
export function timestampInit(micros: bigint): { seconds: bigint; nanos: number } {
  const rest = ((micros % MICROS) + MICROS) % MICROS;
  return { seconds: (micros - rest) / MICROS, nanos: Number(rest) * 1000 };
}

function numeric(json: JsonValue | undefined, datatype: Datatype): ValueOrFault {
  const result: ElementOrFault = elementFromJson(json, datatype);
  if (result.fault === undefined) {
    return { value: result.element };
  }
  return { fault: result.fault.replaceAll("FP32", "FLOAT") };
}

function time(json: JsonValue | undefined): ValueOrFault {
  if (typeof json === "string") {
    try {
      return { value: microsOf(fromJson(TimestampSchema, json)) };
    } catch {
      // Not a time; refused below.
    }
  }
  return wanted('a time such as "2001-01-31T09:30:00Z"', json);
}

function wanted(what: string, json: JsonValue | undefined): ValueOrFault {
  return { fault: `expected ${what}, got ${showJson(json)}` };
}
