// `plinth features training-set`: an entity table goes up, the point-in-time join runs on the
// server, the training set comes down, and its name is told for the model's lineage.

import { randomUUID } from "node:crypto";
import { type Job, JobSchema } from "../../gen/plinth/features/v1/job_pb.js";
import { TableFormat } from "../../gen/plinth/features/v1/table_pb.js";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import { CommandError, exitCodeOf, UsageError } from "./exit-codes.ts";
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
  const format = formatOf(options);
  const featureService = fullName("service", service, session.workspace);
  // A service that is not there is found before a large file was sent.
  await session.features.getFeatureService({ name: featureService }, session.call);
  const { entities: path } = options;
  const table = await uploadTable(session, path, tableFormat(options.inputFormat, path));
  const request = {
    parent: session.parent,
    jobId: options.jobId ?? "",
    requestId: randomUUID(),
    trainingSet: {
      featureService,
      table: table.name,
      eventTimestampColumn: options.timeColumn ?? "",
      format,
      ignoreCreatedTimestamp: options.ignoreCreated ?? false,
    },
  };
  const started = await session.jobs
    .createTrainingSet(request, session.call)
    .catch((error: unknown) => {
      throw withTimeColumn(error);
    });
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

/** Where the table lacks the column of the times, says which option names it. */
function withTimeColumn(error: unknown): unknown {
  const isMissing =
    error instanceof InvalidArgument &&
    error.violations.some(({ field }) => field === "event_timestamp_column");
  return isMissing
    ? new CommandError(error.message, {
        exitCode: exitCodeOf(error.kind),
        advice: ["Name the column with each row's time as --time-column."],
      })
    : error;
}

/** @throws UsageError when neither the option nor the name of the file says it. */
function formatOf({ format, out }: TrainingSetOptions): TableFormat {
  const found = tableFormat(format, out);
  if (found !== TableFormat.PARQUET && found !== TableFormat.CSV) {
    throw new UsageError(
      `"${out}" ends in neither .parquet nor .csv. Name it so, or say --format parquet or csv.`,
    );
  }
  return found;
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
        "were known: rows that came without a creation time are known from when they were stored. Bring " +
        "them with one (created_timestamp), or give --ignore-created.",
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
