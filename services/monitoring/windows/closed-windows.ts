// Keeps the windows that have closed, and the days of them: a document each, without the sketch,
// which lies in blocks beside it. Every change is a compare-and-set that names the parts that are
// in it, so that whoever merges a part again, after a crash or beside another replica, changes
// nothing.

import type {
  Collection,
  Document,
  DocumentStore,
  Filter,
  Sort,
  Stored,
} from "../../common/documents/port.ts";
import { collect, withoutStamps } from "../../common/documents/resource.ts";
import { busy, isLostRace, TRIES_MAX } from "./part-collection.ts";
import { type BlocksRef, SketchBlocks } from "./sketch-blocks.ts";
import type { WindowInfo, WindowRecord, WindowVerdict } from "./window-record.ts";

/** A record as it is stored. */
export interface ClosedDocument extends Document, Omit<WindowRecord, "sketch"> {
  readonly blocks: BlocksRef;
  /** Of a window: nothing of it is missing in its day, or it has none. */
  readonly inDay: boolean;
}

/** What a record shall be. */
export interface NewClosed extends Omit<ClosedDocument, "blocks" | "verdict" | "judged"> {
  readonly sketch: Uint8Array;
}

/** The collection of closed windows. */
export class ClosedWindows {
  readonly #collection: Collection<ClosedDocument>;
  readonly #blocks: SketchBlocks;

  private constructor(collection: Collection<ClosedDocument>, blocks: SketchBlocks) {
    this.#collection = collection;
    this.#blocks = blocks;
  }

  static async open(documents: DocumentStore): Promise<ClosedWindows> {
    const collection = await documents.collection<ClosedDocument>({
      name: "windows",
      indexes: [
        { keys: { owner: 1, level: 1, startUs: -1 } },
        { keys: { owner: 1, inDay: 1, startUs: 1 } },
        { keys: { judged: 1, endUs: 1 } },
        { keys: { expireTime: 1 }, expireAfterSeconds: 0 },
      ],
    });
    return new ClosedWindows(collection, await SketchBlocks.open(documents));
  }

  get(id: string): Promise<Stored<ClosedDocument> | undefined> {
    return this.#collection.findOne({ _id: id });
  }

  find(
    filter: Filter,
    options: { readonly sort?: Sort; readonly limit?: number } = {},
  ): Promise<Stored<ClosedDocument>[]> {
    return collect(this.#collection.find(filter, options));
  }

  /** The windows that end after the range begins and begin before it ends, newest first. */
  within(
    owner: string,
    range: { readonly startUs?: number | undefined; readonly endUs?: number | undefined },
    options: { readonly level: WindowRecord["level"]; readonly limit?: number },
  ): Promise<Stored<ClosedDocument>[]> {
    const { level, ...limit } = options;
    const filter: Record<string, Filter[string]> = { owner, level };
    if (range.startUs !== undefined) {
      filter.endUs = { $gt: range.startUs };
    }
    if (range.endUs !== undefined) {
      filter.startUs = { $lt: range.endUs };
    }
    return this.find(filter, { sort: { startUs: -1 }, ...limit });
  }

  /** Encoded; undefined where the record was changed since it was read. */
  sketchOf(document: Pick<ClosedDocument, "blocks">): Promise<Uint8Array | undefined> {
    return this.#blocks.get(document.blocks);
  }

  /** With its sketch; undefined where it is gone. */
  async record(document: ClosedDocument): Promise<WindowRecord | undefined> {
    let current: ClosedDocument | undefined = document;
    for (let tries = 1; current !== undefined && tries <= TRIES_MAX; tries++) {
      const sketch = await this.sketchOf(current);
      if (sketch !== undefined) {
        const { blocks: _blocks, inDay: _inDay, ...record } = current;
        return { ...record, sketch };
      }
      current = await this.get(document._id);
    }
    return undefined;
  }

  /**
   * Writes a record in place of the one that `make` was given, not judged yet. `make` is called
   * again where another writer was faster; undefined is no change. Returns what it wrote.
   */
  async write(
    id: string,
    make: (current: Stored<ClosedDocument> | undefined) => Promise<NewClosed | undefined>,
  ): Promise<Stored<ClosedDocument> | undefined> {
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const current = await this.get(id);
      const made = await make(current);
      if (made === undefined) {
        return undefined;
      }
      const { sketch, ...fields } = made;
      const blocks = await this.#blocks.put(sketch, made.expireTime);
      const next = { ...fields, blocks, verdict: null, judged: made.level === "day" };
      const written = await this.#replace(current, next);
      if (written !== undefined) {
        return written;
      }
    }
    throw busy(id);
  }

  /** Changes fields of a record; undefined is no change. */
  async change(
    id: string,
    change: (document: ClosedDocument) => ClosedDocument | undefined,
  ): Promise<void> {
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const stored = await this.get(id);
      const next = stored === undefined ? undefined : change(withoutStamps(stored));
      if (stored === undefined || next === undefined) {
        return;
      }
      try {
        await this.#collection.replaceOne(next, { ifVersion: stored.version });
        return;
      } catch (error) {
        if (!isLostRace(error)) {
          throw error;
        }
      }
    }
    throw busy(id);
  }

  /** Stores what was found of a window. */
  setVerdict(id: string, verdict: WindowVerdict): Promise<void> {
    return this.change(id, (document) => ({ ...document, verdict }));
  }

  /** Notes that alerts and reports have seen it, unless parts were merged into it since. */
  markJudged(id: string, seen: readonly string[] | undefined): Promise<void> {
    return this.change(id, (document) =>
      seen === undefined || seen.length === document.merged.length
        ? { ...document, judged: true }
        : undefined,
    );
  }

  async #replace(
    current: Stored<ClosedDocument> | undefined,
    next: ClosedDocument,
  ): Promise<Stored<ClosedDocument> | undefined> {
    try {
      const stored =
        current === undefined
          ? await this.#collection.insertOne(next)
          : await this.#collection.replaceOne(next, { ifVersion: current.version });
      // Whatever stays of the old ones goes when it expires.
      await (current && this.#blocks.drop(current.blocks).catch(() => {}));
      return stored;
    } catch (error) {
      if (!isLostRace(error)) {
        throw error;
      }
      const winner = await this.get(next._id);
      if (winner?.blocks.id !== next.blocks.id) {
        await this.#blocks.drop(next.blocks).catch(() => {});
      }
      return undefined;
    }
  }
}

/** As lists show it. */
export function infoOf(document: ClosedDocument): WindowInfo {
  const { _id: id, startUs, endUs, level, rows, totals, layoutId, verdict, shadow } = document;
  return {
    id,
    startUs,
    endUs,
    closed: true,
    level,
    rows,
    totals,
    layoutId,
    sizeBytes: document.blocks.sizeBytes,
    verdict: verdict ?? undefined,
    shadow,
  };
}
