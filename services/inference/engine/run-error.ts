// onnxruntime's error texts name its own source files, C++ functions and the model's path. What a
// caller can use of them is the operator and the last sentence.

import { dirname, sep } from "node:path";

const TEXT_MAX = 500;

/**
 * One line a caller may see: the operator that failed, where known, and why.
 * @param modelPath what must not be seen; names like "/fc1/Gemm" are the model's own and stay.
 */
export function describeRunError(error: unknown, modelPath: string): string {
  const text = error instanceof Error ? error.message : String(error);
  const operator = /while running (\S+) node/.exec(text)?.[1];
  const status = text.split("Status Message:").at(-1) ?? text;
  const detail = status
    .replace(/^.*\[ONNXRuntimeError\] : \d+ : \w+ : /s, "")
    // "/onnxruntime_src/.../op_kernel.cc:83 virtual OrtValue* onnxruntime::F(int, const T&) "
    .replace(/\S*\.(?:cc|cpp|h|hpp):\d+ (?:[^(]*\([^)]*\) )?/g, "")
    .replaceAll(modelPath, "the model file")
    .replaceAll(dirname(modelPath) + sep, "")
    .replace(/\s+/g, " ")
    .trim();
  const line = operator === undefined ? detail : `${operator}: ${detail}`;
  return line.length > TEXT_MAX ? `${line.slice(0, TEXT_MAX)}...` : line;
}
