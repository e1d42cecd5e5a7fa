import { describe, expect, it } from "vitest";
import { fp32, int64 } from "../testing/test-models.ts";
import { bestClasses } from "./classification.ts";

describe("bestClasses", () => {
  it("names the best of each row with score, index and label", () => {
    const scores = {
      name: "p",
      datatype: "FP32",
      shape: [2, 3],
      data: fp32(0.25, 0.5, 0.25, 0, 1, Number.NaN),
    } as const;
    const labels = ["a", "b", "c"];
    expect(bestClasses(scores, 2, { batched: true, labels })).toEqual({
      name: "p",
      datatype: "BYTES",
      shape: [2, 2],
      data: ["0.500000:1:b", "0.250000:0:a", "1.000000:1:b", "0.000000:0:a"],
    });
    expect(bestClasses(scores, 9, { batched: true, labels }).data[5]).toBe("nan:2:c");
  });

  it("names no labels where there are not as many as classes, and takes integers", () => {
    const votes = { name: "v", datatype: "INT64", shape: [3], data: int64(5, 7, -1) } as const;
    expect(bestClasses(votes, 2, { batched: false, labels: ["a"] })).toEqual({
      name: "v",
      datatype: "BYTES",
      shape: [2],
      data: ["7:1", "5:0"],
    });
  });
});
