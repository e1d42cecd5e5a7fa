// The thread that holds one onnxruntime session. onnxruntime-node runs a model synchronously on the
// calling thread, so that the thread which serves requests must not be the one that runs models.
// JavaScript with types in its comments: to strip types, a thread would hold 12 MB of compiler.

import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";

/** @import { TensorSpec } from "../tensor.ts" */
/** @import { BatchOutput, RunCommand, StagedInput } from "./worker-messages.ts" */
/** @import { WorkerCommand, WorkerReply, WorkerSettings } from "./worker-messages.ts" */

// onnxruntime-common turns FP16 data into Float16Array where the runtime has one, which the native
// part of onnxruntime-node 1.30 does not know ("not enough space: expected 48, got 0"). Without the
// global it keeps Uint16Array, which works. It looks once, when the first tensor is made.
Reflect.deleteProperty(globalThis, "Float16Array");

/** Nothing on stderr: its texts hold paths, and every error reaches the caller anyway. */
const LOG_FATAL_ONLY = 4;

const ORT_TYPE = /** @type {const} */ ({
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
});

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
};

const port = /** @type {NonNullable<typeof parentPort>} */ (parentPort);
const settings = /** @type {WorkerSettings} */ (workerData);
const closing = new Int32Array(settings.closing);
/** @type {(SharedArrayBuffer | undefined)[]} */
const slots = [];
/** When the last run ended: a batch that came before has waited until then. */
let idleSinceMs = 0;

/**
 * @param {WorkerReply} reply
 * @param {ArrayBuffer[]} transfer
 */
function send(reply, transfer = []) {
  port.postMessage(reply, transfer);
}

/**
 * @param {TensorSpec} spec
 * @param {StagedInput} input
 * @param {SharedArrayBuffer} memory
 */
function toTensor(spec, input, memory) {
  if (spec.datatype === "BYTES") {
    return new Tensor("string", [...(input.strings ?? [])], input.dims);
  }
  // Typed as if not shared: the native part takes shared memory, the declarations do not know it.
  const buffer = /** @type {ArrayBuffer} */ (/** @type {unknown} */ (memory));
  const elements = new ARRAY[spec.datatype](buffer, input.byteOffset, input.length);
  return new Tensor(ORT_TYPE[spec.datatype], /** @type {Float32Array} */ (elements), input.dims);
}

/**
 * @param {Tensor} tensor
 * @param {ArrayBuffer[]} transfer
 * @returns {BatchOutput}
 */
function toOutput(tensor, transfer) {
  if (tensor.type === "string") {
    return { dims: tensor.dims, data: /** @type {string[]} */ (tensor.data) };
  }
  const elements = /** @type {Float32Array<ArrayBuffer>} */ (tensor.data);
  // An output can be an input passed through; only memory of its own may be given away.
  const own =
    elements.buffer instanceof ArrayBuffer && elements.byteLength === elements.buffer.byteLength;
  const buffer = own ? elements.buffer : elements.slice().buffer;
  transfer.push(buffer);
  return { dims: tensor.dims, data: new Uint8Array(buffer) };
}

/**
 * @param {InferenceSession} session
 * @param {RunCommand} command
 */
async function run(session, command) {
  if (command.memory !== undefined) {
    slots[command.slot] = command.memory;
  }
  if (Atomics.load(closing, 0) === 1) {
    return;
  }
  const receivedMs = performance.now();
  const memory = known(slots[command.slot]);
  if (memory.byteLength > settings.stagingKeptBytesMax) {
    delete slots[command.slot];
  }
  try {
    /** @type {Record<string, Tensor>} */
    const feeds = {};
    for (const [index, spec] of settings.inputs.entries()) {
      feeds[spec.name] = toTensor(spec, known(command.inputs[index]), memory);
    }
    const names = command.outputs.map((index) => known(settings.outputs[index]).name);
    const preparedMs = performance.now();
    const results = await session.run(feeds, names);
    const ranMs = performance.now();
    /** @type {ArrayBuffer[]} */
    const transfer = [];
    const outputs = names.map((name) => toOutput(known(results[name]), transfer));
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
    send({ kind: "failed", error: textOf(error) });
  }
}

/**
 * Runs zeros once, so that the first caller does not pay for lazy initialisation.
 * @param {InferenceSession} session
 */
async function warmUp(session) {
  /** @type {Record<string, Tensor>} */
  const feeds = {};
  for (const spec of settings.inputs) {
    const dims = spec.shape.map((dimension) => Math.max(dimension, 1));
    const length = dims.reduce((product, dimension) => product * dimension, 1);
    const width = spec.datatype === "BYTES" ? 1 : ARRAY[spec.datatype].BYTES_PER_ELEMENT;
    feeds[spec.name] = toTensor(
      spec,
      { dims, byteOffset: 0, length, strings: new Array(length).fill("") },
      new SharedArrayBuffer(length * width),
    );
  }
  // A model may refuse zeros, or 1 for an open dimension; that says nothing about real inputs.
  await session.run(feeds).catch(() => undefined);
}

/**
 * Lets the thread end by itself; see Instance for why nobody else may end it.
 * @param {InferenceSession | undefined} session
 */
async function close(session) {
  await session?.release();
  port.close();
}

/** @param {unknown} error */
function textOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * What the engine has checked to be there.
 * @template T
 * @param {T | undefined} value
 */
function known(value) {
  return /** @type {T} */ (value);
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
  port.on("message", (/** @type {WorkerCommand} */ command) => {
    void (command.kind === "run" ? run(session, command) : close(session));
  });
  send({ kind: "loaded" });
} catch (error) {
  send({ kind: "loadFailed", error: textOf(error) });
  await close(undefined);
}
