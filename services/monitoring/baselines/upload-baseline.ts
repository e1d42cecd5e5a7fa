// Makes a version's baseline of a file. The file is written to the scratch folder as it comes, at
// the sender's or the disk's pace, read there by a process of its own, and removed. What was the
// baseline before stays until the new one is durable.

import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { UploadBaselineRequest } from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import type { ModelVersion } from "../../../gen/plinth/registry/v1/model_version_pb.js";
import {
  FailedPrecondition,
  InvalidArgument,
  ResourceExhausted,
} from "../../common/errors/domain-error.ts";
import type { MonitoringConfig } from "../config.ts";
import type { BaselineProfile } from "../sketch/column-profile.ts";
import type { StoredProfile } from "./baseline-record.ts";
import type { BaselineStore } from "./baseline-store.ts";
import type { BaselineLearner } from "./learn-baseline.ts";
import type { FileFormat } from "./make-profile.ts";
import type { ProfileMaker } from "./profile-process.ts";
import { type FileColumn, unreadable } from "./table-file.ts";
import { versionColumns } from "./version-columns.ts";

const CHUNK_BYTES_MAX = 4 * 1024 * 1024;
const RETRY_MS = 60_000;
/** What a disk without room says. */
const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
/** Files in the scratch folder are named so, with the id of the process whose they are. */
const SCRATCH_PREFIX = "baseline-";

export interface UploadDeps {
  readonly config: Pick<MonitoringConfig, "baselineBytesMax" | "columnsMax">;
  readonly baselines: Pick<BaselineStore, "put">;
  readonly learner: Pick<BaselineLearner, "dropDrafts">;
  /** For files on their way; nothing in it outlives the process. */
  readonly scratchDir: string;
}

/** An upload under way. */
export interface IncomingBaseline {
  /** As the registry has it. */
  readonly version: ModelVersion;
  /** Undefined: it is to be found out. */
  readonly format: FileFormat | undefined;
  readonly fileName: string;
  readonly excluded: readonly string[];
  /** What follows the first message. */
  readonly chunks: AsyncIterable<UploadBaselineRequest>;
  readonly signal: AbortSignal;
}

/**
 * Takes the file in and makes it the baseline. The same file again makes an equal one.
 * @throws InvalidArgument for a file that cannot be read or has no column of the version;
 *   FailedPrecondition where the version has no signature yet.
 */
export async function uploadBaseline(
  deps: UploadDeps,
  maker: ProfileMaker,
  incoming: IncomingBaseline,
): Promise<StoredProfile> {
  const columns = columnsOf(incoming.version, deps.config.columnsMax);
  const profile = await maker.admit(() => profileOf(deps, maker, { ...incoming, columns }));
  const { name: modelVersion, uid: modelVersionUid } = incoming.version;
  const stored = await deps.baselines.put({
    modelVersion,
    modelVersionUid,
    profile,
    source: "dataset",
    fileName: incoming.fileName,
  });
  await deps.learner.dropDrafts(modelVersionUid);
  return stored;
}

async function profileOf(
  { config, scratchDir }: UploadDeps,
  maker: ProfileMaker,
  incoming: IncomingBaseline & { readonly columns: readonly FileColumn[] },
): Promise<BaselineProfile> {
  const { format, columns, excluded, chunks, signal } = incoming;
  await mkdir(scratchDir, { recursive: true });
  await removeLeftOvers(scratchDir);
  const path = join(scratchDir, `${SCRATCH_PREFIX}${process.pid}-${randomUUID()}`);
  try {
    await receive(path, chunks, config.baselineBytesMax);
    return await maker.make({ path, format, columns, excluded }, signal);
  } finally {
    await rm(path, { force: true });
  }
}

function columnsOf(version: ModelVersion, columnsMax: number): readonly FileColumn[] {
  if (version.signature === undefined) {
    const description = "its signature is not known yet. Wait until it is READY";
    throw new FailedPrecondition(`${version.name} cannot have a baseline: ${description}.`, {
      reason: ErrorReason.STATE_FORBIDS,
      violations: [{ type: "STATE", subject: version.name, description }],
    });
  }
  const columns = versionColumns(version);
  if (columns.length > columnsMax) {
    const description =
      `it has ${columns.length} columns; at most ${columnsMax} are counted ` +
      "(PLINTH_MONITORING_COLUMNS_MAX)";
    throw new FailedPrecondition(`${version.name} cannot have a baseline: ${description}.`, {
      reason: ErrorReason.STATE_FORBIDS,
      violations: [{ type: "COLUMNS", subject: version.name, description }],
    });
  }
  return columns;
}

async function receive(
  path: string,
  chunks: AsyncIterable<UploadBaselineRequest>,
  bytesMax: number,
): Promise<void> {
  await using file = await open(path, "wx");
  let sizeBytes = 0;
  for await (const { payload } of chunks) {
    const chunk = payload.case === "chunk" ? payload.value : undefined;
    if (chunk === undefined || chunk.length > CHUNK_BYTES_MAX) {
      const description = "must hold a chunk of at most 4 MiB in every message after the first";
      throw new InvalidArgument(`UploadBaseline ${description}.`, {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "payload", description }],
      });
    }
    sizeBytes += chunk.length;
    if (sizeBytes > bytesMax) {
      throw unreadable(
        `has more than ${bytesMax} bytes, the most allowed (PLINTH_MONITORING_BASELINE_MAX); a ` +
          "sample of its rows makes as good a baseline",
      );
    }
    try {
      await file.writeFile(chunk);
    } catch (error) {
      throw FULL.has((error as NodeJS.ErrnoException).code ?? "") ? full(error) : error;
    }
  }
}

/** Files of servers that died while they took them. */
async function removeLeftOvers(scratchDir: string): Promise<void> {
  for (const name of await readdir(scratchDir)) {
    const pid = Number.parseInt(name.slice(SCRATCH_PREFIX.length), 10);
    if (name.startsWith(SCRATCH_PREFIX) && pid > 0 && !isRunning(pid)) {
      await rm(join(scratchDir, name), { force: true });
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function full(cause: unknown): ResourceExhausted {
  return new ResourceExhausted("The server's disk is full; the file was not taken.", {
    reason: ErrorReason.STORAGE_FULL,
    retryAfterMs: RETRY_MS,
    cause,
  });
}
