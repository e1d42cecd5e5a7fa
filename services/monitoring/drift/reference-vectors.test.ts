// The measures of numeric columns against numpy and scipy. V1 and V2 are the reference vectors; the
// other rows were made once with numpy 2.4.6 and scipy 1.17.1: np.histogram_bin_edges ("sturges" of
// the concatenation where the baseline has over 20 different values, else a bin a value; "doane" of
// the baseline), np.quantile, stats.entropy, distance.jensenshannon, stats.wasserstein_distance,
// stats.ks_2samp. The JS of the constant baseline over Doane's bins is ours (1: nothing in common).

import { describe, expect, it } from "vitest";
import {
  decileEdges,
  doaneEdges,
  pairInBins,
  pairWithLeftover,
  sturgesEdges,
  sturgesEdgesOfDistinct,
} from "./bins.ts";
import { distinctCount, numericSample } from "./distribution.ts";
import { hellingerDistance } from "./hellinger.ts";
import { jensenShannonDistance } from "./jensen-shannon.ts";
import { klDivergence } from "./kl-divergence.ts";
import { kolmogorovSmirnov } from "./kolmogorov-smirnov.ts";
import { measureDrift } from "./measure-drift.ts";
import { populationStabilityIndex } from "./psi.ts";
import { fillZeroShares, floorShares, sharesOf } from "./shares.ts";
import { expectClose, lcg } from "./testing.ts";
import { pairValues, valueCounts } from "./value-counts.ts";
import { normedWassersteinDistance, wassersteinDistance } from "./wasserstein.ts";

const MEASURE = 1e-9;
const P_VALUE = 1e-6;

interface Vector {
  readonly name: string;
  readonly inputs: readonly [ArrayLike<number>, ArrayLike<number>];
  readonly expected: Readonly<
    Record<
      | "bins"
      | "psi"
      | "kl"
      | "js"
      | "js2"
      | "hellinger"
      | "w1"
      | "normed"
      | "d"
      | "p"
      | "deciles"
      | "doane"
      | "doaneJs",
      number
    >
  >;
}

const A = lcg(1, 2000);
const B = lcg(2, 1500);

const VECTORS: readonly Vector[] = [
  {
    name: "V1: A against B",
    inputs: [A, B],
    expected: {
      bins: 13,
      psi: 0.011975841365878008,
      kl: 0.00598904887762519,
      js: 0.03865843540393816,
      js2: 0.046433513052293575,
      hellinger: 0.0386746140163014,
      w1: 0.009448562241547427,
      normed: 0.03248672355435507,
      d: 0.024166666666666666,
      p: 0.6904701656488692,
      deciles: 0.006091436021954898,
      doane: 13,
      doaneJs: 0.04935717913361622,
    },
  },
  {
    name: "V2: A against B^1.5",
    inputs: [A, B.map((x) => x ** 1.5)],
    expected: {
      bins: 13,
      psi: 0.13754998524714993,
      kl: 0.0660066056771845,
      js: 0.13012631328195287,
      js2: 0.15629763085571943,
      hellinger: 0.13062059864107944,
      w1: 0.0901966793419381,
      normed: 0.3101206842261816,
      d: 0.13916666666666666,
      p: 6.36017359897585e-15,
      deciles: 0.123785431577511,
      doane: 13,
      doaneJs: 0.15767633685613228,
    },
  },
  {
    name: "ties",
    inputs: [
      [1, 1, 2, 2, 2, 3, 5, 5],
      [1, 2, 2, 4, 5, 5, 5],
    ],
    expected: {
      bins: 5,
      psi: 2.1081865725910887,
      kl: 0.9976661092608746,
      js: 0.3393288234888543,
      js2: 0.4075754538396047,
      hellinger: 0.32515604735598985,
      w1: 0.8035714285714286,
      normed: 0.5375841492902727,
      d: 0.32142857142857145,
      p: 0.7356643356643358,
      deciles: 0.18287249473182388,
      doane: 6,
      doaneJs: 0.4075754538396047,
    },
  },
  {
    name: "one against two values",
    inputs: [[0.5], [1.5, 2]],
    expected: {
      bins: 3,
      psi: 17.724909090716938,
      kl: 9.20669558922072,
      js: 0.8325546111576977,
      js2: 1.0,
      hellinger: 1.0,
      w1: 1.25,
      normed: 1250.0,
      d: 1.0,
      p: 0.6666666666666666,
      deciles: 18.41883867587797,
      doane: 1,
      doaneJs: 1.0,
    },
  },
  {
    name: "disjoint",
    inputs: [A.slice(0, 40), B.slice(0, 30).map((x) => x + 2)],
    expected: {
      bins: 8,
      psi: 16.26719969519896,
      kl: 8.150475971458299,
      js: 0.8325546111576977,
      js2: 1.0,
      hellinger: 1.0,
      w1: 1.9387785234798989,
      normed: 6.924049844812796,
      d: 1.0,
      p: 3.6135170070159586e-20,
      deciles: 8.283089355027482,
      doane: 7,
      doaneJs: 0.9999999999999999,
    },
  },
  {
    name: "equal",
    inputs: [A.slice(0, 100), A.slice(0, 100)],
    expected: {
      bins: 9,
      psi: 0.0,
      kl: 0.0,
      js: 0.0,
      js2: 0.0,
      hellinger: 0.0,
      w1: 0.0,
      normed: 0.0,
      d: 0.0,
      p: 1.0,
      deciles: 0.0,
      doane: 8,
      doaneJs: 0.0,
    },
  },
  {
    name: "one value less",
    inputs: [A.slice(0, 300), A.slice(0, 299)],
    expected: {
      bins: 11,
      psi: 0.00011486186777388209,
      kl: 5.772825294173879e-5,
      js: 0.0037890747637635397,
      js2: 0.004551142607323612,
      hellinger: 0.003640316548448566,
      w1: 0.0016694956694116062,
      normed: 0.005923251806699408,
      d: 0.0033110367892976588,
      p: 1.0,
      deciles: 0.00010204480437496028,
      doane: 10,
      doaneJs: 0.0043724241838355125,
    },
  },
  {
    name: "constant baseline",
    inputs: [new Float64Array(50).fill(0.5), B.slice(0, 60)],
    expected: {
      bins: 61,
      psi: 14.294719172834544,
      kl: 9.119012950278712,
      js: 0.8325546111576977,
      js2: 0.9999999999999999,
      hellinger: 0.7827526208063811,
      w1: 0.24009693474508823,
      normed: 240.09693474508822,
      d: 0.5,
      p: 1.0065070831679266e-6,
      deciles: 17.724909090716938,
      doane: 1,
      doaneJs: 1.0,
    },
  },
  {
    name: "large numbers",
    inputs: [A.slice(0, 700).map((x) => x * 1e9), B.slice(0, 900).map((x) => x * 1e9 + 1e8)],
    expected: {
      bins: 12,
      psi: 1.4320970125579233,
      kl: 0.6844786170985042,
      js: 0.26945177711919965,
      js2: 0.3236445675852027,
      hellinger: 0.3225603920625881,
      w1: 98938079.81769362,
      normed: 0.34127793279077695,
      d: 0.12428571428571429,
      p: 9.276141187509347e-6,
      deciles: 0.7742728723559098,
      doane: 12,
      doaneJs: 0.33056072523182967,
    },
  },
  {
    name: "skewed",
    inputs: [A.map((x) => -Math.log(1 - x)), B.map((x) => -1.3 * Math.log(1 - x))],
    expected: {
      bins: 13,
      psi: 0.08658882993370959,
      kl: 0.03920854532634033,
      js: 0.1038455030528175,
      js2: 0.12473116076844079,
      hellinger: 0.10577103349714785,
      w1: 0.3231711697909749,
      normed: 0.3091297889194535,
      d: 0.12566666666666668,
      p: 3.046580106726598e-12,
      deciles: 0.07634450861651101,
      doane: 18,
      doaneJs: 0.14088485099155226,
    },
  },
  {
    name: "whole numbers",
    inputs: [A.map((x) => Math.floor(x * 30)), B.map((x) => Math.floor(x ** 1.2 * 31))],
    expected: {
      bins: 13,
      psi: 0.04236687913212479,
      kl: 0.021212428412013706,
      js: 0.07266598382126893,
      js2: 0.08728074152423972,
      hellinger: 0.053839079898002774,
      w1: 0.8558333333333334,
      normed: 0.09811719310394627,
      d: 0.05,
      p: 0.026719100728279436,
      deciles: 0.04081965377625277,
      doane: 13,
      doaneJs: 0.1365331639964408,
    },
  },
  {
    name: "large samples, kstwo",
    inputs: [lcg(3, 30_000), lcg(4, 20_000)],
    expected: {
      bins: 17,
      psi: 0.001303436729882617,
      kl: 0.0006504232276842619,
      js: 0.012763307474524446,
      js2: 0.015330294617882902,
      hellinger: 0.012763847479070167,
      w1: 0.0012288285897035772,
      normed: 0.0042638569601018686,
      d: 0.006883333333333352,
      p: 0.6178370294727896,
      deciles: 0.0007017793203587292,
      doane: 16,
      doaneJs: 0.01372722586142312,
    },
  },
  {
    name: "large samples, p near 0",
    inputs: [lcg(3, 30_000), lcg(4, 20_000).map((x) => x * 0.95)],
    expected: {
      bins: 17,
      psi: 0.09664608645445158,
      kl: 0.06181600375218135,
      js: 0.10330248463020955,
      js2: 0.1240789291726625,
      hellinger: 0.10640353537789654,
      w1: 0.02535683940508521,
      normed: 0.087984554631528,
      d: 0.05131666666666668,
      p: 6.644689230970824e-28,
      deciles: 0.03157293305682035,
      doane: 16,
      doaneJs: 0.11725990742529412,
    },
  },
  {
    name: "large against tiny",
    inputs: [lcg(3, 30_000), [0.1, 0.2, 0.9]],
    expected: {
      bins: 16,
      psi: 6.6145512041895245,
      kl: 4.937483078702577,
      js: 0.6605839073233603,
      js2: 0.7934421339697993,
      hellinger: 0.7548081304152278,
      w1: 0.164839512890807,
      normed: 0.5719691991450279,
      d: 0.46629999999999994,
      p: 0.416050153630667,
      deciles: 5.673374229620364,
      doane: 16,
      doaneJs: 0.7934421339697993,
    },
  },
];

describe("reference vectors", () => {
  it("makes the inputs as the reference does", () => {
    expect([...A.slice(0, 3)]).toEqual([
      0.23645552527159452, 0.3692706737201661, 0.5042420323006809,
    ]);
    expect([...B.slice(0, 3)]).toEqual([
      0.23684307769872248, 0.4599744388833642, 0.18895030464045703,
    ]);
  });

  it.each(VECTORS)("binned measures: $name", ({ inputs, expected }) => {
    const [baseline, current] = [numericSample(inputs[0]), numericSample(inputs[1])];
    const pair = { baseline, current };
    const values = pairValues(valueCounts(baseline)!, valueCounts(current)!);
    const binned =
      distinctCount(baseline.sorted) > 20 ? pairInBins(pair, sturgesEdges(pair)) : values;
    const [p, q] = [sharesOf(binned.baseline), sharesOf(binned.current)];
    const [pFilled, qFilled] = [fillZeroShares(p), fillZeroShares(q)];
    expect(p.length).toBe(expected.bins);
    expectClose(populationStabilityIndex(pFilled, qFilled), expected.psi, MEASURE, "psi");
    expectClose(klDivergence(pFilled, qFilled), expected.kl, MEASURE, "kl");
    expectClose(jensenShannonDistance(p, q, { base: "e" }), expected.js, MEASURE, "js");
    expectClose(jensenShannonDistance(p, q, { base: "2" }), expected.js2, MEASURE, "js2");
    const hellinger = pairInBins(pair, sturgesEdgesOfDistinct(values.values));
    const distance = hellingerDistance(hellinger.baseline, hellinger.current);
    expectClose(distance, expected.hellinger, MEASURE, "hellinger");
    const deciles = pairInBins(pair, decileEdges(baseline));
    const floored = [deciles.baseline, deciles.current].map((side) => floorShares(sharesOf(side)));
    const decilePsi = populationStabilityIndex(floored[0]!, floored[1]!);
    expectClose(decilePsi, expected.deciles, MEASURE, "decile psi");
    const doane = pairWithLeftover(pair, doaneEdges(baseline));
    expect(doane.baseline.length - 1).toBe(expected.doane);
    const doaneJs = jensenShannonDistance(doane.baseline, doane.current, { base: "2" });
    expectClose(doaneJs, expected.doaneJs, MEASURE, "doane js");
  });

  it.each(VECTORS)("measures of the rows: $name", ({ inputs, expected }) => {
    const [baseline, current] = [numericSample(inputs[0]), numericSample(inputs[1])];
    expectClose(wassersteinDistance(baseline, current), expected.w1, MEASURE, "w1");
    const normed = normedWassersteinDistance({ baseline, current });
    expectClose(normed, expected.normed, MEASURE, "normed w1");
    const { statistic, pValue, pValueLaw } = kolmogorovSmirnov(baseline, current);
    expectClose(statistic, expected.d, MEASURE, "d");
    expectClose(pValue, expected.p, P_VALUE, "p");
    expect(pValueLaw).toBe(inputs[0].length > 10_000 ? "kstwo" : "exact");
  });

  it.each(VECTORS.filter(({ name }) => name !== "equal"))("by name: $name", (vector) => {
    const { inputs, expected } = vector;
    const columns = { baseline: numericSample(inputs[0]), current: numericSample(inputs[1]) };
    const byName = {
      psi: expected.psi,
      psi_deciles: expected.deciles,
      kl_divergence: expected.kl,
      jensen_shannon: expected.js,
      jensen_shannon_base2: expected.doaneJs,
      hellinger: expected.hellinger,
      wasserstein: expected.normed,
    } as const;
    for (const method of Object.keys(byName) as (keyof typeof byName)[]) {
      const result = measureDrift(columns, { method, sizeMin: 1 });
      expect(result).toMatchObject({ outcome: "measured", method });
      if (result.outcome === "measured") expectClose(result.value, byName[method], MEASURE, method);
    }
    const test = measureDrift(columns, { method: "kolmogorov_smirnov", sizeMin: 1 });
    expect(test.outcome === "measured" && test.statistic).toBeCloseTo(expected.d, 12);
  });
});
