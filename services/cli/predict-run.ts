// `plinth predict`: one call for a small input, a stream for a large one; the result in the form
// asked for; and, when it could not be finished, an account of how far it came and how to go on.

import { randomUUID } from "node:crypto";
import { extname } from "node:path";
import { DomainError } from "../common/errors/domain-error.ts";
import { continueCommand } from "./continue-advice.ts";
import { CommandError, ExitCode, exitCodeOf, Interrupted } from "./exit-codes.ts";
import { shortFeatureName } from "./features-names.ts";
import { timeOption } from "./features-times.ts";
import { formatDuration } from "./format.ts";
import {
  ENTITIES_MAX,
  type InputKind,
  openInput,
  type PredictInputOptions,
  payloadOf,
  sortedOut,
} from "./predict-input.ts";
import {
  type ProofOptions,
  ProofTally,
  proofFields,
  VERIFIABLE_ROWS_MAX,
  waitingCall,
} from "./predict-proofs.ts";
import { askPatiently, badRowsOf, blamesRows, survivors } from "./predict-refused.ts";
import {
  checkCount,
  PredictStream,
  type RequestInit,
  RowsRefused,
  whereOf,
} from "./predict-stream.ts";
import { tableWriter } from "./prediction-table.ts";
import {
  type Answered,
  csvWriter,
  jsonWriter,
  ndjsonWriter,
  type PredictionWriter,
} from "./prediction-writer.ts";
import { bytesBar, formatCount } from "./progress.ts";
import { openResult, type ResultFile } from "./result-file.ts";
import { RowFeed } from "./row-feed.ts";
import { type InputRow, place } from "./row-source.ts";
import type { Session } from "./session.ts";
import { shortName } from "./version-reference.ts";

export interface PredictOptions extends PredictInputOptions, ProofOptions {
  readonly format?: Format;
  readonly output?: string;
  readonly append?: boolean;
  readonly withInputs?: boolean;
  readonly outputs?: readonly string[];
  readonly routingKey?: string;
  readonly eventTime?: string;
  readonly batchRows: number;
  readonly inFlight: number;
  readonly skipRows: number;
  readonly onError: "stop" | "skip";
}

type Format = "table" | "json" | "ndjson" | "csv";

/** Up to this many rows are one unary call; the protocol would take 1024. */
const SINGLE_CALL_ROWS_MAX = 256;

/** Everything one run works with. */
interface Work {
  readonly session: Session;
  readonly options: PredictOptions;
  readonly template: RequestInit;
  readonly kind: InputKind;
  readonly feed: RowFeed;
  readonly format: Format;
  readonly file: ResultFile;
  readonly writer: PredictionWriter;
}

/** `plinth predict` */
export async function predict(
  session: Session,
  [deployment]: readonly [string],
  options: PredictOptions,
): Promise<ExitCode> {
  const template = templateOf(session, deployment, options);
  const { kind, source } = await openInput(session, deployment, options);
  const { skipRows, onError } = options;
  const feed = new RowFeed({ source, skipRows, onError, output: session.output });
  try {
    const rowsMax = options.verifiable === true ? VERIFIABLE_ROWS_MAX : SINGLE_CALL_ROWS_MAX;
    const head = await feed.read(rowsMax + 1);
    const small = feed.ended && head.length <= rowsMax;
    if (small) {
      refuseUnreadable(feed);
    }
    if (head.length === 0) {
      throw nothingToDo(feed, skipRows);
    }
    const format = formatOf(session, options);
    const append = options.append ?? false;
    const file = await openResult({
      path: options.output,
      append,
      skipRows,
      signal: session.signal,
    });
    const writer = writerOf(format, file, { session, options });
    const work: Work = { session, options, template, kind, feed, format, file, writer };
    await (small ? predictOnce(work, head) : predictAll(work, head));
    return feed.badRows > 0 ? ExitCode.partly : ExitCode.ok;
  } finally {
    feed.close();
  }
}

async function predictOnce(work: Work, rows: readonly InputRow[]): Promise<void> {
  const { session, template, kind, feed, options } = work;
  const { output, signal } = session;
  const call = waitingCall(session.call, options);
  // The id makes sure that a call that is sent twice is proved once.
  const ask = (some: readonly InputRow[]) =>
    session.inference.predict({ ...template, id: randomUUID(), ...payloadOf(kind, some) }, call);
  const answers: Answered[] = [];
  const tally = new ProofTally();
  const take = ({ rows: asked, response }: Answered): void => {
    checkCount(asked, response);
    const { good, bad, error } = sortedOut(asked, response);
    if (error !== undefined && options.onError === "stop") {
      throw error;
    }
    for (const row of bad) {
      feed.reportBad(row);
    }
    answers.push(...(good === undefined ? [] : [good]));
  };
  try {
    take({ rows, response: await askPatiently(ask, rows, { output, signal }) });
  } catch (error) {
    if (!blamesRows(error)) {
      throw error;
    }
    if (options.onError === "stop") {
      throw refused(error, rows, [
        "Nothing was predicted. Correct the rows, or leave bad ones out: --on-error skip.",
      ]);
    }
    const onBad = feed.reportBad.bind(feed);
    for await (const answer of survivors(ask, rows, { refusal: error, onBad })) {
      take(answer);
    }
  }
  for (const answer of answers) {
    await work.writer.write(answer);
  }
  await work.writer.end({ complete: feed.badRows === 0 });
  await work.file.close();
  for (const answer of answers) {
    output.note(timingLine(answer));
    tally.add(answer.response);
  }
  tally.tell(output);
}

async function predictAll(work: Work, head: readonly InputRow[]): Promise<void> {
  const { session, options, feed, writer, file } = work;
  const { output } = session;
  const startMs = performance.now();
  // Rows that run over the same terminal are progress enough.
  const show = output.showsProgress && (options.output !== undefined || !process.stdout.isTTY);
  const versions = new Set<string>();
  const tally = new ProofTally();
  const { title, totalBytes } = feed.source;
  let failure: unknown;
  let stream: PredictStream;
  {
    using bar = await bytesBar({ show, title, total: totalBytes });
    stream = new PredictStream(
      {
        session,
        template: work.template,
        kind: work.kind,
        feed,
        head,
        batchRows: Math.min(options.batchRows, batchRowsMax(work)),
        call: waitingCall(session.call, options),
        inFlight: options.inFlight,
        onError: options.onError,
        onAnswer: async (answered) => {
          await writer.write(answered);
          versions.add(shortName(answered.response.modelVersion));
          tally.add(answered.response);
          const rows = stream.answeredRows + answered.rows.length;
          bar.update(feed.source.bytesRead(), rateText(rows, startMs));
        },
      },
      options.skipRows,
    );
    try {
      await stream.run();
    } catch (error) {
      failure = error;
    }
  }
  const complete = failure === undefined && feed.stoppedAt === undefined && feed.badRows === 0;
  await writer.end({ complete });
  await file.close();
  if (failure !== undefined || feed.stoppedAt !== undefined) {
    throw unfinished(work, stream, failure);
  }
  const skipped = feed.badRows === 0 ? "" : `; ${formatCount(feed.badRows)} bad rows were skipped`;
  output.note(
    `${rateText(stream.answeredRows, startMs)} answered by ${[...versions].join(", ")}${skipped}.`,
  );
  tally.tell(output);
}

function batchRowsMax({ kind, options }: Work): number {
  if (options.verifiable === true) {
    return VERIFIABLE_ROWS_MAX;
  }
  return kind === "rows" ? Number.POSITIVE_INFINITY : ENTITIES_MAX;
}

/** What is told when not every row was answered: how far it came, why it ended, how to go on. */
function unfinished(work: Work, stream: PredictStream, failure: unknown): Error {
  const { session, options, feed, format } = work;
  if (stream.answeredRows === 0 && failure instanceof DomainError) {
    return failure;
  }
  const where = options.output === undefined ? "written" : `written to ${options.output}`;
  const account = [`${formatCount(stream.answeredRows)} rows were answered and ${where}.`];
  if (stream.unansweredRows > 0) {
    account.push(`${formatCount(stream.unansweredRows)} rows were sent and have no answer here.`);
  }
  const append = format === "csv" || format === "ndjson";
  const command = continueCommand(session.words, { skipRows: stream.doneThrough, append });
  const other = append || options.output === undefined ? "" : " (into another file)";
  const advice = [...account, `Go on${other} with:\n    ${command}`];
  if (failure instanceof Interrupted) {
    session.output.note(advice.join("\n  "));
    return failure;
  }
  if (failure instanceof RowsRefused) {
    return refused(failure.error, failure.rows, [
      ...advice,
      "Or leave bad rows out: --on-error skip.",
    ]);
  }
  if (failure instanceof DomainError) {
    return new CommandError(`The stream broke: ${failure.message}`, {
      exitCode: exitCodeOf(failure.kind),
      advice,
    });
  }
  if (failure === undefined && feed.stoppedAt !== undefined) {
    return new CommandError(`${place(feed.stoppedAt)} cannot be read: ${feed.stoppedAt.fault}.`, {
      exitCode: ExitCode.invalidInput,
      advice: [...advice, "Or leave bad rows out: --on-error skip."],
    });
  }
  if (failure instanceof CommandError) {
    const { message, exitCode } = failure;
    return new CommandError(message, { exitCode, advice: [...failure.advice, ...advice] });
  }
  const text = failure instanceof Error ? failure.message : String(failure);
  return new CommandError(`Stopped: ${text}.`, { exitCode: ExitCode.failed, advice });
}

/** A refusal, told by the places of its rows in the input rather than in the request. */
function refused(
  error: DomainError,
  rows: readonly InputRow[],
  advice: readonly string[],
): CommandError {
  const named = badRowsOf(error, rows);
  const where = whereOf(rows, error);
  const exitCode = exitCodeOf(error.kind);
  if (named.length === 0) {
    return new CommandError(`The server refused ${where}: ${error.message}`, { exitCode, advice });
  }
  return new CommandError(`The server refused ${where}.`, {
    exitCode,
    advice: [...named.map((row) => `- ${place(row)}: ${row.fault}`), ...advice],
  });
}

function refuseUnreadable(feed: RowFeed): void {
  if (feed.stoppedAt !== undefined) {
    throw new CommandError(`${place(feed.stoppedAt)} cannot be read: ${feed.stoppedAt.fault}.`, {
      exitCode: ExitCode.invalidInput,
      advice: ["Nothing was predicted. Correct the row, or leave it out: --on-error skip."],
    });
  }
}

function nothingToDo(feed: RowFeed, skipRows: number): CommandError {
  const after = skipRows > 0 ? ` after the first ${skipRows}` : "";
  const bad = feed.badRows > 0 ? " that can be read" : "";
  return new CommandError(`The input has no rows${bad}${after}.`, {
    exitCode: ExitCode.invalidInput,
  });
}

function templateOf(session: Session, deployment: string, options: PredictOptions): RequestInit {
  return {
    deployment: session.deploymentName(deployment),
    version: BigInt(options.version ?? 0),
    routingKey: options.routingKey ?? "",
    outputs: [...(options.outputs ?? [])],
    ...proofFields(options),
    ...(options.eventTime !== undefined && {
      eventTime: timeOption(options.eventTime, "--event-time"),
    }),
  };
}

const FORMAT_OF_EXTENSION: Readonly<Record<string, Format>> = {
  ".csv": "csv",
  ".json": "json",
  ".ndjson": "ndjson",
  ".jsonl": "ndjson",
};

function formatOf(session: Session, options: PredictOptions): Format {
  const byName = FORMAT_OF_EXTENSION[extname(options.output ?? "").toLowerCase()];
  return options.format ?? byName ?? (session.output.json ? "json" : "table");
}

function writerOf(
  format: Format,
  file: ResultFile,
  { session, options }: { readonly session: Session; readonly options: PredictOptions },
): PredictionWriter {
  const withInputs = options.withInputs ?? false;
  switch (format) {
    case "table":
      return tableWriter(file, session.output);
    case "json":
      return jsonWriter(file, { withInputs });
    case "ndjson":
      return ndjsonWriter(file, { withInputs });
    case "csv":
      return csvWriter(file, { withInputs });
  }
}

function timingLine({ rows, response }: Answered): string {
  const { timing } = response;
  const times =
    timing === undefined
      ? ""
      : `; queue ${formatDuration(timing.queue)}, compute ${formatDuration(timing.compute)}, ` +
        `total ${formatDuration(timing.total)}, batch of ${timing.batchRows}` +
        (timing.features === undefined
          ? ""
          : `, features of ${shortFeatureName(response.featureService)} ${formatDuration(timing.features)}`);
  const count = rows.length === 1 ? "1 row" : `${rows.length} rows`;
  return `${shortName(response.modelVersion)}: ${count}${times}; inference ${response.id}`;
}

function rateText(rows: number, startMs: number): string {
  const seconds = Math.max(0.001, (performance.now() - startMs) / 1000);
  return `${formatCount(rows)} rows (${formatCount(Math.round(rows / seconds))} rows/s)`;
}
