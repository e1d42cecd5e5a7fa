// For tests of capture: captured batches as inference servers send them.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CapturedBatch,
  CapturedBatchSchema,
} from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";

/** Fields of a batch. */
export type BatchInit = Exclude<MessageInitShape<typeof CapturedBatchSchema>, CapturedBatch>;

/** 2026-01-01T00:00:00Z */
export const NOON_US = BigInt(Date.UTC(2026, 0, 1)) * 1000n;

/** Three rows of two inferences, with one input and one output; `more` replaces fields. */
export function captured(more: BatchInit = {}): CapturedBatch {
  return create(CapturedBatchSchema, {
    sequence: 1n,
    deployment: "workspaces/w/deployments/d",
    deploymentUid: "du",
    modelVersion: "workspaces/w/models/m/versions/1",
    modelVersionUid: "vu",
    rows: 3,
    inferences: { ids: ["a", "b"], rows: [2, 1], eventTimesUs: [NOON_US, NOON_US + 1n] },
    inputs: [{ name: "x", datatype: "FP32", contents: bytesOf(Float32Array.of(1, 2, 3)) }],
    outputs: [{ name: "p", datatype: "FP64", contents: bytesOf(Float64Array.of(0.1, 0.2, 0.3)) }],
    ...more,
  });
}

/** The bytes of a typed array, at an odd offset of their buffer. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  const whole = new Uint8Array(values.byteLength + 1);
  whole.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 1);
  return whole.subarray(1);
}

/** BYTES elements, each with its length before it. */
export function elementsOf(...texts: readonly (string | Uint8Array)[]): Uint8Array {
  const parts = texts.flatMap((text) => {
    const bytes = typeof text === "string" ? Buffer.from(text) : Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return [length, bytes];
  });
  return Buffer.concat(parts);
}
