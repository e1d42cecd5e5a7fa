// Where bytes live: models now, data sets and proving keys later. Content-addressed, so a blob
// never changes and can be shared by everything that refers to it.

/** Lower-case hex SHA-256 of the content: a blob's name. */
export type Digest = string & { readonly brand?: "Digest" };

/** A blob being written. It does not exist for readers before commit. */
export interface BlobWriter extends AsyncDisposable {
  /** Bytes durably received so far by earlier sessions and this one. */
  readonly receivedBytes: number;
  /**
   * Appends; resolves when the bytes are handed to the system, so that awaiting it bounds memory.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** Makes what was written so far survive a crash; a later `resume` continues from here. */
  sync(): Promise<void>;
}

/**
 * Ids and digests outside their pattern are InvalidArgument. A storage that cannot be read or
 * written is Unavailable (DEPENDENCY_UNAVAILABLE); what was acknowledged before is there again when
 * it is back.
 */
export interface BlobStore extends AsyncDisposable {
  /**
   * Opens the staging area `id` ([a-z0-9-]{1,64}), new or left by an earlier session. One writer at
   * a time: a second `stage` of one id waits for none and throws Aborted. Disposing the writer
   * keeps the bytes.
   * @throws ResourceExhausted (STORAGE_FULL) from write and sync when the disk is full.
   */
  stage(id: string): Promise<BlobWriter>;

  /**
   * Turns a staging area into a blob, durably (file and folder synced), after checking length and
   * SHA-256. Committing what is already stored only removes the staging area, and needs none.
   * @throws DataLoss (DIGEST_MISMATCH) when the bytes are not what was promised; the staging area
   *   is removed.
   *   Aborted while a writer is open on it; NotFound when there is neither a staging area nor the
   *   blob.
   */
  commit(
    id: string,
    expected: { readonly digest: Digest; readonly sizeBytes: number },
  ): Promise<void>;

  /** Removes a staging area; nothing happens when there is none. */
  discard(id: string): Promise<void>;

  /** Ids of staging areas not written for `olderThanMs`, for sweeping. */
  staleStages(olderThanMs: number): Promise<readonly string[]>;

  /** Length of a blob, or undefined when there is none. */
  size(digest: Digest): Promise<number | undefined>;

  /**
   * Reads from `offset` in chunks of at most 1 MiB. A read from 0 to the end checks the SHA-256.
   * @throws NotFound (RESOURCE_NOT_FOUND); InvalidArgument for an offset past the end; DataLoss
   *   (DIGEST_MISMATCH) in place of the last chunk.
   */
  read(digest: Digest, offset?: number): AsyncIterable<Uint8Array>;

  /**
   * A file on this machine with the blob's bytes, checked against the digest once per process. For
   * onnxruntime, which wants a path. The file must not be changed and may vanish after `delete`.
   * @throws NotFound, DataLoss
   */
  localPath(digest: Digest): Promise<string>;

  /**
   * Removes a blob; nothing happens when there is none. The caller knows that nobody refers to it.
   */
  delete(digest: Digest): Promise<void>;

  /** Every blob, for garbage collection. */
  list(): AsyncIterable<{ readonly digest: Digest; readonly modifiedTime: Date }>;
}
