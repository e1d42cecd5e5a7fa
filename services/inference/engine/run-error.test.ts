import { describe, expect, it } from "vitest";
import { describeRunError } from "./run-error.ts";

const MODEL_PATH = "/var/lib/plinth/blobs/ab/cd.onnx";

describe("run-error", () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      "Non-zero status code returned while running Gather node. Name:'' Status Message: indices " +
        "element out of data bounds, idx=9 must be within the inclusive range [-3,2]",
      "Gather: indices element out of data bounds, idx=9 must be within the inclusive range [-3,2]",
    ],
    [
      "Non-zero status code returned while running Identity node. Name:'' Status Message: " +
        "/onnxruntime_src/onnxruntime/core/framework/op_kernel.cc:83 virtual OrtValue* " +
        "onnxruntime::OpKernelContext::OutputMLValue(int, const onnxruntime::TensorShape&) " +
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : The output has shape {3,2}.",
      "Identity: The output has shape {3,2}.",
    ],
    [
      "Non-zero status code returned while running MatMul node. Name:'m' Status Message: " +
        "/onnxruntime_src/onnxruntime/core/providers/cpu/math/matmul_helper.h:142 Status " +
        "onnxruntime::MatMulComputeHelper::Compute(const TensorShape&, const TensorShape&) " +
        "left operand cannot broadcast on dim 0\n",
      "MatMul: left operand cannot broadcast on dim 0",
    ],
    [
      "Load model from /var/lib/plinth/blobs/ab/cd.onnx failed:Protobuf parsing failed.",
      "Load model from the model file failed:Protobuf parsing failed.",
    ],
    [
      "Exception during initialization: /onnxruntime_src/onnxruntime/core/optimizer/x.cc:190 " +
        "onnxruntime::Get(const char*, size_t) Data file /var/lib/plinth/blobs/ab/w.bin of " +
        "/fc1/MatMul is missing",
      "Exception during initialization: Data file w.bin of /fc1/MatMul is missing",
    ],
    [
      "Invalid rank for input: x Got: 1 Expected: 2",
      "Invalid rank for input: x Got: 1 Expected: 2",
    ],
  ];
  for (const [text, clean] of cases) {
    it(`says ${clean}`, () => {
      expect(describeRunError(new Error(text), MODEL_PATH)).toBe(clean);
    });
  }

  it("cuts a text that would fill the answer", () => {
    expect(describeRunError(new Error("x".repeat(10_000)), MODEL_PATH)).toHaveLength(503);
  });
});
