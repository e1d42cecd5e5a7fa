// The measures of categories against scipy and Evidently. V5 is the reference vector, whose
// chi-square and Hellinger numbers Evidently asserts too (0.67309 and 0.06812); the other rows were
// made once with scipy 1.17.1: stats.entropy, distance.jensenshannon, stats.chisquare,
// stats.chi2_contingency, stats.norm.sf.

import { describe, expect, it } from "vitest";
import { chiSquareContingency, chiSquareGoodnessOfFit } from "./chi-square.ts";
import { hellingerDistance } from "./hellinger.ts";
import { jensenShannonDistance } from "./jensen-shannon.ts";
import { klDivergence } from "./kl-divergence.ts";
import { populationStabilityIndex } from "./psi.ts";
import { fillZeroShares, sharesOf } from "./shares.ts";
import { expectClose } from "./testing.ts";
import { zTest } from "./z-test.ts";

const MEASURE = 1e-9;
const P_VALUE = 1e-6;

interface CountsVector {
  readonly baseline: readonly number[];
  readonly current: readonly number[];
  readonly expected: readonly number[];
}

/** PSI, KL, JS (ln), JS (log2), Hellinger. */
const DISTANCES: readonly CountsVector[] = [
  {
    baseline: [16, 18, 16, 14, 12, 12],
    current: [16, 16, 16, 16, 16, 8],
    expected: [
      0.037218381577290835, 0.01890967696532045, 0.06804819617703867, 0.08173421330573756,
      0.06812774370983345,
    ],
  },
  {
    baseline: [10, 0, 5],
    current: [0, 7, 5],
    expected: [
      10.945048441500058, 5.7940891155086005, 0.659951959869769, 0.7926830877221153,
      0.7920366176825634,
    ],
  },
  {
    baseline: [10, 5, 0, 0],
    current: [0, 0, 6, 7],
    expected: [17.0905863941393, 8.570409276661305, 0.8325546111576977, 1.0, 1.0],
  },
  { baseline: [9], current: [4], expected: [0, 0, 0, 0, 0] },
  {
    baseline: [100000, 1, 0],
    current: [99990, 0, 11],
    expected: [
      0.001990700433705586, 0.00017697310782128058, 0.0064490049619607874, 0.007746044374186108,
      0.007746008653232838,
    ],
  },
  {
    baseline: [1000000000, 1],
    current: [1, 1000000000],
    expected: [
      41.44653159099976, 20.723265795499877, 0.832554598111547, 0.9999999843299759,
      0.9999683767234141,
    ],
  },
  {
    baseline: [500, 500],
    current: [501, 499],
    expected: [
      4.00000533334608e-6, 2.000004000010658e-6, 0.000707107193705345, 0.0008493222957735906,
      0.0007071072230598463,
    ],
  },
];

/** Goodness of fit: statistic, p; contingency: statistic, freedom, p. */
const CHI_SQUARE: readonly CountsVector[] = [
  {
    baseline: [16, 18, 16, 14, 12, 12],
    current: [16, 16, 16, 16, 16, 8],
    expected: [3.1746031746031744, 0.6730876006966301, 1.6224089635854342, 5, 0.8985262394026607],
  },
  {
    baseline: [32, 36, 32, 28, 24, 24],
    current: [16, 16, 16, 16, 16, 8],
    expected: [3.1746031746031744, 0.6730876006966301, 2.1356643356643357, 5, 0.8300727186738517],
  },
  {
    baseline: [30, 70],
    current: [45, 55],
    expected: [10.714285714285715, 0.001063114917158603, 4.181333333333333, 1, 0.04087153408900628],
  },
  {
    baseline: [300, 700],
    current: [301, 699],
    expected: [0.004761904761904762, 0.9449844010606654, 0.0, 1, 1.0],
  },
  {
    baseline: [1000000000, 2000000000, 3000000000],
    current: [1000040000, 1999970000, 2999990000],
    expected: [2.0833333333333335, 0.35286608145884896, 1.0416523822771406, 2, 0.5940295632133195],
  },
  {
    baseline: [1, 2, 3],
    current: [30, 1, 0],
    expected: [
      143.29032258064512, 7.67187991807278e-32, 24.97040120245115, 2, 3.782215529093268e-6,
    ],
  },
  { baseline: [5, 5], current: [4, 6], expected: [0.4, 0.5270892568655381, 0.0, 1, 1.0] },
  {
    baseline: [400, 300, 300],
    current: [100, 500, 400],
    expected: [
      391.6666666666667, 8.926145476665029e-86, 244.28571428571428, 2, 8.99562077913255e-54,
    ],
  },
  {
    baseline: [50, 50, 50, 50],
    current: [51, 49, 50, 50],
    expected: [0.04, 0.9978976587119763, 0.020002000200020003, 3, 0.9992521329315379],
  },
  {
    baseline: [10, 0, 5],
    current: [0, 7, 5],
    expected: [Infinity, 0.0, 16.875, 2, 0.000216590951376885],
  },
];

/** Baseline hits and size, current hits and size, z, p. */
const Z: readonly (readonly [number, number, number, number, number, number])[] = [
  [30, 100, 45, 100, -2.1908902300206647, 0.02845973691631055],
  [300, 1000, 301, 1000, -0.04877181351841082, 0.9611011449872029],
  [5, 1000, 80, 900, -8.831911729297833, 1.0290163948618636e-18],
  [1, 30, 0, 40, 1.1630378346515293, 0.2448141522372581],
  [500000, 1000000, 500900, 1000000, -1.272792721616959, 0.20309160460956555],
  [9000, 10000, 1000, 10000, 113.13708498984761, 0],
];

describe("categorical vectors", () => {
  it.each(DISTANCES)("distances of $baseline and $current", ({ baseline, current, expected }) => {
    const [p, q] = [sharesOf(Float64Array.from(baseline)), sharesOf(Float64Array.from(current))];
    const [pFilled, qFilled] = [fillZeroShares(p), fillZeroShares(q)];
    const actual = [
      populationStabilityIndex(pFilled, qFilled),
      klDivergence(pFilled, qFilled),
      jensenShannonDistance(p, q, { base: "e" }),
      jensenShannonDistance(p, q, { base: "2" }),
      hellingerDistance(p, q),
    ];
    actual.forEach((value, i) => {
      expectClose(value, expected[i] as number, MEASURE, `measure ${i}`);
    });
  });

  it.each(CHI_SQUARE)("chi-square of $baseline and $current", ({ baseline, current, expected }) => {
    const counts = { baseline: Float64Array.from(baseline), current: Float64Array.from(current) };
    const fit = chiSquareGoodnessOfFit(counts);
    expectClose(fit.statistic, expected[0] as number, MEASURE, "statistic");
    expectClose(fit.pValue, expected[1] as number, P_VALUE, "p");
    expect(fit.degreesOfFreedom).toBe(baseline.length - 1);
    const table = chiSquareContingency(counts);
    expectClose(table.statistic, expected[2] as number, MEASURE, "statistic");
    expect(table.degreesOfFreedom).toBe(expected[3]);
    expectClose(table.pValue, expected[4] as number, P_VALUE, "p");
  });

  it("leaves out what is empty on both sides and takes one category as sure", () => {
    const counts = { baseline: Float64Array.of(3, 0, 5), current: Float64Array.of(4, 0, 4) };
    const dense = { baseline: Float64Array.of(3, 5), current: Float64Array.of(4, 4) };
    expect(chiSquareGoodnessOfFit(counts)).toEqual(chiSquareGoodnessOfFit(dense));
    expect(chiSquareContingency(counts)).toEqual(chiSquareContingency(dense));
    const single = { baseline: Float64Array.of(7), current: Float64Array.of(9) };
    const sure = { statistic: 0, degreesOfFreedom: 0, pValue: 1 };
    expect(chiSquareGoodnessOfFit(single)).toEqual(sure);
    expect(chiSquareContingency(single)).toEqual(sure);
  });

  it.each(Z)("z-test of %d in %d and %d in %d", (hits1, size1, hits2, size2, z, p) => {
    const baseline = { hits: hits1, size: size1 };
    const current = { hits: hits2, size: size2 };
    const result = zTest({ baseline, current });
    expectClose(result.statistic, z, MEASURE, "z");
    expectClose(result.pValue, p, P_VALUE, "p");
    const misses = zTest({
      baseline: { hits: size1 - hits1, size: size1 },
      current: { hits: size2 - hits2, size: size2 },
    });
    expectClose(misses.statistic, -z, MEASURE, "z of the misses");
  });

  it("finds no difference where all or none are hits", () => {
    const sure = { statistic: 0, pValue: 1 };
    const sides = (hits: number) => ({ hits, size: 10 });
    expect(zTest({ baseline: sides(10), current: sides(10) })).toEqual(sure);
    expect(zTest({ baseline: sides(0), current: sides(0) })).toEqual(sure);
  });
});
