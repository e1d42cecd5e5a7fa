// Merges the windows of a UTC day into one record, once the day is over and all of them have
// closed. A window belongs to the day in which it begins. The windows stay until their own time has
// come; one that a part was merged into afterwards has the day made again. Every step may be done
// again.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Stored } from "../../common/documents/port.ts";
import type { MonitorSettings } from "../monitors/monitor-settings.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import { encodeWindow, mergeEncodedInto, newWindowSketch } from "../sketch/window-sketch.ts";
import { type CloseDeps, DAY_US, recordId } from "./close-windows.ts";
import type { ClosedDocument, NewClosed } from "./closed-windows.ts";
import { windowAt } from "./event-clock.ts";
import type { TargetDocument } from "./target-store.ts";
import { addTotals, newTotals, storedTotals } from "./window-totals.ts";

/** Windows looked at in one go. */
const LOOK_MAX = 1000;

/** The first microsecond of a time's UTC day. */
export function dayOf(timeUs: number): number {
  return Math.floor(timeUs / DAY_US) * DAY_US;
}

/** How the start of a window is written in the record of its day: in the order of time. */
export function startKey(startUs: number): string {
  return (startUs - Number.MIN_SAFE_INTEGER).toString().padStart(17, "0");
}

/** Rolls up the days that are over at `untilUs`. Returns how many records it wrote. */
export async function rollUpDays(
  deps: CloseDeps,
  target: TargetDocument,
  options: { readonly untilUs: number; readonly settings: MonitorSettings },
): Promise<number> {
  const days = new Map<string, { readonly dayUs: number; readonly layoutId: string }>();
  const filter = { owner: target._id, inDay: false, startUs: { $lt: dayOf(options.untilUs) } };
  const found = await deps.closed.find(filter, { sort: { startUs: 1 }, limit: LOOK_MAX });
  for (const { startUs, layoutId } of found) {
    const dayUs = dayOf(startUs);
    days.set(`${dayUs}/${layoutId}`, { dayUs, layoutId });
  }
  let written = 0;
  for (const { dayUs, layoutId } of days.values()) {
    const { endUs } = windowAt(target.lengths, dayUs + DAY_US - 1);
    if (endUs <= options.untilUs && (await hasNoParts(deps, target, dayUs))) {
      const day = { dayUs, layoutId, settings: options.settings };
      written += await rollUp(deps, target, day);
    }
  }
  return written;
}

async function hasNoParts(
  { parts }: CloseDeps,
  target: TargetDocument,
  dayUs: number,
): Promise<boolean> {
  const startUs = { $gte: dayUs, $lt: dayUs + DAY_US };
  const some = await parts.find({ owner: target._id, retired: false, startUs });
  return some.length === 0;
}

interface Day {
  readonly dayUs: number;
  readonly layoutId: string;
  readonly settings: MonitorSettings;
}

async function rollUp(deps: CloseDeps, target: TargetDocument, day: Day): Promise<number> {
  const { closed, events } = deps;
  const { dayUs, layoutId } = day;
  const id = recordId(`${target._id}@${dayUs}+day`, layoutId);
  try {
    const startUs = { $gte: dayUs, $lt: dayUs + DAY_US };
    const filter = { owner: target._id, level: "window", layoutId, startUs };
    const windows = await closed.find(filter, { sort: { startUs: 1 } });
    // A layout that nobody knows any more cannot be asked for either: its windows stay as they are.
    const layout = await deps.baselines.layout(target.modelVersionUid, layoutId);
    const written =
      layout &&
      (await closed.write(id, (current) =>
        dayRecord(deps, target, { ...day, id, windows, current, layout }),
      ));
    for (const window of windows.filter(({ inDay }) => !inDay)) {
      // A window that has changed meanwhile has the day made again.
      await closed.change(window._id, (now) =>
        now.blocks.id === window.blocks.id ? { ...now, inDay: true } : undefined,
      );
    }
    return written === undefined ? 0 : 1;
  } catch (error) {
    events.backgroundFailed("closing", id, error);
    return 0;
  }
}

/** The day of these windows; of those that have expired since it was made, what it had of them. */
async function dayRecord(
  deps: CloseDeps,
  target: TargetDocument,
  day: Day & {
    readonly id: string;
    readonly windows: readonly Stored<ClosedDocument>[];
    readonly current: Stored<ClosedDocument> | undefined;
    readonly layout: WindowLayout;
  },
): Promise<NewClosed | undefined> {
  const { current, layoutId, dayUs, layout } = day;
  const starts = new Set(day.windows.map(({ startUs }) => startKey(startUs)));
  const isWhole = current === undefined || current.merged.every((start) => starts.has(start));
  const merged = new Set(isWhole ? [] : current.merged);
  const windows = day.windows.filter(({ startUs }) => !merged.has(startKey(startUs)));
  const records = [...(isWhole || current === undefined ? [] : [current]), ...windows];
  if (windows.length === 0) {
    return undefined;
  }
  const sketch = newWindowSketch(layout);
  const totals = newTotals();
  for (const document of records) {
    const record = await deps.closed.record(document);
    if (record !== undefined) {
      mergeEncodedInto(sketch, record.sketch);
      addTotals(totals, record.totals);
      merged.add(startKey(record.startUs));
    }
    await nextTurn();
  }
  const last = windows.at(-1)!;
  return {
    _id: day.id,
    owner: target._id,
    layoutId,
    startUs: dayUs,
    endUs: Math.max(dayUs + DAY_US, last.endUs),
    rows: sketch.rows,
    totals: storedTotals(totals),
    expireTime: new Date(deps.clock.now() + day.settings.retention.daysMs),
    level: "day",
    shadow: last.shadow,
    merged: [...merged].sort(),
    inDay: true,
    sketch: encodeWindow(sketch),
  };
}
