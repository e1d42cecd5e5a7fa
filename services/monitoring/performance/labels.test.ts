import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { DEFAULT_SETTINGS } from "../monitors/monitor-settings.ts";
import {
  batchOf,
  countsOf,
  DEPLOYMENT,
  entityLabel,
  HOUR_US,
  labelOf,
  measuredTarget,
  START_US,
  usePredictions,
} from "./testing.ts";

const TWO = [
  { id: "a", rows: [0.9] },
  { id: "b", rows: [0.2] },
];

describe("labels by inference id", () => {
  it("join predictions that are there, twice as once, and replace one another", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await predictions.keep(batchOf({ inferences: TWO }));
    expect(await countsOf(used)).toEqual([2, 0, undefined]);
    const right = [labelOf("a", "yes"), labelOf("b", "no")];
    expect(await predictions.recordLabels(DEPLOYMENT, right)).toEqual(["joined", "joined"]);
    expect(await countsOf(used)).toEqual([2, 2, 1]);
    expect(await predictions.recordLabels(DEPLOYMENT, right)).toEqual(["joined", "joined"]);
    expect(await countsOf(used)).toEqual([2, 2, 1]);
    const wrong = [labelOf("a", "no")];
    expect(await predictions.recordLabels(DEPLOYMENT, wrong)).toEqual(["replaced"]);
    expect(await countsOf(used)).toEqual([2, 2, 0.5]);
    expect(
      await predictions.labelCounts("du/v1", [{ startUs: START_US, endUs: START_US + 1 }]),
    ).toEqual([2]);
  });

  it("wait for predictions that come later, and are put on them once", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    const early = [labelOf("a", "no"), labelOf("a", "yes"), labelOf("b", "no")];
    expect(await predictions.recordLabels(DEPLOYMENT, early)).toEqual([
      "waiting",
      "waiting",
      "waiting",
    ]);
    await predictions.keep(batchOf({ inferences: TWO }));
    expect(await countsOf(used)).toEqual([2, 2, 1]);
    await predictions.keep(batchOf({ inferences: TWO }));
    expect(await countsOf(used)).toEqual([2, 2, 1]);
    expect(await predictions.takeChanged(10)).toHaveLength(1);
  });

  it("never come: the prediction stays without", async () => {
    const used = await usePredictions();
    await used.predictions.keep(batchOf({ inferences: TWO }));
    await used.predictions.recordLabels(DEPLOYMENT, [labelOf("c", "yes")]);
    expect(await countsOf(used)).toEqual([2, 0, undefined]);
    const { overall } = await used.predictions.performanceOf(measuredTarget(), {});
    expect(overall?.classification).toBeUndefined();
    expect(overall?.estimated?.accuracy?.value).toBeCloseTo(0.85, 6);
    expect(overall?.estimated?.confirmed).toBeUndefined();
  });

  it("belong to a row of an inference", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await predictions.keep(
      batchOf({
        inferences: [
          { id: "x", rows: [0.1] },
          { id: "a", rows: [0.9, 0.1, 0.8] },
        ],
      }),
    );
    const labels = [0, 1, 2, 3].map((row) => labelOf("a", row === 1 ? "no" : "yes", row));
    expect(await predictions.recordLabels(DEPLOYMENT, labels)).toEqual([
      "joined",
      "joined",
      "joined",
      "no-row",
    ]);
    expect(await countsOf(used)).toEqual([4, 3, 1]);
  });

  it("belong to the live version and to its shadow, whichever is captured first", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await predictions.keep(batchOf({ inferences: TWO, version: 1 }));
    const labels = [labelOf("a", "yes"), labelOf("b", "no")];
    expect(await predictions.recordLabels(DEPLOYMENT, labels)).toEqual(["joined", "joined"]);
    const other = [
      { id: "a", rows: [0.3] },
      { id: "b", rows: [0.4] },
    ];
    await predictions.keep(batchOf({ inferences: other, version: 2, shadow: true }));
    expect(await countsOf(used, 1)).toEqual([2, 2, 1]);
    expect(await countsOf(used, 2)).toEqual([2, 2, 0.5]);
    expect(await predictions.recordLabels(DEPLOYMENT, [labelOf("b", "yes")])).toEqual(["replaced"]);
    expect(await countsOf(used, 1)).toEqual([2, 2, 0.5]);
    expect(await countsOf(used, 2)).toEqual([2, 2, 0]);
  });

  it("are remembered for an hour once joined, and for the retention while they wait", async () => {
    const used = await usePredictions();
    const { predictions, clock } = used;
    await predictions.keep(batchOf({ inferences: TWO, version: 1 }));
    await predictions.recordLabels(DEPLOYMENT, [labelOf("a", "yes"), labelOf("late", "yes")]);
    clock.advance(2 * 3_600_000);
    const late = [{ id: "late", rows: [0.7] }, TWO[0]!];
    await predictions.keep(batchOf({ inferences: late, version: 2, shadow: true }));
    expect(await countsOf(used, 2)).toEqual([2, 1, 1]);
    clock.advance(35 * 86_400_000);
    await predictions.recordLabels(DEPLOYMENT, [labelOf("a", "yes")]);
    expect(await countsOf(used, 1)).toEqual([0, 0, undefined]);
  });

  it("that are no class count as wrong; numbers are classes by their text", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await predictions.keep(batchOf({ inferences: TWO }));
    await predictions.recordLabels(DEPLOYMENT, [labelOf("a", "maybe"), labelOf("b", 7)]);
    const { overall } = await predictions.performanceOf(measuredTarget(), {});
    expect(overall?.classification).toMatchObject({ accuracy: 0, unknownLabels: 2n });
    expect(await predictions.recordLabels(DEPLOYMENT, [labelOf("a", "yes")])).toEqual(["replaced"]);
    expect((await countsOf(used))[2]).toBe(0.5);
  });

  it("of numbers are compared with the predicted number", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    const inferences = [
      { id: "a", rows: [1] },
      { id: "b", rows: [3] },
    ];
    await predictions.keep(batchOf({ inferences, numbers: true }));
    const labels = [labelOf("a", 2), labelOf("b", "3.5")];
    expect(await predictions.recordLabels(DEPLOYMENT, labels)).toEqual(["joined", "joined"]);
    const { overall } = await predictions.performanceOf(measuredTarget(1, []), {});
    expect(overall?.regression).toMatchObject({ mae: 0.75, meanError: -0.75 });
    expect(await predictions.recordLabels(DEPLOYMENT, [labelOf("a", 0)])).toEqual(["replaced"]);
  });
});

describe("labels by entity", () => {
  const keys = { user: "u1" };
  const at = (minutes: number) => START_US + minutes * 60_000_000;
  const visits = (minutes: readonly number[], sequence = 1) =>
    batchOf({
      sequence,
      inferences: minutes.map((minute) => ({ eventUs: at(minute), rows: [0.9] })),
      keys: { user: minutes.map(() => "u1") },
    });

  it("belong to the newest prediction at or before their time", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await predictions.keep(visits([10, 20, 30]));
    const labels = [entityLabel(keys, at(25), "no"), entityLabel(keys, at(30), "yes")];
    expect(await predictions.recordLabels(DEPLOYMENT, labels)).toEqual(["joined", "joined"]);
    expect(await countsOf(used)).toEqual([3, 2, 0.5]);
    const later = [entityLabel(keys, at(29), "yes")];
    expect(await predictions.recordLabels(DEPLOYMENT, later)).toEqual(["replaced"]);
    const others = [entityLabel({ user: "u2" }, at(29), "yes"), entityLabel(keys, at(5), "yes")];
    expect(await predictions.recordLabels(DEPLOYMENT, others)).toEqual(["waiting", "waiting"]);
    expect(await countsOf(used)).toEqual([3, 2, 1]);
  });

  it("are not joined to predictions older than the retention", async () => {
    const settings = {
      ...DEFAULT_SETTINGS,
      retention: { ...DEFAULT_SETTINGS.retention, predictionsMs: 3_600_000 },
    };
    const { predictions } = await usePredictions({ settings });
    await predictions.keep(visits([0]));
    const labels = [entityLabel(keys, at(59), "yes"), entityLabel(keys, at(60), "yes")];
    expect(await predictions.recordLabels(DEPLOYMENT, labels)).toEqual(["joined", "waiting"]);
  });

  it("wait, and go to the newest prediction that is known when one comes", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await predictions.recordLabels(DEPLOYMENT, [entityLabel(keys, at(25), "yes")]);
    await predictions.keep(visits([40], 1));
    expect(await countsOf(used)).toEqual([1, 0, undefined]);
    await predictions.keep(visits([10, 20, 30], 2));
    expect(await countsOf(used)).toEqual([4, 1, 1]);
  });

  it("go on a newer prediction, too, that comes within the hour", async () => {
    const used = await usePredictions();
    const { predictions, clock } = used;
    await predictions.keep(visits([10], 1));
    await predictions.recordLabels(DEPLOYMENT, [entityLabel(keys, at(25), "yes")]);
    await predictions.keep(visits([20], 2));
    expect(await countsOf(used)).toEqual([2, 2, 1]);
    clock.advance(3_700_000);
    await predictions.keep(visits([22], 3));
    expect(await countsOf(used)).toEqual([3, 2, 1]);
  });

  it("of several that wait for one row the one with the latest time stays", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    const labels = [entityLabel(keys, at(30), "yes"), entityLabel(keys, at(20), "no")];
    await predictions.recordLabels(DEPLOYMENT, labels);
    await predictions.keep(visits([10]));
    expect(await countsOf(used)).toEqual([1, 1, 1]);
  });

  it("belong to every row of that time: of the shadow, and twice in one request", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    for (const version of [1, 2]) {
      const inferences = [{ eventUs: at(1), rows: Array.from({ length: 20 }, () => 0.9) }];
      const users = { user: inferences[0]!.rows.map(() => "u1") };
      await predictions.keep(batchOf({ inferences, version, keys: users }));
    }
    await predictions.recordLabels(DEPLOYMENT, [entityLabel(keys, at(2), "yes")]);
    expect(await countsOf(used, 1)).toEqual([20, 20, 1]);
    expect(await countsOf(used, 2)).toEqual([20, 20, 1]);
  });

  it("need all join keys of the prediction, in any order", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await predictions.keep(
      batchOf({ inferences: [{ rows: [0.9] }], keys: { user: ["u"], item: ["i"] } }),
    );
    const labels = [
      entityLabel({ user: "u" }, at(1), "yes"),
      entityLabel({ item: "i", user: "u" }, at(1), "yes"),
    ];
    expect(await predictions.recordLabels(DEPLOYMENT, labels)).toEqual(["waiting", "joined"]);
  });
});

describe("labels and predictions at once", () => {
  it("always meet, in whatever order their steps fall", async () => {
    const random = new SeededRandom(11);
    for (let round = 0; round < 12; round++) {
      const used = await usePredictions();
      const { predictions } = used;
      const ids = Array.from({ length: 30 }, (_, at) => `i${at}`);
      const batches = [1, 2, 3].map((sequence) => {
        const own = ids.filter((_, at) => at % 3 === sequence - 1);
        const inferences = own.map((id) => ({ id, rows: [0.9] }));
        return batchOf({ sequence, inferences, sender: `s${sequence}` });
      });
      const users = { user: ids.map((id) => id) };
      batches.push(
        batchOf({
          version: 2,
          inferences: ids.map(() => ({ rows: [0.9] })),
          keys: users,
        }),
      );
      const work = [
        ...batches.map((batch) => () => predictions.keep(batch)),
        ...ids.map((id) => () => predictions.recordLabels(DEPLOYMENT, [labelOf(id, "yes")])),
        ...ids.map((id) => () => {
          const label = entityLabel({ user: id }, START_US + HOUR_US, "yes");
          return predictions.recordLabels(DEPLOYMENT, [label]);
        }),
      ];
      const started: Promise<unknown>[] = [];
      while (work.length > 0) {
        const [next] = work.splice(random.below(work.length), 1);
        started.push(next!());
        for (let turns = random.below(4); turns > 0; turns--) {
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      await Promise.all(started);
      expect(await countsOf(used, 1)).toEqual([30, 30, 1]);
      expect(await countsOf(used, 2)).toEqual([30, 30, 1]);
    }
  });

  it("end with the same label in all places when two are sent at once", async () => {
    for (let round = 0; round < 10; round++) {
      const used = await usePredictions();
      const { predictions } = used;
      const both = [
        predictions.keep(batchOf({ inferences: TWO, version: 1 })),
        predictions.recordLabels(DEPLOYMENT, [labelOf("a", "yes")]),
        predictions.keep(batchOf({ inferences: TWO, version: 2 })),
        predictions.recordLabels(DEPLOYMENT, [labelOf("a", "no")]),
      ];
      await Promise.all(both);
      const [, , live] = await countsOf(used, 1);
      expect(live).toBeDefined();
      expect(await countsOf(used, 2)).toEqual([2, 1, live]);
    }
  });
});
