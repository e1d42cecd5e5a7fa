// Counts batches into parts, each once. Batches that come close together are written together: a
// part is written when the oldest of them has waited for the commit interval, by compare-and-set;
// who loses against another process counts again on top of what that one has stored. A batch is
// answered when the document that has it is durable, and not before.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { DocumentStore, Filter, Stored } from "../../common/documents/port.ts";
import { DomainError, Unavailable } from "../../common/errors/domain-error.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import {
  type BatchKey,
  OpenPart,
  type PartChange,
  type PartOutcome,
  type PartPlace,
} from "./open-part.ts";
import { busy, PartCollection, TRIES_MAX } from "./part-collection.ts";
import { type PartDocument, partId } from "./part-document.ts";
import { hasSequence } from "./part-sequences.ts";
import type { PartRecord } from "./window-record.ts";

/** Of the memory for sketches; the rest is for those that are read. */
const MEMORY_SHARE = 0.5;
/** Sealed ones have no sketch in memory; they are bounded by number. */
const OPEN_MAX = 2000;
/** Parts written at once. */
const WRITES_AT_ONCE = 16;
/** A commit that takes long (many wide parts) is followed by a pause as long, up to this. */
const PAUSE_MS_MAX = 5000;

export interface PartStoreDeps {
  readonly documents: DocumentStore;
  readonly config: Pick<MonitoringConfig, "commitIntervalMs" | "memoryBytesMax">;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "backgroundFailed">;
}

/** Owns the parts that are open in this process. */
export class PartStore implements AsyncDisposable {
  readonly #deps: PartStoreDeps;
  readonly #parts: PartCollection;
  /** In the order of use. */
  readonly #open = new Map<string, OpenPart>();
  readonly #loading = new Map<string, Promise<OpenPart>>();
  readonly #dirty = new Set<OpenPart>();
  #timer: NodeJS.Timeout | undefined;
  #committing: Promise<void> | undefined;
  #pauseMs = 0;
  #isClosed = false;

  private constructor(deps: PartStoreDeps, parts: PartCollection) {
    this.#deps = deps;
    this.#parts = parts;
  }

  static async open(deps: PartStoreDeps): Promise<PartStore> {
    return new PartStore(deps, await PartCollection.open(deps.documents));
  }

  /**
   * Counts a batch in its sender's part. Resolves when it is durable: "counted", or "repeated"
   * where it was in the part before. "sealed": it is not in the part and never will be.
   * @throws what the change throws; Unavailable and the like from the store: it may be counted or
   *   not, send it again.
   */
  async add(place: PartPlace, batch: BatchKey, change: PartChange): Promise<PartOutcome> {
    for (;;) {
      if (this.#isClosed) {
        throw stopping();
      }
      const part = await this.#opened(place, batch.sender);
      if (part.encoding !== undefined) {
        await part.encoding;
      } else if (!part.isGone) {
        const outcome = part.add(place, batch, change);
        if (part.isDirty) {
          this.#dirty.add(part);
          this.#schedule();
        }
        return outcome;
      }
    }
  }

  /** Whether the batch is durably in the group, in an open, sealed or retired part. */
  async counted(group: string, batch: Pick<BatchKey, "sender" | "sequence">): Promise<boolean> {
    const found = await this.#parts.get(partId(group, batch.sender));
    return found !== undefined && hasSequence(found, batch.sequence);
  }

  /**
   * Seals all parts of the group and returns them. Idempotent. Nothing is counted in them any more;
   * a sender that was not seen before may still begin a part, which the next call returns too.
   * Where a part was counted on several layouts there is one record for each.
   */
  async sealed(group: string): Promise<PartRecord[]> {
    const sealed: PartDocument[] = [];
    for (const document of await this.#parts.find({ group })) {
      const changed = document.sealed
        ? document
        : await this.#parts.change(document._id, (current) =>
            current.sealed ? undefined : { ...current, sealed: true },
          );
      sealed.push(...(changed === undefined ? [] : [changed]));
    }
    return this.#parts.records(sealed);
  }

  /** The parts that match (fields of PartDocument), as they are stored. */
  async list(filter: Filter): Promise<PartRecord[]> {
    return this.#parts.records(await this.#parts.find(filter));
  }

  /** All parts of the group as they are stored, open ones too. */
  peek(group: string): Promise<PartRecord[]> {
    return this.list({ group });
  }

  /** The stored documents that match, retired ones too. */
  find(filter: Filter): Promise<Stored<PartDocument>[]> {
    return this.#parts.find(filter);
  }

  /**
   * Removes what a part has counted, once it is merged elsewhere, and keeps which batches that were
   * until `expireTime`, so that they are known as counted when they come again.
   */
  async retire(id: string, expireTime: Date): Promise<void> {
    await this.#parts.change(id, (document) =>
      document.retired
        ? undefined
        : { ...document, sealed: true, retired: true, sections: [], expireTime },
    );
  }

  /** Retires all parts of the group. */
  async retireGroup(group: string, expireTime: Date): Promise<void> {
    for (const { _id } of await this.#parts.find({ group })) {
      await this.retire(_id, expireTime);
    }
  }

  /** Removes all parts of the group; which batches were in them is forgotten as well. */
  async deleteGroup(group: string): Promise<void> {
    for (const document of await this.#parts.find({ group })) {
      await this.#parts.delete(document);
    }
  }

  /** Writes what waits, now. */
  async flush(): Promise<void> {
    while (this.#dirty.size > 0 || this.#committing !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      await this.#commit();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.flush();
    this.#open.clear();
  }

  #opened(place: PartPlace, sender: string): Promise<OpenPart> {
    const id = partId(place.group, sender);
    const known = this.#open.get(id);
    if (known !== undefined) {
      this.#open.delete(id);
      this.#open.set(id, known);
      return Promise.resolve(known);
    }
    const loading = this.#loading.get(id) ?? this.#load(new OpenPart(place, sender));
    this.#loading.set(id, loading);
    return loading;
  }

  async #load(part: OpenPart): Promise<OpenPart> {
    try {
      await this.#parts.load(part);
      this.#open.set(part.id, part);
      return part;
    } finally {
      this.#loading.delete(part.id);
    }
  }

  #schedule(): void {
    if (this.#timer === undefined && this.#committing === undefined) {
      const delayMs = Math.max(this.#deps.config.commitIntervalMs, this.#pauseMs);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        void this.#commit();
      }, delayMs);
    }
  }

  #commit(): Promise<void> {
    this.#committing ??= this.#commitDirty().finally(() => {
      this.#committing = undefined;
      if (this.#dirty.size > 0) {
        this.#schedule();
      }
    });
    return this.#committing;
  }

  async #commitDirty(): Promise<void> {
    const startMs = performance.now();
    const parts = [...this.#dirty];
    this.#dirty.clear();
    for (let start = 0; start < parts.length; start += WRITES_AT_ONCE) {
      const some = parts.slice(start, start + WRITES_AT_ONCE);
      await Promise.all(some.map((part) => this.#commitPart(part)));
    }
    this.#pauseMs = Math.min(performance.now() - startMs, PAUSE_MS_MAX);
    this.#evict();
  }

  /** Never throws: those who wait for the part are told. */
  async #commitPart(part: OpenPart): Promise<void> {
    part.begin();
    try {
      for (let tries = 1; part.isWriting; tries++) {
        const stored = await this.#parts.write(part);
        if (stored !== undefined) {
          part.end(stored);
        } else if (tries === TRIES_MAX) {
          throw busy(part.id);
        } else {
          await this.#parts.load(part);
        }
      }
    } catch (error) {
      this.#open.delete(part.id);
      this.#dirty.delete(part);
      part.fail(error);
      if (!(error instanceof DomainError)) {
        this.#deps.events.backgroundFailed("commit", part.id, error);
      }
    }
  }

  /** Forgets the parts that were used least recently, as far as nothing of them waits. */
  #evict(): void {
    const limit = this.#deps.config.memoryBytesMax * MEMORY_SHARE;
    let used = 0;
    for (const part of this.#open.values()) {
      used += part.memoryBytes;
    }
    for (const part of this.#open.values()) {
      if (used <= limit && this.#open.size <= OPEN_MAX) {
        return;
      }
      if (part.isIdle) {
        part.isGone = true;
        this.#open.delete(part.id);
        used -= part.memoryBytes;
      }
    }
  }
}

function stopping(): Unavailable {
  return new Unavailable("The server is stopping; send the batch to another one.", {
    reason: ErrorReason.DRAINING,
    retryAfterMs: 1000,
  });
}
