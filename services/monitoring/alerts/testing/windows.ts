// For tests: closed windows of a minute on a real window store, with as many rows as are wanted.

import { addRows, newWindowSketch, type WindowSketch } from "../../sketch/window-sketch.ts";
import type { Target } from "../../target.ts";
import {
  drawBatch,
  MINUTE_US,
  type Replica,
  type Shared,
  START_US,
  TARGET_ID,
  useReplica,
  useShared,
} from "../../windows/testing.ts";
import type { BaselineSource, PredictionSource, Span } from "../metric-reader.ts";
import type { PredictionsOfWindow } from "../metric-values.ts";

export { MINUTE_US };

/** The n-th window. */
export function minute(n: number): Span {
  const startUs = START_US + n * MINUTE_US;
  return { startUs, endUs: startUs + MINUTE_US };
}

/** Closed windows with what the evaluator reads beside them. */
export interface TestWindows {
  readonly shared: Shared;
  readonly windows: Replica["windows"];
  readonly monitors: { get(): Promise<Shared["settings"]> };
  readonly baselines: BaselineSource;
  readonly predictions: PredictionSource;
  /** By start of the window; what is missing has no predictions. */
  readonly slices: Map<number, PredictionsOfWindow>;
  target(): Promise<Target>;
  /** Closes one window more for each number: so many rows; 0: no window. */
  see(...rows: readonly number[]): Promise<void>;
}

/** Windows of one target, none yet; its baseline has 2,000 rows drawn in the same way. */
export async function useWindows(given: { readonly shadow?: boolean } = {}): Promise<TestWindows> {
  const shared = await useShared();
  const { windows } = await useReplica(shared);
  const slices = new Map<number, PredictionsOfWindow>();
  const [layout] = shared.layouts;
  const baseline: WindowSketch = newWindowSketch(layout!);
  addRows(baseline, drawBatch({ sequence: 999, inferences: [{ eventUs: 0, rows: 2000 }] }));
  let next = 0;
  return {
    shared,
    windows,
    slices,
    monitors: { get: async () => shared.settings },
    baselines: {
      ready: async () => ({ layout: layout!, baseline }),
      layout: async (_uid, id) => shared.layouts.find((one) => one.id === id),
    },
    predictions: { windowMetrics: async (_target, { startUs }) => slices.get(startUs) },
    async target() {
      const target = await windows.target(TARGET_ID);
      return { ...target!, shadow: given.shadow ?? false };
    },
    async see(...list) {
      for (const rows of list) {
        const { startUs } = minute(next);
        next += 1;
        shared.clock.advance(60_000);
        if (rows > 0) {
          const inferences = [{ eventUs: startUs + 1, rows }];
          const batch = drawBatch({ sequence: next, inferences });
          await windows.count({ ...batch, shadow: given.shadow ?? false });
        }
      }
      shared.clock.advance(80_000);
      await windows.closeDue();
    },
  };
}
