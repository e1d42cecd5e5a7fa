// Tensor elements as JSON and back, without losing any: 64-bit integers that a double does not hold
// and what is not a finite number travel as strings.

/// <reference lib="esnext.float16" />

import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Datatype } from "../tensor.ts";

/** Values are cut here when they are quoted. */
const SHOWN_MAX = 60;

const NOT_FINITE: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

const INTEGER_TEXT = /^-?[0-9]{1,20}$/;

export type IntegerDatatype =
  | "INT8"
  | "INT16"
  | "INT32"
  | "INT64"
  | "UINT8"
  | "UINT16"
  | "UINT32"
  | "UINT64";

/** Smallest and largest value of the integer datatypes. */
export const INTEGERS: Readonly<Record<IntegerDatatype, readonly [bigint, bigint]>> = {
  INT8: [-128n, 127n],
  INT16: [-32768n, 32767n],
  INT32: [-2147483648n, 2147483647n],
  INT64: [-(2n ** 63n), 2n ** 63n - 1n],
  UINT8: [0n, 255n],
  UINT16: [0n, 65535n],
  UINT32: [0n, 4294967295n],
  UINT64: [0n, 2n ** 64n - 1n],
};

export type Element = number | bigint | string | boolean;

/** An element, or why the value is none. */
export type ElementOrFault =
  | { readonly element: Element; readonly fault?: undefined }
  | { readonly fault: string };

/** One JSON value as an element of a tensor. */
export function elementFromJson(value: JsonValue | undefined, datatype: Datatype): ElementOrFault {
  switch (datatype) {
    case "BOOL":
      return typeof value === "boolean" ? { element: value } : wanted("true or false", value);
    case "BYTES":
      return typeof value === "string" && !value.includes("\0")
        ? { element: value }
        : wanted("a string without NUL", value);
    case "FP16":
      return float(value, datatype, Math.f16round);
    case "FP32":
      return float(value, datatype, Math.fround);
    case "FP64":
      return float(value, datatype, (number) => number);
    case "INT8":
    case "INT16":
    case "INT32":
    case "UINT8":
    case "UINT16":
    case "UINT32":
    case "INT64":
    case "UINT64":
      return integer(value, datatype);
  }
}

/** One element as a JSON value. */
export function elementToJson(element: Element): JsonValue {
  if (typeof element === "bigint") {
    const number = Number(element);
    return Number.isSafeInteger(number) ? number : element.toString();
  }
  if (typeof element === "number" && !Number.isFinite(element)) {
    return String(element);
  }
  return element;
}

/** The JSON that a google.protobuf.Value means; its numbers may be NaN, which JSON has not. */
export function jsonOf(value: Value): JsonValue {
  return value.kind.case === "numberValue" ? value.kind.value : toJson(ValueSchema, value);
}

/** A value as it stands in an error: JSON, cut to a bearable length. */
export function showJson(value: JsonValue | undefined): string {
  if (value === undefined) {
    return "nothing";
  }
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? `a list of ${value.length}` : "an object";
  }
  const text = JSON.stringify(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}

function wanted(what: string, value: JsonValue | undefined): ElementOrFault {
  return { fault: `expected ${what}, got ${showJson(value)}` };
}

function float(
  value: JsonValue | undefined,
  datatype: Datatype,
  round: (number: number) => number,
): ElementOrFault {
  if (typeof value === "string" && Object.hasOwn(NOT_FINITE, value)) {
    return { element: NOT_FINITE[value] as number };
  }
  if (typeof value !== "number") {
    const hint = value === null ? ' (send "NaN" for a missing number)' : "";
    return { fault: `expected a number, got ${showJson(value)}${hint}` };
  }
  if (Number.isFinite(value) && !Number.isFinite(round(value))) {
    return { fault: `${value} is beyond the range of ${datatype}` };
  }
  return { element: value };
}

function integer(value: JsonValue | undefined, datatype: IntegerDatatype): ElementOrFault {
  const [min, max] = INTEGERS[datatype];
  const wide = datatype === "INT64" || datatype === "UINT64";
  let element: bigint;
  if (typeof value === "number" && Number.isInteger(value)) {
    if (!Number.isSafeInteger(value)) {
      return wide
        ? { fault: `${value} is beyond 2^53, where numbers lose digits; send it as a string` }
        : { fault: `${value} is beyond ${datatype}, which holds ${min} to ${max}` };
    }
    element = BigInt(value);
  } else if (wide && typeof value === "string" && INTEGER_TEXT.test(value)) {
    element = BigInt(value);
  } else {
    return wanted("a whole number", value);
  }
  if (element < min || element > max) {
    return { fault: `${element} is beyond ${datatype}, which holds ${min} to ${max}` };
  }
  return { element: wide ? element : Number(element) };
}
