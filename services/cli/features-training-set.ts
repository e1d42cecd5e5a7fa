// `plinth features training-set`: an entity table goes up, the point-in-time join runs on the
// server, the training set comes down, and its name is told for the model's lineage.

import { randomUUID } from "node:crypto";
import { extname } from "node:path";
import { type Job, JobSchema } from "../../gen/plinth/features/v1/job_pb.js";
import { TableFormat } from "../../gen/plinth/features/v1/table_pb.js";
import { saveTrainingSet } from "./features-download.ts";
import { resultLines } from "./features-job-report.ts";
import { follow, type StartOptions } from "./features-jobs.ts";
import { fullName, shortFeatureName } from "./features-names.ts";
import { tableFormat, uploadTable } from "./features-upload.ts";
import type { Session } from "./session.ts";

export interface TrainingSetOptions extends StartOptions {
  readonly entities: string;
  readonly out: string;
  readonly inputFormat?: string;
  readonly format?: "parquet" | "csv";
  readonly timeColumn?: string;
  readonly ignoreCreated?: boolean;
  readonly jobId?: string;
}

/** `plinth features training-set` */
export async function makeTrainingSet(
  session: Session,
  [service]: readonly [string],
  options: TrainingSetOptions,
): Promise<void> {
  const { output } = session;
  const featureService = fullName("service", service, session.workspace);
  // A service that is not there is found before a large file was sent.
  await session.features.getFeatureService({ name: featureService }, session.call);
  const { entities: path } = options;
  const table = await uploadTable(session, path, tableFormat(options.inputFormat, path));
  const started = await session.jobs.createTrainingSet(
    {
      parent: session.parent,
      jobId: options.jobId ?? "",
      requestId: randomUUID(),
      trainingSet: {
        featureService,
        table: table.name,
        eventTimestampColumn: options.timeColumn ?? "",
        format: formatOf(options),
        ignoreCreatedTimestamp: options.ignoreCreated ?? false,
      },
    },
    session.call,
  );
  const job = await follow(session, started, options);
  if (job === undefined) {
    output.note(
      `Fetch it then with "plinth features job ${shortFeatureName(started.name)} --out ${options.out}".`,
    );
    return;
  }
  await saveTrainingSet(session, job, options.out);
  if (output.json) {
    return output.message(JobSchema, job);
  }
  output.lines(resultLines(job));
  output.line(`${shortFeatureName(job.name)} is in ${options.out} (SHA-256 checked).`);
  noteUnknown(session, job);
  output.note(lineageHint(job));
}

function formatOf(options: TrainingSetOptions): TableFormat {
  const format = options.format ?? extname(options.out).toLowerCase().slice(1);
  return format === "csv" ? TableFormat.CSV : TableFormat.PARQUET;
}

/**
 * A feature that no row has, although there are rows of its view, became known too late: a backfill
 * whose file does not say when its rows were created.
 */
function noteUnknown(session: Session, job: Job): void {
  const { result, ignoreCreatedTimestamp } = job.work.case === "trainingSet" ? job.work.value : {};
  if (result === undefined || ignoreCreatedTimestamp || result.rows === 0n) {
    return;
  }
  const absent = result.features.filter(({ notFound }) => notFound === result.rows);
  if (absent.length > 0 && result.sources.some(({ rows }) => rows > 0n)) {
    session.output.warning(
      `No row has ${absent.map(({ feature }) => feature).join(", ")}. Values count from when they ` +
        "were known: rows whose file has no creation time are known from when they were stored. Name " +
        "its column as the source's createdTimestampColumn, or give --ignore-created.",
    );
  }
}

/** The command that ties a model to what it was trained on. */
function lineageHint(job: Job): string {
  const service = job.work.case === "trainingSet" ? job.work.value.featureService : "";
  const reference = shortFeatureName(service).replace(/^service\//, "");
  return (
    "Tie the model that you train on it to it:\n" +
    `  plinth models push <model> <file.onnx> --feature-service ${reference} ` +
    `--training-set ${shortFeatureName(job.name)}`
  );
}
