// Marks on blobs that are being deleted. Bytes that nothing refers to may come to be referred to once
// more when the same bytes are stored again. So that they are not taken from under the new reference,
// each side looks at the other after it has spoken:
//
//   who stores: store the reference (or a claim that counts as one), then wait while the blob is
//               marked, then commit the bytes
//   sweeper:    mark the blob, then look for references, then delete the bytes, then the mark

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../clock.ts";
import type { Collection, Document, DocumentStore } from "../documents/port.ts";
import { insertIfNew } from "../documents/resource.ts";
import { Unavailable } from "../errors/domain-error.ts";
import type { Digest } from "./port.ts";

/** Longer than the deletion of a file takes; an older mark is of a sweeper that died. */
export const MARK_MS = 60_000;
const WAIT_MS = 50;

/** `_id` is the digest of a blob. */
interface Mark extends Document {
  readonly time: Date;
}

/** The marks of one blob store. */
export class BlobMarks {
  readonly #marks: Collection<Mark>;
  readonly #clock: Clock;

  private constructor(marks: Collection<Mark>, clock: Clock) {
    this.#marks = marks;
    this.#clock = clock;
  }

  /** Opens the collection of this name, making it where it is missing. */
  static async open(
    documents: DocumentStore,
    { name, clock }: { readonly name: string; readonly clock: Clock },
  ): Promise<BlobMarks> {
    const marks = await documents.collection<Mark>({
      name,
      indexes: [{ keys: { time: 1 }, expireAfterSeconds: MARK_MS / 1000 }],
    });
    return new BlobMarks(marks, clock);
  }

  /**
   * To be called after a reference to the blob was stored and before its bytes are committed.
   * @throws Unavailable when a sweeper has it for too long.
   */
  async waitWhileMarked(digest: Digest): Promise<void> {
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

  /** Before a blob is deleted. False when another sweeper has it. */
  mark(digest: Digest): Promise<boolean> {
    return insertIfNew(this.#marks, { _id: digest, time: new Date(this.#clock.now()) });
  }

  /** Once it is deleted, or stays. */
  async unmark(digest: Digest): Promise<void> {
    await this.#marks.deleteOne(digest);
  }
}
