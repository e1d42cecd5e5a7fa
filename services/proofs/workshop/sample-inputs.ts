// Inputs to try a new circuit with: its corners, anything in between, and for trees what lies close
// to the thresholds. The same on every machine.

import type { IntegerGraph, ValueEncoding } from "../compiler/integer-graph.ts";
import { generator } from "../compiler/sample-rows.ts";
import { encodedRange, NEGATIVE_ZERO_KEY, valueEncoding } from "../verifier/signal-encoding.ts";

const SEED = 20_260_102;

/** Rows of whole numbers, as the encodings give them; the first is anything, the second all least. */
export function sampleInputs(graph: IntegerGraph, rows: number): readonly Float64Array[][] {
  const random = generator(SEED);
  const thresholds = thresholdsOf(graph);
  return Array.from({ length: rows }, (_, row) => {
    let first = 0;
    return graph.inputs.map((input) => {
      const size = input.shape.reduce((total, dimension) => total * dimension, 1);
      const from = first;
      first += size;
      return Float64Array.from({ length: size }, (__, i) =>
        sampleValue(valueEncoding(input.encoding, i), {
          row,
          thresholds: thresholds.get(from + i) ?? [],
          random,
        }),
      );
    });
  });
}

function sampleValue(
  encoding: ValueEncoding,
  by: {
    readonly row: number;
    readonly thresholds: readonly number[];
    readonly random: () => number;
  },
): number {
  const { row, thresholds, random } = by;
  const { lo, hi } = encodedRange(encoding);
  const any = lo + Math.floor((random() / 2 ** 32) * (hi - lo + 1));
  const near = (thresholds[random() % Math.max(1, thresholds.length)] ?? any) + (random() % 3) - 1;
  const value = [any, lo, hi][row] ?? (row % 2 === 0 ? near : any);
  const held = Math.min(hi, Math.max(lo, value));
  return encoding.kind === "ordered-float32" && held === NEGATIVE_ZERO_KEY ? held + 1 : held;
}

/** By number of the value. */
function thresholdsOf(graph: IntegerGraph): ReadonlyMap<number, readonly number[]> {
  const found = new Map<number, number[]>();
  for (const step of graph.steps) {
    if (step.kind !== "trees") continue;
    for (const { nodes } of step.trees) {
      for (const node of nodes) {
        if (node.kind !== "split") continue;
        const feature = step.features[node.feature]!;
        const of = found.get(feature) ?? [];
        of.push(node.threshold);
        found.set(feature, of);
      }
    }
  }
  return found;
}
