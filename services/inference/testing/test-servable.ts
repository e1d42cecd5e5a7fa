// Real servables of small models for tests: the file, the threads and the folder are gone when the
// test is over.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { onTestFinished } from "vitest";
import { systemClock } from "../../common/clock.ts";
import { encodeModel, type Graph, type ValueInfo } from "../../common/testing/onnx-writer.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { LoadedServable, type LoadedServableOptions } from "../engine/servable.ts";
import { createInferenceMeter } from "../engine/servable-meter.ts";
import type { InferRequest, Servable } from "../engine.ts";
import { type Datatype, ELEMENT_BYTES, type Signature, type Tensor } from "../tensor.ts";

/** The signature that the registry would read from the graph. */
export function signatureOf(graph: Graph): Signature {
  const spec = ({ name, datatype = "FP32", shape }: ValueInfo): Signature["inputs"][number] => {
    if (typeof datatype === "number" || shape === undefined) {
      throw new Error(`"${name}" cannot be served: give it a datatype of calls and a shape`);
    }
    return {
      name,
      datatype,
      shape: shape.map((dimension) => (typeof dimension === "number" ? dimension : -1)),
    };
  };
  return { inputs: graph.inputs.map(spec), outputs: graph.outputs.map(spec) };
}

/** A file with these bytes until the test is over. */
export async function temporaryModel(bytes: Uint8Array): Promise<string> {
  const path = join(useFolder(), "model.onnx");
  await writeFile(path, bytes);
  return path;
}

/** What a test may choose; the rest has values that stay out of the way. */
export interface TestServableOptions {
  readonly batched?: boolean;
  readonly maxBatchRows?: number;
  readonly maxQueueDelayMs?: number;
  readonly maxQueueRequests?: number;
  readonly maxQueueBytes?: number;
  readonly count?: number;
  readonly runTimeoutMs?: number;
  readonly onTrouble?: (text: string) => void;
}

/** Loads a graph; it is disposed when the test is over. */
export async function loadServable(
  graph: Graph,
  options: TestServableOptions = {},
): Promise<LoadedServable> {
  const path = await temporaryModel(encodeModel(graph));
  return loadServableFile(path, signatureOf(graph), options);
}

/** Loads a file; it is disposed when the test is over. */
export async function loadServableFile(
  modelPath: string,
  signature: Signature,
  options: TestServableOptions = {},
): Promise<LoadedServable> {
  const meter = createInferenceMeter();
  const settings: LoadedServableOptions = {
    deployment: "test",
    deploymentUid: "",
    capture: undefined,
    receipts: undefined,
    facts: {
      modelVersion: "workspaces/w/models/m/versions/1",
      version: "1",
      uid: "",
      digest: "",
      signature,
      batched: options.batched ?? true,
      columns: [],
      classLabels: [],
      featureService: undefined,
    },
    modelPath,
    batching: {
      maxBatchRows: options.maxBatchRows ?? 64,
      maxQueueDelayMs: options.maxQueueDelayMs ?? 0,
      maxQueueRequests: options.maxQueueRequests ?? 1024,
    },
    instances: {
      count: options.count ?? 1,
      intraOpThreads: 1,
      runTimeoutMs: options.runTimeoutMs ?? 60_000,
    },
    maxQueueBytes: options.maxQueueBytes ?? 2 ** 28,
    meter,
    clock: systemClock,
    random: () => 0,
    onTrouble: options.onTrouble ?? (() => undefined),
  };
  const servable = await LoadedServable.load(settings);
  onTestFinished(() => servable[Symbol.asyncDispose]());
  return servable;
}

/** A tensor of numbers (big integers for 64 bits, texts for BYTES). */
export function tensorOf(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  values: readonly (number | bigint | string)[],
): Tensor {
  if (datatype === "BYTES") {
    return { name, datatype, shape, data: values.map(String) };
  }
  // One byte past an aligned start, as tensors come out of a message.
  const data = new Uint8Array(values.length * ELEMENT_BYTES[datatype] + 1).subarray(1);
  const view = new DataView(data.buffer, 1);
  const is64 = datatype === "INT64" || datatype === "UINT64";
  for (const [index, given] of values.entries()) {
    const value = is64 ? BigInt(given) : given;
    WRITE[datatype](view, index * ELEMENT_BYTES[datatype], value as never);
  }
  return { name, datatype, shape, data };
}

/** The values of a tensor of numbers. */
export function valuesOf(tensor: Tensor): readonly (number | bigint | string)[] {
  if (tensor.datatype === "BYTES") {
    return tensor.data;
  }
  const { data, datatype } = tensor;
  const width = ELEMENT_BYTES[datatype];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: data.byteLength / width }, (_, i) => READ[datatype](view, i * width));
}

/** A request as the protocols make it. */
export function requestOf(
  servable: Servable,
  inputs: readonly Tensor[],
  fields: Partial<InferRequest> = {},
): InferRequest {
  return {
    id: "",
    servable,
    inputs,
    outputs: servable.signature.outputs.map((_, index) => index),
    rows: servable.batched ? (inputs[0]?.shape[0] ?? 1) : 1,
    priority: 5,
    deadlineMs: Date.now() + 30_000,
    trace: ROOT_CONTEXT,
    ...fields,
  };
}

type Fixed = Exclude<Datatype, "BYTES">;

/** FP16 values are given and read as their 16 bits. */
const WRITE: Record<Fixed, (view: DataView, at: number, value: never) => void> = {
  BOOL: (view, at, value) => view.setUint8(at, value),
  UINT8: (view, at, value) => view.setUint8(at, value),
  INT8: (view, at, value) => view.setInt8(at, value),
  UINT16: (view, at, value) => view.setUint16(at, value, true),
  INT16: (view, at, value) => view.setInt16(at, value, true),
  FP16: (view, at, value) => view.setUint16(at, value, true),
  UINT32: (view, at, value) => view.setUint32(at, value, true),
  INT32: (view, at, value) => view.setInt32(at, value, true),
  UINT64: (view, at, value) => view.setBigUint64(at, value, true),
  INT64: (view, at, value) => view.setBigInt64(at, value, true),
  FP32: (view, at, value) => view.setFloat32(at, value, true),
  FP64: (view, at, value) => view.setFloat64(at, value, true),
};

const READ: Record<Fixed, (view: DataView, at: number) => number | bigint> = {
  BOOL: (view, at) => view.getUint8(at),
  UINT8: (view, at) => view.getUint8(at),
  INT8: (view, at) => view.getInt8(at),
  UINT16: (view, at) => view.getUint16(at, true),
  INT16: (view, at) => view.getInt16(at, true),
  FP16: (view, at) => view.getUint16(at, true),
  UINT32: (view, at) => view.getUint32(at, true),
  INT32: (view, at) => view.getInt32(at, true),
  UINT64: (view, at) => view.getBigUint64(at, true),
  INT64: (view, at) => view.getBigInt64(at, true),
  FP32: (view, at) => view.getFloat32(at, true),
  FP64: (view, at) => view.getFloat64(at, true),
};
