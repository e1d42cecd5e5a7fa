// Profiles as blobs. Each has bytes of its own, also where two profiles are equal, so that a blob
// has one owner and can be removed with it. A claim is stored before a blob is: a crash in between
// leaves a claim, by which the blob is found and removed.

import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { BlobStore } from "../../common/blobs/port.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { type BaselineProfile, decodeProfile, encodeProfile } from "../sketch/column-profile.ts";

/** Random bytes before those of the profile. */
const NONCE_BYTES = 16;
/** Every staging area of profiles begins so. */
const STAGE_PREFIX = "baseline-";
/** A claim whose baseline did not come within this time is of a writer that died. */
const ORPHAN_MS = 3_600_000;

/** `_id` is the blob's digest. */
interface Claim extends Document {
  readonly modelVersionUid: string;
  readonly createTime: Date;
}

/** A profile that was written. */
export interface WrittenProfile {
  readonly digest: string;
  /** Of the profile. */
  readonly sizeBytes: number;
}

/** Owns the blobs of profiles. */
export class ProfileBlobs {
  readonly #blobs: BlobStore;
  readonly #claims: Collection<Claim>;

  private constructor(blobs: BlobStore, claims: Collection<Claim>) {
    this.#blobs = blobs;
    this.#claims = claims;
  }

  static async open(documents: DocumentStore, blobs: BlobStore): Promise<ProfileBlobs> {
    const claims = await documents.collection<Claim>({
      name: "baseline_blobs",
      indexes: [{ keys: { createTime: 1 } }],
    });
    return new ProfileBlobs(blobs, claims);
  }

  /** Stores a profile durably. It stays if a baseline refers to it within an hour. */
  async write(
    owner: { readonly modelVersionUid: string; readonly now: Date },
    profile: BaselineProfile,
  ): Promise<WrittenProfile> {
    const encoded = encodeProfile(profile);
    const bytes = Buffer.concat([randomBytes(NONCE_BYTES), encoded]);
    const digest = createHash("sha256").update(bytes).digest("hex");
    const { modelVersionUid, now } = owner;
    await this.#claims.insertOne({ _id: digest, modelVersionUid, createTime: now });
    const stage = STAGE_PREFIX + randomUUID();
    try {
      await using writer = await this.#blobs.stage(stage);
      await writer.write(bytes);
    } catch (error) {
      await this.#blobs.discard(stage);
      throw error;
    }
    await this.#blobs.commit(stage, { digest, sizeBytes: bytes.length });
    return { digest, sizeBytes: encoded.length };
  }

  /** @throws NotFound where it was removed; DataLoss where it is damaged. */
  async read(digest: string): Promise<BaselineProfile> {
    const bytes = Buffer.concat(await Array.fromAsync(this.#blobs.read(digest)));
    return decodeProfile(new Uint8Array(bytes.subarray(NONCE_BYTES)));
  }

  async remove(digest: string): Promise<void> {
    await this.#blobs.delete(digest);
    await this.#claims.deleteOne(digest);
  }

  /** Removes blobs whose writer died; `refers` tells which ones a version's record has. */
  async sweep(
    now: Date,
    refers: (modelVersionUid: string) => Promise<readonly string[]>,
  ): Promise<void> {
    const before = new Date(now.getTime() - ORPHAN_MS);
    for await (const { _id, modelVersionUid } of this.#claims.find({
      createTime: { $lt: before },
    })) {
      if (!(await refers(modelVersionUid)).includes(_id)) {
        await this.remove(_id);
      }
    }
    for (const stage of await this.#blobs.staleStages(ORPHAN_MS)) {
      if (stage.startsWith(STAGE_PREFIX)) {
        await this.#blobs.discard(stage);
      }
    }
  }
}
