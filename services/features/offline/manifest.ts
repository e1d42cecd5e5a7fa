// Which files hold the history of a view. A view's files stand in one document, so that a flush, a
// compaction or an erasure becomes visible as a whole or not at all, and a reader that took the
// document has a snapshot that nothing changes under it.

import type { Digest } from "../../common/blobs/port.ts";
import type { Document } from "../../common/documents/port.ts";
import type { Field } from "../value.ts";

/** `_id` is the view's uid. */
export interface Manifest extends Document {
  readonly workspace: string;
  /** The view's id. */
  readonly view: string;
  /** Rises by one with every change of the files. */
  readonly snapshot: number;
  readonly files: readonly OfflineFile[];
  /** Pending batches whose rows are in the files and that may still be in the log: to be removed. */
  readonly absorbed: readonly string[];
  /** Files up to this snapshot have been materialised by incremental runs. */
  readonly materializedSnapshot: number;
  readonly materializeTime: Date | null;
}

/** One Parquet file: rows of one UTC day of event time, sorted by join keys, event and creation. */
export interface OfflineFile {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** "2001-01-31" */
  readonly day: string;
  readonly rows: number;
  readonly minEventUs: number;
  readonly maxEventUs: number;
  readonly maxCreatedUs: number;
  /** The snapshot in which its newest rows came. */
  readonly addedSnapshot: number;
  /** The columns it has besides the two times: join keys, then features. */
  readonly columns: readonly Field[];
}
