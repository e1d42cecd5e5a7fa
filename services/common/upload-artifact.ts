// The client's side of an upload: hashes the file, sends it in chunks, and when the stream breaks
// goes on from the byte the server safely holds. Memory is bounded by a few chunks, whatever the
// file.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  ModelService,
  UploadArtifactRequestSchema,
} from "../../gen/plinth/registry/v1/model_service_pb.js";
import type { Upload } from "../../gen/plinth/registry/v1/upload_pb.js";
import {
  DataLoss,
  DomainError,
  type ErrorKind,
  FailedPrecondition,
  InvalidArgument,
  Unavailable,
} from "./errors/domain-error.ts";
import type { Client } from "./rpc/context.ts";

/** A quarter of the protocol's limit: large enough for the rate, small enough for a smooth bar. */
const CHUNK_BYTES = 256 * 1024;

/** Tries in a row that brought the server no new byte, before the upload is given up. */
const TRIES_DEFAULT = 6;

const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 5000;

/** A stream that ended in one of these may have been cut by the network or by a restart. */
const BROKEN: readonly ErrorKind[] = ["Unavailable", "Cancelled", "Aborted", "Internal"];

export interface UploadProgress {
  readonly phase: "hashing" | "sending";
  /**
   * Of the file, done in this phase. While sending they are handed to the network, not yet held.
   */
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface UploadArtifactOptions {
  readonly client: Client<typeof ModelService>;
  /** `workspaces/{workspace}` */
  readonly parent: string;
  /** The file; it must not change meanwhile. */
  readonly path: string;
  /** Name of an upload of the same file that was begun earlier. Absent: begins a new one. */
  readonly resume?: string | undefined;
  /** Cancels; the upload stays on the server and can be resumed. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
  /** Called once the upload has a name. */
  readonly onBegin?: ((upload: Upload) => void) | undefined;
  /** Called before each further try, with where it goes on and why it must. */
  readonly onRetry?:
    | ((retry: { readonly fromByte: number; readonly cause: DomainError }) => void)
    | undefined;
  /** Tries in a row without progress; absent: 6. */
  readonly triesMax?: number | undefined;
}

/**
 * Uploads a file; resolves with the complete upload, ready for CreateModelVersion.
 * @throws what the server answered; Unavailable when the stream kept breaking; the file system's
 *   error when the file cannot be read; FailedPrecondition when it changed, or is not the one that
 *   `resume` was begun with.
 */
export async function uploadArtifact(options: UploadArtifactOptions): Promise<Upload> {
  const { client, parent, path, signal } = options;
  const call = signal === undefined ? {} : { signal };
  const file = await fileFacts(path);
  const sha256 = await hashFile(options, file.size);
  let upload =
    options.resume === undefined
      ? await client.createUpload({ parent, sha256, sizeBytes: BigInt(file.size) }, call)
      : await client.getUpload({ name: options.resume }, call);
  if (upload.sha256 !== sha256) {
    throw new FailedPrecondition(
      `The upload ${upload.name} was begun with another file than "${path}". ` +
        "Resume it with the same file, or begin a new upload.",
      { reason: ErrorReason.DIGEST_MISMATCH },
    );
  }
  options.onBegin?.(upload);
  const triesMax = options.triesMax ?? TRIES_DEFAULT;
  for (let tries = 1; !upload.complete; ) {
    const heldBefore = upload.receivedBytes;
    const outcome = await sendOnce(options, upload, file.size);
    if (outcome.upload !== undefined) {
      upload = outcome.upload;
      if (!upload.complete && upload.receivedBytes === heldBefore) {
        throw notCompleted(upload);
      }
      continue;
    }
    await assertUnchanged(path, file);
    upload = (await heldNow(options, upload.name)) ?? upload;
    tries = upload.receivedBytes > heldBefore ? 1 : tries + 1;
    if (tries > triesMax) {
      throw gaveUp(upload, triesMax, outcome.cause);
    }
    options.onRetry?.({ fromByte: Number(upload.receivedBytes), cause: outcome.cause });
    await sleep(Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (tries - 1)), undefined, call);
  }
  return upload;
}

type Outcome =
  | { readonly upload: Upload; readonly cause?: never }
  | { readonly upload?: never; readonly cause: DomainError };

/** One stream; gives the server's answer, or why the stream broke. Other errors are thrown. */
async function sendOnce(
  options: UploadArtifactOptions,
  upload: Upload,
  totalBytes: number,
): Promise<Outcome> {
  const call = options.signal === undefined ? {} : { signal: options.signal };
  const source: { error?: unknown } = {};
  try {
    const requests = chunks(options, upload, { totalBytes, source });
    return { upload: await options.client.uploadArtifact(requests, call) };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (source.error !== undefined) {
      throw source.error;
    }
    if (error instanceof DomainError && mayResume(error)) {
      return { cause: error };
    }
    throw error;
  }
}

function mayResume(error: DomainError): boolean {
  return (
    BROKEN.includes(error.kind) ||
    error.reason === ErrorReason.UPLOAD_OFFSET_MISMATCH ||
    error.reason === ErrorReason.DRAINING
  );
}

/** The messages of one stream. A file that cannot be read is told apart from a broken stream. */
async function* chunks(
  options: UploadArtifactOptions,
  upload: Upload,
  { totalBytes, source }: { readonly totalBytes: number; readonly source: { error?: unknown } },
): AsyncGenerator<MessageInitShape<typeof UploadArtifactRequestSchema>> {
  let offset = Number(upload.receivedBytes);
  yield { payload: { case: "start", value: { name: upload.name, offset: upload.receivedBytes } } };
  try {
    await using file = await open(options.path);
    while (offset < totalBytes) {
      // A fresh buffer each time: the message may wait in the socket's queue.
      const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, totalBytes - offset));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
      if (bytesRead === 0) {
        throw changed(options.path);
      }
      yield { payload: { case: "chunk", value: buffer.subarray(0, bytesRead) } };
      offset += bytesRead;
      options.onProgress?.({ phase: "sending", bytes: offset, totalBytes });
    }
  } catch (error) {
    source.error = error;
    throw error;
  }
}

/** What the server holds, or undefined while it cannot be asked. */
async function heldNow(options: UploadArtifactOptions, name: string): Promise<Upload | undefined> {
  try {
    const call = options.signal === undefined ? {} : { signal: options.signal };
    return await options.client.getUpload({ name }, call);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof DomainError && (mayResume(error) || error.kind === "DeadlineExceeded")) {
      return undefined;
    }
    throw error;
  }
}

interface FileFacts {
  readonly size: number;
  readonly changedMs: number;
}

async function fileFacts(path: string): Promise<FileFacts> {
  const facts = await stat(path);
  if (!facts.isFile() || facts.size === 0) {
    throw new InvalidArgument(
      `"${path}" is ${facts.isFile() ? "empty" : "not a file"}; expected a model file.`,
      { reason: ErrorReason.INVALID_FIELD },
    );
  }
  return { size: facts.size, changedMs: facts.mtimeMs };
}

async function assertUnchanged(path: string, before: FileFacts): Promise<void> {
  const now = await fileFacts(path);
  if (now.size !== before.size || now.changedMs !== before.changedMs) {
    throw changed(path);
  }
}

async function hashFile(options: UploadArtifactOptions, totalBytes: number): Promise<string> {
  const hash = createHash("sha256");
  let bytes = 0;
  const stream = createReadStream(options.path, {
    highWaterMark: CHUNK_BYTES,
    signal: options.signal,
  });
  try {
    for await (const chunk of stream) {
      hash.update(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      options.onProgress?.({ phase: "hashing", bytes, totalBytes });
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error;
  }
  if (bytes !== totalBytes) {
    throw changed(options.path);
  }
  return hash.digest("hex");
}

function changed(path: string): FailedPrecondition {
  return new FailedPrecondition(
    `The file "${path}" changed while it was being uploaded. Upload it again once it is finished.`,
    { reason: ErrorReason.DIGEST_MISMATCH },
  );
}

function notCompleted(upload: Upload): DataLoss {
  return new DataLoss(
    `The server took the whole file but holds ${upload.receivedBytes} of ${upload.sizeBytes} bytes. ` +
      "Upload it again.",
    { reason: ErrorReason.DIGEST_MISMATCH },
  );
}

function gaveUp(upload: Upload, triesMax: number, cause: DomainError): Unavailable {
  return new Unavailable(
    `The upload stopped at byte ${upload.receivedBytes} of ${upload.sizeBytes}: ${triesMax} tries in a ` +
      `row brought nothing more. The last one failed with: ${cause.message}`,
    { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs: BACKOFF_MAX_MS, cause },
  );
}
