import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { circuitHash } from "../circuit/circuit-hash.ts";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import {
  activateStep,
  fixedInput,
  forestGraph,
  graphOf,
  linearStep,
  mlpGraph,
} from "../circuit/testing.ts";
import { COLUMNS } from "../verifier/testing/schemas.ts";
import { canonicalBytes, canonicalParts, modelCommitment } from "./canonical.ts";
import { compileModel } from "./compile-model.ts";
import type { IntegerGraph } from "./integer-graph.ts";
import { readCanonical } from "./read-canonical.ts";

function example(folder: string, name: string, output?: string): IntegerGraph {
  const path = `examples/${folder}/${name}`;
  const heldOut = JSON.parse(readFileSync(`${path}.heldout.json`, "utf8")) as {
    readonly inputs: Readonly<
      Record<string, { readonly shape: number[]; readonly data: number[] }>
    >;
  };
  const inputs = Object.entries(heldOut.inputs);
  const calibration = {
    rows: inputs[0]![1].shape[0]!,
    inputs: Object.fromEntries(inputs.map(([input, { data }]) => [input, data])),
  };
  const options = output === undefined ? { calibration } : { calibration, output };
  return compileModel(readFileSync(`${path}.onnx`), options).graph;
}

/** A graph with every kind of step. */
const MIXED = graphOf(
  [fixedInput(4, -100, 127), { name: "k", shape: [2], encoding: { kind: "ordered-float32" } }],
  [
    linearStep(
      [
        [
          [0, 700],
          [1, -250],
        ],
        [[2, 33]],
        [],
      ],
      [1, -2, 3],
    ),
    activateStep(6, 3, 6, { kind: "leaky-relu", slopeBits: 3 }),
    activateStep(6, 3, 4, { kind: "clip", lo: -10, hi: 40 }),
    { kind: "max", name: "m", groupStart: Int32Array.of(0, 2), values: Int32Array.of(9, 12) },
    {
      kind: "trees",
      name: "t",
      features: Int32Array.of(4, 5),
      base: [7],
      trees: [
        {
          nodes: [
            { kind: "split", feature: 1, threshold: 3_000_000_000, ifTrue: 2, ifFalse: 1 },
            { kind: "leaf", scores: [-5] },
            { kind: "leaf", scores: [2 ** 40] },
          ],
        },
        { nodes: [{ kind: "leaf", scores: [1] }] },
      ],
    },
  ],
  2,
);

/** Values with scales and ranges of their own. */
const EACH = graphOf(
  [{ name: COLUMNS.name, shape: COLUMNS.shape, encoding: COLUMNS.encoding }],
  [linearStep([[0, 1, 2, 3, 4].map((i) => [i, i + 1] as const)])],
  1,
);

const hashOf = (graph: IntegerGraph): string =>
  circuitHash(compileCircuit(graph, { modelCommitment: modelCommitment(graph) }).system);

describe("read-canonical", () => {
  const graphs: readonly [string, () => IntegerGraph][] = [
    ["breast-cancer logistic", () => example("breast-cancer", "logistic")],
    ["breast-cancer forest", () => example("breast-cancer", "forest")],
    ["digits mlp", () => example("digits", "mlp")],
    ["digits mlp's label", () => example("digits", "mlp", "label")],
    ["digits cnn", () => example("digits", "cnn")],
    ["flights live", () => example("flights", "live")],
    ["a dense network", () => mlpGraph([100, 50, 10], { seed: 1 })],
    [
      "trees",
      () =>
        forestGraph({
          seed: 3,
          trees: 20,
          depth: 5,
          features: 6,
          classes: 3,
          encoding: { kind: "ordered-float32" },
        }),
    ],
    ["every kind of step", () => MIXED],
    ["values with scales of their own", () => EACH],
  ];
  it.each(graphs)("gives the graph back, and the same circuit: %s", (_, make) => {
    const graph = make();
    const bytes = canonicalBytes(graph);
    const read = readCanonical(bytes);
    const unnamed = (of: IntegerGraph) => of.steps.map((step) => ({ ...step, name: "" }));
    expect({ ...read, steps: unnamed(read) }).toEqual({ ...graph, steps: unnamed(graph) });
    expect(Buffer.from(canonicalBytes(read)).equals(bytes)).toBe(true);
    expect(hashOf(read)).toBe(hashOf(graph));
  });

  it("reads lists that were written in several parts", () => {
    const graph = mlpGraph([300, 300], { seed: 2 });
    expect([...canonicalParts(graph)].length).toBeGreaterThan(12);
    expect(Math.max(...Array.from(canonicalParts(graph), ({ length }) => length))).toBeLessThan(
      400_000,
    );
    expect(readCanonical(canonicalBytes(graph)).steps[0]).toMatchObject({
      rows: { rowStart: expect.toSatisfy((starts: Int32Array) => starts.at(-1) === 90_000) },
    });
  });

  const text = Buffer.from(canonicalBytes(MIXED)).toString();
  const changed: readonly [string, string, string, RegExp][] = [
    ["a space", '"steps":', '"steps": ', /written another way/],
    ["another member", '"compilerVersion":1', '"compilerVersion":1,"x":1', /another way/],
    ["a number another way", "[0,2,3,3]", "[0,2,3,3.0]", /another way/],
    ["minus zero", "[0,2,3,3]", "[-0,2,3,3]", /another way/],
    ["another format", "graph-1", "graph-2", /format .* plinth-integer-graph-1/],
    ["no version", '"compilerVersion":1', '"compilerVersion":"1"', /compilerVersion/],
    ["a fraction", "700", "700.5", /weights .* whole number/],
    ["a weight of 0", "700", "0", /weights .* other than 0/],
    ["an unsafe number", "700", "9007199254740993", /weights .* whole number/],
    ["a value that comes later", '"columns":[0,1,2]', '"columns":[0,6,2]', /from 0 to 5/],
    ["columns out of order", '"columns":[0,1,2]', '"columns":[1,0,2]', /ascending in row 0/],
    ["rows that end early", "[0,2,3,3]", "[0,2,2,2]", /from 0 to 3/],
    ["rows that fall", "[0,2,3,3]", "[0,2,1,3]", /from 2 to 3/],
    ["too few biases", "[1,-2,3]", "[1,-2]", /one a row/],
    ["a negative shift", '"shiftBits":6', '"shiftBits":-6', /shiftBits/],
    ["an odd activation", '["leaky-relu",3]', '["gelu"]', /none, relu, leaky-relu or clip/],
    ["a clip of nothing", '["clip",-10,40]', '["clip",10,-40]', /from 10 to/],
    ["an empty group", '"groupStart":[0,2]', '"groupStart":[0,0,2]', /something in them/],
    ["a feature that is no input", '"features":[4,5]', '"features":[4,6]', /from 0 to 5/],
    ["a split of no feature", "[[1,3000000000,2,1]]", "[[2,3000000000,2,1]]", /from 0 to 1/],
    ["a node below itself", "[[1,3000000000,2,1]]", "[[1,3000000000,0,1]]", /from 1 to 2/],
    ["a node with two parents", "[[1,3000000000,2,1]]", "[[1,3000000000,1,1]]", /one parent/],
    ["a node that nothing reaches", ",[-5],", ",[-5],[6],", /every other below it/],
    ["a leaf of no score", "[-5]", "[]", /one a score/],
    ["an unknown step", '"kind":"max"', '"kind":"min"', /linear, activate, max or trees/],
    [
      "an unknown encoding",
      "ordered-float32",
      "ordered-float64",
      /fixed, fixed-each or ordered-float32/,
    ],
    ["a range upside down", '"lo":-100,"hi":127', '"lo":127,"hi":-100', /hi .* from 127/],
    ["too many values", '"shape":[4]', '"shape":[400000,400000]', /values together/],
    ["an output that is no value", '"outputValues":[', '"outputValues":[99,', /from 0 to/],
    ["an argmax that is no boolean", '"argmax":false', '"argmax":0', /true or false/],
    ["what is no list", '"inputs":[', '"inputs":7,"x":[', /inputs .* a list/],
    ["what is cut off", '"outputValues"', "", /not JSON/],
  ];
  it.each(changed)("refuses %s", (_, from, to, message) => {
    expect(text).toContain(from);
    const bytes = Buffer.from(text.replace(from, to));
    expect(() => readCanonical(bytes)).toThrow(
      expect.objectContaining({
        kind: "InvalidArgument",
        message: expect.stringMatching(message),
      }),
    );
  });

  const eachText = Buffer.from(canonicalBytes(EACH)).toString();
  const changedEach: readonly [string, string, string, RegExp][] = [
    ["no list of scales", "[12,0,-3,4,1]", "12", /scaleBits .* a list of at most 5/],
    ["a scale too few", "[12,0,-3,4,1]", "[12,0,-3,4]", /scaleBits .* one a value/],
    ["a scale too many", "[12,0,-3,4,1]", "[12,0,-3,4,1,1]", /a list of at most 5/],
    ["no scale", '"scaleBits":[12,0,-3,4,1],', "", /scaleBits .* a list/],
    ["a scale without bounds", "[12,0,-3,4,1]", "[12,0,-3,4,9999]", /\[4\].scaleBits/],
    ["a fraction of a whole number", "[0,0,-32768,-100,7]", "[0,0.5,-32768,-100,7]", /\[1\].lo/],
    ["minus zero", "[0,0,-32768,-100,7]", "[-0,0,-32768,-100,7]", /another way/],
    ["a range upside down", "[65535,255,32767,90,9]", "[65535,255,32767,90,6]", /hi .* from 7/],
    ["more values than ranges", '"shape":[5]', '"shape":[6]', /one a value/],
    ["another member", '"kind":"fixed-each"', '"kind":"fixed-each","x":1', /another way/],
  ];
  it.each(changedEach)(
    "refuses, of values with ranges of their own, %s",
    (_, from, to, message) => {
      expect(eachText).toContain(from);
      const bytes = Buffer.from(eachText.replace(from, to));
      expect(() => readCanonical(bytes)).toThrow(
        expect.objectContaining({
          kind: "InvalidArgument",
          message: expect.stringMatching(message),
        }),
      );
    },
  );

  it.each([
    ["of every kind of step", text],
    ["with ranges for each value", eachText],
  ])("gives a clear error or the very graph, whichever byte is changed, %s", (_, whole) => {
    const bytes = Buffer.from(whole);
    let read = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x02, 0x10, 0x80]) {
        const scrambled = Buffer.from(bytes);
        scrambled[at]! ^= flip;
        try {
          expect(Buffer.from(canonicalBytes(readCanonical(scrambled))).equals(scrambled)).toBe(
            true,
          );
          read += 1;
        } catch (error) {
          expect((error as Error).name, `${at} ${flip}: ${error}`).toBe("InvalidArgument");
        }
      }
    }
    expect(read).toBeGreaterThan(50);
    expect(() => readCanonical(bytes.subarray(0, -1))).toThrow("not JSON");
    expect(() => readCanonical(Buffer.from(`${whole} `))).toThrow("more after byte");
    expect(() => readCanonical(Buffer.from(`\ufeff${whole}`))).toThrow("not JSON");
    expect(() => readCanonical(Buffer.from("[".repeat(1_000_000)))).toThrow("not JSON");
  });
});
