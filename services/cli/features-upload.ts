// A file on its way to the server, for a job to read.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { UploadTableRequestSchema } from "../../gen/plinth/features/v1/job_service_pb.js";
import { type Table, TableFormat } from "../../gen/plinth/features/v1/table_pb.js";
import { UsageError } from "./exit-codes.ts";
import { bytesBar, counted, formatBytes } from "./progress.ts";
import type { Session } from "./session.ts";

/** A sixteenth of the protocol's limit: enough for the rate, small enough for a smooth bar. */
const CHUNK_BYTES = 256 * 1024;

const FORMATS: Readonly<Record<string, TableFormat>> = {
  parquet: TableFormat.PARQUET,
  csv: TableFormat.CSV,
  ndjson: TableFormat.NDJSON,
};

const EXTENSIONS: Readonly<Record<string, TableFormat>> = {
  ".parquet": TableFormat.PARQUET,
  ".pq": TableFormat.PARQUET,
  ".csv": TableFormat.CSV,
  ".ndjson": TableFormat.NDJSON,
  ".jsonl": TableFormat.NDJSON,
};

/** The format of a word or of a file's name; UNSPECIFIED: the server finds out. */
export function tableFormat(word: string | undefined, path: string): TableFormat {
  const format = word === undefined ? EXTENSIONS[extname(path).toLowerCase()] : FORMATS[word];
  return format ?? TableFormat.UNSPECIFIED;
}

/**
 * Uploads a file; the server says what is in it.
 * @throws the file system's error when it cannot be read, what the server says of its content.
 */
export async function uploadTable(
  session: Session,
  path: string,
  format: TableFormat,
): Promise<Table> {
  const { output, signal } = session;
  const facts = await stat(path);
  if (facts.isDirectory()) {
    throw new UsageError(`"${path}" is a folder; name a Parquet, CSV or NDJSON file.`);
  }
  // A pipe has no size.
  const total = facts.isFile() ? facts.size : undefined;
  const title = `Uploading ${basename(path)}`;
  using bar = await bytesBar({ show: output.showsProgress, title, total });
  let sent = 0;
  async function* requests(): AsyncGenerator<MessageInitShape<typeof UploadTableRequestSchema>> {
    yield { payload: { case: "start", value: { parent: session.parent, format } } };
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, signal })) {
      yield { payload: { case: "chunk", value: chunk as Buffer } };
      sent += (chunk as Buffer).length;
      bar.update(sent);
    }
  }
  const table = await session.jobs.uploadTable(requests(), session.call);
  bar[Symbol.dispose]();
  output.note(
    `${basename(path)}: ${counted(Number(table.rows), "row")}, ` +
      `${counted(table.columns.length, "column")}, ${formatBytes(Number(table.sizeBytes))} ` +
      `(${TableFormat[table.format]}).`,
  );
  return table;
}
