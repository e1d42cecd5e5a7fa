// Our drift measures against those of numpy and scipy on the reference vectors, computed by both in
// the same run.

import { fileURLToPath } from "node:url";
import { type Distribution, numericSample } from "../../services/monitoring/drift/distribution.ts";
import type { DriftMethod } from "../../services/monitoring/drift/drift-method.ts";
import { measureDrift } from "../../services/monitoring/drift/measure-drift.ts";
import { lcg } from "../../services/monitoring/drift/testing.ts";
import type { Case } from "./case.ts";
import { runToEnd } from "./process.ts";
import { preparePython } from "./tools.ts";

const P_VALUES: readonly DriftMethod[] = [
  "kolmogorov_smirnov",
  "chi_square",
  "chi_square_contingency",
];

const A = lcg(1, 2000);
const B = lcg(2, 1500);
const VECTORS: Readonly<Record<string, { baseline: Distribution; current: Distribution }>> = {
  V1: { baseline: numericSample(A), current: numericSample(B) },
  V2: { baseline: numericSample(A), current: numericSample(B.map((x) => x ** 1.5)) },
  V5: { baseline: categories(16, 18, 16, 14, 12, 12), current: categories(16, 16, 16, 16, 16, 8) },
};

type Measures = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** The case. */
export const driftReferenceCase: Case = {
  name: "drift-reference",
  title: "drift measures of the reference vectors: relative difference to scipy",
  contenders: [{ name: "plinth", measure: measureDifference }],
  checks: [
    {
      what: "largest of the distances",
      unit: "relative",
      target: 1e-9,
      bound: "at most",
      value: (round) => round.get("plinth")?.worstDistance,
    },
    {
      what: "largest of the p-values",
      unit: "relative",
      target: 1e-6,
      bound: "at most",
      value: (round) => round.get("plinth")?.worstPValue,
    },
  ],
};

async function measureDifference() {
  const { python } = await preparePython();
  const script = fileURLToPath(new URL("peers/drift_reference.py", import.meta.url));
  const theirs = JSON.parse(await runToEnd({ command: python, args: [script] })) as Measures;
  const worst = { worstDistance: 0, worstPValue: 0 };
  for (const [vector, measures] of Object.entries(theirs)) {
    for (const [name, expected] of Object.entries(measures)) {
      const method = name as DriftMethod;
      const result = measureDrift(VECTORS[vector]!, { method, sizeMin: 1 });
      if (result.outcome !== "measured") {
        throw new Error(`${vector} has no ${method}: ${result.outcome}`);
      }
      const difference = Math.abs(result.value - expected) / Math.abs(expected);
      const kind = P_VALUES.includes(method) ? "worstPValue" : "worstDistance";
      worst[kind] = Math.max(worst[kind], difference);
    }
  }
  return worst;
}

function categories(...counts: readonly number[]): Distribution {
  const named = counts.map((count, i) => [String(i + 1), count] as const);
  return { form: "categories", counts: new Map(named), other: 0 };
}
