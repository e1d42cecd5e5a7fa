// The stored parts: read with their blocks, and changed by compare-and-set.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Collection, DocumentStore, Filter, Stored } from "../../common/documents/port.ts";
import { collect, withoutStamps } from "../../common/documents/resource.ts";
import { Aborted, AlreadyExists, NotFound, Unavailable } from "../../common/errors/domain-error.ts";
import type { OpenPart } from "./open-part.ts";
import {
  blocksOf,
  isInline,
  type PartDocument,
  type PartSection,
  recordsOf,
} from "./part-document.ts";
import { SketchBlocks } from "./sketch-blocks.ts";
import type { PartRecord } from "./window-record.ts";

/** Losing so often in a row means that something is wrong, not that there are many writers. */
export const TRIES_MAX = 50;

/** The collection of parts and their blocks. */
export class PartCollection {
  readonly #collection: Collection<PartDocument>;
  readonly #blocks: SketchBlocks;

  private constructor(collection: Collection<PartDocument>, blocks: SketchBlocks) {
    this.#collection = collection;
    this.#blocks = blocks;
  }

  static async open(documents: DocumentStore): Promise<PartCollection> {
    const collection = await documents.collection<PartDocument>({
      name: "parts",
      indexes: [
        { keys: { group: 1, sender: 1 } },
        { keys: { owner: 1, retired: 1, endUs: 1 } },
        { keys: { owner: 1, sender: 1 } },
        { keys: { expireTime: 1 }, expireAfterSeconds: 0 },
      ],
    });
    return new PartCollection(collection, await SketchBlocks.open(documents));
  }

  get(id: string): Promise<Stored<PartDocument> | undefined> {
    return this.#collection.findOne({ _id: id });
  }

  find(filter: Filter): Promise<Stored<PartDocument>[]> {
    return collect(this.#collection.find(filter));
  }

  /** One record a section, in the order of the documents. */
  async records(documents: readonly PartDocument[]): Promise<PartRecord[]> {
    const records = await Promise.all(documents.map((document) => this.#recordsOf(document)));
    return records.flat();
  }

  /** Reads what is stored of an open part into it. */
  async load(part: OpenPart): Promise<void> {
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const stored = await this.get(part.id);
      const fetched = new Map<string, Uint8Array>();
      for (const { layoutId, blocks } of stored?.sections ?? []) {
        const bytes = blocks === null ? undefined : await this.#blocks.get(blocks);
        if (bytes !== undefined) {
          fetched.set(layoutId, bytes);
        }
      }
      if (fetched.size === blocksOf(stored).length) {
        part.load(stored, fetched);
        return;
      }
    }
    throw busy(part.id);
  }

  /** Writes an open part; undefined where another writer was faster. */
  async write(part: OpenPart): Promise<Stored<PartDocument> | undefined> {
    const before = part.stored;
    const { document, kept, changed } = await part.encode();
    const sections: PartSection[] = [...kept];
    for (const { bytes, ...section } of changed) {
      const inline = isInline(bytes.length, sections);
      const blocks = inline ? null : await this.#blocks.put(bytes, document.expireTime);
      sections.push({ ...section, sketch: inline ? bytes : null, blocks });
    }
    const next: PartDocument = { ...document, sections };
    try {
      const stored =
        before === undefined
          ? await this.#collection.insertOne(next)
          : await this.#collection.replaceOne(next, { ifVersion: before.version });
      await this.#drop(before, next);
      return stored;
    } catch (error) {
      if (!isLostRace(error)) {
        throw error;
      }
      // A driver that repeats a write may have lost against itself.
      await this.#drop(next, await this.get(part.id));
      return undefined;
    }
  }

  /** Changes a document; undefined is no change. Returns it as it is then, if it is there. */
  async change(
    id: string,
    change: (document: PartDocument) => PartDocument | undefined,
  ): Promise<Stored<PartDocument> | undefined> {
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const stored = await this.get(id);
      const next = stored === undefined ? undefined : change(withoutStamps(stored));
      if (stored === undefined || next === undefined) {
        return stored;
      }
      try {
        const changed = await this.#collection.replaceOne(next, { ifVersion: stored.version });
        await this.#drop(stored, next);
        return changed;
      } catch (error) {
        if (!isLostRace(error)) {
          throw error;
        }
      }
    }
    throw busy(id);
  }

  async delete(document: PartDocument): Promise<void> {
    if (await this.#collection.deleteOne(document._id)) {
      await this.#drop(document, undefined);
    }
  }

  async #recordsOf(document: PartDocument): Promise<readonly PartRecord[]> {
    let current: PartDocument | undefined = document;
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const records = await recordsOf(current, this.#blocks);
      if (records !== undefined) {
        return records;
      }
      current = await this.get(document._id);
      if (current === undefined) {
        return [];
      }
    }
    throw busy(document._id);
  }

  /** Drops the blocks that `document` names and `still` does not. */
  async #drop(document: PartDocument | undefined, still: PartDocument | undefined): Promise<void> {
    const kept = new Set(blocksOf(still).map(({ id }) => id));
    for (const blocks of blocksOf(document)) {
      if (!kept.has(blocks.id)) {
        // Whatever stays goes when it expires.
        await this.#blocks.drop(blocks).catch(() => {});
      }
    }
  }
}

/** Too many writers; nothing of the batch was stored. */
export function busy(id: string): Unavailable {
  return new Unavailable(
    `Too many servers write to ${id} at once; nothing was lost. Send the batch again.`,
    { reason: ErrorReason.OVERLOADED, retryAfterMs: 1000 },
  );
}

/** Whether a write failed because another one was faster. */
export function isLostRace(error: unknown): boolean {
  return error instanceof Aborted || error instanceof AlreadyExists || error instanceof NotFound;
}
