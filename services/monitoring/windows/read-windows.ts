// Everything that a target saw in a time range, in one sketch: days, windows and open parts, each
// row once. Parts are read before records: one that is merged between the two reads is in a record
// that names it.

import type { Stored } from "../../common/documents/port.ts";
import { inTurns } from "../../common/in-turns.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import {
  mergeEncodedInto,
  mergeWindowInto,
  newWindowSketch,
  type WindowSketch,
} from "../sketch/window-sketch.ts";
import { DAY_US, recordId } from "./close-windows.ts";
import { type ClosedDocument, type ClosedWindows, infoOf } from "./closed-windows.ts";
import { type WindowLength, type WindowRange, windowAt } from "./event-clock.ts";
import type { PartStore } from "./part-store.ts";
import { dayOf, startKey } from "./roll-up-days.ts";
import type { CachedSketch, SketchCache } from "./sketch-cache.ts";
import type { PartRecord, WindowInfo, WindowTotals } from "./window-record.ts";
import { addTotals, newTotals, storedTotals } from "./window-totals.ts";

/** A record that is changed while it is read is read again. */
const TRIES_MAX = 5;

export interface ReadDeps {
  readonly parts: Pick<PartStore, "list">;
  readonly closed: ClosedWindows;
  readonly cache: SketchCache;
}

/** Which target; with the lengths of its windows. */
export interface ReadTarget {
  readonly _id: string;
  readonly lengths: readonly WindowLength[];
  readonly shadow: boolean;
}

/** What a range holds, counted on one layout. */
export interface ReadWindows {
  /** Not to be changed. */
  readonly sketch: WindowSketch;
  readonly totals: WindowTotals;
  /** That were merged. */
  readonly windows: number;
  /** In the range, but counted on other layouts and left out. */
  readonly otherLayoutWindows: number;
  /** The time that the merged windows cover; the range that was asked for where there are none. */
  readonly startUs: number;
  readonly endUs: number;
  /** Whether the newest of them is open. */
  readonly open: boolean;
}

/** Every window that overlaps the range counts, whole. */
export async function readWindows(
  deps: ReadDeps,
  target: ReadTarget,
  options: { readonly range: WindowRange; readonly layout: WindowLayout },
): Promise<ReadWindows> {
  for (let tries = 1; ; tries++) {
    const read = await tryRead(deps, target, options);
    if (read !== undefined) {
      return read;
    }
    if (tries === TRIES_MAX) {
      throw new Error(`the windows of ${target._id} are changed again and again`);
    }
  }
}

async function tryRead(
  deps: ReadDeps,
  target: ReadTarget,
  { range, layout }: { readonly range: WindowRange; readonly layout: WindowLayout },
): Promise<ReadWindows | undefined> {
  const parts = await openParts(deps, target, range);
  const days = await deps.closed.within(target._id, range, { level: "day" });
  const dayStarts = days.map(({ startUs }) => startUs);
  // All windows of each of these days, to see whether some are gone.
  const whole = {
    startUs: Math.min(range.startUs, ...dayStarts),
    endUs: Math.max(range.endUs, ...dayStarts.map((startUs) => startUs + DAY_US)),
  };
  const windows = await deps.closed.within(target._id, whole, { level: "window" });
  const records = chooseRecords({ windows, days, range });
  const open = parts.filter((part) => !isMerged(part, windows));
  const mine = records.filter(({ layoutId }) => layoutId === layout.id);
  const mineOpen = open.filter(({ layoutId }) => layoutId === layout.id);
  const sketches: CachedSketch[] = [];
  for (const record of mine) {
    const sketch = await closedSketch(deps, record, layout);
    if (sketch === undefined) {
      return undefined;
    }
    sketches.push(sketch);
  }
  sketches.push(...mineOpen.map((part) => part.sketch));
  const totals = newTotals();
  for (const unit of [...mine, ...mineOpen]) {
    addTotals(totals, unit.totals);
  }
  const ranges = [...mine, ...mineOpen.map((part) => rangeOf(target, part))];
  const other = [...records, ...open].filter(({ layoutId }) => layoutId !== layout.id);
  const newestUs = Math.max(...ranges.map(({ startUs }) => startUs));
  return {
    sketch: await mergedSketch(sketches, layout),
    totals: storedTotals(totals),
    windows: countWindows([...mine, ...mineOpen]),
    otherLayoutWindows: countWindows(other),
    startUs:
      ranges.length === 0 ? range.startUs : Math.min(...ranges.map(({ startUs }) => startUs)),
    endUs: ranges.length === 0 ? range.endUs : Math.max(...ranges.map(({ endUs }) => endUs)),
    open: mineOpen.some(({ startUs }) => startUs === newestUs),
  };
}

/** The windows of a range without sketches, newest first; days where their windows are gone. */
export async function listWindows(
  deps: ReadDeps,
  target: ReadTarget,
  options: {
    readonly startUs?: number | undefined;
    readonly endUs?: number | undefined;
    readonly limit?: number | undefined;
  },
): Promise<readonly WindowInfo[]> {
  const { limit } = options;
  const bound = limit === undefined ? {} : { limit };
  const parts = await openParts(deps, target, options);
  const windows = await deps.closed.within(target._id, options, { level: "window", ...bound });
  const days = await deps.closed.within(target._id, options, { level: "day", ...bound });
  const there = new Set(windows.map(({ startUs, layoutId }) => `${dayOf(startUs)}/${layoutId}`));
  const oldestUs = windows.length === limit ? windows.at(-1)!.startUs : Number.NEGATIVE_INFINITY;
  const alone = days.filter(
    ({ startUs, layoutId }) => startUs > oldestUs || !there.has(`${startUs}/${layoutId}`),
  );
  const gone = alone.filter(({ startUs, layoutId }) => !there.has(`${startUs}/${layoutId}`));
  const known = new Set(windows.map(({ _id }) => _id));
  const open = openInfos(target, parts).filter(({ id }) => !known.has(id));
  const infos = [
    ...open.map((info) => ({ ...info, id: "" })),
    ...[...windows, ...gone].map(infoOf),
  ];
  return infos.sort((a, b) => b.startUs - a.startUs).slice(0, limit);
}

/** The parts that are not merged yet and whose windows overlap the range. */
async function openParts(
  { parts }: ReadDeps,
  target: ReadTarget,
  range: { readonly startUs?: number | undefined; readonly endUs?: number | undefined },
): Promise<PartRecord[]> {
  const { startUs = Number.NEGATIVE_INFINITY, endUs = Number.POSITIVE_INFINITY } = range;
  const open = await parts.list({ owner: target._id, retired: false });
  return open.filter((part) => {
    const window = rangeOf(target, part);
    return window.endUs > startUs && window.startUs < endUs;
  });
}

function rangeOf({ lengths }: ReadTarget, { startUs }: { readonly startUs: number }): WindowRange {
  return windowAt(lengths, startUs);
}

function isMerged(part: PartRecord, windows: readonly Stored<ClosedDocument>[]): boolean {
  const id = recordId(part.group, part.layoutId);
  return windows.some((window) => window._id === id && window.merged.includes(part._id));
}

/**
 * A day in place of its windows where it is whole within the range and as new as they are, or where
 * some of them are gone; else those of its windows that overlap the range.
 */
function chooseRecords(found: {
  readonly windows: readonly Stored<ClosedDocument>[];
  readonly days: readonly Stored<ClosedDocument>[];
  readonly range: WindowRange;
}): readonly Stored<ClosedDocument>[] {
  const { windows, days, range } = found;
  const byDay = Map.groupBy(windows, ({ startUs, layoutId }) => `${dayOf(startUs)}/${layoutId}`);
  const chosen: Stored<ClosedDocument>[] = [];
  for (const day of days) {
    const key = `${day.startUs}/${day.layoutId}`;
    const there = byDay.get(key) ?? [];
    const starts = new Set(there.map(({ startUs }) => startKey(startUs)));
    const isGone = day.merged.some((start) => !starts.has(start));
    const isWhole = day.startUs >= range.startUs && day.startUs + DAY_US <= range.endUs;
    if (isGone || (isWhole && there.every(({ inDay }) => inDay))) {
      chosen.push(day);
      const late = isGone
        ? there.filter(({ startUs }) => !day.merged.includes(startKey(startUs)))
        : [];
      byDay.set(key, late);
    }
  }
  const rest = [...byDay.values()].flat();
  return [
    ...chosen,
    ...rest.filter(({ startUs, endUs }) => endUs > range.startUs && startUs < range.endUs),
  ];
}

async function closedSketch(
  { closed, cache }: ReadDeps,
  record: ClosedDocument,
  layout: WindowLayout,
): Promise<CachedSketch | undefined> {
  const known = cache.find(record.blocks.id);
  if (known !== undefined) {
    return known;
  }
  const bytes = await closed.sketchOf(record);
  return bytes === undefined ? undefined : cache.keep(record.blocks.id, bytes, layout);
}

async function mergedSketch(
  sketches: readonly CachedSketch[],
  layout: WindowLayout,
): Promise<WindowSketch> {
  const [only] = sketches;
  return sketches.length === 1 && only !== undefined && !(only instanceof Uint8Array)
    ? only
    : inTurns(merging(sketches, layout));
}

/** One sketch a step. */
function* merging(
  sketches: readonly CachedSketch[],
  layout: WindowLayout,
): Generator<undefined, WindowSketch> {
  const merged = newWindowSketch(layout);
  for (const sketch of sketches) {
    if (sketch instanceof Uint8Array) {
      mergeEncodedInto(merged, sketch);
    } else {
      mergeWindowInto(merged, sketch);
    }
    yield;
  }
  return merged;
}

/** A day counts as its windows; parts of one window as one. */
function countWindows(units: readonly (ClosedDocument | PartRecord)[]): number {
  const starts = new Set<string>();
  for (const unit of units) {
    const isDay = "level" in unit && unit.level === "day";
    for (const start of isDay ? unit.merged : [startKey(unit.startUs)]) {
      starts.add(start);
    }
  }
  return starts.size;
}

/** One a window and layout; the ids are those that their records will have. */
function openInfos(target: ReadTarget, parts: readonly PartRecord[]): readonly WindowInfo[] {
  const groups = Map.groupBy(parts, ({ group, layoutId }) => recordId(group, layoutId));
  return Array.from(groups, ([id, some]) => {
    const totals = newTotals();
    for (const part of some) {
      addTotals(totals, part.totals);
    }
    return {
      id,
      ...rangeOf(target, some[0]!),
      closed: false,
      level: "window",
      rows: some.reduce((sum, { rows }) => sum + rows, 0),
      totals: storedTotals(totals),
      layoutId: some[0]!.layoutId,
      sizeBytes: some.reduce((sum, { sketch }) => sum + sketch.length, 0),
      verdict: undefined,
      shadow: target.shadow,
    };
  });
}
