// What this service keeps of alerts: the rules, the alerts with their outbox, and how far each rule
// has looked at each target. Every change is one document written by compare-and-set, so that any
// number of replicas may try the same.

import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../common/clock.ts";
import type {
  Change,
  Collection,
  Document,
  DocumentStore,
  Stored,
} from "../../common/documents/port.ts";
import { REQUEST_KEY } from "../../common/documents/request-stamp.ts";
import {
  collect,
  getDocument,
  insertIfNew,
  withoutStamps,
} from "../../common/documents/resource.ts";
import { Aborted, AlreadyExists, NotFound } from "../../common/errors/domain-error.ts";
import { listPage, type Page } from "../../common/list-page.ts";
import type { MonitoringConfig } from "../config.ts";
import { type AlertRecord, settled } from "./alert.ts";
import type { AlertRuleRecord } from "./alert-rule.ts";
import type { Phase } from "./alert-state.ts";

const ACTIVE = { $in: ["PENDING", "FIRING"] } as const;
/** With the pauses below enough for a hundred writers of one alert at once. */
const TRIES_MAX = 50;
const BACKOFF_MS_MAX = 100;
/** An alert that never fired stays this long after it went right, for those who watch. */
const SILENT_TTL_MS = 3_600_000;
/** Longer than windows are kept, unless somebody keeps them for longer. */
const PROGRESS_TTL_MS = 100 * 86_400_000;
/** More alerts of one target firing at once are counted, not named. */
const FIRING_NAMED_MAX = 1000;

export interface AlertStoreDeps {
  readonly documents: DocumentStore;
  readonly clock: Clock;
  readonly config: Pick<MonitoringConfig, "alertTtlMs">;
}

/** How far a rule has looked at a target. `_id` is `{rule uid}/{target}`. */
export interface RuleProgress extends Document {
  /** End of the newest window that was looked at. */
  readonly endUs: number;
  readonly expireTime: Date;
}

/** Where a scan for due alerts left off. */
export interface DueCursor {
  readonly dueTime: Date;
  readonly id: string;
}

/** Owns the collections of rules, alerts and progress; the documents stay the caller's to close. */
export class AlertStore {
  readonly rules: Collection<AlertRuleRecord>;
  readonly #alerts: Collection<AlertRecord>;
  readonly #progress: Collection<RuleProgress>;
  readonly #deps: AlertStoreDeps;

  private constructor(
    deps: AlertStoreDeps,
    collections: {
      readonly rules: Collection<AlertRuleRecord>;
      readonly alerts: Collection<AlertRecord>;
      readonly progress: Collection<RuleProgress>;
    },
  ) {
    this.#deps = deps;
    this.rules = collections.rules;
    this.#alerts = collections.alerts;
    this.#progress = collections.progress;
  }

  /** Opens the collections, making what is missing. */
  static async open(deps: AlertStoreDeps): Promise<AlertStore> {
    const { documents } = deps;
    return new AlertStore(deps, {
      rules: await documents.collection<AlertRuleRecord>({
        name: "alert_rules",
        indexes: [
          REQUEST_KEY,
          { keys: { workspace: 1 } },
          { keys: { deployment: 1 } },
          { keys: { deleting: 1 } },
        ],
      }),
      alerts: await documents.collection<AlertRecord>({
        name: "alerts",
        feed: true,
        indexes: [
          { keys: { activeSeries: 1 }, unique: true },
          { keys: { workspace: 1, createTime: -1 } },
          { keys: { series: 1, windowEndUs: -1 } },
          { keys: { target: 1, phase: 1 } },
          { keys: { ruleUid: 1, phase: 1 } },
          { keys: { phase: 1 } },
          { keys: { nextDueTime: 1 } },
          { keys: { expireTime: 1 }, expireAfterSeconds: 0 },
        ],
      }),
      progress: await documents.collection<RuleProgress>({
        name: "alert_progress",
        indexes: [{ keys: { expireTime: 1 }, expireAfterSeconds: 0 }],
      }),
    });
  }

  /** Now, as it is stored. */
  now(): Date {
    return new Date(this.#deps.clock.now());
  }

  /** @throws NotFound */
  get(name: string): Promise<Stored<AlertRecord>> {
    return getDocument(this.#alerts, name);
  }

  /** A page, newest first. @throws InvalidArgument */
  list(query: {
    readonly workspace: string;
    /** Name; empty: of all. */
    readonly deployment: string;
    /** Empty: all. */
    readonly phases: readonly Phase[];
    readonly pageSize: number;
    readonly pageToken: string;
    readonly signal: AbortSignal;
  }): Promise<Page<AlertRecord>> {
    const { workspace, deployment, phases, pageSize, pageToken, signal } = query;
    return listPage(this.#alerts, {
      call: ["ListAlerts", workspace, deployment, [...phases].sort().join()],
      pageSize,
      pageToken,
      where: {
        workspace,
        ...(deployment === "" ? {} : { deployment }),
        ...(phases.length === 0 ? {} : { phase: { $in: phases } }),
      },
      matches: () => true,
      order: { field: "createTime", kind: "date", descending: true },
      signal,
    });
  }

  /** Says that somebody has seen it. @throws NotFound */
  acknowledge(
    name: string,
    by: { readonly actor: string; readonly comment: string },
  ): Promise<Stored<AlertRecord>> {
    return this.change(name, (alert) => {
      const { actor, comment } = alert.acknowledgement ?? {};
      const isSame = actor === by.actor && comment === by.comment;
      return isSame ? alert : { ...alert, acknowledgement: { ...by, time: this.now() } };
    });
  }

  /** Names of the alerts of a target that are firing, at most 1000. */
  async firing(target: string): Promise<string[]> {
    const filter = { target, phase: "FIRING" };
    const found = await collect(this.#alerts.find(filter, { limit: FIRING_NAMED_MAX }));
    return found.map(({ _id }) => _id);
  }

  /** How many alerts of a target are PENDING or FIRING. */
  active(target: string): Promise<number> {
    return this.#alerts.countDocuments({ target, phase: ACTIVE });
  }

  /** All that are PENDING or FIRING: of a workspace, a rule (by uid), a target, or everywhere. */
  allActive(
    of: { readonly workspace?: string; readonly ruleUid?: string; readonly target?: string },
    signal?: AbortSignal,
  ): AsyncIterable<Stored<AlertRecord>> {
    const options = signal === undefined ? {} : { signal };
    return this.#alerts.find({ ...of, phase: ACTIVE }, options);
  }

  /** The newest alert of a series. */
  async newestOf(series: string): Promise<Stored<AlertRecord> | undefined> {
    const active = await this.#alerts.findOne({ activeSeries: series });
    if (active !== undefined) {
      return active;
    }
    const options = { sort: { windowEndUs: -1, createTime: -1 }, limit: 1 } as const;
    const [newest] = await collect(this.#alerts.find({ series }, options));
    return newest;
  }

  /** Stores a new alert; false where another replica was faster. */
  begin(alert: AlertRecord): Promise<boolean> {
    return insertIfNew(this.#alerts, this.#settled({ ...alert, updateTime: this.now() }));
  }

  /**
   * Changes an alert; begins again when another writer was faster. `change` may be called several
   * times and returns the alert itself when nothing is to be written; `version` is that of the
   * document that it will make. `quietly`: nobody who watches is told.
   * @throws NotFound
   */
  async change(
    name: string,
    change: (alert: AlertRecord, version: number) => AlertRecord,
    options: { readonly quietly?: boolean } = {},
  ): Promise<Stored<AlertRecord>> {
    for (let tries = 1; ; tries++) {
      const stored = await this.get(name);
      const current = withoutStamps(stored);
      const changed = change(current, stored.version + 1);
      if (changed === current) {
        return stored;
      }
      const next = options.quietly
        ? { ...changed, quietVersion: stored.version + 1 }
        : { ...changed, updateTime: this.now() };
      try {
        return await this.#alerts.replaceOne(this.#settled(next), { ifVersion: stored.version });
      } catch (error) {
        if (!(error instanceof Aborted) || tries === TRIES_MAX) {
          throw error;
        }
        await sleep(Math.random() * Math.min(2 ** tries, BACKOFF_MS_MAX));
      }
    }
  }

  /** Alerts with something due, the longest due first; after a cursor those behind it. */
  async *due(until: Date, after: DueCursor | undefined): AsyncGenerator<Stored<AlertRecord>> {
    const sort = { nextDueTime: 1 } as const;
    if (after === undefined) {
      yield* this.#alerts.find({ nextDueTime: { $lte: until } }, { sort });
      return;
    }
    const { dueTime, id } = after;
    yield* this.#alerts.find({ nextDueTime: dueTime, _id: { $gt: id } }, { sort });
    yield* this.#alerts.find({ nextDueTime: { $gt: dueTime, $lte: until } }, { sort });
  }

  /** End of the newest window that a rule has looked at; undefined: none yet. */
  async progress(ruleUid: string, target: string): Promise<number | undefined> {
    return (await this.#progress.findOne({ _id: progressId(ruleUid, target) }))?.endUs;
  }

  /** Notes that a rule has looked at the windows up to there; never goes back. */
  async advance(ruleUid: string, target: string, endUs: number): Promise<void> {
    const _id = progressId(ruleUid, target);
    const expireTime = new Date(this.#deps.clock.now() + PROGRESS_TTL_MS);
    for (;;) {
      const stored = await this.#progress.findOne({ _id });
      if (stored !== undefined && stored.endUs >= endUs) {
        return;
      }
      const next = { _id, endUs, expireTime };
      try {
        await (stored === undefined
          ? this.#progress.insertOne(next)
          : this.#progress.replaceOne(next, { ifVersion: stored.version }));
        return;
      } catch (error) {
        const isRace =
          error instanceof Aborted || error instanceof AlreadyExists || error instanceof NotFound;
        if (!isRace) {
          throw error;
        }
      }
    }
  }

  /** The revision of the newest change of any alert. */
  revision(): Promise<number> {
    return this.#alerts.revision();
  }

  /** See Collection.changes. @throws FailedPrecondition (RESUME_TOKEN_EXPIRED) */
  changes(after: number, signal: AbortSignal): AsyncIterable<Change<AlertRecord>> {
    return this.#alerts.changes(after, signal);
  }

  #settled(alert: AlertRecord): AlertRecord {
    const { alertTtlMs } = this.#deps.config;
    const ttlMs = alert.fireTime === null ? Math.min(SILENT_TTL_MS, alertTtlMs) : alertTtlMs;
    return settled(alert, { now: this.now(), ttlMs: Math.max(ttlMs, coolDownLeftMs(alert)) });
  }
}

/** An alert is what remembers when its series fired. */
function coolDownLeftMs({ coolDownUs, firedEndUs, windowEndUs }: AlertRecord): number {
  return firedEndUs === null ? 0 : Math.max(0, firedEndUs + coolDownUs - windowEndUs) / 1000;
}

function progressId(ruleUid: string, target: string): string {
  return `${ruleUid}/${target}`;
}
