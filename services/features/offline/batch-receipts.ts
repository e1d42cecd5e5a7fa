// What is remembered of batches that came with an id. The receipt is written before anything else of
// the batch, and fixes what a replay must repeat: the creation time its rows get and their place in
// the log. So a replay is the same write again, whatever became of the first one. When its rows have
// gone into files the receipt says so, because from then on the place in the log is free.

import { createHash } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import {
  Aborted,
  AlreadyExists,
  InvalidArgument,
  NotFound,
} from "../../common/errors/domain-error.ts";
import type { History } from "./history.ts";
import { newLogId } from "./pending-log.ts";

/** How long a batch id is remembered; the API promises it. */
const KEEP_SECONDS = 24 * 3600;

const AT_ONCE = 200;

/** `_id` is the digest of history and batch id. */
interface ReceiptDocument extends Document {
  readonly batchId: string;
  readonly contentDigest: string;
  readonly createdUs: number;
  readonly logId: string;
  /** Its rows are, or were, in files. */
  readonly absorbed: boolean;
  readonly time: Date;
}

/** A batch that has an id, as it was first seen. */
export interface Receipt {
  readonly id: string;
  /** The creation time of rows that bring none; microseconds. */
  readonly createdUs: number;
  readonly logId: string;
  /** Its rows went into files: it must not be logged again. */
  readonly absorbed: boolean;
  /** It had been seen before this call. */
  readonly replayed: boolean;
}

/** A batch as its pusher names it. */
export interface ClaimedBatch {
  readonly batchId: string;
  /** Of everything that decides what is stored. */
  readonly contentDigest: string;
  readonly createdUs: number;
}

/** Owns the receipts of batches that have an id. */
export class BatchReceipts {
  readonly #receipts: Collection<ReceiptDocument>;
  readonly #clock: Clock;

  private constructor(receipts: Collection<ReceiptDocument>, clock: Clock) {
    this.#receipts = receipts;
    this.#clock = clock;
  }

  static async open(documents: DocumentStore, clock: Clock): Promise<BatchReceipts> {
    const receipts = await documents.collection<ReceiptDocument>({
      name: "feature_batches",
      indexes: [{ keys: { time: 1 }, expireAfterSeconds: KEEP_SECONDS }],
    });
    return new BatchReceipts(receipts, clock);
  }

  /**
   * The receipt of a batch, durable; the one made first for its id.
   * @throws InvalidArgument when the id was used for another batch.
   */
  async claim(history: History, batch: ClaimedBatch): Promise<Receipt> {
    const _id = createHash("sha256").update(`${history.uid}\n${batch.batchId}`).digest("hex");
    const wanted: ReceiptDocument = {
      _id,
      ...batch,
      logId: newLogId(history, this.#clock),
      absorbed: false,
      time: new Date(this.#clock.now()),
    };
    for (;;) {
      const known = await this.#receipts.findOne({ _id });
      if (known !== undefined) {
        if (known.contentDigest !== batch.contentDigest) {
          throw reused(batch.batchId);
        }
        return { ...receiptOf(known), replayed: true };
      }
      try {
        return { ...receiptOf(await this.#receipts.insertOne(wanted)), replayed: false };
      } catch (error) {
        if (!(error instanceof AlreadyExists)) {
          throw error;
        }
      }
    }
  }

  /** Those of the receipts whose batches went into files. */
  async absorbedAmong(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const absorbed = new Set<string>();
    for (let start = 0; start < ids.length; start += AT_ONCE) {
      const $in = ids.slice(start, start + AT_ONCE);
      for await (const receipt of this.#receipts.find({ _id: { $in }, absorbed: true })) {
        absorbed.add(receipt._id);
      }
    }
    return absorbed;
  }

  /** Notes that batches went into files. */
  async markAbsorbed(ids: readonly string[]): Promise<void> {
    for (let start = 0; start < ids.length; start += AT_ONCE) {
      await Promise.all(ids.slice(start, start + AT_ONCE).map((id) => this.#mark(id)));
    }
  }

  async #mark(id: string): Promise<void> {
    for (;;) {
      const current = await this.#receipts.findOne({ _id: id });
      if (current === undefined || current.absorbed) {
        return;
      }
      try {
        await this.#receipts.replaceOne(
          { ...current, absorbed: true },
          { ifVersion: current.version },
        );
        return;
      } catch (error) {
        // Another flusher was faster, or it has just expired: looked at again.
        if (!(error instanceof Aborted || error instanceof NotFound)) {
          throw error;
        }
      }
    }
  }
}

function receiptOf(document: ReceiptDocument): Omit<Receipt, "replayed"> {
  const { _id: id, createdUs, logId, absorbed } = document;
  return { id, createdUs, logId, absorbed };
}

function reused(batchId: string): InvalidArgument {
  const description = "was used within 24 hours for a batch with other content; use a new id";
  return new InvalidArgument(`batch_id ${JSON.stringify(batchId)} ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "batch_id", description }],
  });
}
