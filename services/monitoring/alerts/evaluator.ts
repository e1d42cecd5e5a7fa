// Holds the rules of a deployment against what its versions see: once for each window that closes,
// and for metrics that come from labels again as labels come. Any number of replicas may look at the
// same window; what each writes is a compare-and-set on the alert, which remembers the window.
//
// Windows of a target are looked at in order, each once by each rule: those that closed since the
// rule last looked, up to the one that is told. A metric from labels is looked at in the newest
// window that has enough of them, again and again while labels come; labels for older windows
// change nothing any more, so that a state never goes back in time.

import type { Clock } from "../../common/clock.ts";
import { collect } from "../../common/documents/resource.ts";
import type { Channel } from "../../common/rpc/client.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import type { Target } from "../target.ts";
import type { WindowInfo } from "../windows/window-record.ts";
import type { AlertRuleRecord } from "./alert-rule.ts";
import { comesFromLabels, rowsNeeded, scopeHas } from "./alert-rule.ts";
import type { AlertStore } from "./alert-store.ts";
import { applyFinding } from "./apply-finding.ts";
import { earlierWanted, find } from "./condition.ts";
import { finishGone } from "./finish-gone.ts";
import { MetricReader, type MetricReaderDeps, type Span } from "./metric-reader.ts";
import { type IsWatched, servingOf } from "./serving.ts";

/** Windows that one rule looks at in one go; of more the newest. */
const CATCH_UP_MAX = 1000;
/** Windows with new labels that are looked at in one go. */
const CHANGED_MAX = 100;
/** How often alerts are looked for whose rule or version is gone. */
const UPKEEP_MS = 30_000;

/** Windows whose labels changed; the performance side keeps them until they are seen. */
export interface LabelChanges {
  takeChanged(limit: number): Promise<readonly LabelChange[]>;
  seen(change: LabelChange): Promise<void>;
}

export interface LabelChange extends Span {
  readonly targetId: string;
  readonly stamp: string;
}

export interface AlertEvaluatorDeps extends MetricReaderDeps {
  readonly alerts: AlertStore;
  readonly config: Pick<MonitoringConfig, "closeIntervalMs">;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "alertChanged" | "backgroundFailed">;
  /** Absent: labels are looked at when windows close, and not again. */
  readonly labels: LabelChanges | undefined;
  /** Absent: every version that is seen is taken to serve. */
  readonly registry: Channel | undefined;
}

/** Owns the timers of what is looked at without being told. */
export class AlertEvaluator implements AsyncDisposable {
  readonly #deps: AlertEvaluatorDeps;
  readonly #reader: MetricReader;
  readonly #stop = new AbortController();
  #timers: readonly NodeJS.Timeout[] = [];
  #labelWork: Promise<void> | undefined;
  #upkeep: Promise<void> | undefined;

  constructor(deps: AlertEvaluatorDeps) {
    this.#deps = deps;
    this.#reader = new MetricReader(deps);
  }

  /** Begins to follow labels, and to resolve the alerts of rules and versions that are gone. */
  start(): void {
    if (this.#timers.length === 0 && !this.#stop.signal.aborted) {
      const labels = () => void this.lookAtLabels();
      const upkeep = () => void this.lookForGone();
      this.#timers = [
        setInterval(labels, this.#deps.config.closeIntervalMs).unref(),
        setInterval(upkeep, UPKEEP_MS).unref(),
      ];
      upkeep();
    }
  }

  /**
   * Looks at a window that has closed, and at those before it that a rule has not seen. Idempotent:
   * when it throws, it is to be called again.
   */
  async windowClosed(target: Target, window: Span): Promise<void> {
    const rules = await this.#rulesOf(target.deployment);
    const isWatched = this.#serving(target);
    for (const rule of rules) {
      if (!rule.disabled) {
        await this.#catchUp(rule, target, { window, isWatched });
      } else if (!comesFromLabels(rule.metric.kind)) {
        // Once it is enabled it begins with what closes then.
        await this.#deps.alerts.advance(rule.uid, target._id, window.endUs);
      }
    }
  }

  /** Looks at the windows whose labels changed; joins the look under way if there is one. */
  async lookAtLabels(): Promise<void> {
    this.#labelWork ??= this.#labelled().finally(() => {
      this.#labelWork = undefined;
    });
    await this.#labelWork;
  }

  /** Ends what rules and versions that are gone have left behind. */
  async lookForGone(): Promise<void> {
    this.#upkeep ??= this.#finishGone().finally(() => {
      this.#upkeep = undefined;
    });
    await this.#upkeep;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) {
      clearInterval(timer);
    }
    this.#stop.abort();
    await Promise.all([this.#labelWork, this.#upkeep]);
  }

  /** The windows up to this one that the rule has not looked at yet, in order. */
  async #catchUp(
    rule: AlertRuleRecord,
    target: Target,
    look: { readonly window: Span; readonly isWatched: IsWatched },
  ): Promise<void> {
    const { alerts } = this.#deps;
    const { window, isWatched } = look;
    const seenUs = await alerts.progress(rule.uid, target._id);
    // Windows before it get their labels later, and are looked at then.
    const isAlone = seenUs === undefined || comesFromLabels(rule.metric.kind);
    const fromUs = isAlone ? window.startUs : seenUs;
    if (seenUs !== undefined && !isDue(rule, window, seenUs)) {
      return;
    }
    const oldestUs = window.startUs - CATCH_UP_MAX * (window.endUs - window.startUs);
    const startUs = Math.max(Math.min(fromUs, window.startUs), oldestUs);
    const windows = await this.#reader.closed(target._id, { startUs, endUs: window.endUs });
    const wanted = windows.filter(
      (info) =>
        info.endUs <= window.endUs &&
        (isAlone ? info.startUs === window.startUs : isDue(rule, info, seenUs)),
    );
    for (const info of wanted.slice(-CATCH_UP_MAX)) {
      await this.#look(rule, target, { window: info, isWatched });
    }
  }

  /** Looks at one window and notes that it was seen. */
  async #look(
    rule: AlertRuleRecord,
    target: Target,
    look: { readonly window: WindowInfo; readonly isWatched: IsWatched },
  ): Promise<void> {
    const { window, isWatched } = look;
    const { alerts } = this.#deps;
    let isKnown = false;
    if (scopeHas(rule.scope, window.shadow)) {
      const active = new Set<string>();
      for await (const alert of alerts.allActive({ target: target._id, ruleUid: rule.uid })) {
        active.add(alert.column);
      }
      for (const [column, finding] of await this.#findings(rule, target, window)) {
        isKnown = true;
        if (finding.kind === "right" && !active.has(column)) {
          continue;
        }
        const found = { rule, target, column, window, finding, now: alerts.now() };
        await applyFinding(this.#deps, found, isWatched);
      }
    }
    // Of labels the newest window that has some counts, not the newest that closed.
    if (isKnown || !comesFromLabels(rule.metric.kind)) {
      await alerts.advance(rule.uid, target._id, window.endUs);
    }
  }

  /** What is known of the metric, by column. */
  async #findings(rule: AlertRuleRecord, target: Target, window: WindowInfo) {
    const { metric, condition } = rule;
    const reader = this.#reader;
    const values = await reader.values(target, window, metric);
    const count = earlierWanted(condition);
    const earlier = count > 0 ? await reader.earlier(target, window, { metric, count }) : undefined;
    const baseline =
      condition.kind === "baseline" ? await reader.baseline(target, metric) : undefined;
    return [...values].flatMap(([column, { value, rows }]) => {
      if (rows < rowsNeeded(metric)) {
        return [];
      }
      const finding = find(condition, value, {
        baseline: baseline?.get(column)?.value,
        earlier: earlier?.get(column),
      });
      return finding.kind === "unknown" ? [] : [[column, finding] as const];
    });
  }

  async #labelled(): Promise<void> {
    const { labels, events } = this.#deps;
    try {
      for (const change of (await labels?.takeChanged(CHANGED_MAX))?.toSorted(byEnd) ?? []) {
        if (this.#stop.signal.aborted) {
          return;
        }
        try {
          await this.#labelsChanged(change);
          await labels?.seen(change);
        } catch (error) {
          events.backgroundFailed("alerts", change.targetId, error);
        }
      }
    } catch (error) {
      events.backgroundFailed("alerts", "labels", error);
    }
  }

  async #labelsChanged(change: LabelChange): Promise<void> {
    const { targetId, startUs, endUs } = change;
    const target = await this.#deps.windows.target(targetId);
    const rules = target === undefined ? [] : await this.#rulesOf(target.deployment);
    const affected = rules.filter((rule) => !rule.disabled && comesFromLabels(rule.metric.kind));
    if (target === undefined || affected.length === 0) {
      return;
    }
    // A window that is still open is looked at when it closes.
    const closed = await this.#reader.closed(targetId, { startUs, endUs });
    const window = closed.find((info) => info.startUs === startUs && info.endUs === endUs);
    const isWatched = this.#serving(target);
    for (const rule of affected) {
      const seenUs = await this.#deps.alerts.progress(rule.uid, targetId);
      if (window !== undefined && (seenUs === undefined || isDue(rule, window, seenUs))) {
        await this.#look(rule, target, { window, isWatched });
      }
    }
  }

  async #finishGone(): Promise<void> {
    try {
      await finishGone(this.#deps, this.#stop.signal);
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        this.#deps.events.backgroundFailed("alerts", "upkeep", error);
      }
    }
  }

  async #rulesOf(deployment: string): Promise<readonly AlertRuleRecord[]> {
    return collect(this.#deps.alerts.rules.find({ deployment, deleting: false }));
  }

  /** Asked at most once for one look. */
  #serving(target: Target): IsWatched {
    let serving: ReturnType<typeof servingOf> | undefined;
    return async (rule) => {
      serving ??= servingOf(this.#deps.registry, target);
      return (await serving)(rule.scope);
    };
  }
}

/** Whether a rule that has seen the windows up to there has yet to look at this one. */
function isDue(rule: AlertRuleRecord, { endUs }: Span, seenUs: number): boolean {
  return endUs > seenUs || (endUs === seenUs && comesFromLabels(rule.metric.kind));
}

function byEnd(a: Span, b: Span): number {
  return a.endUs - b.endUs;
}
