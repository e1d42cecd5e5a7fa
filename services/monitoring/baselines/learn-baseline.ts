// Makes a baseline of the first rows that are served. They are counted in drafts: parts without a
// window, one a sender. When enough have come, learning is frozen: the document says so, the drafts
// are sealed and merged, and with the profile the document gets the list of the batches that are in
// it. Any replica can do any of these steps again, and go on where another one died:
//
// - A batch is in the baseline if the document says so, and in a window otherwise, never in both.
//   A sender is answered only once that is known (read after the draft is durable).
// - Who reads "learning" after its draft is durable knows that the draft will be sealed and merged,
//   since that begins by changing the document.
// - Of two that merge, one changes the document first; what the other merged is thrown away.
// - Drafts that come to be after the merge hold batches that nobody was told are counted; they are
//   removed later, and the batches go into windows.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { MonitoringEvents } from "../events.ts";
import type { MonitorStore } from "../monitors/monitor-store.ts";
import { type ColumnBatch, checkBatch } from "../sketch/column-batch.ts";
import { COLUMNS_MAX, type WindowLayout } from "../sketch/column-layout.ts";
import { addRows } from "../sketch/window-sketch.ts";
import type { PartPlace } from "../windows/open-part.ts";
import type { PartStore } from "../windows/part-store.ts";
import {
  type BaselineRecord,
  draftGroup,
  isFrozen,
  isLearnt,
  newLearning,
  type VersionIdentity,
  withLayout,
} from "./baseline-record.ts";
import type { BaselineStore, NewBaseline } from "./baseline-store.ts";
import { type KindedColumn, learningLayout } from "./draft-layout.ts";
import { frozenSenders, profileOfDrafts } from "./merge-drafts.ts";

/** Sets of columns that drafts are kept for; columns of further ones are stray values. */
const LAYOUTS_MAX = 8;
/** How often at most the rows of other replicas are looked at. */
const LOOK_MS = 2000;
/** Drafts of a version that is served so rarely are given up. */
const DRAFT_TTL_MS = 400 * 86_400_000;
/** Between the looks for what a process that died has left. */
const SWEEP_MS = 60_000;
const PLACE_TRIES = 20;
const RETRY_MS = 1000;

/** Where the rows of a batch go. */
export type BatchPlace =
  | { readonly kind: "window"; readonly layout: WindowLayout }
  /** They are in the baseline already, and in no window. */
  | { readonly kind: "learned" };

export interface BaselineLearnerDeps {
  readonly parts: Pick<PartStore, "add" | "sealed" | "find" | "deleteGroup">;
  readonly baselines: BaselineStore;
  readonly monitors: Pick<MonitorStore, "get">;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "backgroundFailed">;
}

/** How far a version is, as far as this process knows. */
interface Progress {
  /** In all drafts when they were last looked at, and what this process has counted since. */
  rows: number;
  lookedMs: number;
}

/** Owns the learning of baselines in this process. */
export class BaselineLearner implements AsyncDisposable {
  readonly #deps: BaselineLearnerDeps;
  readonly #progress = new Map<string, Progress>();
  readonly #freezing = new Map<string, Promise<void>>();
  readonly #ending = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(deps: BaselineLearnerDeps) {
    this.#deps = deps;
  }

  /** Begins to look, now and then, for what a process that died has left. */
  start(): void {
    this.#sweeping = this.#sweepNowAndThen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#sweeping;
    await Promise.allSettled(this.#freezing.values());
  }

  /**
   * Where the rows of a batch go. Where they are to be learned from, they are when this resolves,
   * durably and once, however often the batch is sent. The same batch is never first "learned" and
   * then for a window, nor the other way round, but where a baseline is uploaded in between; it is
   * then sent again only if nobody was told that it is counted.
   * @throws InvalidArgument where its rows are not right, or its columns are none of a layout.
   */
  async placeFor(batch: DecodedBatch): Promise<BatchPlace> {
    const { baselines } = this.#deps;
    const uid = batch.target.modelVersionUid;
    checkBatch(batch, COLUMNS_MAX);
    for (let tries = 1; tries <= PLACE_TRIES; tries++) {
      let record: BaselineRecord | undefined = await baselines.current(uid);
      if (record === undefined || !isLearnt(record)) {
        record = await this.#learningRecord(batch);
      }
      if (record.state === "freezing") {
        await this.#freeze(batch.target);
      } else if (record.state === "learning") {
        if (await this.#learn(batch, record)) {
          return { kind: "learned" };
        }
      } else if (isFrozen(record, batch)) {
        return { kind: "learned" };
      } else {
        const layout = await baselines.currentLayout(uid);
        if (layout !== undefined) {
          return { kind: "window", layout };
        }
      }
      // Another replica was faster.
      await sleep(tries === 1 ? 0 : Math.random() * 2 ** Math.min(tries, 6));
    }
    throw new Unavailable(
      `The baseline of ${batch.target.modelVersion} is being changed all the time. Send the batch again.`,
      { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs: RETRY_MS },
    );
  }

  /** Rows in the drafts of a version so far, in all replicas. */
  async rowsSoFar(modelVersionUid: string): Promise<number> {
    const drafts = await this.#deps.parts.find({ group: draftGroup(modelVersionUid) });
    return drafts.flatMap(({ sections }) => sections).reduce((sum, { rows }) => sum + rows, 0);
  }

  /** Removes the drafts of a version that learns no more; what fails is done by a sweep. */
  async dropDrafts(modelVersionUid: string): Promise<void> {
    this.#progress.delete(modelVersionUid);
    try {
      await this.#deps.parts.deleteGroup(draftGroup(modelVersionUid));
    } catch (error) {
      this.#deps.events.backgroundFailed("baseline", modelVersionUid, error);
    }
  }

  /** Does what processes that died have left undone, and removes what is no longer needed. */
  async sweep(): Promise<void> {
    const { baselines, parts } = this.#deps;
    for await (const { _id, modelVersion } of baselines.freezing()) {
      await this.#freeze({ modelVersion, modelVersionUid: _id });
    }
    for await (const record of baselines.due()) {
      if (record.frozenUntil !== null) {
        await parts.deleteGroup(draftGroup(record._id));
      }
      await baselines.sweepRecord(record._id);
    }
    await baselines.sweepOrphans();
  }

  /** What is stored, with the columns of this batch in its drafts where rows are learned from. */
  async #learningRecord(batch: DecodedBatch): Promise<BaselineRecord> {
    const { baselines, monitors, clock } = this.#deps;
    const { target } = batch;
    const { learning } = await monitors.get(target.deployment);
    let mustDrop = false;
    const record = await baselines.change(target.modelVersionUid, (current) => {
      mustDrop = false;
      if (current !== undefined && current.state !== "learning") {
        return current;
      }
      const drafts = withColumns(current?.drafts ?? [], batch.columns);
      if (learning.disabled) {
        mustDrop = current !== undefined;
        const now = new Date(clock.now());
        return withLayout(current, target, { columns: drafts.at(-1)!, now });
      }
      if (current === undefined) {
        return newLearning(target, { columns: drafts[0]!, deployment: target.deployment });
      }
      return drafts === current.drafts ? current : { ...current, drafts };
    });
    if (mustDrop) {
      await this.dropDrafts(target.modelVersionUid);
    }
    return record!;
  }

  /** Whether the batch is in the baseline that is being learned, durably. */
  async #learn(batch: DecodedBatch, record: BaselineRecord): Promise<boolean> {
    const { parts, clock, baselines } = this.#deps;
    const uid = batch.target.modelVersionUid;
    const place: PartPlace = {
      group: draftGroup(uid),
      owner: uid,
      layout: learningLayout(record.drafts.at(-1)!),
      startUs: 0,
      endUs: 0,
      expireTime: new Date(clock.now() + DRAFT_TTL_MS),
    };
    const outcome = await parts.add(place, batch, (sketch) => addRows(sketch, batch));
    // Only now: whoever ends the learning after this has the draft before it.
    const after = await baselines.fresh(uid);
    if (after === undefined || after.state === "freezing" || outcome === "sealed") {
      return false;
    }
    if (after.state !== "learning") {
      this.#progress.delete(uid);
      return isFrozen(after, batch);
    }
    const wanted = (await this.#deps.monitors.get(batch.target.deployment)).learning.rows;
    if (await this.#hasEnough(uid, outcome === "counted" ? batch.rows : 0, wanted)) {
      await this.#freeze(batch.target);
      const frozen = await baselines.fresh(uid);
      return frozen !== undefined && isFrozen(frozen, batch);
    }
    return true;
  }

  async #hasEnough(uid: string, counted: number, wanted: number): Promise<boolean> {
    const now = this.#deps.clock.monotonicMs();
    const known = this.#progress.get(uid);
    if (known !== undefined) {
      known.rows += counted;
      if (known.rows < wanted && now - known.lookedMs < LOOK_MS) {
        return false;
      }
    }
    const rows = await this.rowsSoFar(uid);
    this.#progress.set(uid, { rows, lookedMs: now });
    return rows >= wanted;
  }

  /** Ends the learning of a version; once at a time in this process. */
  #freeze(version: VersionIdentity): Promise<void> {
    const uid = version.modelVersionUid;
    let running = this.#freezing.get(uid);
    if (running === undefined) {
      running = this.#freezeOnce(version).finally(() => this.#freezing.delete(uid));
      this.#freezing.set(uid, running);
    }
    return running;
  }

  async #freezeOnce(version: VersionIdentity): Promise<void> {
    const { baselines, parts } = this.#deps;
    const uid = version.modelVersionUid;
    const record = await baselines.change(uid, (current) =>
      current?.state === "learning" ? { ...current, state: "freezing" } : current,
    );
    if (record?.state !== "freezing") {
      return;
    }
    const drafts = await parts.sealed(draftGroup(uid));
    const { modelVersion } = record;
    const baseline: NewBaseline = {
      modelVersion,
      modelVersionUid: uid,
      profile: profileOfDrafts(record.drafts, drafts, (error) => {
        this.#deps.events.backgroundFailed("baseline", modelVersion, error);
      }),
      source: "first-inferences",
      fileName: "",
      frozen: frozenSenders(drafts),
    };
    if (await baselines.putIf(baseline, (current) => current?.state === "freezing")) {
      await this.dropDrafts(uid);
    }
  }

  async #sweepNowAndThen(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await this.sweep();
      } catch (error) {
        this.#deps.events.backgroundFailed("baseline", "sweep", error);
      }
      await sleep(SWEEP_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

/**
 * With one list of columns more where the batch has some that the newest lacks, and there is room.
 * @throws InvalidArgument where the columns of a first batch make no layout.
 */
function withColumns(
  drafts: readonly (readonly KindedColumn[])[],
  batch: ReadonlyMap<string, ColumnBatch>,
): readonly (readonly KindedColumn[])[] {
  const known = drafts.at(-1);
  const names = new Set(known?.map(({ name }) => name));
  const all = Array.from(batch, ([name, { kind }]) => ({ name, kind }));
  const columns = [...(known ?? []), ...all.filter(({ name }) => !names.has(name))];
  const isFull = drafts.length >= LAYOUTS_MAX || columns.length > COLUMNS_MAX;
  if (known !== undefined && (columns.length === known.length || isFull)) {
    return drafts;
  }
  learningLayout(columns);
  return [...drafts, columns];
}
