// `plinth monitor baseline`: what a version's traffic is compared with. Shows it, or makes it from
// a file that is sent as it is; the server reads it.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Baseline, BaselineSchema } from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import {
  BaselineFileFormat as Format,
  type UploadBaselineRequestSchema,
} from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { UsageError } from "./exit-codes.ts";
import { baselineLines } from "./monitor-baseline-lines.ts";
import { bytesBar, counted, formatBytes } from "./progress.ts";
import type { Session } from "./session.ts";
import { resolveVersion, shortName } from "./version-reference.ts";

interface BaselineOptions {
  readonly file?: string;
  readonly format?: "csv" | "parquet";
  readonly exclude?: readonly string[];
}

/** A sixteenth of the protocol's limit: enough for the rate, small enough for a smooth bar. */
const CHUNK_BYTES = 256 * 1024;

const FORMATS = { csv: Format.CSV, parquet: Format.PARQUET } as const;
const EXTENSIONS: Readonly<Record<string, Format>> = {
  ".csv": Format.CSV,
  ".parquet": Format.PARQUET,
  ".pq": Format.PARQUET,
};

/** `plinth monitor baseline` */
export async function baseline(
  session: Session,
  [model, version]: readonly [string, string | undefined],
  options: BaselineOptions,
): Promise<void> {
  const { output } = session;
  const { file, format, exclude } = options;
  if (file === undefined && (format !== undefined || exclude !== undefined)) {
    throw new UsageError("--format and --exclude go with --file.");
  }
  const joint = version?.startsWith("@") === true ? "" : "/";
  const text = version === undefined ? model : `${model}${joint}${version}`;
  const name = `${await resolveVersion(session, text)}/baseline`;
  if (file !== undefined) {
    const made = await uploadBaseline(session, name, { path: file, format, exclude });
    return output.json ? output.message(BaselineSchema, made) : output.line(madeText(made));
  }
  const found = await session.monitoring.getBaseline({ name }, session.call);
  return output.json
    ? output.message(BaselineSchema, found)
    : output.lines(baselineLines(output, found));
}

/**
 * Makes a baseline of a file.
 * @throws the file system's error when it cannot be read, what the server says of its content.
 */
export async function uploadBaseline(
  session: Session,
  name: string,
  source: {
    readonly path: string;
    readonly format?: "csv" | "parquet" | undefined;
    readonly exclude?: readonly string[] | undefined;
  },
): Promise<Baseline> {
  const { output, signal } = session;
  const { path, exclude = [] } = source;
  const facts = await stat(path);
  if (facts.isDirectory()) {
    throw new UsageError(`"${path}" is a folder; name a Parquet or CSV file.`);
  }
  const format =
    source.format === undefined
      ? (EXTENSIONS[extname(path).toLowerCase()] ?? Format.UNSPECIFIED)
      : FORMATS[source.format];
  const fileName = basename(path);
  // A pipe has no size.
  const total = facts.isFile() ? facts.size : undefined;
  using bar = await bytesBar({ show: output.showsProgress, title: `Uploading ${fileName}`, total });
  let sent = 0;
  async function* requests(): AsyncGenerator<MessageInitShape<typeof UploadBaselineRequestSchema>> {
    const value = { name, format, fileName, excludedColumns: [...exclude] };
    yield { payload: { case: "start", value } };
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, signal })) {
      yield { payload: { case: "chunk", value: chunk as Buffer } };
      sent += (chunk as Buffer).length;
      bar.update(sent);
    }
  }
  return session.monitoring.uploadBaseline(requests(), session.call);
}

/** "The baseline of churn/3: 40,000 rows, 12 columns, 31.0 KiB of profile." */
export function madeText({ name, rows, columns, sizeBytes }: Baseline): string {
  const version = shortName(name.replace(/\/baseline$/, ""));
  const ofColumns = columns.length === 0 ? "" : `${counted(columns.length, "column")}, `;
  return (
    `The baseline of ${version}: ${counted(Number(rows), "row")}, ${ofColumns}` +
    `${formatBytes(Number(sizeBytes))} of profile.`
  );
}
