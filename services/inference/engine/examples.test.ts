// The example models answer here as they did in the library that trained them.

import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Datatype, TensorSpec } from "../tensor.ts";
import { loadServableFile, requestOf, tensorOf, valuesOf } from "../testing/test-servable.ts";

interface HeldOutTensor {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}

interface HeldOut {
  readonly tolerance: number;
  readonly absoluteTolerance?: number;
  readonly inputs: Readonly<Record<string, HeldOutTensor>>;
  readonly outputs: Readonly<Record<string, HeldOutTensor>>;
}

const FOLDER = fileURLToPath(new URL("../../../examples/", import.meta.url));

function specsOf(tensors: HeldOut["inputs"]): TensorSpec[] {
  return Object.entries(tensors).map(([name, { datatype, shape }]) => ({
    name,
    datatype,
    shape: [-1, ...shape.slice(1)],
  }));
}

function rowOf({ shape, data }: HeldOutTensor, row: number): readonly (number | string)[] {
  const width = data.length / shape[0]!;
  return data.slice(row * width, (row + 1) * width);
}

describe("examples", () => {
  const files = globSync("*/*.heldout.json", { cwd: FOLDER });
  it("are there", () => {
    expect(files.length).toBeGreaterThanOrEqual(5);
  });
  for (const file of files) {
    it(`${file}: each row by itself, all at once`, async () => {
      const heldOut: HeldOut = JSON.parse(readFileSync(FOLDER + file, "utf8"));
      const servable = await loadServableFile(FOLDER + file.replace(".heldout.json", ".onnx"), {
        inputs: specsOf(heldOut.inputs),
        outputs: specsOf(heldOut.outputs),
      });
      const inputs = Object.entries(heldOut.inputs);
      const rows = Array.from({ length: inputs[0]![1].shape[0]! }, (_, row) => row);
      const results = await Promise.all(
        rows.map((row) => {
          const tensors = inputs.map(([name, input]) => {
            const shape = [1, ...input.shape.slice(1)];
            return tensorOf(name, input.datatype, shape, rowOf(input, row));
          });
          return servable.infer(requestOf(servable, tensors));
        }),
      );
      expect(results[0]?.batchRows).toBe(rows.length);
      for (const [index, expected] of Object.values(heldOut.outputs).entries()) {
        for (const [row, result] of results.entries()) {
          const values = valuesOf(result.outputs[index]!).map(Number);
          for (const [column, wanted] of rowOf(expected, row).map(Number).entries()) {
            const allowed = Math.abs(wanted) * heldOut.tolerance + (heldOut.absoluteTolerance ?? 0);
            expect(Math.abs(values[column]! - wanted)).toBeLessThanOrEqual(allowed);
          }
        }
      }
    });
  }
});
