// A log at one size, as it was read from its head: what proofs are made from and what the next head
// is built on. Immutable; a reader and a writer may share one.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { DataLoss } from "../../common/errors/domain-error.ts";
import { type Checkpoint, MalformedCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import type { HeadDocument, RecentBatch } from "./log-documents.ts";
import type { Tile } from "./log-edge.ts";
import { EMPTY_EDGE, edgeRoot, type LogEdge, type SettledEdge, settleEdge } from "./log-edge.ts";
import { equalBytes } from "./merkle-tree.ts";
import { serverTree } from "./node-hash.ts";

export interface LogView {
  /** The version of the head's document; 0 where there is none yet. */
  readonly version: number;
  readonly size: number;
  readonly batches: number;
  /** Absent where there is no head yet. */
  readonly head: { readonly text: string; readonly checkpoint: Checkpoint } | undefined;
  /** Settled: as if `tiles` were written. */
  readonly edge: LogEdge;
  /** Full tiles that may not be written yet. */
  readonly tiles: readonly Tile[];
  readonly recent: readonly RecentBatch[];
}

/** A log that nothing was appended to. */
export const EMPTY_VIEW: LogView = {
  version: 0,
  size: 0,
  batches: 0,
  head: undefined,
  edge: EMPTY_EDGE,
  tiles: [],
  recent: [],
};

/**
 * The view of a stored head. `settled` saves the writer of the head, who knows it, half the hashes.
 * @throws DataLoss when the hashes are not those that the head signs: nothing may be built on it.
 */
export function viewOf(
  stored: Stored<HeadDocument>,
  origin: string,
  settled?: SettledEdge & { readonly root: Uint8Array },
): LogView {
  const { size, batches, recent, version, tail, partials } = stored;
  const { edge, tiles } = settled ?? settleEdge({ size, tail, partials }, serverTree);
  const head = { text: stored.checkpoint, checkpoint: readCheckpoint(stored) };
  const { checkpoint } = head;
  const root = settled?.root ?? edgeRoot(edge, serverTree);
  const isWhole = checkpoint.origin === origin && checkpoint.size === size;
  if (!isWhole || !equalBytes(checkpoint.root, root)) {
    throw damagedLog(stored._id, "its hashes are not those of its signed head");
  }
  return { version, size, batches, head, edge, tiles, recent };
}

/** A log that cannot be gone on with. */
export function damagedLog(log: string, what: string): DataLoss {
  return new DataLoss(
    `The receipt log of ${log} is damaged: ${what}. Restore the store from a backup; do not go on ` +
      "with an older state, that would fork the log.",
    { reason: ErrorReason.DIGEST_MISMATCH, metadata: { resource: log } },
  );
}

function readCheckpoint({ _id, checkpoint }: HeadDocument): Checkpoint {
  try {
    return parseCheckpoint(checkpoint);
  } catch (error) {
    if (!(error instanceof MalformedCheckpoint)) throw error;
    throw damagedLog(_id, "its head is no checkpoint");
  }
}
