// Which features a tensor may be made of, and how: what fits without guessing is taken, the rest is
// refused when a version is first asked for, or, where it depends on the value, row by row.

/// <reference lib="esnext.float16" />

import { type Column, ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import type { Datatype } from "../tensor.ts";
import { type FeatureValue, microsOf } from "./feature-values.ts";
import { INTEGERS, type IntegerDatatype } from "./json-values.ts";

/** An element of a tensor: a bigint for INT64 and UINT64, a string for BYTES, else a number. */
export type TensorElement = number | bigint | string;

/** From values of one feature type to elements of one datatype. */
export interface Conversion {
  convert(value: FeatureValue): TensorElement;
  /** Why a value of the type is not one of the datatype; absent where each one is. */
  readonly fault?: (value: FeatureValue) => string | undefined;
}

/** What a feature of each type may become, for people. */
const BECOMES: Readonly<Record<ValueType, string>> = {
  [ValueType.UNSPECIFIED]: "nothing",
  [ValueType.BOOL]: "BOOL and, as 0 and 1, every number",
  [ValueType.INT32]: "every number",
  [ValueType.INT64]: "every number",
  [ValueType.FLOAT]: "FP16, FP32 and FP64",
  [ValueType.DOUBLE]: "FP16, FP32 and FP64",
  [ValueType.STRING]: "BYTES, which hold text",
  [ValueType.BYTES]: "no tensor",
  [ValueType.TIMESTAMP]: "INT64 and FP64, as microseconds since 1970",
};

/** How a feature of the type becomes elements, or which datatypes it may become. */
export function conversionTo(
  type: ValueType,
  datatype: Datatype,
): { readonly conversion: Conversion } | { readonly becomes: string } {
  const conversion = find(type, datatype);
  return conversion === undefined ? { becomes: BECOMES[type] } : { conversion };
}

/** The values of a column, by row; empty where it has none. */
export function valuesOf(column: Column, type: ValueType): readonly FeatureValue[] {
  switch (type) {
    case ValueType.BOOL:
      return column.bools;
    case ValueType.INT32:
    case ValueType.INT64:
      return column.ints;
    case ValueType.FLOAT:
    case ValueType.DOUBLE:
      return column.doubles.length > 0 ? column.doubles : column.ints;
    case ValueType.STRING:
      return column.strings;
    case ValueType.BYTES:
      return column.bytesValues;
    case ValueType.TIMESTAMP:
      return column.timestamps.map(microsOf);
    case ValueType.UNSPECIFIED:
      return [];
  }
}

function find(type: ValueType, datatype: Datatype): Conversion | undefined {
  switch (type) {
    case ValueType.BOOL:
      return datatype === "BOOL" ? { convert: Number } : number(datatype, { isWhole: true });
    case ValueType.INT32:
    case ValueType.INT64:
      return number(datatype, { isWhole: true });
    case ValueType.FLOAT:
    case ValueType.DOUBLE:
      return number(datatype, { isWhole: false });
    case ValueType.STRING:
      return datatype === "BYTES" ? TEXT : undefined;
    case ValueType.TIMESTAMP:
      // Microseconds would lose their end in anything narrower.
      return datatype === "INT64" || datatype === "FP64"
        ? number(datatype, { isWhole: true })
        : undefined;
    case ValueType.BYTES:
    case ValueType.UNSPECIFIED:
      return undefined;
  }
}

const TEXT: Conversion = {
  convert: (value) => value as string,
  fault: (value) => ((value as string).includes("\0") ? "holds a NUL character" : undefined),
};

function number(
  datatype: Datatype,
  { isWhole }: { readonly isWhole: boolean },
): Conversion | undefined {
  switch (datatype) {
    case "BOOL":
    case "BYTES":
      return undefined;
    case "FP64":
      return { convert: Number };
    case "FP32":
      // Every whole number of 64 bits is within its range.
      return isWhole ? { convert: Number } : float(datatype, Math.fround);
    case "FP16":
      return float(datatype, Math.f16round);
    default:
      return isWhole ? integer(datatype) : undefined;
  }
}

function float(datatype: Datatype, round: (value: number) => number): Conversion {
  return {
    convert: Number,
    fault: (value) => {
      const exact = Number(value);
      return Number.isFinite(exact) && !Number.isFinite(round(exact))
        ? `is ${exact}, beyond the range of ${datatype}`
        : undefined;
    },
  };
}

function integer(datatype: IntegerDatatype): Conversion {
  const [min, max] = INTEGERS[datatype];
  const isWide = datatype === "INT64" || datatype === "UINT64";
  const convert = isWide
    ? (value: FeatureValue) => BigInt(value as bigint)
    : (value: FeatureValue) => Number(value);
  if (datatype === "INT64") {
    return { convert };
  }
  return {
    convert,
    fault: (value) => {
      const whole = BigInt(value as bigint);
      return whole < min || whole > max
        ? `is ${whole}; ${datatype} holds ${min} to ${max}`
        : undefined;
    },
  };
}
