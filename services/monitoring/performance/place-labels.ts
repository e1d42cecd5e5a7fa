// Finds the rows that a label is for. By inference id: that row of every prediction with the id, of
// live versions and shadows. By entity: the rows of the newest predictions for exactly that entity
// at or before the label's time; several where they have the same time.

import type { Collection } from "../../common/documents/port.ts";
import { collect } from "../../common/documents/resource.ts";
import { inParallel, pagesOf } from "./in-parallel.ts";
import type { LabelRecord } from "./prediction-collections.ts";
import type { Reference } from "./reference.ts";

/** Keys of one query. */
const KEYS_MAX = 500;
/** Queries under way. */
const QUERIES_MAX = 8;
/** References of the entities of one query that are looked through at once. */
const ENTITY_REFERENCES_MAX = 4000;
/** Of an entity: rows of one time are seldom more. */
const TIES_READ = 16;

/** One row of one chunk. */
export interface RowPlace {
  readonly chunk: string;
  readonly row: number;
}

/** What a label is looked for by. */
export type SoughtLabel = Pick<LabelRecord, "by" | "time" | "row">;

/** Where a label belongs; "no-row": its prediction is there and has no such row. */
export type FoundPlaces = readonly RowPlace[] | "no-row" | "unknown";

/** Whether a label is for an entity. */
export function isOfEntity(label: Pick<LabelRecord, "by">): boolean {
  return label.by.startsWith("e:");
}

/** The places of each label, in order; entities' predictions are at most `reachUs` old. */
export async function placeLabels(
  references: Collection<Reference>,
  labels: readonly SoughtLabel[],
  reachUs: number,
): Promise<FoundPlaces[]> {
  const ofInferences = labels.filter((label) => !isOfEntity(label));
  const byKey = await readByKey(references, [...new Set(ofInferences.map(({ by }) => by))]);
  const ofEntities = labels.filter(isOfEntity);
  const found = await inParallel(pagesOf(ofEntities, KEYS_MAX), QUERIES_MAX, (page) => {
    return placeOfEntities(references, page, reachUs);
  });
  const places = found.flat();
  const entityPlaces = new Map(ofEntities.map((label, at) => [label, places[at]!]));
  return labels.map((label) => {
    return entityPlaces.get(label) ?? placesOfRow(byKey.get(label.by) ?? [], label.row);
  });
}

async function readByKey(
  references: Collection<Reference>,
  keys: readonly string[],
): Promise<Map<string, Reference[]>> {
  const byKey = new Map<string, Reference[]>();
  await inParallel(pagesOf(keys, KEYS_MAX), QUERIES_MAX, async (page) => {
    for await (const reference of references.find({ by: { $in: page } }, { sort: { time: 1 } })) {
      const list = byKey.get(reference.by);
      if (list === undefined) {
        byKey.set(reference.by, [reference]);
      } else {
        list.push(reference);
      }
    }
  });
  return byKey;
}

function placesOfRow(references: readonly Reference[], row: number): FoundPlaces {
  if (references.length === 0) {
    return "unknown";
  }
  const places = references
    .filter(({ first, count }) => first <= row && row < first + count)
    .map((reference) => ({ chunk: reference.chunk, row: reference.row + row - reference.first }));
  return places.length === 0 ? "no-row" : places;
}

/** All of a page by one query, unless its entities have many predictions. */
async function placeOfEntities(
  references: Collection<Reference>,
  labels: readonly SoughtLabel[],
  reachUs: number,
): Promise<FoundPlaces[]> {
  const from = Math.min(...labels.map(({ time }) => time)) - reachUs;
  const to = Math.max(...labels.map(({ time }) => time));
  const by = { $in: [...new Set(labels.map((label) => label.by))] };
  const range = { by, time: { $gt: from, $lte: to } };
  const found = await collect(
    references.find(range, { sort: { time: -1 }, limit: ENTITY_REFERENCES_MAX }),
  );
  if (found.length === ENTITY_REFERENCES_MAX) {
    return inParallel(labels, QUERIES_MAX, (label) => newestBefore(references, label, reachUs));
  }
  const byKey = Map.groupBy(found, (reference) => reference.by);
  return labels.map(({ by: key, time }) => {
    const own = byKey.get(key) ?? [];
    const newest = own.find((reference) => reference.time <= time);
    return newest === undefined || newest.time <= time - reachUs
      ? "unknown"
      : own
          .filter((reference) => reference.time === newest.time)
          .map(({ chunk, row }) => ({ chunk, row }));
  });
}

async function newestBefore(
  references: Collection<Reference>,
  { by, time }: SoughtLabel,
  reachUs: number,
): Promise<FoundPlaces> {
  const range = { by, time: { $lte: time, $gt: time - reachUs } };
  const newest = await collect(references.find(range, { sort: { time: -1 }, limit: TIES_READ }));
  const first = newest[0];
  if (first === undefined) {
    return "unknown";
  }
  const areAll = newest.length < TIES_READ || newest.at(-1)!.time !== first.time;
  const ties = areAll ? newest : await collect(references.find({ by, time: first.time }));
  return ties
    .filter((reference) => reference.time === first.time)
    .map(({ chunk, row }) => ({ chunk, row }));
}
