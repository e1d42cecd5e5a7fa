import { describe, expect, it } from "vitest";
import { shortestNumber } from "./numbers.ts";

describe("numbers", () => {
  it("shows a narrow float with the fewest digits that mean the same value", () => {
    expect(shortestNumber(Math.fround(0.1), "FP32")).toBe(0.1);
    expect(shortestNumber(6.7218122482299805, "FP32")).toBe(6.7218122);
    expect(shortestNumber(Math.f16round(0.1), "FP16")).toBe(0.1);
    expect(shortestNumber(0.1 + 0.2, "FP64")).toBe(0.1 + 0.2);
    expect(shortestNumber(3, "FP32")).toBe(3);
    expect(shortestNumber(Number.NaN, "FP32")).toBeNaN();
  });

  it("loses no value of its type", () => {
    const bits = new Uint32Array(1);
    const float = new Float32Array(bits.buffer);
    for (let i = 0; i < 20_000; i++) {
      bits[0] = (i * 2_654_435_761) >>> 0;
      const value = float[0]!;
      if (Number.isFinite(value)) {
        expect(Math.fround(shortestNumber(value, "FP32"))).toBe(value);
      }
    }
  });
});
