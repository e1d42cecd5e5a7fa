// The sandbox process: opens one model file that nobody has vouched for, reads its graph, loads it
// with onnxruntime, runs it once on made-up rows, and writes what it found to file descriptor 3. It
// has no secrets, no network use and no state; its parent limits its time and memory and outlives
// its crash. The only file of the registry that imports onnxruntime-node.

import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import { type ByteSource, WireError } from "../common/onnx-wire.ts";
import { type OnnxGraph, readOnnxGraph } from "./onnx-graph.ts";
import { HELLO, type SandboxReport } from "./sandbox-report.ts";
import { datatypeOf, type Signature, type TensorSpec } from "./signature.ts";
import { type Feeds, type TrialTensor, trialRun } from "./trial-run.ts";
import {
  corruptFailure,
  graphFailure,
  loadFailure,
  nonTensor,
  runFailure,
} from "./validation-failure.ts";

const REPORT_FD = 3;
const FATAL_ONLY = 4;

// onnxruntime-common would turn FP16 data into Float16Array, which the native side of 1.30 takes
// for empty.
Reflect.deleteProperty(globalThis, "Float16Array");
const ort = await import("onnxruntime-node");
send(HELLO);
send(JSON.stringify(await examine(process.argv[2] ?? "")));
// Sessions keep threads alive; nothing is left to be said.
process.exit(0);

function send(line: string): void {
  let rest = Buffer.from(`${line}\n`);
  while (rest.length > 0) {
    rest = rest.subarray(writeSync(REPORT_FD, rest));
  }
}

async function examine(path: string): Promise<SandboxReport> {
  let graph: OnnxGraph;
  try {
    graph = readGraphOf(path);
  } catch (error) {
    if (error instanceof WireError) {
      return { failure: corruptFailure(error.message) };
    }
    throw error;
  }
  const { inputs: _inputs, outputs: _outputs, externalFiles: _files, ...kept } = graph;
  const failure = graphFailure(graph);
  if (failure !== undefined) {
    return { graph: kept, failure };
  }
  let session: InferenceSession;
  try {
    session = await ort.InferenceSession.create(path, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: FATAL_ONLY,
    });
  } catch (error) {
    return { graph: kept, failure: loadFailure(error, graph) };
  }
  return { graph: kept, ...(await examineSession(session, graph)) };
}

function readGraphOf(path: string): OnnxGraph {
  const fd = openSync(path, "r");
  try {
    const source: ByteSource = {
      size: fstatSync(fd).size,
      read(offset, length) {
        const bytes = new Uint8Array(length);
        let filled = 0;
        while (filled < length) {
          const count = readSync(fd, bytes, filled, length - filled, offset + filled);
          if (count === 0) {
            throw new WireError(`the file ends at byte ${offset + filled}`);
          }
          filled += count;
        }
        return bytes;
      },
    };
    return readOnnxGraph(source);
  } finally {
    closeSync(fd);
  }
}

async function examineSession(
  session: InferenceSession,
  graph: OnnxGraph,
): Promise<Pick<SandboxReport, "signature" | "failure">> {
  const inputs: TensorSpec[] = [];
  const outputs: TensorSpec[] = [];
  for (const [side, all, declared, specs] of [
    ["input", session.inputMetadata, graph.inputs, inputs],
    ["output", session.outputMetadata, graph.outputs, outputs],
  ] as const) {
    for (const value of all) {
      const datatype = value.isTensor ? datatypeOf(value.type) : undefined;
      if (!value.isTensor || datatype === undefined) {
        return { failure: nonTensor(side, value.name, "unknown") };
      }
      const rankIsSaid =
        value.shape.length > 0 || declared.find((v) => v.name === value.name)?.shape !== undefined;
      specs.push({
        name: value.name,
        datatype,
        shape: value.shape.map((size) => (typeof size === "number" && size >= 0 ? size : -1)),
        dimensionNames: value.shape.map((size) => (typeof size === "string" ? size : "")),
        anyRank: !rankIsSaid,
      });
    }
  }
  return examineRun(session, { inputs, outputs, batchable: false });
}

async function examineRun(
  session: InferenceSession,
  declared: Signature,
): Promise<Pick<SandboxReport, "signature" | "failure">> {
  const trial = await trialRun(declared, async (feeds) => {
    const results = await session.run(runtimeFeeds(feeds));
    return new Map(
      Object.entries(results).map(([name, tensor]) => [name, trialTensor(tensor as Tensor)]),
    );
  });
  if (trial.error !== undefined) {
    return { failure: runFailure(trial.error) };
  }
  const outputs = declared.outputs.map((spec): TensorSpec => {
    const rank = trial.outputRanks.get(spec.name);
    return spec.anyRank && rank !== undefined
      ? {
          ...spec,
          anyRank: false,
          shape: new Array<number>(rank).fill(-1),
          dimensionNames: new Array<string>(rank).fill(""),
        }
      : spec;
  });
  return { signature: { inputs: declared.inputs, outputs, batchable: trial.batchable } };
}

function runtimeFeeds(feeds: Feeds): Record<string, Tensor> {
  return Object.fromEntries([...feeds].map(([name, tensor]) => [name, runtimeTensor(tensor)]));
}

function runtimeTensor(tensor: TrialTensor): Tensor {
  const { dims, values } = tensor;
  const numbers = (): number[] => Array.from(values, Number);
  const bigints = (): bigint[] => Array.from(values, (value) => BigInt(value));
  switch (tensor.datatype) {
    case "BYTES":
      return new ort.Tensor("string", Array.from(values, String), dims);
    case "BOOL":
      return new ort.Tensor("bool", Uint8Array.from(numbers()), dims);
    case "INT64":
      return new ort.Tensor("int64", BigInt64Array.from(bigints()), dims);
    case "UINT64":
      return new ort.Tensor("uint64", BigUint64Array.from(bigints()), dims);
    case "FP16": {
      // 0x3c00 is one; the trial knows only zeros and ones.
      const halves = Uint16Array.from(numbers(), (value) => (value === 0 ? 0 : 0x3c00));
      return new ort.Tensor("float16", halves, dims);
    }
    case "FP32":
      return new ort.Tensor("float32", Float32Array.from(numbers()), dims);
    case "FP64":
      return new ort.Tensor("float64", Float64Array.from(numbers()), dims);
    case "INT8":
      return new ort.Tensor("int8", Int8Array.from(numbers()), dims);
    case "INT16":
      return new ort.Tensor("int16", Int16Array.from(numbers()), dims);
    case "INT32":
      return new ort.Tensor("int32", Int32Array.from(numbers()), dims);
    case "UINT8":
      return new ort.Tensor("uint8", Uint8Array.from(numbers()), dims);
    case "UINT16":
      return new ort.Tensor("uint16", Uint16Array.from(numbers()), dims);
    default:
      return new ort.Tensor("uint32", Uint32Array.from(numbers()), dims);
  }
}

function trialTensor(tensor: Tensor): TrialTensor {
  const values = tensor.data as unknown as ArrayLike<number | bigint | string>;
  return { datatype: tensor.type, dims: tensor.dims, values };
}
