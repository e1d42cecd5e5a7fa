// Takes a file in for jobs to read. A chunk is awaited before the next is asked for, so the sender
// is slowed to the disk's pace. The table's document is stored before its bytes become a blob,
// without its content: from then on nobody sweeps them.

import { createHash, randomUUID } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { UploadTableRequest } from "../../../gen/plinth/features/v1/job_service_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { tableName } from "../../common/names.ts";
import type { FeaturesDeps } from "../deps.ts";
import type { TableFormat } from "../offline/engine-tasks.ts";
import type { Table } from "./table-store.ts";

const CHUNK_BYTES_MAX = 4 * 1024 * 1024;

/** An upload under way. */
export interface IncomingTable {
  readonly workspace: string;
  /** Undefined: it is to be found out. */
  readonly format: TableFormat | undefined;
  /** What follows the first message. */
  readonly chunks: AsyncIterable<UploadTableRequest>;
  readonly signal: AbortSignal;
}

type UploadDeps = Pick<
  FeaturesDeps,
  "blobs" | "clock" | "config" | "engine" | "offline" | "tables"
>;

/**
 * Stores the file and says what is in it. The same file twice is one table, with the later expiry.
 * @throws InvalidArgument for a file that is empty, too large or not of its format.
 */
export async function uploadTable(deps: UploadDeps, table: IncomingTable): Promise<Stored<Table>> {
  const { blobs, clock, config, offline, tables } = deps;
  const stageId = `table-${randomUUID()}`;
  try {
    const bytes = await receive(deps, stageId, table.chunks);
    const name = tableName.format({ workspace: table.workspace, table: bytes.digest });
    const document = {
      _id: name,
      workspace: table.workspace,
      ...bytes,
      expireTime: new Date(clock.now() + config.tableTtlMs),
      content: null,
    };
    const stored = await tables.put(document);
    await offline.claimBlob(bytes.digest);
    await blobs.commit(stageId, bytes);
    const { content } = stored;
    if (content !== null && (table.format ?? content.format) === content.format) {
      return stored;
    }
    return await describe(deps, table, document);
  } finally {
    await blobs.discard(stageId);
  }
}

async function describe(
  deps: UploadDeps,
  table: IncomingTable,
  document: Omit<Table, "createTime">,
): Promise<Stored<Table>> {
  const { blobs, engine, tables } = deps;
  try {
    const path = await blobs.localPath(document.digest);
    const input = { path, format: table.format };
    const content = await engine.run("describe-table", input, { signal: table.signal });
    if (content.columns.length === 0) {
      throw malformed("holds no columns; a table has a header or a schema");
    }
    return await tables.put({ ...document, content });
  } catch (error) {
    await tables.drop(document._id);
    throw error;
  }
}

/** Writes what comes into the staging area. */
async function receive(
  { blobs, config }: UploadDeps,
  stageId: string,
  chunks: AsyncIterable<UploadTableRequest>,
): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  await using writer = await blobs.stage(stageId);
  for await (const { payload } of chunks) {
    const chunk = payload.case === "chunk" ? payload.value : undefined;
    if (chunk === undefined || chunk.length > CHUNK_BYTES_MAX) {
      throw malformed("must come as chunks of at most 4 MiB in every message after the first");
    }
    sizeBytes += chunk.length;
    if (sizeBytes > config.tableBytesMax) {
      throw malformed(
        `has more than ${config.tableBytesMax} bytes, the most allowed ` +
          "(PLINTH_FEATURES_TABLE_MAX); send it in several files",
      );
    }
    await writer.write(chunk);
    hash.update(chunk);
  }
  if (sizeBytes === 0) {
    throw malformed("is empty; send a Parquet, CSV or NDJSON file");
  }
  return { digest: hash.digest("hex"), sizeBytes };
}

function malformed(description: string): InvalidArgument {
  return new InvalidArgument(`The table ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "chunk", description }],
  });
}
