// How requests become one run and its outputs become their answers. Input bytes are copied once,
// from the request into the memory that the worker reads; output bytes are not copied at all.

import {
  type BytesTensor,
  ELEMENT_BYTES,
  type FixedTensor,
  type Signature,
  type Tensor,
} from "../tensor.ts";
import type { PendingRequest } from "./pending-request.ts";
import type { BatchOutput, StagedInput } from "./worker-messages.ts";

/** Of every input's first byte: more than any element needs, and a cache line. */
const ALIGNMENT_BYTES = 64;

/** Requests that are run together, in order. */
export interface Batch {
  readonly requests: readonly PendingRequest[];
  readonly rows: number;
  /** Indices into the signature's outputs that any of the requests wants, ascending. */
  readonly outputs: readonly number[];
  /** Monotonic milliseconds when it was formed. */
  readonly formedMs: number;
}

/** Puts requests into a batch. */
export function formBatch(
  requests: readonly PendingRequest[],
  outputCount: number,
  formedMs: number,
): Batch {
  let rows = 0;
  for (const pending of requests) {
    rows += pending.rows;
  }
  return { requests, rows, outputs: wantedOutputs(requests, outputCount), formedMs };
}

function wantedOutputs(requests: readonly PendingRequest[], outputCount: number): number[] {
  const wanted = new Set<number>();
  for (const { request } of requests) {
    for (const index of request.outputs) {
      wanted.add(index);
    }
    if (wanted.size === outputCount) {
      break;
    }
  }
  return [...wanted].sort((a, b) => a - b);
}

/** Where each input of the batch goes, and how many bytes they take together. */
export interface StagingPlan {
  readonly inputs: readonly StagedInput[];
  readonly byteLength: number;
}

/** Lays out a batch's inputs. */
export function planStaging(batch: Batch): StagingPlan {
  const first = batch.requests[0]!.request;
  const inputs: StagedInput[] = [];
  let end = 0;
  for (let index = 0; index < first.inputs.length; index += 1) {
    const input = first.inputs[index]!;
    const dims = batch.requests.length === 1 ? input.shape : [batch.rows, ...input.shape.slice(1)];
    let size = 0;
    if (input.datatype === "BYTES") {
      inputs.push({ dims, byteOffset: 0, length: 0, strings: joinStrings(batch, index) });
      continue;
    }
    for (const { request } of batch.requests) {
      size += (request.inputs[index] as FixedTensor).data.byteLength;
    }
    inputs.push({ dims, byteOffset: end, length: size / ELEMENT_BYTES[input.datatype] });
    end += Math.ceil(size / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
  }
  return { inputs, byteLength: end };
}

function joinStrings(batch: Batch, input: number): readonly string[] {
  const strings: string[] = [];
  for (const { request } of batch.requests) {
    for (const text of (request.inputs[input] as BytesTensor).data) {
      strings.push(text);
    }
  }
  return strings;
}

/** Copies the inputs into place. */
export function stageInputs(batch: Batch, plan: StagingPlan, memory: Uint8Array): void {
  for (let index = 0; index < plan.inputs.length; index += 1) {
    const staged = plan.inputs[index]!;
    if (staged.strings !== undefined) {
      continue;
    }
    let offset = staged.byteOffset;
    for (const { request } of batch.requests) {
      const { data } = request.inputs[index] as FixedTensor;
      memory.set(data, offset);
      offset += data.byteLength;
    }
  }
}

/**
 * Whether every output has one row for every row of the batch. A model can have an open first
 * dimension that is something else (a count of detections); its requests must not share a run.
 */
export function dividesByRow(batch: Batch, outputs: readonly BatchOutput[]): boolean {
  return outputs.every((output) => output.dims[0] === batch.rows);
}

/** One request's part of the outputs, in the order it asked for, starting at `row`. */
export function takeOutputs(
  batch: Batch,
  pending: PendingRequest,
  row: number,
  outputs: readonly BatchOutput[],
  signature: Signature,
): readonly Tensor[] {
  const whole = batch.requests.length === 1;
  const wanted = pending.request.outputs;
  const tensors: Tensor[] = [];
  for (let index = 0; index < wanted.length; index += 1) {
    const outputIndex = wanted[index]!;
    // Nearly always the batch ran exactly the outputs asked for, in the same order.
    const position =
      batch.outputs[index] === outputIndex ? index : batch.outputs.indexOf(outputIndex);
    const spec = signature.outputs[outputIndex]!;
    const { dims, data } = outputs[position]!;
    const shape = whole ? dims : withRows(dims, pending.rows);
    const from = whole ? 0 : (data.length / batch.rows) * row;
    const to = whole ? data.length : from + (data.length / batch.rows) * pending.rows;
    if (spec.datatype === "BYTES") {
      const strings = data as readonly string[];
      tensors.push({ name: spec.name, datatype: "BYTES", shape, data: strings.slice(from, to) });
    } else {
      const bytes = data as Uint8Array;
      const part = whole ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from);
      tensors.push({ name: spec.name, datatype: spec.datatype, shape, data: part });
    }
  }
  return tensors;
}

function withRows(dims: readonly number[], rows: number): readonly number[] {
  const shape = dims.slice();
  shape[0] = rows;
  return shape;
}
