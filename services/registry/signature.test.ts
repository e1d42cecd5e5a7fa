import { describe, expect, it } from "vitest";
import { type Signature, signatureDifference, type TensorSpec } from "./signature.ts";

const spec = (name: string, datatype: string, shape?: readonly number[]): TensorSpec => ({
  name,
  datatype,
  shape: shape ?? [],
  dimensionNames: (shape ?? []).map(() => ""),
  anyRank: shape === undefined,
});

const signature = (...inputs: readonly TensorSpec[]): Signature => ({
  inputs,
  outputs: [spec("y", "FP32", [-1])],
  batchable: true,
});

const base = signature(spec("x", "FP32", [-1, 4]));

describe("signature", () => {
  it.each([
    [base, undefined],
    [signature(spec("x", "FP32", [8, 4])), undefined],
    [signature(spec("x", "FP32")), undefined],
    [
      signature(spec("x", "FP64", [-1, 4])),
      'input "x" is FP32 in the first and FP64 in the second',
    ],
    [
      signature(spec("x", "FP32", [-1, 5])),
      'input "x" has shape [-1, 4] in the first and [-1, 5] in the second',
    ],
    [
      signature(spec("x", "FP32", [-1])),
      'input "x" has shape [-1, 4] in the first and [-1] in the second',
    ],
    [signature(spec("z", "FP32", [-1, 4])), 'input "x" is missing in the second; it has "z"'],
    [
      signature(spec("x", "FP32", [-1, 4]), spec("z", "FP32", [])),
      'input "z" is missing in the first; it has "x"',
    ],
    [{ ...base, outputs: [] }, 'output "y" is missing in the second; it has none'],
  ])("compares %#", (other, difference) => {
    expect(signatureDifference(base, other)).toBe(difference);
  });
});
