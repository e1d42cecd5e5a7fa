// What one sender has brought into one group of parts, as it is stored: one document, so that the
// batches that are in it and what they count change together. Where the layout changed while rows
// came there is a section for each; a batch is in one of them.

import type { Document } from "../../common/documents/port.ts";
import type { PartSequences } from "./part-sequences.ts";
import type { BlocksRef, SketchBlocks } from "./sketch-blocks.ts";
import type { PartRecord, WindowTotals } from "./window-record.ts";

/** Of all sections of a document together; what is beyond goes into blocks. */
const INLINE_BYTES_MAX = 4 * 1024 * 1024;

/** What was counted on one layout. */
export interface PartSection {
  readonly layoutId: string;
  readonly rows: number;
  readonly totals: WindowTotals;
  /** encodeWindow; null where it is in blocks. */
  readonly sketch: Uint8Array | null;
  readonly blocks: BlocksRef | null;
}

/** The stored part. */
export interface PartDocument extends Document, PartSequences {
  readonly group: string;
  readonly owner: string;
  readonly sender: string;
  readonly startUs: number;
  readonly endUs: number;
  /** Nothing is counted in it any more. */
  readonly sealed: boolean;
  /** It is merged, and here only so that its batches are known. It has no sections then. */
  readonly retired: boolean;
  readonly sections: readonly PartSection[];
  readonly expireTime: Date;
}

/** The id of a sender's part. */
export function partId(group: string, sender: string): string {
  return `${group}/${sender}`;
}

/** Whether a sketch of that many bytes goes into the document, after those that are in it. */
export function isInline(bytes: number, before: readonly PartSection[]): boolean {
  const used = before.reduce((sum, { sketch }) => sum + (sketch?.length ?? 0), 0);
  return used + bytes <= INLINE_BYTES_MAX;
}

/** The blocks that a document names. */
export function blocksOf(document: PartDocument | undefined): readonly BlocksRef[] {
  return (document?.sections ?? []).flatMap(({ blocks }) => (blocks === null ? [] : [blocks]));
}

/** One record a section; undefined where blocks were replaced since the document was read. */
export async function recordsOf(
  document: PartDocument,
  blocks: SketchBlocks,
): Promise<readonly PartRecord[] | undefined> {
  const { sections, retired: _retired, ...part } = document;
  const records: PartRecord[] = [];
  for (const section of sections) {
    const sketch = section.blocks === null ? section.sketch : await blocks.get(section.blocks);
    if (sketch === undefined) {
      return undefined;
    }
    const { layoutId, rows, totals } = section;
    records.push({ ...part, layoutId, rows, totals, sketch: sketch ?? new Uint8Array() });
  }
  return records;
}
