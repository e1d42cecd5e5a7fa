// Puts labels on rows of chunks, each chunk written once however many labels it gets, and tells the
// windows that they have changed.

import type { ChangedWindows } from "./changed-windows.ts";
import type { Labelled } from "./chunk-draft.ts";
import type { ChunkWriter } from "./chunk-writer.ts";
import { inParallel } from "./in-parallel.ts";
import type { RowPlace } from "./place-labels.ts";
import type { ChunkRecord, PredictionCollections } from "./prediction-collections.ts";
import { windowKey } from "./window-key.ts";
import { stampWindow } from "./window-stamps.ts";

/** Chunks changed at once; each is in memory. */
const CHUNKS_MAX = 8;

/** What changes chunks and windows. */
export interface ChunkChanging {
  readonly collections: PredictionCollections;
  readonly chunks: ChunkWriter;
  readonly changed: ChangedWindows;
}

/** A value for a row; `label` says whose it is. */
export interface PlacedLabel {
  readonly label: number;
  readonly place: RowPlace;
  readonly value: string | number;
}

/** What became of one placed label. */
export interface AppliedLabel {
  readonly label: number;
  readonly outcome: Labelled;
}

/** A window in which a chunk was changed. */
export interface TouchedChunk {
  readonly record: ChunkRecord;
  /** Labels that came, less labels that went. */
  readonly added: number;
}

/**
 * Puts the labels on their rows, those of one chunk in order. Durable, and seen by whoever measures
 * the windows, when it resolves. Labels of chunks that are gone have no outcome.
 */
export async function applyLabels(
  changing: ChunkChanging,
  placed: readonly PlacedLabel[],
): Promise<AppliedLabel[]> {
  const byChunk = Map.groupBy(placed, ({ place }) => place.chunk);
  const touched: TouchedChunk[] = [];
  const applied = await inParallel([...byChunk], CHUNKS_MAX, async ([chunk, labels]) => {
    const done = await changing.chunks.change(chunk, (draft) => {
      const outcomes = labels.map(({ label, place, value }) => {
        return { label, outcome: draft.label(place.row, value) };
      });
      return { record: draft.record, outcomes };
    });
    if (done === undefined) {
      return [];
    }
    const added = done.outcomes.filter(({ outcome }) => outcome === "joined").length;
    touched.push({ record: done.record, added });
    return done.outcomes;
  });
  await tellWindows(changing, touched);
  return applied.flat();
}

/** Gives the windows of changed chunks new stamps, and puts them on the list for alerts. */
export async function tellWindows(
  { collections, changed }: Pick<ChunkChanging, "collections" | "changed">,
  touched: readonly TouchedChunk[],
): Promise<void> {
  const windows = Map.groupBy(touched, ({ record }) => windowKey(record.owner, record));
  await inParallel([...windows.values()], CHUNKS_MAX, async (chunks) => {
    const { record } = chunks[0]!;
    const added = chunks.reduce((sum, chunk) => sum + chunk.added, 0);
    const times = chunks.map((chunk) => chunk.record.expireTime.getTime());
    const expireTime = new Date(Math.max(...times));
    await stampWindow(collections.windows, record, expireTime);
    await changed.mark(record, { added, expireTime });
  });
}
