// Keeps bytes from being swept between the moment they are stored and the moment a document refers
// to them. So that the two sides cannot miss each other, each looks at the other after it has
// spoken:
//
//   who stores: claim the blob, then wait while it is marked, then commit the bytes
//   sweeper:    mark the blob, then look for claims and references, then delete the bytes

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Digest } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { insertIfNew } from "../../common/documents/resource.ts";
import { Unavailable } from "../../common/errors/domain-error.ts";

/** Longer than anybody takes from storing bytes to referring to them. */
const CLAIM_MS = 2 * 3_600_000;

/** Longer than the deletion of a file takes; an older mark is of a sweeper that died. */
export const MARK_MS = 60_000;
const WAIT_MS = 50;

/** `_id` is the digest of a blob. */
interface Timed extends Document {
  readonly time: Date;
}

/** Owns the claims, and the marks of what is being deleted. */
export class BlobClaims {
  readonly #claims: Collection<Timed>;
  readonly #marks: Collection<Timed>;
  readonly #clock: Clock;

  private constructor(
    collections: { readonly claims: Collection<Timed>; readonly marks: Collection<Timed> },
    clock: Clock,
  ) {
    this.#claims = collections.claims;
    this.#marks = collections.marks;
    this.#clock = clock;
  }

  /** Opens the collections, making what is missing. */
  static async open(documents: DocumentStore, clock: Clock): Promise<BlobClaims> {
    const open = (name: string, ms: number) =>
      documents.collection<Timed>({
        name,
        indexes: [{ keys: { time: 1 }, expireAfterSeconds: ms / 1000 }],
      });
    const claims = await open("proof_blob_claims", CLAIM_MS);
    const marks = await open("proof_blob_marks", MARK_MS);
    return new BlobClaims({ claims, marks }, clock);
  }

  /**
   * To be called before bytes are committed: they stay for two hours at least.
   * @throws Unavailable when a sweeper has them for too long.
   */
  async claim(digest: Digest): Promise<void> {
    await this.#claims.putOne({ _id: digest, time: this.#now() });
    for (let waitedMs = 0; waitedMs <= MARK_MS; waitedMs += WAIT_MS) {
      if ((await this.#marks.findOne({ _id: digest })) === undefined) {
        return;
      }
      await sleep(WAIT_MS);
    }
    throw new Unavailable("The same bytes are being removed right now; send the request again.", {
      reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
      retryAfterMs: MARK_MS,
    });
  }

  /** What is claimed now. */
  async *claimed(): AsyncGenerator<Digest> {
    for await (const { _id } of this.#claims.find({})) {
      yield _id;
    }
  }

  /** Before a blob is deleted. False when another sweeper has it. */
  mark(digest: Digest): Promise<boolean> {
    return insertIfNew(this.#marks, { _id: digest, time: this.#now() });
  }

  /** Once it is deleted, or stays. */
  async unmark(digest: Digest): Promise<void> {
    await this.#marks.deleteOne(digest);
  }

  #now(): Date {
    return new Date(this.#clock.now());
  }
}
