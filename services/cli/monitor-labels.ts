// `plinth monitor labels`: what was right, row by row of a file, over a stream whose answers
// acknowledge. A label sent twice changes nothing, so a stream that breaks is opened again, and what
// had no answer is sent again.

import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  LabelOutcome as Outcome,
  type RecordGroundTruthResponse,
  type StreamGroundTruthRequestSchema,
  type StreamGroundTruthResponse,
} from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { DomainError, InvalidArgument, Unavailable } from "../common/errors/domain-error.ts";
import { CommandError, ExitCode, exitCodeOf } from "./exit-codes.ts";
import { type Label, type LabelColumns, LabelReader } from "./monitor-label-rows.ts";
import { bytesBar, counted, formatCount } from "./progress.ts";
import { RowFeed } from "./row-feed.ts";
import { type BadRow, type InputFormat, openRows, place } from "./row-source.ts";
import type { Session } from "./session.ts";
import { printable } from "./table.ts";
import { shortName } from "./version-reference.ts";

interface LabelOptions extends LabelColumns {
  readonly inputFormat?: InputFormat;
  readonly badRows: "skip" | "reject";
  readonly batchSize: number;
}

/** Batches that are sent before the first of them is answered. */
const IN_FLIGHT = 4;

/** Streams opened in a row without an answer, before it gives up: about half a minute. */
const TRIES_MAX = 8;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 8000;

/** "labels[3].number": the fourth label of the request. */
const LABEL_FIELD = /^(?:request\.)?labels\[(\d+)\]\.?(.*)$/;

/** `plinth monitor labels` */
export async function recordLabels(
  session: Session,
  [id, file]: readonly [string, string],
  options: LabelOptions,
): Promise<ExitCode> {
  const { inputFormat } = options;
  const form = inputFormat === undefined ? {} : { inputFormat };
  const reader = new LabelReader(options);
  const source = await openRows({ file, allText: true, ...form }, session.signal);
  const onError = options.badRows === "skip" ? "skip" : "stop";
  const feed = new RowFeed({ source, skipRows: 0, onError, output: session.output });
  const deployment = session.deploymentName(id);
  const recording = new Recording(session, { feed, reader, deployment, options });
  try {
    return await recording.run();
  } finally {
    feed.close();
  }
}

interface Work {
  readonly feed: RowFeed;
  readonly reader: LabelReader;
  readonly deployment: string;
  readonly options: LabelOptions;
}

type Batch = readonly Label[];

interface OpenStream {
  over: boolean;
  /** How many of the unanswered batches went out on it. */
  sent: number;
}

/** One run: the batches without an answer yet, and what became of the others. */
class Recording {
  readonly #session: Session;
  readonly #work: Work;
  readonly #outcomes = new Map<Outcome, number>();
  #unanswered: Batch[] = [];
  #tries = 0;
  #recorded = 0;
  /** Under --bad-rows reject, the row that ended the run. */
  #bad: BadRow | undefined;
  /** An input that could not be read on; what was read before is recorded. */
  #failure: { readonly error: unknown } | undefined;
  #reading: Promise<void> | undefined;
  #wake: () => void = () => undefined;

  constructor(session: Session, work: Work) {
    this.#session = session;
    this.#work = work;
  }

  async run(): Promise<ExitCode> {
    const { feed } = this.#work;
    const { output } = this.#session;
    {
      const { title, totalBytes: total } = feed.source;
      using bar = await bytesBar({ show: output.showsProgress, title, total });
      const onAnswer = (): void =>
        bar.update(feed.source.bytesRead(), `${formatCount(this.#recorded)} labels`);
      while (!this.#isDone) {
        await this.#stream(onAnswer);
      }
    }
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
    if (this.#bad !== undefined) {
      throw this.#stopped(this.#bad);
    }
    if (this.#recorded === 0 && feed.badRows === 0) {
      throw new CommandError("The input has no rows.", { exitCode: ExitCode.invalidInput });
    }
    return this.#report();
  }

  get #isDone(): boolean {
    return this.#unanswered.length === 0 && this.#isRead;
  }

  get #isRead(): boolean {
    return this.#work.feed.ended || this.#bad !== undefined || this.#failure !== undefined;
  }

  /** One stream, to its end or its break. */
  async #stream(onAnswer: () => void): Promise<void> {
    const open: OpenStream = { over: false, sent: 0 };
    this.#tries += 1;
    try {
      const requests = this.#requests(open);
      for await (const answer of this.#session.monitoring.streamGroundTruth(
        requests,
        this.#session.call,
      )) {
        this.#tries = 0;
        this.#take(answer);
        open.sent -= 1;
        this.#wake();
        onAnswer();
      }
      if (this.#unanswered.length > 0) {
        throw new Unavailable("The server ended the stream before it had answered everything.", {
          reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
          retryAfterMs: 0,
        });
      }
    } catch (error) {
      await this.#broken(error);
    } finally {
      open.over = true;
      this.#wake();
    }
  }

  /** First what an earlier stream left unanswered, then more of the file. */
  async *#requests(
    open: OpenStream,
  ): AsyncGenerator<MessageInitShape<typeof StreamGroundTruthRequestSchema>> {
    const { deployment } = this.#work;
    while (!open.over) {
      const batch = this.#unanswered[open.sent];
      if (batch !== undefined) {
        open.sent += 1;
        yield { request: { deployment, labels: batch.map(({ label }) => label) } };
      } else if (this.#isRead) {
        return;
      } else if (this.#unanswered.length >= IN_FLIGHT) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else {
        // A stream that broke may still be reading: then its batch is the next one here.
        this.#reading ??= this.#readBatch();
        await this.#reading;
      }
    }
  }

  async #readBatch(): Promise<void> {
    try {
      const batch = await this.#nextBatch();
      if (batch.length > 0) {
        this.#unanswered.push(batch);
      }
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#reading = undefined;
    }
  }

  /** The next labels; none: the input has ended. */
  async #nextBatch(): Promise<Batch> {
    const { feed, reader, options } = this.#work;
    const labels: Label[] = [];
    while (labels.length < options.batchSize && !feed.ended && this.#bad === undefined) {
      for (const row of await feed.read(options.batchSize - labels.length)) {
        const read = reader.read(row);
        if (!("fault" in read)) {
          labels.push(read);
        } else if (options.badRows === "skip") {
          feed.reportBad(read);
        } else {
          this.#bad = read;
          break;
        }
      }
    }
    this.#bad ??= feed.stoppedAt;
    return labels;
  }

  #take({ response }: StreamGroundTruthResponse): void {
    const batch = this.#unanswered.shift();
    if (batch === undefined || response?.outcomes.length !== batch.length) {
      throw new Error("the server did not answer a batch of labels one by one");
    }
    this.#count(batch, response);
    this.#recorded += batch.length;
  }

  #count(batch: Batch, { outcomes }: RecordGroundTruthResponse): void {
    for (const [index, outcome] of outcomes.entries()) {
      this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
      const source = batch[index]?.source;
      if (outcome === Outcome.NO_SUCH_ROW && source !== undefined) {
        const { ordinal, line } = source;
        const fault = "its prediction has no such row";
        this.#work.feed.reportBad({ ordinal, ...(line === undefined ? {} : { line }), fault });
      }
    }
  }

  /** Waits where the stream can be opened again; throws where it cannot. */
  async #broken(error: unknown): Promise<void> {
    if (!(error instanceof DomainError)) {
      throw error;
    }
    const refused = this.#refused(error);
    if (refused !== undefined) {
      throw refused;
    }
    if (error.kind !== "Unavailable" || this.#tries >= TRIES_MAX) {
      throw this.#recorded === 0 ? error : this.#half(error);
    }
    const ms = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.max(0, this.#tries - 1));
    const { signal } = this.#session;
    await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  }

  /** A batch with labels that the server names; batches before it are recorded. */
  #refused(error: DomainError): CommandError | undefined {
    const batch = this.#unanswered[0];
    if (!(error instanceof InvalidArgument) || batch === undefined) {
      return undefined;
    }
    const lines = error.violations.flatMap(({ field, description }) => {
      const parts = LABEL_FIELD.exec(field);
      const label = parts === null ? undefined : batch[Number(parts[1])];
      const what = parts?.[2] ? `${parts[2]}: ` : "";
      return label === undefined
        ? []
        : [`- ${place(label.source)}: ${printable(what + description)}`];
    });
    return lines.length === 0
      ? undefined
      : new CommandError("The server refused some labels.", {
          exitCode: ExitCode.invalidInput,
          advice: [...lines, this.#recordedText(), AGAIN],
        });
  }

  #half(error: DomainError): CommandError {
    return new CommandError(`The stream broke: ${error.message}`, {
      exitCode: exitCodeOf(error.kind),
      advice: [this.#recordedText(), AGAIN],
    });
  }

  #stopped(row: BadRow): CommandError {
    return new CommandError(`${place(row)}: ${row.fault}`, {
      exitCode: ExitCode.invalidInput,
      advice: [this.#recordedText(), AGAIN],
    });
  }

  #report(): ExitCode {
    const { output } = this.#session;
    const { feed, reader } = this.#work;
    const of = (outcome: Outcome): number => this.#outcomes.get(outcome) ?? 0;
    const counts = {
      joined: of(Outcome.JOINED),
      replaced: of(Outcome.REPLACED),
      waiting: of(Outcome.WAITING),
      noSuchRow: of(Outcome.NO_SUCH_ROW),
    };
    const badRows = feed.badRows - counts.noSuchRow;
    if (output.json) {
      output.value({ deployment: this.#work.deployment, ...counts, badRows });
    } else {
      const said = [
        `${formatCount(counts.joined)} joined`,
        counts.replaced > 0 ? `${formatCount(counts.replaced)} replaced another` : "",
        counts.waiting > 0 ? `${formatCount(counts.waiting)} wait for their prediction` : "",
        counts.noSuchRow > 0 ? `${formatCount(counts.noSuchRow)} name no row` : "",
        badRows > 0 ? `${counted(badRows, "bad row")} left out` : "",
      ];
      output.line(
        `${this.#recordedText().slice(0, -1)}: ${said.filter((part) => part !== "").join(", ")}.`,
      );
    }
    if (reader.leftOut.length > 0) {
      output.note(`Columns that say nothing here: ${reader.leftOut.map(printable).join(", ")}.`);
    }
    return feed.badRows > 0 ? ExitCode.partly : ExitCode.ok;
  }

  #recordedText(): string {
    const count = this.#recorded;
    const were = count === 1 ? "was" : "were";
    const labels = counted(count, "label");
    return `${labels} of ${shortName(this.#work.deployment)} ${were} taken.`;
  }
}

const AGAIN = "Run the same command again: a label that is there already changes nothing.";
