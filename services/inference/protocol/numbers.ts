// Elements of fixed-width tensors as JavaScript numbers and back. Data may lie at any offset.

/// <reference lib="esnext.float16" />

import type { Datatype } from "../tensor.ts";

/** Datatypes whose elements are numbers, 64-bit integers included. */
export type NumericDatatype = Exclude<Datatype, "BYTES" | "BOOL">;

/** Integers that a JavaScript number does not hold exactly are given as bigint. */
export function readNumber(
  view: DataView,
  datatype: NumericDatatype,
  index: number,
): number | bigint {
  switch (datatype) {
    case "INT8":
      return view.getInt8(index);
    case "UINT8":
      return view.getUint8(index);
    case "INT16":
      return view.getInt16(index * 2, true);
    case "UINT16":
      return view.getUint16(index * 2, true);
    case "INT32":
      return view.getInt32(index * 4, true);
    case "UINT32":
      return view.getUint32(index * 4, true);
    case "INT64":
      return view.getBigInt64(index * 8, true);
    case "UINT64":
      return view.getBigUint64(index * 8, true);
    case "FP16":
      return view.getFloat16(index * 2, true);
    case "FP32":
      return view.getFloat32(index * 4, true);
    case "FP64":
      return view.getFloat64(index * 8, true);
  }
}

/** Writes a value that was checked to be in range. */
export function writeNumber(
  view: DataView,
  datatype: NumericDatatype,
  index: number,
  value: number | bigint,
): void {
  switch (datatype) {
    case "INT64":
      view.setBigInt64(index * 8, BigInt(value), true);
      return;
    case "UINT64":
      view.setBigUint64(index * 8, BigInt(value), true);
      return;
    default:
      writeSmall(view, datatype, index, Number(value));
  }
}

function writeSmall(
  view: DataView,
  datatype: Exclude<NumericDatatype, "INT64" | "UINT64">,
  index: number,
  value: number,
): void {
  switch (datatype) {
    case "INT8":
      view.setInt8(index, value);
      return;
    case "UINT8":
      view.setUint8(index, value);
      return;
    case "INT16":
      view.setInt16(index * 2, value, true);
      return;
    case "UINT16":
      view.setUint16(index * 2, value, true);
      return;
    case "INT32":
      view.setInt32(index * 4, value, true);
      return;
    case "UINT32":
      view.setUint32(index * 4, value, true);
      return;
    case "FP16":
      view.setFloat16(index * 2, value, true);
      return;
    case "FP32":
      view.setFloat32(index * 4, value, true);
      return;
    case "FP64":
      view.setFloat64(index * 8, value, true);
      return;
  }
}

/** A view over a tensor's bytes wherever they lie. */
export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.length);
}

/** How a float type rounds, and how many significant digits tell any two of its values apart. */
const NARROW: Readonly<Partial<Record<Datatype, { round(x: number): number; digits: number }>>> = {
  FP16: { round: Math.f16round, digits: 5 },
  FP32: { round: Math.fround, digits: 9 },
};

/**
 * The number with the fewest digits that means the same value of its type: 6.7218122, not the
 * 6.7218122482299805 that a float32 is when it is written as a double.
 */
export function shortestNumber(value: number, datatype: Datatype): number {
  const type = NARROW[datatype];
  if (type === undefined || Number.isInteger(value) || !Number.isFinite(value)) {
    return value;
  }
  for (let digits = type.digits - 3; digits < type.digits; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (type.round(shorter) === value) {
      return shorter;
    }
  }
  return Number(value.toPrecision(type.digits));
}
