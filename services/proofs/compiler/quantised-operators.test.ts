import { describe, expect, it } from "vitest";
import { floats, type Node } from "../../common/testing/onnx-writer.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { checkModel, type SmallModel } from "./testing.ts";

const random = new SeededRandom(5);

describe("QuantizeLinear", () => {
  const quantised = (
    scale: number,
    zero: number,
    extra: readonly Node[],
    last: string,
  ): SmallModel => ({
    shape: [6],
    nodes: [
      { op: "MatMul", inputs: ["x", "w"], outputs: ["m"] },
      { op: "QuantizeLinear", inputs: ["m", "s", "z"], outputs: ["q"] },
      { op: "DequantizeLinear", inputs: ["q", "s", "z"], outputs: [last] },
      ...extra,
    ],
    initializers: [
      floats(
        "w",
        [6, 4],
        Array.from({ length: 24 }, (_, i) => ((i % 7) - 3) / 4),
      ),
      floats("s", [], [scale]),
      { name: "z", datatype: "UINT8", shape: [], data: Uint8Array.of(zero) },
    ],
  });

  it("rounds ties to even where the scale is a power of two", async () => {
    const { circuitError } = await checkModel(quantised(0.5, 100, [], "y"), random, { rows: 60 });
    expect(circuitError).toBe(0);
  });

  it("rounds as onnxruntime does for other scales", async () => {
    const { circuitError } = await checkModel(quantised(0.0371, 17, [], "y"), random, { rows: 60 });
    // A step is 0.0371: no row is off by one; what is left is the last factor, which has 16 bits.
    expect(circuitError).toBeLessThan(1e-3);
  });

  it("goes through two quantised layers", async () => {
    const second: readonly Node[] = [
      { op: "Relu", inputs: ["d"], outputs: ["r"] },
      { op: "QuantizeLinear", inputs: ["r", "s", "z"], outputs: ["q2"] },
      { op: "DequantizeLinear", inputs: ["q2", "s", "z"], outputs: ["y"] },
    ];
    const { circuitError } = await checkModel(quantised(0.25, 128, second, "d"), random, {
      rows: 60,
    });
    expect(circuitError).toBe(0);
  });
});

describe("DequantizeLinear", () => {
  it("folds weights of 8 bits, each column with its own scale and zero point", async () => {
    const { circuitError } = await checkModel(
      {
        shape: [3],
        nodes: [
          {
            op: "DequantizeLinear",
            inputs: ["q", "s", "z"],
            outputs: ["w"],
            attributes: { axis: 1 },
          },
          { op: "MatMul", inputs: ["x", "w"], outputs: ["y"] },
        ],
        initializers: [
          {
            name: "q",
            datatype: "INT8",
            shape: [3, 2],
            data: Uint8Array.from([1, 255, 100, 128, 0, 7]),
          },
          floats("s", [2], [0.02, 0.5]),
          { name: "z", datatype: "INT8", shape: [2], data: Uint8Array.from([0, 3]) },
        ],
      },
      random,
    );
    expect(circuitError).toBeLessThan(0.01);
  });
});
