// Takes a file in that comes as a stream: first what it is, then its bytes. A chunk is awaited
// before the next is asked for, so that the sender is slowed to the disk's pace and memory stays at
// one chunk.

import { createHash } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";

const CHUNK_BYTES_MAX = 4 * 1024 * 1024;

/** A message of such a stream. */
export interface FileMessage<Start> {
  readonly payload:
    | { readonly case: "start"; readonly value: Start }
    | { readonly case: "chunk"; readonly value: Uint8Array }
    | { readonly case: undefined; readonly value?: undefined };
}

/** What follows the first message. */
export type Chunks = AsyncIterable<FileMessage<unknown>>;

/** What came; hashes in lower-case hex. */
export interface ReceivedFile {
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly blake2b512: string;
}

/** Reads the first message of a stream. @throws InvalidArgument where it does not say what comes. */
export async function readStart<Start>(
  messages: AsyncIterable<FileMessage<Start>>,
): Promise<{ readonly start: Start; readonly chunks: Chunks }> {
  const stream = messages[Symbol.asyncIterator]();
  const first = await stream.next();
  const payload = first.done === true ? undefined : first.value.payload;
  if (payload?.case !== "start") {
    throw malformed("start", "must stand in the first message, before the bytes");
  }
  return { start: payload.value, chunks: { [Symbol.asyncIterator]: () => stream } };
}

/**
 * Hands each chunk to `write`.
 *
 * @param limit what is the most, in bytes, and words of why, for the message.
 * @throws InvalidArgument where nothing comes, more than the limit, or something else than chunks.
 */
export async function receiveChunks(
  chunks: Chunks,
  limit: { readonly bytesMax: number; readonly because: string },
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<ReceivedFile> {
  const sha256 = createHash("sha256");
  const blake2b512 = createHash("blake2b512");
  let sizeBytes = 0;
  for await (const { payload } of chunks) {
    if (payload.case !== "chunk" || payload.value.length > CHUNK_BYTES_MAX) {
      throw malformed("chunk", "must stand in every message after the first, of at most 4 MiB");
    }
    sizeBytes += payload.value.length;
    if (sizeBytes > limit.bytesMax) {
      throw malformed("chunk", `make more than ${limit.bytesMax} bytes: ${limit.because}`);
    }
    await write(payload.value);
    sha256.update(payload.value);
    blake2b512.update(payload.value);
  }
  if (sizeBytes === 0) throw malformed("chunk", "is missing: the file is empty");
  return { sizeBytes, sha256: sha256.digest("hex"), blake2b512: blake2b512.digest("hex") };
}

function malformed(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`The stream is not as it should be: ${field} ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}
