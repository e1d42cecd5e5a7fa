import { describe, expect, it } from "vitest";
import { collect } from "../../common/documents/resource.ts";
import { useStore } from "../../common/documents/testing.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { DEFAULT_SETTINGS } from "../monitors/monitor-settings.ts";
import { FaultyStore } from "../windows/testing.ts";
import {
  batchOf,
  countsOf,
  DEPLOYMENT,
  entityLabel,
  HOUR_US,
  labelOf,
  measuredTarget,
  START_US,
  type UsedPredictions,
  usePredictions,
} from "./testing.ts";

/** Everything that is stored of predictions, without what differs from run to run. */
async function stored({ predictions }: UsedPredictions) {
  const { chunks, references, batches } = predictions.collections;
  const [all, found, plans] = await Promise.all([
    collect(chunks.find({})),
    collect(references.find({})),
    collect(batches.find({})),
  ]);
  return {
    chunks: all.map(({ version: _v, ...chunk }) => chunk),
    references: found,
    plans: plans.length,
  };
}

describe("keep", () => {
  it("puts inferences into the windows of their event times", async () => {
    const { predictions } = await usePredictions();
    const hours = [0, 1, 0, -3].map((hour) => START_US + hour * HOUR_US + 5);
    const inferences = hours.map((eventUs, at) => ({ id: `i${at}`, eventUs, rows: [0.9] }));
    await predictions.keep(batchOf({ inferences }));
    const report = await predictions.performanceOf(measuredTarget(), {});
    const starts = report.windows.map(({ range, predictions: rows }) => [
      Number(range?.startTime?.seconds),
      Number(rows),
    ]);
    const start = START_US / 1e6;
    expect(starts).toEqual([
      [start - 3 * 3600, 1],
      [start, 2],
      [start + 3600, 1],
    ]);
    const range = { startUs: START_US + 10, endUs: START_US + 20 };
    const one = await predictions.performanceOf(measuredTarget(), range);
    expect(one.overall?.predictions).toBe(2n);
    expect(Number(one.range?.endTime?.seconds)).toBe(start + 3600);
  });

  it("keeps windows before 1970 and of another length apart", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    await predictions.keep(batchOf({ inferences: [{ eventUs: -1, rows: [0.9] }] }));
    used.settings = { ...DEFAULT_SETTINGS, windowUs: 24 * HOUR_US };
    await predictions.keep(batchOf({ sequence: 2, inferences: [{ eventUs: 5, rows: [0.9] }] }));
    await predictions.keep(
      batchOf({ sequence: 3, inferences: [{ eventUs: START_US, rows: [0.9] }] }),
    );
    const report = await predictions.performanceOf(measuredTarget(), {});
    const spans = report.windows.map(({ range }) => [
      Number(range?.startTime?.seconds),
      Number(range?.endTime?.seconds),
    ]);
    const start = START_US / 1e6;
    expect(spans).toEqual([
      [-3600, 0],
      [0, 86_400],
      [start, start + 86_400],
    ]);
    const old = await predictions.performanceOf(measuredTarget(), { endUs: 0 });
    expect(old.overall?.predictions).toBe(1n);
    const within = { startUs: START_US + 5 * HOUR_US, endUs: START_US + 6 * HOUR_US };
    const reaching = await predictions.performanceOf(measuredTarget(), within);
    expect(reaching.windows).toEqual(report.windows.slice(2));
    const behind = { startUs: START_US + 24 * HOUR_US };
    expect((await predictions.performanceOf(measuredTarget(), behind)).windows).toEqual([]);
  });

  it("changes nothing when the batch comes again, whatever the settings are by then", async () => {
    const used = await usePredictions();
    const batch = batchOf({
      inferences: [
        { id: "a", rows: [0.9, 0.1] },
        { id: "b", rows: [0.3] },
      ],
      keys: { user: ["u", "v", "w"] },
      columns: { age: { kind: "numeric", values: Float64Array.of(1, 2, 3) } },
    });
    await used.predictions.keep(batch);
    const first = await stored(used);
    expect(first.references).toHaveLength(5);
    used.settings = {
      ...DEFAULT_SETTINGS,
      windowUs: 60_000_000,
      task: { ...DEFAULT_SETTINGS.task, segmentColumns: ["age"] },
    };
    used.clock.advance(60_000);
    await Promise.all([used.predictions.keep(batch), used.predictions.keep(batch)]);
    expect(await stored(used)).toEqual(first);
  });

  it("leaves out inferences of the future and batches without a prediction", async () => {
    const used = await usePredictions();
    const nowUs = used.clock.now() * 1000;
    const inferences = [
      { rows: [0.9], eventUs: nowUs + 299_000_000 },
      { rows: [0.9], eventUs: nowUs + 301_000_000 },
    ];
    await used.predictions.keep(batchOf({ inferences }));
    expect(await countsOf(used)).toEqual([1, 0, undefined]);
    const features = { ...batchOf({ sequence: 2, inferences }), columns: new Map() };
    await used.predictions.keep(features);
    await used.predictions.keep(batchOf({ sequence: 3, inferences: [] }));
    expect((await stored(used)).plans).toBe(1);
  });

  it("splits large batches into chunks below 1 MiB, and labels reach every row", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    const rows = Array.from({ length: 10_000 }, (_, row) => (row % 2 === 0 ? 0.9 : 0.1));
    const wide = Array.from({ length: 10_000 }, (_, row) => `${row}`.padEnd(60, "x"));
    const segmentColumns = Array.from({ length: 8 }, (_, at) => `s${at}`);
    used.settings = {
      ...DEFAULT_SETTINGS,
      task: { ...DEFAULT_SETTINGS.task, segmentColumns },
    };
    const columns = Object.fromEntries(
      segmentColumns.map((name) => [name, { kind: "category", values: wide } as const]),
    );
    await predictions.keep(batchOf({ inferences: [{ id: "long", rows }], columns }));
    const { chunks, references } = await stored(used);
    expect(chunks.length).toBeGreaterThan(2);
    for (const { data } of chunks) {
      expect(data.length).toBeLessThan(2 ** 20);
    }
    expect(references).toHaveLength(chunks.length);
    const labels = rows.map((score, row) => labelOf("long", score > 0.5 ? "yes" : "no", row));
    const fates = await predictions.recordLabels(DEPLOYMENT, labels);
    expect(new Set(fates)).toEqual(new Set(["joined"]));
    expect(await countsOf(used)).toEqual([10_000, 10_000, 1]);
    const past = await predictions.recordLabels(DEPLOYMENT, [labelOf("long", "yes", 10_000)]);
    expect(past).toEqual(["no-row"]);
  });

  it("does not refer to ids and keys that are longer than labels may have", async () => {
    const used = await usePredictions();
    const huge = "x".repeat(2 ** 20);
    const inferences = [
      { id: huge, rows: [0.9] },
      { id: "y".repeat(4096), rows: [0.9] },
    ];
    const batch = batchOf({ inferences, keys: { user: [huge, "short"] } });
    await used.predictions.keep(batch);
    const { references, chunks } = await stored(used);
    expect(references.map(({ by }) => by.slice(0, 2)).sort()).toEqual(["e:", "i:"]);
    expect(Math.max(...references.map(({ by }) => by.length))).toBeLessThan(200);
    expect(chunks[0]!.data.length).toBeLessThan(2000);
    const long = [labelOf("y".repeat(4096), "yes")];
    expect(await used.predictions.recordLabels(DEPLOYMENT, long)).toEqual(["joined"]);
  });

  it("expires predictions, references and labels with the retention", async () => {
    const used = await usePredictions();
    await used.predictions.keep(batchOf({ inferences: [{ id: "a", rows: [0.9] }] }));
    await used.predictions.recordLabels(DEPLOYMENT, [labelOf("z", "yes")]);
    used.clock.advance(35 * 86_400_000 + 1);
    expect((await stored(used)).chunks).toEqual([]);
    expect((await stored(used)).references).toEqual([]);
    expect(await collect(used.predictions.collections.labels.find({}))).toEqual([]);
    const report = await used.predictions.performanceOf(measuredTarget(), {});
    expect(report.overall).toBeUndefined();
  });
});

describe("keep above the rate", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ id: `i${at}`, rows: [0.9] }));

  it("keeps what the rate allows, the same of the live version and of its shadow", async () => {
    const used = await usePredictions({ predictionsRateMax: 100 });
    await used.predictions.keep(batchOf({ inferences: many(120), version: 1 }));
    expect(await countsOf(used, 1)).toEqual([120, 0, undefined]);
    // 80 tokens of the burst of 200 are left, for a batch of 300.
    await used.predictions.keep(batchOf({ inferences: many(300), sequence: 2, version: 1 }));
    used.clock.advance(2000);
    await used.predictions.keep(
      batchOf({ inferences: many(300), sequence: 3, version: 2, shadow: true }),
    );
    const report = await used.predictions.performanceOf(measuredTarget(1), {});
    expect(report.overall).toMatchObject({ predictions: 200n, notKept: 220n });
    expect(report.windows[0]).toMatchObject({ predictions: 200n, notKept: 220n });
    const labels = many(300).map(({ id }) => labelOf(id, "yes"));
    await used.predictions.recordLabels(DEPLOYMENT, labels.slice(0, 120));
    const shadow = await used.predictions.performanceOf(measuredTarget(2), {});
    expect(shadow.overall?.predictions).toBe(200n);
    expect(used.notKept).toEqual([220, 100]);
    const [first, second] = await Promise.all(
      [2, 3].map(async (sequence) => {
        const { references } = used.predictions.collections;
        const found = await collect(references.find({}));
        return new Set(
          found.filter(({ chunk }) => chunk.includes(`/sender/${sequence}/`)).map(({ by }) => by),
        );
      }),
    );
    expect(first!.size).toBe(80);
    expect([...first!].every((by) => second!.has(by))).toBe(true);
  });

  it("decides once: a batch that comes again when there is room keeps what it kept", async () => {
    const used = await usePredictions({ predictionsRateMax: 10 });
    await used.predictions.keep(batchOf({ inferences: many(50) }));
    const first = await stored(used);
    used.clock.advance(600_000);
    await used.predictions.keep(batchOf({ inferences: many(50) }));
    expect(await stored(used)).toEqual(first);
    expect(used.notKept).toEqual([30]);
  });

  it("says how many were not kept also of windows that nothing is kept of", async () => {
    const used = await usePredictions({ predictionsRateMax: 1 });
    const rows = [0.9, 0.9, 0.9];
    const inferences = [
      { id: "a", rows, eventUs: START_US },
      { id: "b", rows, eventUs: START_US - HOUR_US },
      { id: "c", rows, eventUs: START_US - 2 * HOUR_US },
    ];
    await used.predictions.keep(batchOf({ inferences }));
    const { windows, overall } = await used.predictions.performanceOf(measuredTarget(), {});
    expect(windows).toHaveLength(3);
    expect(overall).toMatchObject({ predictions: 6n, notKept: 3n });
    expect(windows.filter(({ notKept }) => notKept === 3n)).toHaveLength(1);
  });

  it("keeps nothing where the rate is 0", async () => {
    const used = await usePredictions({ predictionsRateMax: 0 });
    await used.predictions.keep(batchOf({ inferences: many(3) }));
    expect(await stored(used)).toEqual({ chunks: [], references: [], plans: 0 });
    expect(used.notKept).toEqual([3]);
  });
});

describe("keep over a store that fails", () => {
  it("ends alike, whichever write fails, with or without having been done", async () => {
    const inferences = [
      { id: "a", rows: [0.9, 0.2] },
      { id: "b", rows: [0.3], eventUs: START_US + HOUR_US },
    ];
    const batch = batchOf({ inferences, keys: { user: ["u", "v", "u"] } });
    const early = [labelOf("a", "yes"), entityLabel({ user: "u" }, START_US + 3 * HOUR_US, "no")];
    const run = async (failAt: number, fault: "before" | "after") => {
      const clock = new FakeClock(START_US / 1000 + 3_600_000);
      const faulty = new FaultyStore(await useStore({ clock }));
      const used = await usePredictions({ documents: faulty, clock });
      let writes = 0;
      faulty.nextFault = () => (++writes === failAt ? fault : undefined);
      const again = async (work: () => Promise<unknown>) => {
        for (let tries = 0; tries < 3; tries++) {
          try {
            return await work();
          } catch (error) {
            expect(error).toBeInstanceOf(Unavailable);
          }
        }
        throw new Error("It failed more often than writes did.");
      };
      await again(() => used.predictions.recordLabels(DEPLOYMENT, early));
      await again(() => used.predictions.keep(batch));
      return { writes, counts: await countsOf(used), ...(await stored(used)) };
    };
    const { writes, ...right } = await run(0, "before");
    expect(right.counts).toEqual([3, 2, 1]);
    expect(writes).toBeGreaterThan(10);
    for (let failAt = 1; failAt <= writes; failAt++) {
      for (const fault of ["before", "after"] as const) {
        const { writes: _, ...found } = await run(failAt, fault);
        expect(found.counts, `${failAt} ${fault}`).toEqual(right.counts);
        expect(found.references).toEqual(right.references);
        expect(found.chunks).toEqual(right.chunks);
      }
    }
  });
});
