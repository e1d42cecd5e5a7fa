// Judges windows that have closed: compares each with its baseline, keeps the verdict, has the
// alert rules look at it and tells the registry and the features service. Every replica has one;
// all steps may be done twice. What a window still lacks is in the store (it is not judged), so a
// crash loses nothing.
//
// The windows of a target are judged in the order of their time. One that fails is tried again
// later, with growing pauses, and others of its target wait for it; other targets do not. Feedback
// tells of the newest window alone, so that of the older ones is left out.

import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../common/clock.ts";
import type { BaselineStore } from "../baselines/baseline-store.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import type { MonitorStore } from "../monitors/monitor-store.ts";
import { decodeWindow } from "../sketch/window-sketch.ts";
import type { Target } from "../target.ts";
import type { WindowRecord, WindowVerdict } from "../windows/window-record.ts";
import type { WindowStore } from "../windows/window-store.ts";
import { type ComparedWindows, compareInTurns } from "./compare-windows.ts";
import type { TimeSpan } from "./report-sources.ts";
import { unknownVerdict, verdictOf } from "./verdict.ts";

/** Windows that are taken up together; each has its sketch in memory. */
const WINDOWS_AT_ONCE = 32;
/** Windows that wait for another try, of which each look reads past. */
const WAITING_MAX = 512;
/** Targets judged at once: one whose registry hangs must not hold up the others. */
const TARGETS_AT_ONCE = 4;
const BACKOFF_FIRST_MS = 1000;
const BACKOFF_MAX_MS = 60_000;
/** A window that cannot be judged for so long is given up, so that nothing piles up behind it. */
const GIVE_UP_MS = 3_600_000;

/** What is told of a window once it has its verdict. */
export interface JudgedWindow extends TimeSpan {
  readonly record: WindowRecord;
  readonly verdict: WindowVerdict;
  /** Absent: there was no baseline to compare with. */
  readonly compared: ComparedWindows | undefined;
}

export interface JudgeDeps {
  readonly config: Pick<MonitoringConfig, "closeIntervalMs">;
  readonly clock: Clock;
  readonly windows: Pick<
    WindowStore,
    "target" | "unjudged" | "setVerdict" | "markJudged" | "onClosed"
  >;
  readonly baselines: Pick<BaselineStore, "ready">;
  readonly monitors: Pick<MonitorStore, "get">;
  /** See AlertEvaluator. */
  readonly alerts: { windowClosed(target: Target, window: TimeSpan): Promise<void> };
  /** See Feedback. */
  readonly feedback: { report(target: Target, window: JudgedWindow): Promise<void> };
  readonly events: Pick<MonitoringEvents, "backgroundFailed">;
}

/** A window that failed, and at what. */
interface Waiting {
  readonly work: string;
  readonly sinceMs: number;
  readonly tries: number;
  readonly dueMs: number;
}

/** Owns the loop that judges. */
export class Judge implements AsyncDisposable {
  readonly #deps: JudgeDeps;
  readonly #stop = new AbortController();
  /** By the window's id. */
  readonly #waiting = new Map<string, Waiting>();
  #loop: Promise<void> | undefined;
  #looking: Promise<number> | undefined;
  #wake: (() => void) | undefined;

  constructor(deps: JudgeDeps) {
    this.#deps = deps;
  }

  /** Begins to judge: whenever windows were closed here, and every config.closeIntervalMs or so. */
  start(): void {
    if (this.#loop === undefined && !this.#stop.signal.aborted) {
      this.#deps.windows.onClosed(() => this.#wake?.());
      this.#loop = this.#run();
    }
  }

  /**
   * Judges what is there to be judged now; joins the look under way if there is one. Never throws;
   * returns how many windows were judged.
   */
  judgeDue(): Promise<number> {
    this.#looking ??= this.#judgeAll().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await Promise.all([this.#loop, this.#looking]);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const judged = await this.judgeDue();
      if (judged === 0 && !signal.aborted) {
        // Replicas that were started together shall not look together.
        const pauseMs = this.#deps.config.closeIntervalMs * (0.75 + Math.random() / 2);
        const woken = Promise.withResolvers<void>();
        this.#wake = woken.resolve;
        const pause = new AbortController();
        await Promise.race([
          woken.promise,
          sleep(pauseMs, undefined, { signal: pause.signal, ref: false }).catch(() => {}),
        ]);
        pause.abort();
      }
    }
  }

  async #judgeAll(): Promise<number> {
    const { windows, events } = this.#deps;
    try {
      const records = await windows.unjudged(WINDOWS_AT_ONCE + this.#waiting.size);
      const ids = new Set(records.map(({ _id }) => _id));
      for (const id of this.#waiting.keys()) {
        if (!ids.has(id)) {
          this.#waiting.delete(id);
        }
      }
      const queue = [...Map.groupBy(records, ({ owner }) => owner)];
      let judged = 0;
      const workers = Array.from({ length: TARGETS_AT_ONCE }, async () => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          if (!this.#stop.signal.aborted) {
            const done = await this.#judgeTarget(next[0], next[1]);
            judged += done;
          }
        }
      });
      await Promise.all(workers);
      return judged;
    } catch (error) {
      events.backgroundFailed("verdict", "*", error);
      return 0;
    }
  }

  /** The windows of one target, in order, until one fails. */
  async #judgeTarget(owner: string, records: readonly WindowRecord[]): Promise<number> {
    const { windows, clock } = this.#deps;
    const inOrder = records.toSorted((a, b) => a.startUs - b.startUs);
    const newest = inOrder.at(-1);
    let judged = 0;
    for (const record of inOrder) {
      const waiting = this.#waiting.get(record._id);
      const tell = record === newest;
      // Where only its feedback failed, a newer window tells instead and it need not wait.
      const isOvertaken = waiting?.work === "feedback" && !tell;
      if (waiting !== undefined && waiting.dueMs > clock.now() && !isOvertaken) {
        return judged;
      }
      const failure = await this.#failureOf(owner, record, { tell });
      if (failure !== undefined && !this.#givesUp(record, failure)) {
        return judged;
      }
      try {
        await windows.markJudged(record._id, record.merged);
      } catch (error) {
        this.#givesUp(record, { work: "verdict", error });
        return judged;
      }
      this.#waiting.delete(record._id);
      judged += 1;
    }
    return judged;
  }

  /** Verdict, alerts, feedback; the first that failed. */
  async #failureOf(
    owner: string,
    record: WindowRecord,
    { tell }: { readonly tell: boolean },
  ): Promise<{ readonly work: string; readonly error: unknown } | undefined> {
    const { windows, alerts, feedback } = this.#deps;
    let work = "verdict";
    try {
      const target = await windows.target(owner);
      if (target === undefined) {
        return undefined;
      }
      const window = await this.#judge(target, record);
      const { startUs, endUs } = record;
      work = "alerts";
      await alerts.windowClosed(target, { startUs, endUs });
      work = "feedback";
      if (tell) {
        await feedback.report(target, window);
      }
      return undefined;
    } catch (error) {
      return { work, error };
    }
  }

  async #judge(target: Target, record: WindowRecord): Promise<JudgedWindow> {
    const { windows, baselines, monitors } = this.#deps;
    const { startUs, endUs } = record;
    const { drift } = await monitors.get(target.deployment);
    const ready = await baselines.ready(target.modelVersionUid);
    const compared =
      ready?.layout.id === record.layoutId
        ? await compareInTurns(
            {
              layout: ready.layout,
              current: decodeWindow(record.sketch, ready.layout),
              reference: ready.baseline,
              drift,
              brief: true,
            },
            this.#stop.signal,
          )
        : undefined;
    const verdict = compared === undefined ? unknownVerdict(drift) : verdictOf(compared);
    await windows.setVerdict(record._id, verdict);
    return { startUs, endUs, record, verdict, compared };
  }

  /** Notes a failure; whether it was one too many. */
  #givesUp(
    record: WindowRecord,
    { work, error }: { readonly work: string; readonly error: unknown },
  ): boolean {
    if (this.#stop.signal.aborted) {
      return false;
    }
    const { events, clock } = this.#deps;
    const before = this.#waiting.get(record._id);
    const nowMs = clock.now();
    const sinceMs = before?.sinceMs ?? nowMs;
    const tries = (before?.tries ?? 0) + 1;
    const pauseMs = Math.min(BACKOFF_FIRST_MS * 2 ** (tries - 1), BACKOFF_MAX_MS);
    events.backgroundFailed(work, record._id, error);
    const isFull = before === undefined && this.#waiting.size >= WAITING_MAX;
    this.#waiting.set(record._id, {
      work,
      sinceMs,
      tries,
      dueMs: nowMs + pauseMs * (0.75 + Math.random() / 2),
    });
    return isFull || nowMs - sinceMs >= GIVE_UP_MS;
  }
}
