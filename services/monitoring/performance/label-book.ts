// Labels on their way to predictions. Whichever comes first, the two meet: a label is stored before
// its prediction is looked for, and a prediction's reference is stored before its labels are looked
// for, so at least one of both finds the other. The stored label is the truth: who has put a label
// on a row looks whether the stored one is still the same, and if not, puts that there.
//
// A label that waits is kept as long as predictions are. One that was joined is remembered for an
// hour, because the same inference may yet be captured of a shadow. A label of an entity goes to
// the newest prediction that is known when it comes. Where it waits, it goes to the newest one that
// is known when the first one at or before its time comes; should a newer one at or before its time
// come within the hour, it goes on that one too, and the older keeps it. Of several labels that
// wait for one row the one with the latest time stays.

import type { Clock } from "../../common/clock.ts";
import type { Stored } from "../../common/documents/port.ts";
import { withoutStamps } from "../../common/documents/resource.ts";
import { Aborted, NotFound } from "../../common/errors/domain-error.ts";
import { applyLabels, type ChunkChanging } from "./apply-labels.ts";
import type { Labelled } from "./chunk-draft.ts";
import type { DeploymentKnowledge } from "./deployment-facts.ts";
import { inParallel, pagesOf } from "./in-parallel.ts";
import { type FoundPlaces, isOfEntity, placeLabels } from "./place-labels.ts";
import type { LabelRecord } from "./prediction-collections.ts";
import type { Reference } from "./reference.ts";

/** How long a label that was joined is remembered. */
const REMEMBERED_MS = 3_600_000;
/** Documents written at once. */
const WRITES_MAX = 500;
/** Keys of one query, and labels joined together. */
const PAGE_SIZE = 500;
/** Rounds in which others may change a label while it is being joined. */
const ROUNDS_MAX = 20;

/** What became of a label. */
export type LabelFate = "joined" | "replaced" | "waiting" | "no-row";

/** A label as it is to be stored. */
export interface NewLabel extends Omit<LabelRecord, "waiting" | "expireTime"> {
  /** Of an entity of several join keys: keys by which an erasure finds it by one of them. */
  readonly parts?: readonly string[];
}

interface LabelBookParts extends ChunkChanging {
  readonly knowledge: DeploymentKnowledge;
  readonly clock: Clock;
}

/** How far labels reach. */
export interface LabelReach {
  readonly deployment: string;
  /** How long predictions are kept. */
  readonly retentionMs: number;
}

/** Stores labels and joins them. */
export class LabelBook {
  readonly #parts: LabelBookParts;

  constructor(parts: LabelBookParts) {
    this.#parts = parts;
  }

  /**
   * Stores labels and puts them on the rows that are known. Durable when it resolves; what became
   * of each, in order. Of labels of one key the last stays.
   */
  async record(labels: readonly NewLabel[], reach: LabelReach): Promise<LabelFate[]> {
    const { labels: stored, references } = this.#parts.collections;
    const reachUs = reach.retentionMs * 1000;
    const places = await placeLabels(references, labels, reachUs);
    const now = this.#parts.clock.now();
    const records = labels.map(({ parts: _parts, ...label }, at): LabelRecord => {
      const waiting = places[at] === "unknown";
      const keptMs = waiting ? reach.retentionMs : Math.min(REMEMBERED_MS, reach.retentionMs);
      return { ...label, waiting, expireTime: new Date(now + keptMs) };
    });
    const latest = Math.max(...records.map(({ expireTime }) => expireTime.getTime()));
    await this.#parts.knowledge.remember(reach.deployment, new Date(latest));
    const toParts = labels.flatMap((label, at) => partReferences(label, records[at]!.expireTime));
    await inParallel(toParts, WRITES_MAX, (reference) => references.putOne(reference));
    const last = new Map(records.map((record) => [record._id, record]));
    await inParallel([...last.values()], WRITES_MAX, (record) => stored.putOne(record));
    return this.#joinAll(records, reach);
  }

  /** Puts labels that came before on predictions that have just been stored. */
  async joinWaiting(references: readonly Reference[], reach: LabelReach): Promise<void> {
    const facts = await this.#parts.knowledge.read(reach.deployment);
    if (facts === undefined || facts.labelsUntil.getTime() <= this.#parts.clock.now()) {
      return;
    }
    const oldest = new Map<string, number>();
    for (const { by, time } of references) {
      oldest.set(by, Math.min(time, oldest.get(by) ?? time));
    }
    const keys = [...oldest.keys()];
    const pages = [
      ...pagesOf(
        keys.filter((by) => by.startsWith("i:")),
        PAGE_SIZE,
      ),
      ...pagesOf(
        keys.filter((by) => by.startsWith("e:")),
        PAGE_SIZE,
      ),
    ];
    for (const page of pages) {
      for await (const labels of this.#remembered(page, oldest)) {
        await this.#joinAll(labels, reach);
      }
    }
  }

  /** Labels of these keys that such predictions can be meant by, oldest first. */
  async *#remembered(
    keys: readonly string[],
    oldest: ReadonlyMap<string, number>,
  ): AsyncGenerator<LabelRecord[]> {
    const from = Math.min(...keys.map((by) => oldest.get(by)!));
    const range = keys[0]!.startsWith("e:") ? { time: { $gte: from } } : {};
    let page: LabelRecord[] = [];
    const filter = { by: { $in: keys }, ...range };
    for await (const label of this.#parts.collections.labels.find(filter, { sort: { time: 1 } })) {
      if (isOfEntity(label) && label.time < oldest.get(label.by)!) {
        continue;
      }
      if (page.push(label) === PAGE_SIZE) {
        yield page;
        page = [];
      }
    }
    if (page.length > 0) {
      yield page;
    }
  }

  /** Puts each label on its rows, in order. */
  async #join(labels: readonly NewLabel[], reach: LabelReach): Promise<LabelFate[]> {
    const { references } = this.#parts.collections;
    const places = await placeLabels(references, labels, reach.retentionMs * 1000);
    const placed = places.flatMap((found, label) => {
      const rows = typeof found === "string" ? [] : found;
      return rows.map((place) => ({ label, place, value: labels[label]!.value }));
    });
    const outcomes = new Map<number, Labelled[]>();
    for (const { label, outcome } of await applyLabels(this.#parts, placed)) {
      const list = outcomes.get(label);
      if (list === undefined) {
        outcomes.set(label, [outcome]);
      } else {
        list.push(outcome);
      }
    }
    return places.map((found, label) => fateOf(found, outcomes.get(label) ?? []));
  }

  /** Joins, and joins again what others have changed meanwhile. */
  async #joinAll(labels: readonly LabelRecord[], reach: LabelReach): Promise<LabelFate[]> {
    const fates = await this.#join(labels, reach);
    let unsure = labels.filter((_, at) => fates[at] !== "waiting");
    for (let round = 1; round <= ROUNDS_MAX && unsure.length > 0; round++) {
      unsure = await this.#settle(unsure, reach);
      await this.#join(unsure, reach);
    }
    return fates;
  }

  /**
   * Of labels that were put on rows, those whose stored value is another by now. The others need
   * not be kept for long any more.
   */
  async #settle(labels: readonly LabelRecord[], reach: LabelReach): Promise<LabelRecord[]> {
    const { labels: collection } = this.#parts.collections;
    const put = new Map(labels.map((label) => [label._id, label.value]));
    const changed: Stored<LabelRecord>[] = [];
    const waiting: Stored<LabelRecord>[] = [];
    for (const page of pagesOf([...put.keys()], PAGE_SIZE)) {
      for await (const stored of collection.find({ _id: { $in: page } })) {
        if (stored.value !== put.get(stored._id)) {
          changed.push(stored);
        } else if (stored.waiting) {
          waiting.push(stored);
        }
      }
    }
    const keptMs = Math.min(REMEMBERED_MS, reach.retentionMs);
    const expireTime = new Date(this.#parts.clock.now() + keptMs);
    await inParallel(waiting, WRITES_MAX, async (stored) => {
      const rested = { ...withoutStamps(stored), waiting: false, expireTime };
      try {
        await collection.replaceOne(rested, { ifVersion: stored.version });
      } catch (error) {
        if (error instanceof Aborted) {
          changed.push(stored);
        } else if (!(error instanceof NotFound)) {
          throw error;
        }
      }
    });
    return changed.map(withoutStamps);
  }
}

function partReferences({ _id, time, parts = [] }: NewLabel, expireTime: Date): Reference[] {
  return parts.map((by, part) => ({
    _id: `${_id}/k${part}`,
    by,
    time,
    chunk: "",
    row: 0,
    count: 0,
    first: 0,
    label: _id,
    expireTime,
  }));
}

/** One label may belong to several rows: of live versions and of shadows. */
function fateOf(found: FoundPlaces, outcomes: readonly Labelled[]): LabelFate {
  if (found === "no-row") {
    return "no-row";
  }
  if (outcomes.includes("replaced")) {
    return "replaced";
  }
  if (outcomes.some((outcome) => outcome === "joined" || outcome === "same")) {
    return "joined";
  }
  return outcomes.length > 0 ? "no-row" : "waiting";
}
