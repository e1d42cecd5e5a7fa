// Profiles that were decoded already. They are needed with every captured batch, and take many
// times their bytes as sketches: the ones that were not asked for longest go first.

import type { BaselineProfile } from "../sketch/column-profile.ts";
import type { ProfileBlobs } from "./profile-blobs.ts";

/** What the objects of a column take beside its counts. */
const COLUMN_BYTES = 4096;
/** A category kept by name: its text, its entry and its place in the map. */
const CATEGORY_BYTES = 250;

interface Entry {
  readonly profile: BaselineProfile;
  readonly bytes: number;
}

/** Decoded profiles by digest, within about `bytesMax`; the newest stays whatever its size. */
export class ProfileCache {
  readonly #blobs: Pick<ProfileBlobs, "read">;
  readonly #bytesMax: number;
  readonly #entries = new Map<string, Entry>();
  readonly #reading = new Map<string, Promise<BaselineProfile>>();
  #bytes = 0;

  constructor(blobs: Pick<ProfileBlobs, "read">, bytesMax: number) {
    this.#blobs = blobs;
    this.#bytesMax = bytesMax;
  }

  /** The same object as long as it is kept. @throws as ProfileBlobs.read */
  get(digest: string): Promise<BaselineProfile> {
    const entry = this.#entries.get(digest);
    if (entry !== undefined) {
      // To the end of the order.
      this.#entries.delete(digest);
      this.#entries.set(digest, entry);
      return Promise.resolve(entry.profile);
    }
    const running = this.#reading.get(digest);
    if (running !== undefined) {
      return running;
    }
    const reading = this.#read(digest).finally(() => this.#reading.delete(digest));
    this.#reading.set(digest, reading);
    return reading;
  }

  forget(digest: string): void {
    this.#bytes -= this.#entries.get(digest)?.bytes ?? 0;
    this.#entries.delete(digest);
  }

  async #read(digest: string): Promise<BaselineProfile> {
    const profile = await this.#blobs.read(digest);
    const bytes = bytesOf(profile);
    this.#entries.set(digest, { profile, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === digest) {
        break;
      }
      this.forget(oldest);
    }
    return profile;
  }
}

function bytesOf({ layout, baseline }: BaselineProfile): number {
  let bytes = layout.columns.length * COLUMN_BYTES;
  baseline.columns.forEach((sketch, place) => {
    const column = layout.columns[place]!;
    if ("numbers" in sketch) {
      bytes += sketch.numbers.buckets.size * 32 + sketch.numbers.bins.byteLength;
    } else if ("categories" in sketch && column.kind === "category") {
      bytes += (column.layout.vocabulary.length + sketch.categories.kept.length) * CATEGORY_BYTES;
    }
  });
  return bytes;
}
