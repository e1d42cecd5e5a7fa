// A part in memory while rows come: what is stored, and the batches that are counted on top of it
// and not stored yet. Those are kept until they are: where another writer was faster, what it has
// stored is read and they are counted again on top of that, but for those that are in it already.

import assert from "node:assert/strict";
import type { Stored } from "../../common/documents/port.ts";
import type { WindowLayout } from "../sketch/column-layout.ts";
import {
  decodeWindow,
  encodeWindowInTurns,
  newWindowSketch,
  type WindowSketch,
} from "../sketch/window-sketch.ts";
import { type PartDocument, type PartSection, partId } from "./part-document.ts";
import { hasSequence, NO_SEQUENCES, type PartSequences, withSequence } from "./part-sequences.ts";
import { sketchMemory } from "./sketch-memory.ts";
import { type MutableTotals, mutableTotals, newTotals, storedTotals } from "./window-totals.ts";

/** Which part a batch goes to. */
export interface PartPlace {
  /** All parts that are merged together share it; at most 500 characters. */
  readonly group: string;
  /** Target's document id, or the model version's for a draft. */
  readonly owner: string;
  readonly layout: WindowLayout;
  /** Microseconds since 1970; both 0 for a draft. */
  readonly startUs: number;
  readonly endUs: number;
  /** When the part is forgotten, should nobody have merged it by then. */
  readonly expireTime: Date;
}

/** Names a batch. */
export interface BatchKey {
  readonly sender: string;
  readonly sequence: number;
  /** No batch of the sender up to here comes again. */
  readonly acknowledged: number;
}

/**
 * Counts a batch. May be called more than once, each time on another sketch, so it must do the same
 * each time; it throws before it has changed anything, or not at all.
 */
export type PartChange = (sketch: WindowSketch, totals: MutableTotals) => void;

/**
 * What became of a batch: it is counted now; it was before; or the part takes no more and it is not
 * in it.
 */
export type PartOutcome = "counted" | "repeated" | "sealed";

interface Pending {
  readonly batch: BatchKey;
  readonly layout: WindowLayout;
  readonly change: PartChange;
  readonly done: PromiseWithResolvers<PartOutcome>;
}

/** A section that rows may be added to. */
interface LiveSection {
  readonly sketch: WindowSketch;
  readonly totals: MutableTotals;
}

type EncodedSection = Omit<PartSection, "sketch" | "blocks"> & { readonly bytes: Uint8Array };

/** What a write makes of a part. */
export interface EncodedPart {
  readonly document: Omit<PartDocument, "sections">;
  readonly kept: readonly PartSection[];
  readonly changed: readonly EncodedSection[];
}

/** Owns what one process knows of one part. */
export class OpenPart {
  readonly id: string;
  readonly sender: string;
  /** Set when it may no longer be used: open it anew. */
  isGone = false;
  memoryBytes = 0;
  #place: PartPlace;
  #stored: Stored<PartDocument> | undefined;
  #sequences: PartSequences = NO_SEQUENCES;
  readonly #live = new Map<string, LiveSection>();
  #pending: Pending[] = [];
  #writing: Pending[] = [];
  #encoding: Promise<void> | undefined;
  /** Sketch bytes by layout, of the sections in blocks; filled in by the store. */
  readonly #fetched = new Map<string, Uint8Array>();

  constructor(place: PartPlace, sender: string) {
    this.#place = place;
    this.sender = sender;
    this.id = partId(place.group, sender);
  }

  get isDirty(): boolean {
    return this.#pending.length > 0;
  }

  /** Nothing of it would be lost if it were forgotten. */
  get isIdle(): boolean {
    return this.#pending.length === 0 && this.#writing.length === 0;
  }

  get stored(): Stored<PartDocument> | undefined {
    return this.#stored;
  }

  /**
   * Counts a batch, in memory. What it returns resolves when that is durable. Not while `encoding`.
   * @throws what the change throws; ResourceExhausted where too many batches are under way.
   */
  add(place: PartPlace, batch: BatchKey, change: PartChange): Promise<PartOutcome> {
    assert(this.#encoding === undefined, "what is being written does not change");
    const under = [...this.#writing, ...this.#pending].find(
      (pending) => pending.batch.sequence === batch.sequence,
    );
    if (under !== undefined) {
      return under.done.promise.then((outcome) => (outcome === "counted" ? "repeated" : outcome));
    }
    const settled = this.#settledAs(batch);
    if (settled !== undefined) {
      return Promise.resolve(settled);
    }
    const pending = { batch, layout: place.layout, change, done: Promise.withResolvers() };
    this.#apply(pending as Pending);
    this.#place = place;
    this.#pending.push(pending as Pending);
    return pending.done.promise as Promise<PartOutcome>;
  }

  /** Whether it is in the part, durably or not yet. */
  has(sequence: number): boolean {
    return hasSequence(this.#sequences, sequence);
  }

  /**
   * Takes what is stored as the state, and counts what is not stored yet on top of it again.
   * `fetched` are the bytes of sections in blocks.
   */
  load(
    stored: Stored<PartDocument> | undefined,
    fetched: ReadonlyMap<string, Uint8Array> = new Map(),
  ): void {
    const vanished = stored === undefined && this.#stored !== undefined;
    this.#stored = stored;
    this.#live.clear();
    this.#fetched.clear();
    for (const [layoutId, bytes] of fetched) {
      this.#fetched.set(layoutId, bytes);
    }
    this.#sequences = stored ?? NO_SEQUENCES;
    this.#writing = this.#writing.filter((pending) => this.#again(pending, vanished));
    this.#pending = this.#pending.filter((pending) => this.#again(pending, vanished));
  }

  /** Begins a write: what is pending now is in `encode`, and in it after the write. */
  begin(): void {
    this.#writing.push(...this.#pending);
    this.#pending = [];
  }

  /** Whether there is something to be written. */
  get isWriting(): boolean {
    return this.#writing.length > 0;
  }

  /**
   * The document as it shall be, and the encoded sketches of its changed sections. Takes turns with
   * other work; until it resolves nothing may be added, see `encoding`.
   */
  encode(): Promise<EncodedPart> {
    const work = this.#encode();
    const over = () => {
      this.#encoding = undefined;
    };
    this.#encoding = work.then(over, over);
    return work;
  }

  /** Resolves when rows may be added again; absent: they may be now. */
  get encoding(): Promise<void> | undefined {
    return this.#encoding;
  }

  async #encode(): Promise<EncodedPart> {
    const { group, owner, startUs, endUs, expireTime } = this.#place;
    const kept = (this.#stored?.sections ?? []).filter(({ layoutId }) => !this.#live.has(layoutId));
    const changed: EncodedSection[] = [];
    for (const [layoutId, { sketch, totals }] of this.#live) {
      changed.push({
        layoutId,
        rows: sketch.rows,
        totals: storedTotals(totals),
        bytes: await encodeWindowInTurns(sketch),
      });
    }
    this.memoryBytes = this.#measure();
    const document = {
      _id: this.id,
      group,
      owner,
      sender: this.sender,
      startUs,
      endUs,
      expireTime,
      ...this.#sequences,
      sealed: false,
      retired: false,
    };
    return { document, kept, changed };
  }

  /** The write that `begin` began is durable. */
  end(stored: Stored<PartDocument>): void {
    this.#stored = stored;
    for (const { done } of this.#writing.splice(0)) {
      done.resolve("counted");
    }
  }

  /** Gives up: nobody knows what is stored. */
  fail(error: unknown): void {
    this.isGone = true;
    for (const { done } of [...this.#writing.splice(0), ...this.#pending.splice(0)]) {
      done.reject(error);
    }
  }

  #settledAs({ sequence }: BatchKey): PartOutcome | undefined {
    if (this.has(sequence)) {
      return "repeated";
    }
    return this.#stored?.sealed === true ? "sealed" : undefined;
  }

  /** Counts a batch once more; false where it needs not be, which it is told. */
  #again(pending: Pending, vanished: boolean): boolean {
    // A part that was stored and is gone was merged and forgotten.
    const settled = vanished ? "sealed" : this.#settledAs(pending.batch);
    if (settled !== undefined) {
      pending.done.resolve(settled);
      return false;
    }
    try {
      this.#apply(pending);
      return true;
    } catch (error) {
      pending.done.reject(error);
      return false;
    }
  }

  #apply({ batch, layout, change }: Pending): void {
    const sequences = withSequence(this.#sequences, batch);
    const section = this.#section(layout);
    change(section.sketch, section.totals);
    this.#sequences = sequences;
  }

  #section(layout: WindowLayout): LiveSection {
    let live = this.#live.get(layout.id);
    if (live === undefined) {
      const stored = this.#stored?.sections.find(({ layoutId }) => layoutId === layout.id);
      live =
        stored === undefined
          ? { sketch: newWindowSketch(layout), totals: newTotals() }
          : {
              sketch: decodeWindow(stored.sketch ?? this.#bytesOf(layout.id), layout),
              totals: mutableTotals(stored.totals),
            };
      this.#live.set(layout.id, live);
      this.memoryBytes = this.#measure();
    }
    return live;
  }

  #bytesOf(layoutId: string): Uint8Array {
    const bytes = this.#fetched.get(layoutId);
    assert(bytes !== undefined, "load is given the bytes of all sections in blocks");
    return bytes;
  }

  #measure(): number {
    const sections = [...this.#live.values()];
    return sections.reduce((sum, { sketch }) => sum + sketchMemory(sketch), 0);
  }
}
