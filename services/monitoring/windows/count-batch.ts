// Counts a batch: its rows go to the windows that they fall into, each (batch, window) pair once.
// What comes when a window has closed is late: it is counted as such, in the oldest window that is
// still open, in a part of its own, so that a batch that comes again is late once.

import type { Clock } from "../../common/clock.ts";
import type { BaselineLearner } from "../baselines/learn-baseline.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import type { MonitorSettings } from "../monitors/monitor-settings.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import { addRows } from "../sketch/window-sketch.ts";
import { type WindowRange, windowAt } from "./event-clock.ts";
import type { PartPlace } from "./open-part.ts";
import { hasSequence } from "./part-sequences.ts";
import type { PartStore } from "./part-store.ts";
import { rowsOfInferences, splitByWindow, type WindowShare } from "./split-batch.ts";
import type { LiveTarget, TargetStore } from "./target-store.ts";
import type { Turns } from "./turns.ts";
import { addInference, addStatuses, type MutableTotals } from "./window-totals.ts";

/** Windows of one batch that are counted at once; each has its sketch in memory. */
const SHARES_AT_ONCE = 32;
/** Windows may close while a late batch looks for the oldest open one. */
const LATE_TRIES = 10;
/** Behind the sender in parts of late rows; no sender has it in its name. */
const LATE = "~late";

export interface CountDeps {
  readonly parts: PartStore;
  readonly targets: TargetStore;
  readonly learner: Pick<BaselineLearner, "placeFor">;
  /** Counting is what takes long. */
  readonly turns: Turns;
  readonly config: Pick<MonitoringConfig, "clockSkewMs">;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "rowsCounted" | "rowsNotCounted">;
}

/** What became of a batch. */
export interface CountedBatch {
  /** Rows that are in a window or a baseline, by this call or an earlier one. */
  readonly counted: number;
  readonly late: number;
  readonly future: number;
  /** Rows of older windows than the newest BATCH_WINDOWS_MAX; they are counted nowhere, for good. */
  readonly refused: number;
  /** The windows of the other inferences, late ones too; places in the batch's inferences. */
  readonly places: readonly (WindowRange & { readonly inferences: readonly number[] })[];
}

/** The group of the parts of one window. */
export function groupOf(targetId: string, startUs: number): string {
  return `${targetId}@${startUs}`;
}

/**
 * Resolves when the batch is durable.
 * @throws InvalidArgument where its rows are not right; then nothing of it is counted.
 */
export async function countBatch(
  deps: CountDeps,
  batch: DecodedBatch,
  settings: MonitorSettings,
): Promise<CountedBatch> {
  const { targets, learner, clock, config, events } = deps;
  const live = await targets.of(batch, settings);
  const horizonUs = (clock.now() + config.clockSkewMs) * 1000;
  const split = splitByWindow(batch, { lengths: live.document.lengths, horizonUs });
  const place = await learner.placeFor(batch);
  const { deployment } = batch.target;
  let counted = batch.rows;
  let late = 0;
  if (place.kind === "window") {
    const counting = { batch, settings, live, layout: place.layout };
    const outcome = await countShares(deps, counting, split.shares);
    counted = outcome.counted;
    late = outcome.late;
    events.rowsCounted(deployment, outcome.fresh);
    events.rowsNotCounted(deployment, "late", late);
    events.rowsNotCounted(deployment, "future", split.futureRows);
    events.rowsNotCounted(deployment, "refused", split.refusedRows);
  } else {
    events.rowsCounted(deployment, batch.rows);
  }
  events.rowsNotCounted(deployment, "dropped", batch.droppedRows);
  await targets.note(live, batch, { newestUs: split.newestUs, settings });
  const isLearned = place.kind === "learned";
  return {
    counted,
    late,
    future: isLearned ? 0 : split.futureRows,
    refused: isLearned ? 0 : split.refusedRows,
    places: split.shares,
  };
}

interface Counting {
  readonly batch: DecodedBatch;
  readonly settings: MonitorSettings;
  readonly live: LiveTarget;
  readonly layout: WindowLayout;
}

async function countShares(
  deps: CountDeps,
  counting: Counting,
  shares: readonly WindowShare[],
): Promise<{ readonly counted: number; readonly fresh: number; readonly late: number }> {
  let counted = 0;
  let fresh = 0;
  let late = 0;
  let isDropLate = false;
  for (let start = 0; start < shares.length; start += SHARES_AT_ONCE) {
    const some = shares.slice(start, start + SHARES_AT_ONCE);
    // All are waited for: what this call began is over when it ends.
    const settled = await Promise.allSettled(
      some.map((share) => countShare(deps, counting, share, share === shares.at(-1))),
    );
    for (const [i, outcome] of settled.entries()) {
      if (outcome.status === "rejected") {
        throw outcome.reason;
      }
      const { rows } = some[i]!;
      counted += outcome.value === "late" ? 0 : rows;
      fresh += outcome.value === "counted" ? rows : 0;
      late += outcome.value === "late" ? rows : 0;
      isDropLate ||= outcome.value === "late" && some[i] === shares.at(-1);
    }
  }
  if (late > 0) {
    const droppedRows = isDropLate ? counting.batch.droppedRows : 0;
    await countLate(deps, counting, { lateRows: late, droppedRows });
  }
  return { counted, fresh, late };
}

/** One window's rows; with the rows that were dropped in the newest window of a batch. */
async function countShare(
  { parts, targets, turns }: CountDeps,
  { batch, settings, live, layout }: Counting,
  share: WindowShare,
  isNewest: boolean,
): Promise<"counted" | "repeated" | "late"> {
  const { document } = live;
  if (share.endUs <= closedUntil(targets, live, settings)) {
    const group = groupOf(document._id, share.startUs);
    return (await parts.counted(group, batch)) ? "repeated" : "late";
  }
  const place = placeOf(live, share, { layout, settings });
  const rows = rowsOfInferences(batch, share.inferences);
  await turns.next();
  const outcome = await parts.add(place, batch, (sketch, totals) => {
    addRows(sketch, rows);
    addTotals(totals, batch, share, rows.statuses);
    totals.droppedRows += isNewest ? batch.droppedRows : 0;
  });
  return outcome === "sealed" ? "late" : outcome;
}

/** Once for a batch, in the oldest window that is open when it comes first. */
async function countLate(
  { parts, targets }: CountDeps,
  { batch, settings, live, layout }: Counting,
  late: { readonly lateRows: number; readonly droppedRows: number },
): Promise<void> {
  const sender = `${batch.sender}${LATE}`;
  const known = await parts.find({ owner: live.document._id, sender });
  if (known.some((part) => hasSequence(part, batch.sequence))) {
    return;
  }
  let fromUs = closedUntil(targets, live, settings);
  for (let tries = 1; tries <= LATE_TRIES; tries++) {
    const window = windowAt(live.document.lengths, fromUs);
    const place = placeOf(live, window, { layout, settings });
    const outcome = await parts.add(place, { ...batch, sender }, (_sketch, totals) => {
      totals.lateRows += late.lateRows;
      totals.droppedRows += late.droppedRows;
    });
    if (outcome !== "sealed") {
      return;
    }
    fromUs = Math.max(window.endUs, closedUntil(targets, live, settings));
  }
}

/** Windows that end here or before take no more rows. */
function closedUntil(targets: TargetStore, live: LiveTarget, settings: MonitorSettings): number {
  return Math.max(live.closedUntilUs, targets.clockUs(live.document) - settings.latenessUs);
}

function placeOf(
  live: LiveTarget,
  { startUs, endUs }: WindowRange,
  { layout, settings }: { readonly layout: WindowLayout; readonly settings: MonitorSettings },
): PartPlace {
  const { _id: owner, lastSeen } = live.document;
  const keptMs = settings.retention.windowsMs + settings.latenessUs / 1000;
  const expireTime = new Date(lastSeen.getTime() + keptMs + (endUs - startUs) / 1000);
  return { group: groupOf(owner, startUs), owner, layout, startUs, endUs, expireTime };
}

function addTotals(
  totals: MutableTotals,
  batch: DecodedBatch,
  share: WindowShare,
  statuses: DecodedBatch["statuses"],
): void {
  const { queueMs, computeMs } = batch.inferences;
  for (const inference of share.inferences) {
    const times = { queueMs: queueMs[inference] ?? 0, computeMs: computeMs[inference] ?? 0 };
    addInference(totals, times);
  }
  for (const status of statuses) {
    addStatuses(totals, status, status.statuses);
  }
}
