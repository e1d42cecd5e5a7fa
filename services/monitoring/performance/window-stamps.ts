// Says of each window that its predictions have changed: what was read before under another stamp
// is read again. One writer's change is stored before its stamp, so that whoever reads the new
// stamp reads the change.

import { randomUUID } from "node:crypto";
import { collect } from "../../common/documents/resource.ts";
import type { PredictionCollections, PredictionWindow } from "./prediction-collections.ts";
import { idsOfWindows, type WindowSpan, windowKey } from "./window-key.ts";

type Windows = PredictionCollections["windows"];

/** A window of a target. */
export interface OwnedWindow extends WindowSpan {
  readonly owner: string;
}

/** Gives the window another stamp; it is kept until `expireTime` or as long as it was before. */
export async function stampWindow(
  windows: Windows,
  window: OwnedWindow,
  expireTime: Date,
): Promise<void> {
  const { owner, startUs, endUs } = window;
  const _id = windowKey(owner, window);
  const before = await windows.findOne({ _id });
  const keptUntil = laterOf(before?.expireTime, expireTime);
  const stamp = randomUUID();
  await windows.putOne({ _id, owner, startUs, endUs, stamp, expireTime: keptUntil });
}

/** The later of two times, the first of which may be absent. */
export function laterOf(a: Date | undefined, b: Date): Date {
  return a !== undefined && a > b ? a : b;
}

/**
 * The windows of a target that overlap a range, newest first, at most `limit`. `lengths`: all that
 * windows of the target have had; one that reaches into the range begins at a multiple of its own.
 */
export async function listWindows(
  windows: Windows,
  owner: string,
  range: {
    readonly startUs?: number | undefined;
    readonly endUs?: number | undefined;
    readonly lengths: readonly number[];
    readonly limit: number;
  },
): Promise<readonly PredictionWindow[]> {
  const { startUs, endUs, lengths, limit } = range;
  const ids = idsOfWindows(owner, { fromUs: startUs, beforeUs: endUs });
  const found: PredictionWindow[] = await collect(
    windows.find({ _id: ids }, { sort: { _id: -1 }, limit }),
  );
  for (const length of startUs === undefined ? [] : lengths) {
    const before = Math.floor(startUs! / length) * length;
    const window = { startUs: before, endUs: before + length };
    const reaching =
      before === startUs || found.length >= limit
        ? undefined
        : await windows.findOne({ _id: windowKey(owner, window) });
    if (reaching !== undefined) {
      found.push(reaching);
    }
  }
  return found.sort((a, b) => b.startUs - a.startUs || b.endUs - a.endUs);
}
