// Keeps bytes from being swept between the moment they are stored and the moment a document refers
// to them: a claim counts as a reference. See common/blobs/blob-marks.ts for the order of things.

import { BlobMarks } from "../../common/blobs/blob-marks.ts";
import type { Digest } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";

/** Longer than anybody takes from storing bytes to referring to them. */
const CLAIM_MS = 2 * 3_600_000;

/** `_id` is the digest of a blob. */
interface Claim extends Document {
  readonly time: Date;
}

/** Owns the claims. */
export class BlobClaims {
  /** Of what is being deleted. */
  readonly marks: BlobMarks;
  readonly #claims: Collection<Claim>;
  readonly #clock: Clock;

  private constructor(
    parts: { readonly claims: Collection<Claim>; readonly marks: BlobMarks },
    clock: Clock,
  ) {
    this.#claims = parts.claims;
    this.marks = parts.marks;
    this.#clock = clock;
  }

  /** Opens the collections, making what is missing. */
  static async open(documents: DocumentStore, clock: Clock): Promise<BlobClaims> {
    const claims = await documents.collection<Claim>({
      name: "proof_blob_claims",
      indexes: [{ keys: { time: 1 }, expireAfterSeconds: CLAIM_MS / 1000 }],
    });
    const marks = await BlobMarks.open(documents, { name: "proof_blob_marks", clock });
    return new BlobClaims({ claims, marks }, clock);
  }

  /**
   * To be called before bytes are committed: they stay for two hours at least.
   * @throws Unavailable when a sweeper has them for too long.
   */
  async claim(digest: Digest): Promise<void> {
    await this.#claims.putOne({ _id: digest, time: new Date(this.#clock.now()) });
    await this.marks.waitWhileMarked(digest);
  }

  /** What is claimed now. */
  async *claimed(): AsyncGenerator<Digest> {
    for await (const { _id } of this.#claims.find({})) {
      yield _id;
    }
  }
}
