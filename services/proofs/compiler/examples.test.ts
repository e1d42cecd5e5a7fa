import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { circuitHash } from "../circuit/circuit-hash.ts";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import { schemaHash } from "../verifier/read-schema.ts";
import { type CompileOptions, compileModel, type InputOptions } from "./compile-model.ts";
import { integerEvaluator } from "./integer-evaluate.ts";
import { encodedRow } from "./testing.ts";

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
      const { output } = evaluate(encodedRow(graph.inputs[0]!.encoding, values));
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

  it("makes the same circuits as ever of inputs with one scale", () => {
    const ofMlp = example("digits", "mlp", "pixels");
    const ofCnn = example("digits", "cnn", "images");
    const ofForest = example("breast-cancer", "forest", "features");
    const ofLogistic = example("breast-cancer", "logistic", "features");
    const said = (range: InputOptions, input: string) => ({ inputs: { [input]: range } });
    const cases: readonly (readonly [Uint8Array, CompileOptions, string, string, string])[] = [
      [
        ofMlp.bytes,
        { calibration: ofMlp.calibration },
        "db35ef5e96b8bc90a7936d3cff10622584839f4e2b450bf8635eeeab37c2652f",
        "5dcef0c49ce55898c5563e4e223301625c12fb8567cf999ca0bf24c82b398cb6",
        "f5591bb7d9e8a725d1999cd3b314554d15092d265bcfadce88e034937ec902d0",
      ],
      [
        ofCnn.bytes,
        { calibration: ofCnn.calibration },
        "7e1e12f22147ff91ab617b14bbd9b1ddfc66b23aa063a068e4e6c1abc8ec9746",
        "3927abe90f1eeccbd5c69c84ea183213ee2b091ec311ecd35b311eb03f1f7f3e",
        "6861acf2de51e8c18b85b404e1bcdb9ecc26259f630005b8b8f2d3611d5db57c",
      ],
      [
        ofForest.bytes,
        { calibration: ofForest.calibration },
        "e8c627207b06af81d2d0a3a3e268688dd51348fbcec9079b96c218c8d0dcad2b",
        "421538d9f6414d19bb7a3a961cefc98f7324d39f40d07eb38834b84facaa991b",
        "34c9faef931ff9cde5f1c128a1e0e760ab18dcf0b74fc5f8f8e6ee7ce0133bd5",
      ],
      [
        ofMlp.bytes,
        said({ scaleBits: 0, lo: 0, hi: 16 }, "pixels"),
        "462da5eeeff26d0e1c9ca6d594bdcbf625878ba83239ea6a7540bf372fa8258e",
        "ea42c52ee1787d5a3e6c970254dd972325abb0aaf05a1933e52cd64ce80b836e",
        "0ca3cb23ca5403ba094b07350347c44e90c9dcd7fdbc029b33ea714879b7a018",
      ],
      [
        ofLogistic.bytes,
        {
          ...said({ scaleBits: 18, lo: 0, hi: 8192 }, "features"),
          calibration: ofLogistic.calibration,
        },
        "890f04b53aec497c4bcbda581211a1aa49a742b002094c96357e28cc3b259296",
        "2d776c4be97fe1d30403a6e38ee837df5cd79b3cdd070dc7d82cbd27ebe93090",
        "d2c512dbf9f895b742a1cceec5d9efb65c1113b002008d66c96deab9668fab7e",
      ],
    ];
    for (const [bytes, options, commitment, circuit, schema] of cases) {
      const { graph, commitment: found } = compileModel(bytes, options);
      const compiled = compileCircuit(graph, { modelCommitment: found });
      expect([found, circuitHash(compiled.system), schemaHash(compiled.schema)]).toEqual([
        commitment,
        circuit,
        schema,
      ]);
    }
  });

  it("gives the columns of a table scales of their own, in half of the constraints", () => {
    const { bytes, calibration } = example("breast-cancer", "logistic", "features");
    const { graph, commitment } = compileModel(bytes, { calibration });
    const { encoding } = graph.inputs[0]!;
    if (encoding.kind !== "fixed-each") throw new Error("another encoding");
    expect(encoding.hi).toEqual(new Array(30).fill(65_535));
    expect([Math.min(...encoding.scaleBits), Math.max(...encoding.scaleBits)]).toEqual([2, 20]);
    const { report } = compileCircuit(graph, { modelCommitment: commitment });
    expect([report.constraints, report.publicSignals]).toEqual([484, 4]);
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
