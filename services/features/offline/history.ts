// A history: the rows of one view (or the kept reads of one feature service) over time, and what a
// reader gets of it.

import type { Digest } from "../../common/blobs/port.ts";
import type { Field } from "../value.ts";
import type { SourceFile, WrittenFile } from "./engine-tasks.ts";
import type { OfflineFile } from "./manifest.ts";

/** Names a history. */
export interface History {
  /** The view's uid, or `reads:<feature service version name>`. Holds no "|". */
  readonly uid: string;
  readonly workspace: string;
  /** The view's id, for people. */
  readonly view: string;
}

/** The history of the online reads that are kept of a feature service's version, by its full name. */
export function readsHistory(workspace: string, featureServiceVersion: string): History {
  const id = `reads:${featureServiceVersion}`;
  return { uid: id, workspace, view: id };
}

/** A history as one reader sees it: nothing changes it any more. */
export interface Snapshot {
  /** Rises by one with every change of the files. */
  readonly snapshot: number;
  /** Rows of all files. */
  readonly rows: number;
  /** In the order in which their rows came. */
  readonly files: readonly OfflineFile[];
  /** The same files on this machine, in the same order. They stay for at least an hour. */
  readonly sources: readonly SourceFile[];
  /** Lower-case hex SHA-256 over the digests of the files, sorted. */
  readonly sha256: string;
  /** Files up to this snapshot were materialised by incremental runs. */
  readonly materializedSnapshot: number;
}

/** What the stores hold of a history. */
export interface HistoryStatus {
  readonly rows: number;
  readonly sizeBytes: number;
  readonly files: number;
  /** Acknowledged rows that are in the log. */
  readonly pendingRows: number;
  /** Undefined: no rows in files. */
  readonly minEventUs: number | undefined;
  readonly maxEventUs: number | undefined;
  /** When an incremental materialisation last ended well. */
  readonly materializeTime: Date | null;
  /** Rows of files that no incremental materialisation has taken in. */
  readonly unmaterializedRows: number;
}

/** A file that takes the place of others. */
export interface AddedFile {
  readonly file: WrittenFile;
  readonly columns: readonly Field[];
  /** The snapshot in which its newest rows came. */
  readonly addedSnapshot: number;
  /** The file whose place in the order it takes. Absent: that of a removed file of its day. */
  readonly replaces?: Digest;
}
