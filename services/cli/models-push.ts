// `plinth models push`: upload, register, wait for the verdict, then approve and alias when asked.

import { randomUUID } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import {
  type ModelVersion,
  ModelVersionSchema,
  ModelVersion_State as State,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import type { Upload } from "../../gen/plinth/registry/v1/upload_pb.js";
import { DomainError, NotFound } from "../common/errors/domain-error.ts";
import { uploadArtifact } from "../common/upload-artifact.ts";
import { keyNumbers, keyValues } from "./command.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { featureLineage } from "./models-features.ts";
import { versionLines } from "./models-read.ts";
import { bytesBar, formatBytes, spinner } from "./progress.ts";
import type { Session } from "./session.ts";
import { parseModel, shortName } from "./version-reference.ts";

export interface PushOptions {
  readonly description?: string;
  readonly metric?: readonly string[];
  readonly parameter?: readonly string[];
  readonly tag?: readonly string[];
  readonly columns?: readonly string[];
  readonly columnsFile?: string;
  readonly labels?: readonly string[];
  readonly alias?: readonly string[];
  readonly approve?: boolean;
  readonly sourceRun?: string;
  readonly sourceRevision?: string;
  readonly dataset?: readonly string[];
  readonly featureService?: string;
  readonly trainingSet?: readonly string[];
  readonly baseline?: string;
  readonly create: boolean;
  readonly resume?: string;
}

/** Re-opened watches of a version under validation, before the command gives up. */
const WATCH_TRIES = 5;

/** `plinth models push` */
export async function pushModel(
  session: Session,
  [modelId, path]: readonly [string, string],
  options: PushOptions,
): Promise<ExitCode> {
  const { output } = session;
  const parent = parseModel(modelId, session.workspace);
  const facts = await versionFacts(session, options, path);
  const { size: total } = await stat(path);
  if (options.baseline !== undefined) {
    // Not found only after the model is registered would be late.
    await stat(options.baseline);
  }
  await ensureModel(session, parent, options);
  const upload = await sendFile(session, path, { resume: options.resume, total });
  const created = await session.models.createModelVersion(
    { parent, modelVersion: facts, upload: upload.name, requestId: randomUUID() },
    session.call,
  );
  let version = await settled(session, created);
  if (version.state !== State.READY) {
    return failed(session, version);
  }
  await sendBaseline(session, version, options);
  version = await approveAndAlias(session, { parent, version, options });
  if (output.json) {
    await output.message(ModelVersionSchema, version);
  } else {
    output.lines(versionLines(session, version));
  }
  return ExitCode.ok;
}

/** What the options say of the version; wrong ones are found before anything is sent. */
async function versionFacts(session: Session, options: PushOptions, path: string) {
  if (options.columns !== undefined && options.columnsFile !== undefined) {
    throw new UsageError("Give --columns or --columns-file, not both.");
  }
  const { featureService, trainingSets } = await featureLineage(session, options);
  return {
    description: options.description ?? "",
    featureService,
    metrics: keyNumbers(options.metric ?? [], "--metric"),
    parameters: keyValues(options.parameter ?? [], "--parameter"),
    tags: keyValues(options.tag ?? [], "--tag"),
    columns:
      options.columnsFile === undefined
        ? [...(options.columns ?? [])]
        : await columnsOf(options.columnsFile),
    classLabels: [...(options.labels ?? [])],
    artifact: { fileName: basename(path) },
    lineage: {
      sourceRun: options.sourceRun ?? "",
      sourceRevision: options.sourceRevision ?? "",
      trainingDatasets: [...(options.dataset ?? []), ...trainingSets],
      featureService: featureService.replace(/\/versions\/.*$/, ""),
    },
  };
}

/** One name a line, or the one header line of a CSV file. */
async function columnsOf(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8");
  const lines = text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");
  if (lines.length !== 1) {
    return lines.map((line) => line.trim());
  }
  const { parse } = await import("csv-parse/sync");
  const rows: string[][] = parse(lines[0] ?? "", { trim: true });
  return rows[0] ?? [];
}

async function ensureModel(session: Session, name: string, options: PushOptions): Promise<void> {
  try {
    await session.models.getRegisteredModel({ name }, session.call);
  } catch (error) {
    if (!(error instanceof NotFound) || !options.create) {
      throw error;
    }
    const parent = name.slice(0, name.indexOf("/models/"));
    const modelId = shortName(name);
    try {
      await session.models.createRegisteredModel({ parent, modelId }, session.call);
      session.output.note(`Model ${modelId} is new and was created.`);
    } catch (creation) {
      // Someone else made it a moment ago: that is as good.
      if (!(creation instanceof DomainError) || creation.kind !== "AlreadyExists") {
        throw creation;
      }
    }
  }
}

async function sendFile(
  session: Session,
  path: string,
  options: { readonly resume: string | undefined; readonly total: number },
): Promise<Upload> {
  const { output, signal } = session;
  const { resume, total } = options;
  let begun: Upload | undefined;
  try {
    const show = output.showsProgress;
    using bar = await bytesBar({ show, title: `Uploading ${basename(path)}`, total });
    return await uploadArtifact({
      client: session.models,
      parent: session.parent,
      path,
      resume,
      signal,
      onBegin: (upload) => {
        begun = upload;
      },
      onProgress: ({ phase, bytes }) =>
        bar.update(phase === "sending" ? bytes : 0, phase === "hashing" ? "checking" : ""),
      onRetry: ({ fromByte, cause }) =>
        output.note(
          `${show ? "\n" : ""}The stream broke (${cause.message}). ` +
            `Going on from ${formatBytes(fromByte)} of ${formatBytes(total)}.`,
        ),
    });
  } catch (error) {
    if (begun !== undefined && resumable(session, error)) {
      output.note(`What was sent is kept for 24 hours. Go on with:\n  --resume ${begun.name}`);
    }
    throw error;
  }
}

function resumable(session: Session, error: unknown): boolean {
  return session.signal.aborted || (error instanceof DomainError && error.kind === "Unavailable");
}

/** The version once it is READY or FAILED. A watch that breaks is opened again, a few times. */
async function settled(session: Session, created: ModelVersion): Promise<ModelVersion> {
  const { output } = session;
  using _spinner = spinner({
    show: output.showsProgress,
    title: `${shortName(created.name)} is being tried out by onnxruntime`,
  });
  let version = created;
  for (let tries = 1; version.state === State.VALIDATING; tries += 1) {
    try {
      for await (const now of session.models.watchModelVersion(
        { name: created.name },
        session.call,
      )) {
        version = now;
      }
    } catch (error) {
      const broken = error instanceof DomainError && error.kind === "Unavailable";
      if (!broken || tries >= WATCH_TRIES) {
        throw error;
      }
    }
    if (version.state === State.VALIDATING && tries >= WATCH_TRIES) {
      throw new CommandError(`${shortName(created.name)} is still being validated.`, {
        exitCode: ExitCode.unavailable,
        advice: [`See "plinth models show ${shortName(created.name)}" in a while.`],
      });
    }
  }
  return version;
}

async function failed(session: Session, version: ModelVersion): Promise<ExitCode> {
  if (session.output.json) {
    await session.output.message(ModelVersionSchema, version);
  }
  const { reason = "", message = "" } = version.failure ?? {};
  throw new CommandError(`${shortName(version.name)} FAILED validation: ${reason}`, {
    exitCode: ExitCode.invalidInput,
    advice: [
      message,
      "The version is kept for reference; remove it with " +
        `"plinth models delete ${shortName(version.name)}".`,
    ],
  });
}

/** Before it is approved: so nothing is served that the baseline does not know. */
async function sendBaseline(
  session: Session,
  { name }: ModelVersion,
  { baseline, approve }: PushOptions,
): Promise<void> {
  if (baseline === undefined) {
    return;
  }
  const { madeText, uploadBaseline } = await import("./monitor-baseline.ts");
  try {
    const made = await uploadBaseline(session, `${name}/baseline`, { path: baseline });
    session.output.note(madeText(made));
  } catch (error) {
    const version = shortName(name);
    const approval = approve === true ? `, then "plinth models approve ${version}"` : "";
    session.output.warning(
      `${version} is registered and stays, without its baseline. Try again with ` +
        `"plinth monitor baseline ${version} --file ${baseline}"${approval}.`,
    );
    throw error;
  }
}

async function approveAndAlias(
  session: Session,
  work: { readonly parent: string; readonly version: ModelVersion; readonly options: PushOptions },
): Promise<ModelVersion> {
  const { parent, version, options } = work;
  const { name } = version;
  if (options.approve === true) {
    await session.models.approveModelVersion({ name }, session.call);
  }
  for (const alias of options.alias ?? []) {
    const request = { name: parent, alias, version: version.version };
    await session.models.setModelAlias(request, session.call);
  }
  return session.models.getModelVersion({ name }, session.call);
}
