// `plinth features push`: rows as durable batches over one stream. A batch is named after its
// content, so that the same command again changes nothing.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type StreamPushFeaturesRequestSchema,
  type StreamPushFeaturesResponse,
  StreamPushFeaturesResponseSchema,
} from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { DomainError } from "../common/errors/domain-error.ts";
import { CommandError, ExitCode, exitCodeOf, UsageError } from "./exit-codes.ts";
import { BAD_ROWS, type BadRowsWord, TARGETS, type TargetWord } from "./features-ingest.ts";
import { shortFeatureName } from "./features-names.ts";
import { refusalLines, serverFault } from "./features-push-refused.ts";
import { type Batch, BatchMaker } from "./features-push-rows.ts";
import { viewShape } from "./features-views.ts";
import { keyRows } from "./key-rows.ts";
import { bytesBar, formatCount } from "./progress.ts";
import { RowFeed } from "./row-feed.ts";
import { type BadRow, givenRows, type InputFormat, openRows, place } from "./row-source.ts";
import type { Session } from "./session.ts";

export interface PushRowsOptions {
  readonly row?: readonly string[];
  readonly inputFormat?: InputFormat;
  readonly target: TargetWord;
  readonly badRows: BadRowsWord;
  readonly batchSize: number;
}

/** Bad rows that are told one by one when they end the run. */
const FAULTS_SHOWN_MAX = 20;

/** `plinth features push` */
export async function pushRows(
  session: Session,
  [view, file]: readonly [string, string | undefined],
  options: PushRowsOptions,
): Promise<ExitCode> {
  const source = await sourceOf(session, file, options);
  const shape = await viewShape(session, view);
  const onError = options.badRows === "skip" ? "skip" : "stop";
  const feed = new RowFeed({ source, skipRows: 0, onError, output: session.output });
  const isTyped = file === undefined;
  const maker = new BatchMaker({
    shape,
    now: isTyped ? new Date() : undefined,
    // A column that a person mistyped would make the feature null.
    extras: isTyped ? "refuse" : "leave-out",
    output: session.output,
    target: TARGETS[options.target],
    badRows: BAD_ROWS[options.badRows],
  });
  const push = new Push(session, { feed, maker, options });
  try {
    return await push.run();
  } finally {
    feed.close();
  }
}

async function sourceOf(session: Session, file: string | undefined, options: PushRowsOptions) {
  if ((file === undefined) === (options.row === undefined)) {
    throw new UsageError(
      "Name a file of rows (- for stdin), or give them as --row key=value,key=value (repeatable).",
    );
  }
  if (file === undefined) {
    const rows = keyRows(options.row ?? [], "--row", (text) => (text === "" ? null : text));
    return givenRows(rows.map((values, index) => ({ values, ordinal: index + 1 })));
  }
  const { inputFormat } = options;
  const form = inputFormat === undefined ? {} : { inputFormat };
  return openRows({ file, allText: true, ...form }, session.signal);
}

interface Work {
  readonly feed: RowFeed;
  readonly maker: BatchMaker;
  readonly options: PushRowsOptions;
}

/** One run: the batches sent so far, and what ended them. */
class Push {
  readonly #session: Session;
  readonly #work: Work;
  readonly #batches: Batch[] = [];
  #rows = 0;
  /** Under --bad-rows reject, the rows that ended the run. */
  #bad: readonly BadRow[] = [];

  constructor(session: Session, work: Work) {
    this.#session = session;
    this.#work = work;
  }

  async run(): Promise<ExitCode> {
    const { feed } = this.#work;
    const { output, call } = this.#session;
    let response: StreamPushFeaturesResponse;
    {
      const { title, totalBytes: total } = feed.source;
      using bar = await bytesBar({ show: output.showsProgress, title, total });
      const onRows = (): void =>
        bar.update(feed.source.bytesRead(), `${formatCount(this.#rows)} rows`);
      try {
        response = await this.#session.featureStore.streamPushFeatures(
          this.#requests(onRows),
          call,
        );
      } catch (error) {
        bar[Symbol.dispose]();
        throw this.#broken(error);
      }
    }
    if (this.#bad.length > 0) {
      throw this.#stopped(response);
    }
    if (this.#rows === 0 && feed.badRows === 0) {
      throw new CommandError("The input has no rows.", { exitCode: ExitCode.invalidInput });
    }
    return this.#report(response);
  }

  async *#requests(
    onRows: () => void,
  ): AsyncGenerator<MessageInitShape<typeof StreamPushFeaturesRequestSchema>> {
    const { feed, maker, options } = this.#work;
    while (!feed.ended) {
      const rows = await feed.read(options.batchSize);
      if (feed.stoppedAt !== undefined) {
        this.#bad = [feed.stoppedAt];
        return;
      }
      const { batch, bad } = maker.make(rows);
      if (bad.length > 0 && options.badRows === "reject") {
        this.#bad = bad;
        return;
      }
      for (const row of bad) {
        feed.reportBad(row);
      }
      if (batch !== undefined) {
        this.#batches.push(batch);
        this.#rows += batch.rows;
        yield { batch: batch.request };
        onRows();
      }
    }
  }

  /** A bad row under --bad-rows reject: its batch was not sent, the ones before are stored. */
  #stopped(response: StreamPushFeaturesResponse): CommandError {
    const [first] = this.#bad;
    const rest = this.#bad.length - 1;
    const where = first === undefined ? "" : place(first);
    const shown = this.#bad
      .slice(0, FAULTS_SHOWN_MAX)
      .map((row) => `- ${place(row)}: ${row.fault}`);
    return new CommandError(
      `${where}${rest > 0 ? ` and ${formatCount(rest)} more` : ""} cannot be stored.`,
      {
        exitCode: ExitCode.invalidInput,
        advice: [
          ...shown,
          this.#storedText(Number(response.rowsWritten)),
          "Correct the rows and push again, or leave bad ones out: --bad-rows skip.",
        ],
      },
    );
  }

  /** The server refused a batch, or the stream broke. */
  #broken(error: unknown): unknown {
    if (!(error instanceof DomainError)) {
      return error;
    }
    const fault = serverFault(error, this.#batches);
    if (fault !== undefined) {
      return new CommandError(`The server refused ${fault.where}.`, {
        exitCode: exitCodeOf(error.kind),
        advice: [
          ...fault.lines.slice(0, FAULTS_SHOWN_MAX),
          "Batches before it are stored. Correct the rows and push again, or leave bad ones out: " +
            "--bad-rows skip.",
        ],
      });
    }
    if (this.#batches.length === 0 || error.kind === "Unauthenticated") {
      return error;
    }
    return new CommandError(`The stream broke: ${error.message}`, {
      exitCode: exitCodeOf(error.kind),
      advice: [
        `${formatCount(this.#rows)} rows were sent; any of their batches may be stored.`,
        "Run the same command again: what is stored stays as it is, and nothing is stored twice.",
      ],
    });
  }

  async #report(response: StreamPushFeaturesResponse): Promise<ExitCode> {
    const { output } = this.#session;
    const { feed, maker } = this.#work;
    for (const line of refusalLines(response, this.#batches)) {
      output.warning(line);
    }
    const refused = feed.badRows + Number(response.rowsRefused);
    if (output.json) {
      await output.message(StreamPushFeaturesResponseSchema, response);
    } else {
      const were = refused === 1 ? "was" : "were";
      const beside = refused === 0 ? "" : `; ${formatCount(refused)} ${were} refused`;
      output.line(`${this.#storedText(Number(response.rowsWritten)).slice(0, -1)}${beside}.`);
    }
    maker.noteLeftOut();
    return refused > 0 ? ExitCode.partly : ExitCode.ok;
  }

  #storedText(rows: number): string {
    const view = shortFeatureName(this.#work.maker.viewName);
    return rows === 1
      ? `1 row is stored in ${view}.`
      : `${formatCount(rows)} rows are stored in ${view}.`;
  }
}
