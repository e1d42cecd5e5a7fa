import { describe, expect, it, onTestFinished } from "vitest";
import { lcg } from "../drift/testing.ts";
import type { Target } from "../target.ts";
import { Judge, type JudgedWindow } from "./judge.ts";
import type { TimeSpan } from "./report-sources.ts";
import {
  HOUR_US,
  START_US,
  type Stores,
  useStores,
  type Version,
  versionOf,
} from "./testing-stores.ts";

const CLOSED_MS = 3_600_000 + 300_000;
const V1 = versionOf(1);
const V2 = versionOf(2);

const rows = (seed: number, size: number, shift = 0) => ({
  x: lcg(seed, size).map((u) => u + shift),
  "prediction.y": lcg(seed + 2000, size).map((u) => u * u),
});

/** Somebody who is told of windows, and may be away. */
class Listener {
  readonly told: string[] = [];
  readonly windows: JudgedWindow[] = [];
  isAway = false;
  tries = 0;

  async report(target: Target, window: JudgedWindow): Promise<void> {
    this.#answer(target, window);
    this.windows.push(window);
  }

  async windowClosed(target: Target, window: TimeSpan): Promise<void> {
    this.#answer(target, window);
  }

  #answer(target: Target, { startUs }: TimeSpan): void {
    this.tries += 1;
    if (this.isAway) {
      throw new Error("away");
    }
    const hour = (startUs - START_US) / HOUR_US;
    this.told.push(`${target.modelVersion.at(-1)}@${hour}`);
  }
}

async function useJudge() {
  const stores = await useStores();
  const [alerts, feedback] = [new Listener(), new Listener()];
  const newJudge = () => {
    const judge = new Judge({ ...stores, alerts, feedback });
    onTestFinished(() => judge[Symbol.asyncDispose]());
    return judge;
  };
  return { ...stores, alerts, feedback, newJudge, judge: newJudge() };
}

/** Closed windows of the version, an hour each, with this shift. */
async function closed(
  { count, closeAfter }: Pick<Stores, "count" | "closeAfter">,
  version: Version,
  windows: readonly (readonly [hour: number, shift: number])[],
): Promise<void> {
  for (const [hour, shift] of windows) {
    const columns = rows(hour + 2, 800, shift);
    await count({ version, columns, eventUs: START_US + hour * HOUR_US });
    await closeAfter(CLOSED_MS);
  }
}

describe("the judge", () => {
  it("keeps the verdict, then tells alerts, then those who show it", async () => {
    const { judge, alerts, feedback, ...stores } = await useJudge();
    await stores.baseline(V1, rows(1, 2000));
    await closed(stores, V1, [[0, 0.5]]);
    expect(await judge.judgeDue()).toBe(1);
    const window = await stores.windows.newestClosed((await stores.targetOf(V1))._id);
    expect(window?.verdict).toEqual({
      baseline: true,
      features: { columns: 1, measured: 1, drifted: 1, share: 1, threshold: 0.5, isDrifted: true },
      predictions: {
        columns: 1,
        measured: 1,
        drifted: 0,
        share: 0,
        threshold: 0.5,
        isDrifted: false,
      },
      driftedColumns: ["x"],
    });
    expect([alerts.told, feedback.told]).toEqual([["1@0"], ["1@0"]]);
    expect(feedback.windows[0]?.compared?.columns.map(({ name }) => name)).toEqual([
      "x",
      "prediction.y",
    ]);
    expect(await judge.judgeDue()).toBe(0);
    expect(alerts.told).toEqual(["1@0"]);
  });

  it("judges the windows of a target in order, and tells of the newest", async () => {
    const { judge, alerts, feedback, ...stores } = await useJudge();
    await stores.baseline(V1, rows(1, 2000));
    await stores.baseline(V2, rows(1, 2000));
    await closed(stores, V1, [
      [0, 0],
      [1, 0.5],
      [2, 0],
    ]);
    await closed(stores, V2, [[2, 0]]);
    expect(await judge.judgeDue()).toBe(4);
    expect(alerts.told.filter((told) => told.startsWith("1"))).toEqual(["1@0", "1@1", "1@2"]);
    expect(feedback.told.toSorted()).toEqual(["1@2", "2@2"]);
    expect(await stores.windows.unjudged(10)).toEqual([]);
  });

  it("has a verdict of its own where there is no baseline", async () => {
    const { judge, feedback, monitors, ...stores } = await useJudge();
    const target = { deployment: V1.deployment, name: `${V1.deployment}/monitor`, etag: "" };
    await monitors.update(target, (settings) => ({
      ...settings,
      learning: { ...settings.learning, disabled: true },
    }));
    await closed(stores, V1, [[0, 0]]);
    expect(await judge.judgeDue()).toBe(1);
    expect(feedback.windows[0]).toMatchObject({
      compared: undefined,
      verdict: { baseline: false, features: { measured: 0, isDrifted: false }, driftedColumns: [] },
    });
  });

  it("tries again what failed, later and later, while other targets go on", async () => {
    const { judge, alerts, feedback, failures, clock, ...stores } = await useJudge();
    await stores.baseline(V1, rows(1, 2000));
    await closed(stores, V1, [[0, 0]]);
    alerts.isAway = true;
    expect(await judge.judgeDue()).toBe(0);
    expect(failures).toEqual([expect.stringMatching(/^alerts /)]);
    expect(feedback.tries).toBe(0);
    await judge.judgeDue();
    expect(alerts.tries).toBe(1);
    clock.advance(1300);
    await judge.judgeDue();
    expect(alerts.tries).toBe(2);
    clock.advance(1300);
    await judge.judgeDue();
    expect(alerts.tries).toBe(2);
    alerts.isAway = false;
    await stores.baseline(V2, rows(1, 2000));
    await closed(stores, V2, [[1, 0]]);
    expect(await judge.judgeDue()).toBe(2);
    expect(alerts.told.toSorted()).toEqual(["1@0", "2@1"]);
    expect(feedback.told.toSorted()).toEqual(["1@0", "2@1"]);
  });

  it("does not hold up alerts while those who show it are away, and gives up after an hour", async () => {
    const { judge, alerts, feedback, clock, ...stores } = await useJudge();
    await stores.baseline(V1, rows(1, 2000));
    feedback.isAway = true;
    await closed(stores, V1, [[0, 0]]);
    expect(await judge.judgeDue()).toBe(0);
    await closed(stores, V1, [[1, 0.5]]);
    // The newer window tells instead of the older one, which is done.
    expect(await judge.judgeDue()).toBe(1);
    expect(alerts.told.at(-1)).toBe("1@1");
    expect((await stores.windows.unjudged(10)).map(({ startUs }) => startUs)).toEqual([
      START_US + HOUR_US,
    ]);
    clock.advance(3_600_001);
    expect(await judge.judgeDue()).toBe(1);
    expect(await stores.windows.unjudged(10)).toEqual([]);
    expect(feedback.told).toEqual([]);
  });

  it("goes on where another one died, and two do no harm", async () => {
    const { judge, newJudge, alerts, feedback, ...stores } = await useJudge();
    await stores.baseline(V1, rows(1, 2000));
    await closed(stores, V1, [[0, 0.5]]);
    feedback.isAway = true;
    await judge.judgeDue();
    await judge[Symbol.asyncDispose]();
    feedback.isAway = false;
    const [a, b] = [newJudge(), newJudge()];
    await Promise.all([a.judgeDue(), b.judgeDue()]);
    expect(await stores.windows.unjudged(10)).toEqual([]);
    expect(feedback.told).toContain("1@0");
    const window = await stores.windows.newestClosed((await stores.targetOf(V1))._id);
    expect(window?.verdict?.driftedColumns).toEqual(["x"]);
  });

  it("takes up windows that have closed by itself, and ends at once", async () => {
    const { judge, feedback, ...stores } = await useJudge();
    await stores.baseline(V1, rows(1, 2000));
    judge.start();
    await closed(stores, V1, [[0, 0]]);
    await expect.poll(() => feedback.told).toEqual(["1@0"]);
    await judge[Symbol.asyncDispose]();
    await closed(stores, V1, [[1, 0]]);
    expect(await stores.windows.unjudged(10)).toHaveLength(1);
  });
});
