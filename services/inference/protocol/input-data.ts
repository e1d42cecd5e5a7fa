// The data of one input, raw or typed, as a tensor for the model: byte and element counts, ranges
// and text are checked here, after the shape.

import { type Datatype, ELEMENT_BYTES, type Tensor, type TensorSpec } from "../tensor.ts";
import { type StringsOrFault, stringsFromContents, stringsFromRaw } from "./bytes-tensor.ts";
import type { WireInput } from "./infer-messages.ts";
import { CONTENTS_FIELD, CONTENTS_FIELDS, CONTENTS_WIDTH } from "./typed-contents.ts";
import { showShape } from "./violations.ts";

/** The tensor, or what is wrong with its data. */
export type TensorOrFault =
  | { readonly tensor: Tensor; readonly fault?: undefined }
  | { readonly fault: string };

const EMPTY = new Uint8Array(0);

/** From an entry of raw_input_contents; `count` is the number of elements its shape means. */
export function tensorFromRaw(
  spec: TensorSpec,
  shape: readonly number[],
  count: number,
  raw: Uint8Array,
): TensorOrFault {
  const { name, datatype } = spec;
  if (datatype === "BYTES") {
    return textTensor(spec, shape, stringsFromRaw(raw, count));
  }
  const width = ELEMENT_BYTES[datatype];
  if (raw.length !== count * width) {
    return {
      fault:
        `${raw.length} bytes came; shape ${showShape(shape)} of ${datatype} needs ` +
        `${count * width} (${count} elements of ${width})`,
    };
  }
  const fault = datatype === "BOOL" ? boolFault(raw) : undefined;
  return fault === undefined ? { tensor: { name, datatype, shape, data: raw } } : { fault };
}

/** From InferTensorContents; absent contents are those of a tensor without elements. */
export function tensorFromContents(
  spec: TensorSpec,
  input: WireInput,
  count: number,
): TensorOrFault {
  const { name, datatype } = spec;
  const { shape, contents } = input;
  if (datatype === "FP16") {
    return {
      fault: "FP16 has no typed contents; send its bytes in raw_input_contents, for all inputs",
    };
  }
  const field = CONTENTS_FIELD[datatype];
  const others = contents?.fields().filter((other) => other !== field) ?? [];
  if (others.length > 0) {
    const came = others.map((other) => CONTENTS_FIELDS[other]).join(" and ");
    return { fault: `${datatype} values belong in ${CONTENTS_FIELDS[field]}; ${came} came` };
  }
  const elements = contents?.elements(field) ?? EMPTY;
  const came =
    datatype === "BYTES"
      ? (contents?.strings().length ?? 0)
      : elements.length / (CONTENTS_WIDTH[field] ?? 1);
  if (came !== count) {
    return {
      fault:
        `${came} elements came in ${CONTENTS_FIELDS[field]}; ` +
        `shape ${showShape(shape)} needs ${count}`,
    };
  }
  if (datatype === "BYTES") {
    return textTensor(spec, shape, stringsFromContents(contents?.strings() ?? []));
  }
  const narrow = NARROWED[datatype];
  if (narrow === undefined) {
    return { tensor: { name, datatype, shape, data: elements } };
  }
  const data = narrowed(elements, narrow, datatype);
  return typeof data === "string" ? { fault: data } : { tensor: { name, datatype, shape, data } };
}

function textTensor(
  spec: TensorSpec,
  shape: readonly number[],
  result: StringsOrFault,
): TensorOrFault {
  return result.fault === undefined
    ? { tensor: { name: spec.name, datatype: "BYTES", shape, data: result.strings } }
    : { fault: result.fault };
}

function boolFault(raw: Uint8Array): string | undefined {
  for (let i = 0; i < raw.length; i++) {
    if (raw[i]! > 1) {
      return `element ${i} is ${raw[i]}; a BOOL is a byte of 0 or 1`;
    }
  }
  return undefined;
}

interface Range {
  readonly width: 1 | 2;
  readonly min: number;
  readonly max: number;
}

/** Datatypes that travel in 32 bits and are narrower in the model. */
const NARROWED: Readonly<Partial<Record<Datatype, Range>>> = {
  INT8: { width: 1, min: -128, max: 127 },
  INT16: { width: 2, min: -32768, max: 32767 },
  UINT8: { width: 1, min: 0, max: 255 },
  UINT16: { width: 2, min: 0, max: 65535 },
};

/** 32-bit elements in fewer bytes, or the first that does not fit. */
function narrowed(elements: Uint8Array, range: Range, datatype: Datatype): Uint8Array | string {
  const view = new DataView(elements.buffer, elements.byteOffset, elements.length);
  const count = elements.length / 4;
  const data = new Uint8Array(count * range.width);
  const out = new DataView(data.buffer);
  for (let i = 0; i < count; i++) {
    const value = range.min < 0 ? view.getInt32(i * 4, true) : view.getUint32(i * 4, true);
    if (value < range.min || value > range.max) {
      return `element ${i} is ${value}; ${datatype} holds ${range.min} to ${range.max}`;
    }
    if (range.width === 1) {
      out.setUint8(i, value & 0xff);
    } else {
      out.setUint16(i * 2, value & 0xffff, true);
    }
  }
  return data;
}
