import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Cancelled, Unavailable } from "../common/errors/domain-error.ts";
import {
  ELEMENT_TYPE,
  type ElementType,
  encodeModel,
  type Graph,
  integers,
  ODD_ELEMENT_TYPE,
} from "../common/testing/onnx-writer.ts";
import { useFolder } from "../common/testing/use-folder.ts";
import { runSandbox, type SandboxLimits } from "./sandbox.ts";
import { parseSandboxReport } from "./sandbox-report.ts";
import { linearModel, singleNode } from "./test-models.ts";

const LIMITS: SandboxLimits = { timeoutMs: 20_000, memoryBytes: 2 ** 31 };

async function examine(bytes: Uint8Array, limits = LIMITS, signal = new AbortController().signal) {
  const path = join(useFolder(), "blob");
  writeFileSync(path, bytes);
  return runSandbox(path, limits, signal);
}

const typed = (datatype: ElementType) => ({
  inputs: [{ name: "x", datatype, shape: ["N", 4] }],
  outputs: [{ name: "y", datatype, shape: ["N", 4] }],
});

/** Runs its body 2^52 times. */
const endless: Graph = {
  nodes: [
    {
      op: "Loop",
      inputs: ["trips", "go", "x"],
      outputs: ["y"],
      attributes: {
        body: {
          nodes: [
            { op: "Identity", inputs: ["go_in"], outputs: ["go_out"] },
            { op: "Identity", inputs: ["x_in"], outputs: ["x_out"] },
          ],
          inputs: [
            { name: "i", datatype: "INT64", shape: [] },
            { name: "go_in", datatype: "BOOL", shape: [] },
            { name: "x_in", shape: ["N", 4] },
          ],
          outputs: [
            { name: "go_out", datatype: "BOOL", shape: [] },
            { name: "x_out", shape: ["N", 4] },
          ],
        },
      },
    },
  ],
  inputs: [{ name: "x", shape: ["N", 4] }],
  outputs: [{ name: "y", shape: ["N", 4] }],
  initializers: [
    integers("trips", [], [2 ** 52]),
    { name: "go", datatype: "BOOL", shape: [], data: Uint8Array.of(1) },
  ],
};

const reshape = (shape: readonly (number | string)[]) =>
  singleNode("Reshape", {
    inputs: [{ name: "x", shape }],
    outputs: [{ name: "y" }],
    initializers: [integers("s", [2], [-1, 3])],
  });

describe("sandbox", () => {
  it.each([
    ["breast-cancer/logistic", ["features"], ["label", "probabilities"], true],
    ["breast-cancer/forest", ["features"], ["label", "probabilities"], true],
    ["digits/cnn", ["images"], ["label", "probabilities"], true],
    [
      "flights/delay",
      ["hour", "day_of_week", "distance", "origin", "destination"],
      ["delay_minutes"],
      true,
    ],
  ])("takes the example %s", async (name, inputs, outputs, batchable) => {
    const path = fileURLToPath(new URL(`../../examples/${name}.onnx`, import.meta.url));
    const report = await runSandbox(path, LIMITS, new AbortController().signal);
    expect(report.failure).toBeUndefined();
    expect(report.signature?.inputs.map((input) => input.name)).toEqual(inputs);
    expect(report.signature?.outputs.map((output) => output.name)).toEqual(outputs);
    expect(report.signature?.batchable).toBe(batchable);
  });

  it.each(Object.entries(ELEMENT_TYPE))("carries %s", async (datatype, type) => {
    const { signature, failure } = await examine(singleNode("Identity", typed(type)));
    expect(failure).toBeUndefined();
    expect(signature?.inputs[0]).toEqual({
      name: "x",
      datatype,
      shape: [-1, 4],
      dimensionNames: ["N", ""],
      anyRank: false,
    });
    expect(signature?.batchable).toBe(true);
  });

  it.each([
    ["CORRUPT", Uint8Array.of(1, 2, 3), "not a whole ONNX file"],
    ["CORRUPT", linearModel().subarray(0, 100), "bytes"],
    [
      "UNSUPPORTED_OPERATOR",
      singleNode("Frobnicate"),
      "ai.onnx.Frobnicate does not exist in opset 17",
    ],
    ["UNSUPPORTED_OPERATOR", singleNode("Gelu"), "ai.onnx.Gelu does not exist in opset 17"],
    [
      "UNSUPPORTED_OPERATOR",
      singleNode("Frob", { domain: "com.acme", opsets: { "": 17, "com.acme": 1 } }),
      "com.acme.Frob is not part of onnxruntime",
    ],
    ["UNSUPPORTED_OPSET", singleNode("Identity", { opsets: { "": 99 } }), "target_opset=26"],
    [
      "UNSUPPORTED_OPSET",
      singleNode("Identity", { opsets: { "": 17, "ai.onnx.ml": 99 } }),
      "ai.onnx.ml opset 99; this server supports up to 5",
    ],
    ["UNSUPPORTED_IR_VERSION", singleNode("Identity", { irVersion: 99 }), "supports up to 13"],
    ["UNSUPPORTED_DATATYPE", singleNode("Identity", typed(ODD_ELEMENT_TYPE.BFLOAT16)), "bfloat16"],
    [
      "UNSUPPORTED_DATATYPE",
      singleNode("Identity", typed(ODD_ELEMENT_TYPE.COMPLEX64)),
      "complex64",
    ],
    ["UNSUPPORTED_DATATYPE", singleNode("Identity", typed(ODD_ELEMENT_TYPE.INT4)), "int4"],
    [
      "NON_TENSOR_IO",
      singleNode("SequenceConstruct", { outputs: [{ name: "scores", kind: "sequence" }] }),
      'The output "scores" is a sequence, not a tensor; calls carry tensors only. A scikit-learn',
    ],
    [
      "EXTERNAL_DATA",
      singleNode("Add", {
        initializers: [{ name: "w", datatype: "FP32", shape: [4], external: "model.onnx.data" }],
      }),
      '"model.onnx.data"',
    ],
    ["LOAD_FAILED", singleNode("Not"), "Type 'tensor(float)' of input parameter (x)"],
    ["RUN_FAILED", reshape(["N", 4]), "does not run"],
  ])("says %s", async (reason, bytes, text) => {
    const { failure, signature } = await examine(bytes);
    expect(failure).toMatchObject({ reason, message: expect.stringContaining(text) });
    expect(failure?.message).not.toMatch(/onnxruntime_src|plinth-test/);
    expect(signature).toBeUndefined();
  });

  it("does not blame a model for a width that it had to invent", async () => {
    const { failure, signature } = await examine(reshape(["N", "width"]));
    expect(failure).toBeUndefined();
    expect(signature?.batchable).toBe(false);
  });

  it.each([
    ["rows that influence each other", singleNode("Softmax", { attributes: { axis: 0 } })],
    [
      "a fixed number of rows",
      singleNode("Identity", { inputs: [{ name: "x", shape: [2, 4] }], outputs: [{ name: "y" }] }),
    ],
    [
      "one answer for all rows",
      singleNode("ReduceSum", {
        outputs: [{ name: "y" }],
        attributes: { keepdims: 0 },
      }),
    ],
  ])("finds that %s cannot be batched", async (_what, bytes) => {
    const { failure, signature } = await examine(bytes);
    expect(failure).toBeUndefined();
    expect(signature?.batchable).toBe(false);
  });

  it("says that a rank is open", async () => {
    const { signature } = await examine(
      singleNode("Identity", { inputs: [{ name: "x" }], outputs: [{ name: "y" }] }),
    );
    expect(signature?.inputs[0]).toMatchObject({ anyRank: true, shape: [] });
  });

  it("stops a model that does not end", async () => {
    const report = await examine(encodeModel(endless), { ...LIMITS, timeoutMs: 1500 });
    expect(report.failure?.reason).toBe("TIMEOUT");
  });

  it("stops a model that wants more memory than allowed", async () => {
    const graph: Graph = {
      nodes: [{ op: "ConstantOfShape", inputs: ["s"], outputs: ["y"] }],
      inputs: [],
      outputs: [{ name: "y" }],
      initializers: [integers("s", [2], [100_000, 100_000])],
    };
    const report = await examine(encodeModel(graph));
    expect(report.failure?.reason).toBe("MEMORY_LIMIT");
  });

  it.runIf(process.platform === "linux")("outlives a crash of the child", async () => {
    const examined = examine(encodeModel(endless));
    await signalSandbox("SIGSEGV");
    expect((await examined).failure).toMatchObject({
      reason: "CRASHED",
      message: expect.stringContaining("SIGSEGV"),
    });
  });

  it("is stopped by its signal and leaves no process", async () => {
    const stop = new AbortController();
    const examined = examine(encodeModel(endless), LIMITS, stop.signal);
    const ended = expect(examined).rejects.toThrow(Cancelled);
    const pid = await signalSandbox(0);
    stop.abort();
    await ended;
    expect(() => process.kill(pid, 0)).toThrow();
  });

  it("does not blame the file when it cannot start", async () => {
    const tooLittle = { ...LIMITS, memoryBytes: 1024 * 1024 };
    await expect(examine(linearModel(), tooLittle)).rejects.toThrow(Unavailable);
  });

  it("hands no environment on", async () => {
    process.env.PLINTH_TEST_SECRET = "s";
    const examined = examine(encodeModel(endless), { ...LIMITS, timeoutMs: 5000 });
    const pid = await signalSandbox(0);
    expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain("PLINTH_TEST_SECRET");
    delete process.env.PLINTH_TEST_SECRET;
    await examined;
  });
});

describe("sandbox-report", () => {
  const failure = { reason: "CORRUPT", message: "m" };
  const signature = { inputs: [], outputs: [], batchable: true };

  it.each([
    ["", "no JSON"],
    ["[]", "no object"],
    [JSON.stringify({}), "neither verdict"],
    [JSON.stringify({ failure, signature }), "both verdicts"],
    [JSON.stringify({ failure: { reason: "OTHER", message: "m" } }), "an unknown reason"],
    [JSON.stringify({ signature: { ...signature, inputs: [{ name: "x" }] } }), "half a tensor"],
  ])("does not take %j (%s)", (text) => {
    expect(parseSandboxReport(text)).toBeUndefined();
  });

  it("takes a verdict and leaves out what it does not know", () => {
    const text = JSON.stringify({ failure, graph: { irVersion: "8" }, more: 1 });
    expect(parseSandboxReport(text)).toEqual({ failure });
  });
});

/**
 * Waits until this process has a sandbox that has been busy in its model for a while, and signals
 * it.
 */
async function signalSandbox(signal: NodeJS.Signals | 0): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    for (const pid of childrenOf(process.pid)) {
      const isSandbox = readQuietly(`/proc/${pid}/cmdline`).includes("sandbox-main");
      if (isSandbox && cpuTicks(pid) >= BUSY_TICKS) {
        process.kill(pid, signal);
        return pid;
      }
    }
    await sleep(10);
  }
  throw new Error("no sandbox was started");
}

/** Loading Node and onnxruntime costs a fifth of this; an endless model costs all there is. */
const BUSY_TICKS = 50;

function cpuTicks(pid: number): number {
  // The 14th field; the second, the name, may hold spaces but ends with a parenthesis.
  return Number(readQuietly(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ")[11] ?? 0);
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readQuietly(`/proc/${pid}/task/${task}/children`).split(" "))
    .map(Number)
    .filter((child) => child > 0);
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
