// The thread that holds one onnxruntime session. onnxruntime-node runs a model synchronously on the
// calling thread, so that the thread which serves requests must not be the one that runs models.

import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { type Datatype, ELEMENT_BYTES, type TensorSpec } from "../tensor.ts";
import { describeRunError } from "./run-error.ts";
import {
  type BatchOutput,
  type RunCommand,
  STAGING_KEPT_BYTES_MAX,
  type StagedInput,
  type WorkerCommand,
  type WorkerReply,
  type WorkerSettings,
} from "./worker-messages.ts";

// onnxruntime-common turns FP16 data into Float16Array where the runtime has one, which the native
// part of onnxruntime-node 1.30 does not know ("not enough space: expected 48, got 0"). Without the
// global it keeps Uint16Array, which works. It looks once, when the first tensor is made.
Reflect.deleteProperty(globalThis, "Float16Array");

/** Nothing on stderr: its texts hold paths, and every error reaches the caller anyway. */
const LOG_FATAL_ONLY = 4;

const ORT_TYPE = {
  BOOL: "bool",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  FP16: "float16",
  FP32: "float32",
  FP64: "float64",
  BYTES: "string",
} as const satisfies Record<Datatype, string>;

const ARRAY = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

const port = parentPort!;
const settings = workerData as WorkerSettings;
const closing = new Int32Array(settings.closing);
const slots: SharedArrayBuffer[] = [];
/** When the last run ended: a batch that came before has waited until then. */
let idleSinceMs = 0;

function send(reply: WorkerReply, transfer: ArrayBuffer[] = []): void {
  port.postMessage(reply, transfer);
}

function toTensor(spec: TensorSpec, input: StagedInput, memory: SharedArrayBuffer): Tensor {
  if (spec.datatype === "BYTES") {
    return new Tensor("string", input.strings ?? [], input.dims);
  }
  // Typed as if not shared: the native part takes shared memory, the declarations do not know it.
  const buffer = memory as unknown as ArrayBuffer;
  const elements = new ARRAY[spec.datatype](buffer, input.byteOffset, input.length);
  return new Tensor(ORT_TYPE[spec.datatype], elements as Float32Array, input.dims);
}

function toOutput(tensor: Tensor, transfer: ArrayBuffer[]): BatchOutput {
  if (tensor.type === "string") {
    return { dims: tensor.dims, data: tensor.data as string[] };
  }
  const elements = tensor.data as Float32Array<ArrayBuffer>;
  // An output can be an input passed through; only memory of its own may be given away.
  const own =
    elements.buffer instanceof ArrayBuffer && elements.byteLength === elements.buffer.byteLength;
  const buffer = own ? elements.buffer : elements.slice().buffer;
  transfer.push(buffer);
  return { dims: tensor.dims, data: new Uint8Array(buffer) };
}

async function run(session: InferenceSession, command: RunCommand): Promise<void> {
  if (command.memory !== undefined) {
    slots[command.slot] = command.memory;
  }
  if (Atomics.load(closing, 0) === 1) {
    return;
  }
  const receivedMs = performance.now();
  const memory = slots[command.slot]!;
  if (memory.byteLength > STAGING_KEPT_BYTES_MAX) {
    delete slots[command.slot];
  }
  try {
    const feeds: Record<string, Tensor> = {};
    for (const [index, spec] of settings.inputs.entries()) {
      feeds[spec.name] = toTensor(spec, command.inputs[index]!, memory);
    }
    const names = command.outputs.map((index) => settings.outputs[index]!.name);
    const preparedMs = performance.now();
    const results = await session.run(feeds, names);
    const ranMs = performance.now();
    const transfer: ArrayBuffer[] = [];
    const outputs = names.map((name) => toOutput(results[name]!, transfer));
    const inferMs = ranMs - Math.max(preparedMs, idleSinceMs);
    idleSinceMs = performance.now();
    send(
      {
        kind: "done",
        outputs,
        inputMs: preparedMs - receivedMs,
        inferMs,
        outputMs: idleSinceMs - ranMs,
      },
      transfer,
    );
  } catch (error) {
    idleSinceMs = performance.now();
    send({ kind: "failed", message: describeRunError(error, settings.modelPath) });
  }
}

/** Runs zeros once, so that the first caller does not pay for lazy initialisation. */
async function warmUp(session: InferenceSession): Promise<void> {
  const feeds: Record<string, Tensor> = {};
  for (const spec of settings.inputs) {
    const dims = spec.shape.map((dimension) => Math.max(dimension, 1));
    const length = dims.reduce((product, dimension) => product * dimension, 1);
    const width = Math.max(ELEMENT_BYTES[spec.datatype], 1);
    feeds[spec.name] = toTensor(
      spec,
      { dims, byteOffset: 0, length, strings: new Array<string>(length).fill("") },
      new SharedArrayBuffer(length * width),
    );
  }
  // A model may refuse zeros, or 1 for an open dimension; that says nothing about real inputs.
  await session.run(feeds).catch(() => undefined);
}

/** Lets the thread end by itself; see Instance for why nobody else may end it. */
async function close(session: InferenceSession | undefined): Promise<void> {
  await session?.release();
  port.close();
}

try {
  const session = await InferenceSession.create(settings.modelPath, {
    intraOpNumThreads: settings.intraOpThreads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    logSeverityLevel: LOG_FATAL_ONLY,
    // Threads that spin while idle would take the cores from the thread that serves.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
  await warmUp(session);
  port.on("message", (command: WorkerCommand) => {
    void (command.kind === "run" ? run(session, command) : close(session));
  });
  send({ kind: "loaded" });
} catch (error) {
  send({ kind: "loadFailed", message: describeRunError(error, settings.modelPath) });
  await close(undefined);
}
