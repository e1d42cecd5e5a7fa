import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { encodeModel } from "../../common/testing/onnx-writer.ts";
import type { Datatype } from "../tensor.ts";
import { compact, identity, lookUp, reshape, sumAndDifference } from "../testing/graphs.ts";
import { loadServable, requestOf, tensorOf, valuesOf } from "../testing/test-servable.ts";

const VALUES: Readonly<Record<Datatype, readonly (number | bigint | string)[]>> = {
  BOOL: [0, 1, 1, 0],
  UINT8: [0, 1, 128, 255],
  INT8: [-128, -1, 0, 127],
  UINT16: [0, 1, 40_000, 65_535],
  INT16: [-32_768, -1, 0, 32_767],
  UINT32: [0, 1, 3_000_000_000, 4_294_967_295],
  INT32: [-2_147_483_648, -1, 0, 2_147_483_647],
  UINT64: [0n, 1n, 2n ** 63n, 2n ** 64n - 1n],
  INT64: [-(2n ** 63n), -1n, 0n, 2n ** 63n - 1n],
  // The bits of 1, -2, infinity and a NaN.
  FP16: [0x3c00, 0xc000, 0x7c00, 0x7e01],
  FP32: [1.5, -0, Number.POSITIVE_INFINITY, Number.NaN],
  FP64: [Math.PI, -0, Number.NEGATIVE_INFINITY, Number.NaN],
  BYTES: ["", "a", "é中", "x".repeat(1000)],
};

describe("servable", () => {
  for (const [datatype, values] of Object.entries(VALUES) as [Datatype, typeof VALUES.BOOL][]) {
    it(`carries ${datatype} there and back, in batches of mixed sizes`, async () => {
      const servable = await loadServable(identity(datatype, ["N", 2]));
      const rows = (count: number) =>
        tensorOf("x", datatype, [count, 2], values.slice(0, count * 2));
      const inputs = [rows(1), rows(2), rows(0), rows(1)];
      const results = await Promise.all(
        inputs.map((input) => servable.infer(requestOf(servable, [input]))),
      );
      for (const [index, result] of results.entries()) {
        expect(result.batchRows).toBe(4);
        expect(result.outputs[0]?.shape).toEqual(inputs[index]?.shape);
        expect(valuesOf(result.outputs[0]!)).toEqual(valuesOf(inputs[index]!));
      }
    });
  }

  it("carries a scalar and runs each request alone", async () => {
    const servable = await loadServable(identity("FP32", []), { batched: false });
    const results = await Promise.all(
      [1, 2, 3].map((value) =>
        servable.infer(requestOf(servable, [tensorOf("x", "FP32", [], [value])])),
      ),
    );
    expect(results.map((result) => valuesOf(result.outputs[0]!))).toEqual([[1], [2], [3]]);
    expect(results.map((result) => result.outputs[0]!.shape)).toEqual([[], [], []]);
    expect(servable.statistics().executionCount).toBe(3);
  });

  it("runs a batch that has no rows at all", async () => {
    const servable = await loadServable(identity("INT32", ["N", 3]));
    const empty = tensorOf("x", "INT32", [0, 3], []);
    const results = await Promise.all(
      [empty, empty].map((input) => servable.infer(requestOf(servable, [input]))),
    );
    expect(results.map((result) => result.outputs[0])).toEqual([
      { name: "y", datatype: "INT32", shape: [0, 3], data: new Uint8Array(0) },
      { name: "y", datatype: "INT32", shape: [0, 3], data: new Uint8Array(0) },
    ]);
  });

  it("puts only equal shapes past the first dimension together", async () => {
    const servable = await loadServable(identity("FP32", ["N", "K"]));
    const narrow = tensorOf("x", "FP32", [1, 2], [1, 2]);
    const wide = tensorOf("x", "FP32", [1, 3], [3, 4, 5]);
    const results = await Promise.all(
      [narrow, wide, narrow, wide].map((input) => servable.infer(requestOf(servable, [input]))),
    );
    expect(results.map((result) => valuesOf(result.outputs[0]!))).toEqual([
      [1, 2],
      [3, 4, 5],
      [1, 2],
      [3, 4, 5],
    ]);
    expect(results.map((result) => result.batchRows)).toEqual([2, 2, 2, 2]);
  });

  it("gives each request the outputs it asked for in its order", async () => {
    const servable = await loadServable(sumAndDifference());
    const a = tensorOf("a", "FP32", [1, 2], [5, 7]);
    const b = tensorOf("b", "FP32", [1, 2], [1, 2]);
    const asked = [[1, 0], [0], [1]];
    const results = await Promise.all(
      asked.map((outputs) => servable.infer(requestOf(servable, [a, b], { outputs }))),
    );
    const shown = results.map(({ outputs }) => outputs.map((o) => [o.name, ...valuesOf(o)]));
    expect(shown).toEqual([
      [
        ["difference", 4, 5],
        ["sum", 6, 9],
      ],
      [["sum", 6, 9]],
      [["difference", 4, 5]],
    ]);
    expect(servable.statistics().executionCount).toBe(1);
  });

  it("fails the one request that the model refuses and not its neighbours", async () => {
    const servable = await loadServable(lookUp());
    const results = await Promise.allSettled(
      [0n, 7n, 2n].map((index) =>
        servable.infer(requestOf(servable, [tensorOf("x", "INT64", [1, 1], [index])])),
      ),
    );
    expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const [first, second, third] = results as [
      PromiseFulfilledResult<{ outputs: readonly never[] }>,
      PromiseRejectedResult,
      PromiseFulfilledResult<{ outputs: readonly never[] }>,
    ];
    expect(valuesOf(first.value.outputs[0]!)).toEqual([10]);
    expect(valuesOf(third.value.outputs[0]!)).toEqual([30]);
    expect(second.reason).toMatchObject({
      kind: "Internal",
      reason: ErrorReason.MODEL_RUN_FAILED,
    });
    expect(second.reason.message).toContain("Gather: indices element out of data bounds");
    expect(servable.statistics()).toMatchObject({ inferenceCount: 2, fail: { count: 1 } });
  });

  it("fails a request whose inputs cannot be staged, and goes on", async () => {
    const servable = await loadServable(identity("FP32", ["N", 2]));
    const good = tensorOf("x", "FP32", [1, 2], [1, 2]);
    // More than any memory holds; what a request of that size would look like.
    const broken = { ...good, data: { byteLength: 2 ** 60 } as never };
    const failed = servable.infer({ ...requestOf(servable, [good]), inputs: [broken] });
    await expect(failed).rejects.toThrow("could not be put together");
    const { outputs } = await servable.infer(requestOf(servable, [good]));
    expect(valuesOf(outputs[0]!)).toEqual([1, 2]);
  });

  it("stops batching a model whose outputs turn out not to divide by row", async () => {
    const troubles: string[] = [];
    const servable = await loadServable(compact(), { onTrouble: (text) => troubles.push(text) });
    const inputs = [tensorOf("x", "FP32", [2], [-1, 2]), tensorOf("x", "FP32", [3], [3, -4, 5])];
    const results = await Promise.all(
      inputs.map((input) => servable.infer(requestOf(servable, [input]))),
    );
    expect(results.map((result) => valuesOf(result.outputs[0]!))).toEqual([[2], [3, 5]]);
    expect(servable.batched).toBe(false);
    expect(troubles).toHaveLength(1);
  });

  it("loads a model that refuses the zeros of the warm-up", async () => {
    const servable = await loadServable(reshape(), { batched: false });
    const input = tensorOf("x", "FP32", [4], [1, 2, 3, 4]);
    const { outputs } = await servable.infer(requestOf(servable, [input]));
    expect(outputs[0]).toMatchObject({ shape: [2, 2] });
  });

  it("says why a file cannot be loaded, without its path", async () => {
    const graph = identity("FP32", ["N"]);
    const broken = { ...graph, nodes: [{ op: "NoSuchOp", inputs: ["x"], outputs: ["y"] }] };
    expect(encodeModel(broken).length).toBeGreaterThan(0);
    const error: Error = await loadServable(broken).then(
      () => expect.unreachable(),
      (reason: Error) => reason,
    );
    expect(error.message).toContain("NoSuchOp");
    expect(error.message).not.toContain("/");
  });

  it("splits the work of many callers over instances", async () => {
    const servable = await loadServable(identity("FP32", ["N", 1]), { count: 2, maxBatchRows: 4 });
    const values = Array.from({ length: 500 }, (_, index) => index);
    const results = await Promise.all(
      values.map((value) =>
        servable.infer(requestOf(servable, [tensorOf("x", "FP32", [1, 1], [value])])),
      ),
    );
    expect(results.map((result) => valuesOf(result.outputs[0]!)[0])).toEqual(values);
    expect(results.every((result) => result.batchRows === 4)).toBe(true);
    const { inferenceCount, executionCount, success, batches } = servable.statistics();
    expect({ inferenceCount, executionCount, answered: success.count }).toEqual({
      inferenceCount: 500,
      executionCount: 125,
      answered: 500,
    });
    expect(batches).toMatchObject([{ rows: 4, computeInfer: { count: 125 } }]);
  });
});
