// The windows that have labels, and which of them got some since alerts last looked. Durable: a
// window stays in the list until somebody has said that it was seen as it was.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../common/clock.ts";
import { Aborted, AlreadyExists, NotFound } from "../../common/errors/domain-error.ts";
import type { LabelledWindow, PredictionCollections } from "./prediction-collections.ts";
import { idsOfWindows, windowKey } from "./window-key.ts";
import { laterOf, type OwnedWindow } from "./window-stamps.ts";

/** Writers of one window at once. */
const TRIES_MAX = 100;
const BACKOFF_MS_MAX = 20;

/** A window whose labels changed. */
export interface ChangedWindow {
  readonly targetId: string;
  readonly startUs: number;
  readonly endUs: number;
  /** Of the change. */
  readonly stamp: string;
}

/** Owns the list. */
export class ChangedWindows {
  readonly #labelled: PredictionCollections["labelled"];
  readonly #clock: Clock;

  constructor(labelled: PredictionCollections["labelled"], clock: Clock) {
    this.#labelled = labelled;
    this.#clock = clock;
  }

  /** Puts a window on the list; `added` labels are new. Resolves when durable. */
  async mark(
    window: OwnedWindow,
    change: { readonly added: number; readonly expireTime: Date },
  ): Promise<void> {
    const { owner, startUs, endUs } = window;
    const _id = windowKey(owner, window);
    for (let tries = 1; ; tries++) {
      const before = await this.#labelled.findOne({ _id });
      const next: LabelledWindow = {
        _id,
        owner,
        startUs,
        endUs,
        stamp: randomUUID(),
        labels: Math.max(0, (before?.labels ?? 0) + change.added),
        changed: true,
        changeTime: new Date(this.#clock.now()),
        expireTime: laterOf(before?.expireTime, change.expireTime),
      };
      try {
        await (before === undefined
          ? this.#labelled.insertOne(next)
          : this.#labelled.replaceOne(next, { ifVersion: before.version }));
        return;
      } catch (error) {
        if (!isLost(error) || tries === TRIES_MAX) {
          throw error;
        }
        await sleep(Math.random() * Math.min(tries, BACKOFF_MS_MAX));
      }
    }
  }

  /** Up to `limit` changed windows, the ones that wait longest first. They stay on the list. */
  async takeChanged(limit: number): Promise<readonly ChangedWindow[]> {
    const list: ChangedWindow[] = [];
    const options = { sort: { changeTime: 1 }, limit } as const;
    for await (const window of this.#labelled.find({ changed: true }, options)) {
      const { owner: targetId, startUs, endUs, stamp } = window;
      list.push({ targetId, startUs, endUs, stamp });
    }
    return list;
  }

  /** Takes a window off the list, unless its labels have changed again since it was taken. */
  async seen(change: ChangedWindow): Promise<void> {
    await this.#amend(change, (window) => ({ ...window, changed: false }));
  }

  /** Corrects the count of a window that was measured as it was under that stamp. */
  async counted(change: ChangedWindow, labels: number): Promise<void> {
    await this.#amend(change, (window) =>
      window.labels === labels ? undefined : { ...window, labels },
    );
  }

  /** What is known of a window, if it has had labels. */
  async find(owner: string, window: { readonly startUs: number; readonly endUs: number }) {
    return this.#labelled.findOne({ _id: windowKey(owner, window) });
  }

  /** Windows of a target that have labels, newest first; both ends may be absent. */
  list(
    owner: string,
    range: {
      readonly fromUs?: number | undefined;
      readonly beforeUs?: number | undefined;
      readonly limit?: number;
    },
  ): AsyncIterable<LabelledWindow> {
    const { limit } = range;
    return this.#labelled.find(
      { _id: idsOfWindows(owner, range) },
      { sort: { _id: -1 }, ...(limit === undefined ? {} : { limit }) },
    );
  }

  async #amend(
    { targetId, startUs, endUs, stamp }: ChangedWindow,
    change: (window: LabelledWindow) => LabelledWindow | undefined,
  ): Promise<void> {
    const found = await this.#labelled.findOne({ _id: windowKey(targetId, { startUs, endUs }) });
    const next = found?.stamp === stamp ? change(found) : undefined;
    if (found === undefined || next === undefined) {
      return;
    }
    try {
      await this.#labelled.replaceOne(next, { ifVersion: found.version });
    } catch (error) {
      if (!isLost(error)) {
        throw error;
      }
    }
  }
}

/** Labels of the windows that begin within each range, in order. */
export async function countLabelsIn(
  changed: ChangedWindows,
  targetId: string,
  ranges: readonly { readonly startUs: number; readonly endUs: number }[],
): Promise<number[]> {
  const counts = ranges.map(() => 0);
  if (ranges.length === 0) {
    return counts;
  }
  const fromUs = Math.min(...ranges.map(({ startUs }) => startUs));
  const beforeUs = Math.max(...ranges.map(({ endUs }) => endUs));
  for await (const { startUs, labels } of changed.list(targetId, { fromUs, beforeUs })) {
    for (const [at, range] of ranges.entries()) {
      if (range.startUs <= startUs && startUs < range.endUs) {
        counts[at]! += labels;
      }
    }
  }
  return counts;
}

/** Whether another writer came first. */
function isLost(error: unknown): boolean {
  return error instanceof Aborted || error instanceof AlreadyExists || error instanceof NotFound;
}
