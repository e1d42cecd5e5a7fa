// Output tensors as InferTensorContents and as raw contents: sizes first, then bytes.

import { fieldSize, utf8Length, varintSize, type WireWriter } from "../../common/wire-writer.ts";
import type { BytesTensor, Tensor } from "../tensor.ts";
import { CONTENTS_FIELD } from "./typed-contents.ts";

/** Bytes of the length that stands before a raw BYTES element. */
const BYTES_LENGTH_SIZE = 4;

/** A negative int32 is written in 64 bits. */
const NEGATIVE_VARINT_SIZE = 10;

/** Bytes of a tensor in raw contents. */
export function rawSize(tensor: Tensor): number {
  if (tensor.datatype !== "BYTES") {
    return tensor.data.length;
  }
  let size = 0;
  for (const text of tensor.data) {
    size += BYTES_LENGTH_SIZE + utf8Length(text);
  }
  return size;
}

/** Writes a tensor as raw contents. */
export function writeRaw(writer: WireWriter, tensor: Tensor): void {
  if (tensor.datatype !== "BYTES") {
    writer.raw(tensor.data);
    return;
  }
  for (const text of tensor.data) {
    const length = utf8Length(text);
    writer.pos = writer.bytes.writeUInt32LE(length, writer.pos);
    writer.utf8(text, length);
  }
}

/** Bytes of a tensor's InferTensorContents. FP16 has no such form and must be answered raw. */
export function contentsSize(tensor: Tensor): number {
  if (tensor.datatype === "BYTES") {
    return stringsSize(tensor);
  }
  const payload = payloadSize(tensor);
  return payload === 0 ? 0 : fieldSize(payload);
}

/** Writes a tensor's InferTensorContents. */
export function writeContents(writer: WireWriter, tensor: Tensor): void {
  if (tensor.datatype === "BYTES") {
    for (const text of tensor.data) {
      const length = utf8Length(text);
      writer.head(CONTENTS_FIELD.BYTES, length);
      writer.utf8(text, length);
    }
    return;
  }
  const payload = payloadSize(tensor);
  if (payload === 0 || tensor.datatype === "FP16") {
    return;
  }
  writer.head(CONTENTS_FIELD[tensor.datatype], payload);
  if (isPlain(tensor.datatype)) {
    writer.raw(tensor.data);
    return;
  }
  eachInteger(tensor, (low, high) => writer.varint64(low, high));
}

function stringsSize(tensor: BytesTensor): number {
  let size = 0;
  for (const text of tensor.data) {
    size += fieldSize(utf8Length(text));
  }
  return size;
}

type Fixed = Exclude<Tensor, BytesTensor>;

/** Datatypes whose packed form is their raw form. */
function isPlain(datatype: Fixed["datatype"]): boolean {
  return datatype === "FP32" || datatype === "FP64" || datatype === "BOOL";
}

function payloadSize(tensor: Fixed): number {
  if (isPlain(tensor.datatype)) {
    return tensor.data.length;
  }
  let size = 0;
  eachInteger(tensor, (low, high) => {
    if (high < 0) {
      size += NEGATIVE_VARINT_SIZE;
    } else {
      size += varintSize((high >>> 0) * 4294967296 + (low >>> 0));
    }
  });
  return size;
}

/** Calls with the two halves of each element, sign-extended to 64 bits. */
function eachInteger(tensor: Fixed, visit: (low: number, high: number) => void): void {
  const { data } = tensor;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  switch (tensor.datatype) {
    case "INT8":
      for (let i = 0; i < data.length; i++) {
        signed(view.getInt8(i), visit);
      }
      return;
    case "INT16":
      for (let i = 0; i < data.length; i += 2) {
        signed(view.getInt16(i, true), visit);
      }
      return;
    case "INT32":
      for (let i = 0; i < data.length; i += 4) {
        signed(view.getInt32(i, true), visit);
      }
      return;
    case "UINT8":
      for (let i = 0; i < data.length; i++) {
        visit(view.getUint8(i), 0);
      }
      return;
    case "UINT16":
      for (let i = 0; i < data.length; i += 2) {
        visit(view.getUint16(i, true), 0);
      }
      return;
    case "UINT32":
      for (let i = 0; i < data.length; i += 4) {
        visit(view.getUint32(i, true), 0);
      }
      return;
    case "INT64":
    case "UINT64":
      for (let i = 0; i < data.length; i += 8) {
        visit(view.getUint32(i, true), view.getInt32(i + 4, true));
      }
      return;
    case "BOOL":
    case "FP16":
    case "FP32":
    case "FP64":
      return;
  }
}

function signed(value: number, visit: (low: number, high: number) => void): void {
  visit(value, value < 0 ? -1 : 0);
}
