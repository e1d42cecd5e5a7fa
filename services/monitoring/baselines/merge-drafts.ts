// Drafts of all senders in one. They may have been counted on several layouts, where batches came
// with more columns than those before; a column is counted alike in all of them.

import { DataLoss } from "../../common/errors/domain-error.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import { type BaselineProfile, profileOfDraft } from "../sketch/column-profile.ts";
import {
  decodeWindow,
  mergeWindowInto,
  newWindowSketch,
  type WindowSketch,
} from "../sketch/window-sketch.ts";
import type { PartRecord } from "../windows/window-record.ts";
import type { FrozenSender } from "./baseline-record.ts";
import { type KindedColumn, learningLayout } from "./draft-layout.ts";

/**
 * The baseline of what these drafts have counted, in whatever order they are given. `layouts` are
 * the columns that they were counted on; each list has those of the one before, and more. A draft
 * that is damaged is left out and told.
 */
export function profileOfDrafts(
  layouts: readonly (readonly KindedColumn[])[],
  drafts: readonly Pick<PartRecord, "layoutId" | "sketch">[],
  damaged: (error: DataLoss) => void,
): BaselineProfile {
  const known = layouts.map(learningLayout);
  const widest = known.at(-1) ?? learningLayout([]);
  const all = newWindowSketch(widest);
  for (const { layoutId, sketch } of drafts) {
    const layout = known.find(({ id }) => id === layoutId) ?? widest;
    try {
      mergeWindowInto(all, widened(decodeWindow(sketch, layout), widest));
    } catch (error) {
      if (!(error instanceof DataLoss)) {
        throw error;
      }
      damaged(error);
    }
  }
  return profileOfDraft(all);
}

/** Which batches are in these drafts; parts of a sender on several layouts share them. */
export function frozenSenders(
  drafts: readonly Pick<PartRecord, "sender" | "acknowledged" | "sequences">[],
): readonly FrozenSender[] {
  const bySender = new Map<string, FrozenSender>();
  for (const { sender, acknowledged, sequences } of drafts) {
    bySender.set(sender, { sender, acknowledged, sequences });
  }
  return [...bySender.values()];
}

/** The same counts with more columns, which have seen no row. */
function widened(sketch: WindowSketch, layout: WindowLayout): WindowSketch {
  if (sketch.layout.id === layout.id) {
    return sketch;
  }
  const { places } = sketch.layout;
  const columns = newWindowSketch(layout).columns.map((empty, place) => {
    const from = places.get(layout.columns[place]!.name);
    return from === undefined ? empty : sketch.columns[from]!;
  });
  return { ...sketch, layout, columns };
}
