import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compileModel } from "./compile-model.ts";
import { encodeValue } from "./input-encoding.ts";
import { integerEvaluator } from "./integer-evaluate.ts";

interface HeldOut {
  readonly inputs: Readonly<Record<string, { shape: number[]; data: number[] }>>;
  readonly outputs: Readonly<Record<string, { data: number[] }>>;
}

function example(folder: string, name: string, input: string) {
  const path = `examples/${folder}/${name}`;
  const heldOut = JSON.parse(readFileSync(`${path}.heldout.json`, "utf8")) as HeldOut;
  const { shape, data } = heldOut.inputs[input]!;
  const labels = heldOut.outputs.label!.data;
  const probabilities = heldOut.outputs.probabilities!.data;
  const calibration = { rows: shape[0]!, inputs: { [input]: data }, labels };
  return { bytes: readFileSync(`${path}.onnx`), calibration, probabilities };
}

describe("the examples", () => {
  it.each([
    ["breast-cancer", "logistic", "features", "sigmoid", 2, 1e-3],
    ["breast-cancer", "forest", "features", "nothing", 2, 1e-7],
    ["digits", "mlp", "pixels", "softmax", 10, 0.05],
    ["digits", "cnn", "images", "softmax", 10, 0.05],
  ])("%s %s agrees on every held-out row", (folder, name, input, after, classes, error) => {
    const { bytes, calibration } = example(folder, name, input);
    const { graph, report } = compileModel(bytes, { calibration });
    expect(report).toMatchObject({ samples: 32, rows: 32, refusedRows: 0, argmaxAgreement: 1 });
    expect(report.metric).toEqual({ name: "accuracy", float: 1, quantized: 1 });
    expect(graph.output.after).toBe(after);
    expect(graph.output.classLabels).toHaveLength(classes);
    for (const output of report.outputs) {
      expect(output.max).toBeLessThan(error);
      expect(output.max).toBeLessThanOrEqual(output.bound);
      expect(output.mean).toBeLessThanOrEqual(output.max);
    }
  });

  it("gives the forest's probabilities", () => {
    const { bytes, calibration, probabilities } = example("breast-cancer", "forest", "features");
    const { graph } = compileModel(bytes, {});
    const evaluate = integerEvaluator(graph);
    const rows = calibration.inputs.features!;
    for (let row = 0; row < calibration.rows; row++) {
      const values = rows.slice(row * 30, (row + 1) * 30);
      const { output } = evaluate(
        values.map((value) => encodeValue(graph.inputs[0]!.encoding, value)),
      );
      const found = output.map((value) => Number(value) / 2 ** graph.output.scaleBits);
      expect(found[0]).toBeCloseTo(probabilities[row * 2]!, 6);
      expect(found[1]).toBeCloseTo(probabilities[row * 2 + 1]!, 6);
    }
  });

  it("proves the label through ArgMax, a lookup of classes, a reshape and casts", () => {
    const { bytes, calibration } = example("digits", "mlp", "pixels");
    const { graph, report } = compileModel(bytes, { calibration, output: "label" });
    expect(graph.output).toMatchObject({ argmax: true, after: "nothing", shape: [] });
    expect(graph.output.values).toHaveLength(10);
    expect(report.metric).toEqual({ name: "accuracy", float: 1, quantized: 1 });
  });

  it("makes the same commitment again, and another for other options", () => {
    const { bytes, calibration } = example("digits", "mlp", "pixels");
    const first = compileModel(bytes, { calibration });
    expect(compileModel(Uint8Array.from(bytes), { calibration }).commitment).toBe(first.commitment);
    expect(first.commitment).toBe(
      "db35ef5e96b8bc90a7936d3cff10622584839f4e2b450bf8635eeeab37c2652f",
    );
    expect(compileModel(bytes, { calibration, weightBits: 13 }).commitment).not.toBe(
      first.commitment,
    );
  });

  it("finds the fewest weight bits for a target", () => {
    const { bytes, calibration } = example("digits", "mlp", "pixels");
    const { report } = compileModel(bytes, {
      calibration,
      weightBits: { agreement: 1, error: 0.1 },
    });
    expect(report.argmaxAgreement).toBe(1);
    expect(Math.max(...report.outputs.map(({ max }) => max))).toBeLessThanOrEqual(0.1);
    const coarser = compileModel(bytes, { calibration, weightBits: report.weightBits - 1 });
    const worst = Math.max(...coarser.report.outputs.map(({ max }) => max));
    expect(coarser.report.argmaxAgreement! < 1 || worst > 0.1).toBe(true);
    const never = { calibration, weightBits: { error: 1e-12 } };
    expect(() => compileModel(bytes, never)).toThrow(/weightBits: 24 bits reach/);
  });
});
