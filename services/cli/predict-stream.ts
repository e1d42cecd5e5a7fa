// Predicting for more rows than one call takes: batches go out on one stream, a bounded number
// ahead of the answers; answers are written in input order. It knows at every moment up to which
// row the result is complete, which is what a user needs to go on after a break.

import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  PredictRequest,
  PredictRequestSchema,
  PredictResponse,
  StreamPredictRequestSchema,
  StreamPredictResponse,
} from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { type DomainError, ResourceExhausted, Unavailable } from "../common/errors/domain-error.ts";
import type { CallOptions } from "../common/rpc/context.ts";
import { type InputKind, payloadOf, sortedOut } from "./predict-input.ts";
import {
  type Ask,
  askPatiently,
  badRowsOf,
  blamesRows,
  errorOfStatus,
  survivors,
} from "./predict-refused.ts";
import type { Answered } from "./prediction-writer.ts";
import type { RowFeed } from "./row-feed.ts";
import { type InputRow, place } from "./row-source.ts";
import type { Session } from "./session.ts";

/** The fields of a request; not a whole message, so that parts can be put together. */
export type RequestInit = Exclude<MessageInitShape<typeof PredictRequestSchema>, PredictRequest>;

export interface StreamOptions {
  readonly session: Session;
  /** Deployment, version, key, outputs: what every request has in common. */
  readonly template: RequestInit;
  readonly kind: InputKind;
  readonly feed: RowFeed;
  /** Rows read already, to be sent first. */
  readonly head: readonly InputRow[];
  readonly batchRows: number;
  readonly inFlight: number;
  /** How a batch is asked for that is sent again by itself. */
  readonly call: CallOptions;
  readonly onError: "stop" | "skip";
  readonly onAnswer: (answered: Answered) => Promise<void>;
}

/** A batch the server refused and that is not sent again. */
export class RowsRefused extends Error {
  readonly error: DomainError;
  readonly rows: readonly InputRow[];

  constructor(error: DomainError, rows: readonly InputRow[]) {
    super(error.message);
    this.error = error;
    this.rows = rows;
  }
}

interface Batch {
  readonly id: string;
  readonly rows: readonly InputRow[];
}

export class PredictStream {
  readonly #options: StreamOptions;
  /** Before every id, so that a label finds the prediction of its own run. */
  readonly #run = randomUUID().slice(0, 8);
  readonly #pending: Batch[] = [];
  #head: readonly InputRow[];
  #batches = 0;
  #over = false;
  #wake: () => void = () => undefined;
  #sourceFailure: { readonly error: unknown } | undefined;
  /** Up to this row of the input everything is answered and written, or was reported as bad. */
  doneThrough: number;
  answeredRows = 0;

  constructor(options: StreamOptions, skippedRows: number) {
    this.#options = options;
    this.#head = options.head;
    this.doneThrough = skippedRows;
  }

  /** Rows sent and not answered. */
  get unansweredRows(): number {
    return this.#pending.reduce((sum, batch) => sum + batch.rows.length, 0);
  }

  /** Runs to the end of the input. Throws what broke it; the counts then say how far it came. */
  async run(): Promise<void> {
    const { session } = this.#options;
    try {
      for await (const answer of session.inference.streamPredict(this.#requests(), session.call)) {
        await this.#take(answer);
      }
    } finally {
      this.#over = true;
      this.#wake();
    }
    if (this.#pending.length > 0) {
      throw new Unavailable("The server ended the stream before it had answered everything.", {
        reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
        retryAfterMs: 0,
      });
    }
    if (this.#sourceFailure !== undefined) {
      throw this.#sourceFailure.error;
    }
  }

  async *#requests(): AsyncGenerator<MessageInitShape<typeof StreamPredictRequestSchema>> {
    while (true) {
      while (this.#pending.length >= this.#options.inFlight && !this.#over) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      const rows = this.#over ? [] : await this.#nextRows();
      if (rows.length === 0 || this.#over) {
        return;
      }
      this.#batches += 1;
      const batch = { id: `${this.#run}-${this.#batches}`, rows };
      this.#pending.push(batch);
      yield { request: this.#requestOf(batch) };
    }
  }

  /**
   * An input that cannot be read ends the requests; what was sent is still answered and written.
   */
  async #nextRows(): Promise<readonly InputRow[]> {
    const { batchRows, feed } = this.#options;
    const fromHead = this.#head.slice(0, batchRows);
    this.#head = this.#head.slice(batchRows);
    if (fromHead.length === batchRows) {
      return fromHead;
    }
    try {
      return [...fromHead, ...(await feed.read(batchRows - fromHead.length))];
    } catch (error) {
      this.#sourceFailure = { error };
      return fromHead;
    }
  }

  #requestOf(batch: Batch): RequestInit {
    const { template, kind } = this.#options;
    return { ...template, id: batch.id, ...payloadOf(kind, batch.rows) };
  }

  async #take(answer: StreamPredictResponse): Promise<void> {
    const batch = this.#pending[0];
    if (batch === undefined || (answer.id !== batch.id && answer.id !== "")) {
      throw new Error(`the server answered "${answer.id}" out of order`);
    }
    const { result } = answer;
    if (result.case === "response") {
      await this.#deliver(batch.rows, result.value);
    } else if (result.case === "error") {
      await this.#refused(batch, errorOfStatus(result.value));
    } else {
      throw new Error("the server sent an answer with neither predictions nor an error");
    }
    this.#pending.shift();
    this.doneThrough = batch.rows.at(-1)?.ordinal ?? this.doneThrough;
    this.#wake();
  }

  async #refused(batch: Batch, error: DomainError): Promise<void> {
    const { session, onError, feed } = this.#options;
    const ask: Ask = (rows) => this.#askAlone(rows);
    let refusal = error;
    if (error instanceof ResourceExhausted) {
      try {
        const context = { output: session.output, signal: session.signal, refusal: error };
        await this.#deliver(batch.rows, await askPatiently(ask, batch.rows, context));
        return;
      } catch (again) {
        if (!blamesRows(again)) {
          throw again;
        }
        refusal = again;
      }
    }
    if (onError === "stop" || !blamesRows(refusal)) {
      throw new RowsRefused(refusal, batch.rows);
    }
    const onBad = feed.reportBad.bind(feed);
    for await (const part of survivors(ask, batch.rows, { refusal, onBad })) {
      await this.#deliver(part.rows, part.response);
    }
  }

  #askAlone(rows: readonly InputRow[]): Promise<PredictResponse> {
    const { session, template, kind, call } = this.#options;
    const id = `${this.#run}-${randomUUID()}`;
    return session.inference.predict({ ...template, id, ...payloadOf(kind, rows) }, call);
  }

  async #deliver(rows: readonly InputRow[], response: PredictResponse): Promise<void> {
    checkCount(rows, response);
    const { good, bad, error } = sortedOut(rows, response);
    if (error !== undefined && this.#options.onError === "stop") {
      throw new RowsRefused(error, rows);
    }
    for (const row of bad) {
      this.#options.feed.reportBad(row);
    }
    if (good !== undefined) {
      await this.#options.onAnswer(good);
      this.answeredRows += good.rows.length;
    }
  }
}

/** A short answer would put predictions beside the wrong rows. */
export function checkCount(rows: readonly InputRow[], response: PredictResponse): void {
  if (response.predictions.length !== rows.length) {
    throw new Error(
      `the server answered ${response.predictions.length} predictions for ${rows.length} rows`,
    );
  }
}

/** The rows at fault: those the error names, else the whole batch. */
export function whereOf(rows: readonly InputRow[], error: DomainError): string {
  const bad = badRowsOf(error, rows);
  const [first] = bad;
  if (first !== undefined) {
    return bad.length === 1 ? place(first) : `${place(first)} and ${bad.length - 1} more`;
  }
  const start = rows[0]!;
  const end = rows.at(-1)!;
  return rows.length === 1 ? place(start) : `one of rows ${start.ordinal} to ${end.ordinal}`;
}
