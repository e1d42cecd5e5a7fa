// Closes the windows of a target: seals their parts, merges them into a record for each layout, and
// retires them. Each step may be done again, and by any replica: a part that is in the record is
// named there, a sealed one takes nothing more, and sums and sketches are the same in any order. A
// part that turns up later (its writer did not know that the window had closed) is merged in when
// it is found.

import type { Clock } from "../../common/clock.ts";
import type { Stored } from "../../common/documents/port.ts";
import type { BaselineStore } from "../baselines/baseline-store.ts";
import type { MonitoringEvents } from "../events.ts";
import type { MonitorSettings } from "../monitors/monitor-settings.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import { encodeWindow, mergeEncodedInto, newWindowSketch } from "../sketch/window-sketch.ts";
import type { ClosedDocument, ClosedWindows, NewClosed } from "./closed-windows.ts";
import { groupOf } from "./count-batch.ts";
import { type WindowRange, windowAt } from "./event-clock.ts";
import type { PartStore } from "./part-store.ts";
import type { TargetDocument, TargetStore } from "./target-store.ts";
import type { PartRecord } from "./window-record.ts";
import { addTotals, newTotals, storedTotals } from "./window-totals.ts";

/** How long it is known which batches were in a part: longer than senders send them again. */
const RETIRED_MS = 6 * 3_600_000;
/** From this length on windows are not merged into days. */
export const DAY_US = 86_400_000_000;

export interface CloseDeps {
  readonly parts: PartStore;
  readonly closed: ClosedWindows;
  readonly targets: TargetStore;
  readonly baselines: Pick<BaselineStore, "layout">;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "windowClosed" | "backgroundFailed">;
}

/** The id of a record. */
export function recordId(group: string, layoutId: string): string {
  return `${group}/${layoutId}`;
}

/** Closes what ends at `untilUs` or before, oldest first. Returns how many records it wrote. */
export async function closeWindows(
  deps: CloseDeps,
  target: TargetDocument,
  options: { readonly untilUs: number; readonly settings: MonitorSettings },
): Promise<number> {
  const windows = await dueWindows(deps, target, options.untilUs);
  let written = 0;
  for (const window of windows) {
    deps.targets.noteClosed(target._id, window.endUs);
    try {
      written += await closeWindow(deps, target, { window, settings: options.settings });
    } catch (error) {
      deps.events.backgroundFailed("closing", groupOf(target._id, window.startUs), error);
    }
  }
  return written;
}

/** The windows with parts that are not merged yet, ascending. */
async function dueWindows(
  { parts }: CloseDeps,
  target: TargetDocument,
  untilUs: number,
): Promise<readonly WindowRange[]> {
  const owner = target._id;
  const ended = await parts.find({ owner, retired: false, endUs: { $lte: untilUs } });
  const starts = new Set(ended.map(({ startUs }) => startUs));
  // Where another length began, the window before it has ended earlier than its parts may say.
  for (const { fromUs } of target.lengths.slice(1)) {
    const { startUs, endUs } = windowAt(target.lengths, fromUs - 1);
    if (endUs <= untilUs && !starts.has(startUs)) {
      const some = await parts.find({ group: groupOf(owner, startUs), retired: false });
      if (some.length > 0) {
        starts.add(startUs);
      }
    }
  }
  return [...starts].sort((a, b) => a - b).map((startUs) => windowAt(target.lengths, startUs));
}

async function closeWindow(
  deps: CloseDeps,
  target: TargetDocument,
  { window, settings }: { readonly window: WindowRange; readonly settings: MonitorSettings },
): Promise<number> {
  const { parts, clock, closed } = deps;
  const group = groupOf(target._id, window.startUs);
  const sealed = await parts.sealed(group);
  let written = 0;
  for (const layoutId of new Set(sealed.map((part) => part.layoutId)).values()) {
    const some = sealed.filter((part) => part.layoutId === layoutId);
    const id = recordId(group, layoutId);
    const merging = { id, parts: some, target, window, settings };
    const record = await closed.write(id, (current) => mergedRecord(deps, merging, current));
    if (record !== undefined) {
      written += 1;
      const end = new Date(Math.min(window.endUs / 1000, 8.64e15));
      deps.events.windowClosed(target._id, { end, rows: record.rows });
    }
  }
  const retiredUntil = new Date(clock.now() + RETIRED_MS);
  for (const id of new Set(sealed.map(({ _id }) => _id))) {
    await parts.retire(id, retiredUntil);
  }
  return written;
}

interface Merging {
  readonly id: string;
  readonly parts: readonly PartRecord[];
  readonly target: TargetDocument;
  readonly window: WindowRange;
  readonly settings: MonitorSettings;
}

/** The record with those of the parts that are not in it; undefined where all are. */
async function mergedRecord(
  deps: CloseDeps,
  { id, parts, target, window, settings }: Merging,
  current: Stored<ClosedDocument> | undefined,
): Promise<NewClosed | undefined> {
  const fresh = parts.filter(({ _id }) => current?.merged.includes(_id) !== true);
  if (fresh.length === 0) {
    return undefined;
  }
  const totals = newTotals();
  for (const part of [...(current === undefined ? [] : [current]), ...fresh]) {
    addTotals(totals, part.totals);
  }
  const before = current === undefined ? [] : [await bytesOf(deps, current)];
  const { layoutId } = fresh[0]!;
  const sketches = [...before, ...fresh.map((part) => part.sketch)];
  const sketch =
    sketches.length === 1
      ? sketches[0]!
      : mergedBytes(sketches, await layoutOf(deps, target, layoutId));
  return {
    _id: id,
    owner: target._id,
    layoutId,
    ...window,
    rows: fresh.reduce((sum, { rows }) => sum + rows, current?.rows ?? 0),
    totals: storedTotals(totals),
    expireTime: new Date(deps.clock.now() + settings.retention.windowsMs),
    level: "window",
    shadow: target.shadow,
    merged: [...(current?.merged ?? []), ...fresh.map(({ _id }) => _id)].sort(),
    inDay: window.endUs - window.startUs >= DAY_US,
    sketch,
  };
}

async function bytesOf({ closed }: CloseDeps, document: ClosedDocument): Promise<Uint8Array> {
  const record = await closed.record(document);
  if (record === undefined) {
    throw new Error(`the sketch of ${document._id} is gone`);
  }
  return record.sketch;
}

function mergedBytes(sketches: readonly Uint8Array[], layout: WindowLayout): Uint8Array {
  const merged = newWindowSketch(layout);
  for (const sketch of sketches) {
    mergeEncodedInto(merged, sketch);
  }
  return encodeWindow(merged);
}

/** @throws where nobody knows the layout any more. */
async function layoutOf(
  { baselines }: CloseDeps,
  target: TargetDocument,
  layoutId: string,
): Promise<WindowLayout> {
  const layout = await baselines.layout(target.modelVersionUid, layoutId);
  if (layout === undefined) {
    throw new Error(`nobody knows the layout ${layoutId} of ${target.modelVersion} any more`);
  }
  return layout;
}
