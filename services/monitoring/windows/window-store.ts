// The windows of all targets: counts batches into them, closes them when their time has come, and
// reads them. What is between is in modules of their own; this one owns the timer that closes.

import type { Clock } from "../../common/clock.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import type { BaselineStore } from "../baselines/baseline-store.ts";
import type { BaselineLearner } from "../baselines/learn-baseline.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import type { MonitorStore } from "../monitors/monitor-store.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import type { Target } from "../target.ts";
import { closeWindows } from "./close-windows.ts";
import { ClosedWindows, infoOf } from "./closed-windows.ts";
import { type CountedBatch, countBatch } from "./count-batch.ts";
import { firstLength, type WindowRange, windowAt } from "./event-clock.ts";
import type { PartStore } from "./part-store.ts";
import { listWindows, type ReadTarget, type ReadWindows, readWindows } from "./read-windows.ts";
import { rollUpDays } from "./roll-up-days.ts";
import { SketchCache } from "./sketch-cache.ts";
import { TargetStore } from "./target-store.ts";
import { Turns } from "./turns.ts";
import type { WindowInfo, WindowRecord, WindowVerdict } from "./window-record.ts";

/** Of the memory for sketches; parts have another half of it. */
const CACHE_SHARE = 0.25;

export interface WindowStoreDeps {
  readonly documents: DocumentStore;
  readonly config: Pick<
    MonitoringConfig,
    "memoryBytesMax" | "clockSkewMs" | "closeIntervalMs" | "commitIntervalMs"
  >;
  readonly clock: Clock;
  readonly events: MonitoringEvents;
  readonly parts: PartStore;
  readonly baselines: Pick<BaselineStore, "layout">;
  readonly learner: Pick<BaselineLearner, "placeFor">;
  readonly monitors: Pick<MonitorStore, "get">;
}

/** Owns the targets in memory, the sketches that were read, and the timer that closes windows. */
export class WindowStore implements AsyncDisposable {
  readonly #deps: WindowStoreDeps;
  readonly #targets: TargetStore;
  readonly #closed: ClosedWindows;
  readonly #cache: SketchCache;
  readonly #turns = new Turns();
  readonly #listeners: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closing: Promise<number> | undefined;
  #isDisposed = false;

  private constructor(deps: WindowStoreDeps, targets: TargetStore, closed: ClosedWindows) {
    this.#deps = deps;
    this.#targets = targets;
    this.#closed = closed;
    this.#cache = new SketchCache(deps.config.memoryBytesMax * CACHE_SHARE);
  }

  static async open(deps: WindowStoreDeps): Promise<WindowStore> {
    const { documents, clock, events } = deps;
    const closed = await ClosedWindows.open(documents);
    const closedUntil = async (owner: string): Promise<number> => {
      const sort = { startUs: -1 } as const;
      const [newest] = await closed.find({ owner, level: "window" }, { sort, limit: 1 });
      return newest?.endUs ?? Number.NEGATIVE_INFINITY;
    };
    const targets = await TargetStore.open({ documents, clock, events, closedUntil });
    return new WindowStore(deps, targets, closed);
  }

  /**
   * Counts a batch in the windows that its rows fall into, each row once however often the batch is
   * sent and wherever. Resolves when it is durable.
   * @throws InvalidArgument where its rows are not right; then nothing of it is counted.
   */
  async count(batch: DecodedBatch): Promise<CountedBatch> {
    const settings = await this.#deps.monitors.get(batch.target.deployment);
    const deps = { ...this.#deps, targets: this.#targets, turns: this.#turns };
    return countBatch(deps, batch, settings);
  }

  /** The window of a time, as this target's windows are cut; undefined: no such target. */
  async windowAt(targetId: string, timeUs: number): Promise<WindowRange | undefined> {
    const target = await this.#targets.get(targetId);
    return target && windowAt(target.lengths, timeUs);
  }

  target(id: string): Promise<Target | undefined> {
    return this.#targets.get(id);
  }

  /** Those of a workspace, or of one deployment (by its name) of it. */
  targets(workspace: string, deployment?: string): Promise<readonly Target[]> {
    return this.#targets.list(workspace, deployment);
  }

  /** How far the target's time has come, microseconds since 1970. */
  clockUs(target: Target): number {
    return this.#targets.clockUs(target);
  }

  /**
   * The windows that overlap the range, newest first, open ones too; days where their windows have
   * expired. At most `limit`, the newest.
   */
  async list(
    targetId: string,
    range: { readonly startUs?: number; readonly endUs?: number },
    options: { readonly limit?: number } = {},
  ): Promise<readonly WindowInfo[]> {
    const target = await this.#targets.get(targetId);
    return target === undefined
      ? []
      : listWindows(this.#readDeps(), target, { ...range, ...options });
  }

  /** Everything in the windows that overlap the range, on one layout, each row once. */
  async read(target: Target, range: WindowRange, layout: WindowLayout): Promise<ReadWindows> {
    const known = (await this.#targets.get(target._id)) ?? (await this.#unknown(target));
    return readWindows(this.#readDeps(), known, { range, layout });
  }

  async newestClosed(targetId: string): Promise<WindowInfo | undefined> {
    const options = { level: "window", limit: 1 } as const;
    const [newest] = await this.#closed.within(targetId, {}, options);
    return newest && infoOf(newest);
  }

  /** Closed windows that nobody has judged since they last changed; those that ended first. */
  async unjudged(limit: number): Promise<readonly WindowRecord[]> {
    const sort = { endUs: 1 } as const;
    const found = await this.#closed.find({ judged: false }, { sort, limit });
    const records = await Promise.all(found.map((document) => this.#closed.record(document)));
    return records.flatMap((record) => record ?? []);
  }

  setVerdict(id: string, verdict: WindowVerdict): Promise<void> {
    return this.#closed.setVerdict(id, verdict);
  }

  /**
   * The window is not given by `unjudged` any more, until a part is merged into it. `merged`: of
   * the record that was judged; where more is in it by now it stays unjudged.
   */
  markJudged(id: string, merged?: readonly string[]): Promise<void> {
    return this.#closed.markJudged(id, merged);
  }

  /** Begins to close windows and to roll up days, every config.closeIntervalMs. */
  start(): void {
    if (this.#timer === undefined && !this.#isDisposed) {
      const { closeIntervalMs } = this.#deps.config;
      this.#timer = setInterval(() => void this.closeDue(), closeIntervalMs).unref();
    }
  }

  /** Called after windows were closed. */
  onClosed(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Closes every window whose time has come, rolls up days that are over, and goes on with what was
   * left behind. Never throws; returns how many records it wrote.
   */
  closeDue(): Promise<number> {
    this.#closing ??= this.#closeAll().finally(() => {
      this.#closing = undefined;
    });
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    clearInterval(this.#timer);
    await this.#closing;
    await this.#targets[Symbol.asyncDispose]();
  }

  async #closeAll(): Promise<number> {
    const { events, monitors } = this.#deps;
    let written = 0;
    try {
      await this.#targets.flush();
      for await (const target of this.#targets.all()) {
        if (this.#isDisposed) {
          break;
        }
        const settings = await monitors.get(target.deployment);
        const untilUs = this.#targets.clockUs(target) - settings.latenessUs;
        const deps = { ...this.#deps, targets: this.#targets, closed: this.#closed };
        written += await closeWindows(deps, target, { untilUs, settings });
        written += await rollUpDays(deps, target, { untilUs, settings });
      }
    } catch (error) {
      events.backgroundFailed("closing", "*", error);
    }
    if (written > 0) {
      for (const listener of this.#listeners) {
        listener();
      }
    }
    return written;
  }

  #readDeps() {
    return { parts: this.#deps.parts, closed: this.#closed, cache: this.#cache };
  }

  /** A target whose document has expired; what is left of it has a range of its own. */
  async #unknown(target: Target): Promise<ReadTarget> {
    const { windowUs } = await this.#deps.monitors.get(target.deployment);
    return { ...target, lengths: firstLength(windowUs) };
  }
}
