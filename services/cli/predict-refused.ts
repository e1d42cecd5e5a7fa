// What becomes of a batch that the server refused. Overload: it is sent again after the time the
// server named, a few times, and said so. A bad row under --on-error skip: the row is found (the
// server names it, or halving does) and the others are predicted without it. Nothing here touches a
// broken stream.

import { setTimeout as sleep } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { PredictResponse } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import {
  type DomainError,
  Internal,
  InvalidArgument,
  ResourceExhausted,
} from "../common/errors/domain-error.ts";
import { fromStatus } from "../common/errors/status.ts";
import type { Output } from "./output.ts";
import type { Answered } from "./prediction-writer.ts";
import { type BadRow, type InputRow, place } from "./row-source.ts";

/** How often a batch is sent again because the server was full. */
const OVERLOAD_TRIES = 5;

/** "rows[3].radius", "entities[3]": the fourth row of the request. */
const ROW_FIELD = /^(?:request\.)?(?:rows|entities)\[(\d+)\]\.?(.*)$/;

export type Ask = (rows: readonly InputRow[]) => Promise<PredictResponse>;

/** The error of an answer in a stream, as the same call alone would have thrown it. */
export function errorOfStatus(status: Status): DomainError {
  return fromStatus(status.code, status.message, toBinary(StatusSchema, status));
}

/** The rows that an error names, with what is wrong with each. */
export function badRowsOf(error: DomainError, rows: readonly InputRow[]): readonly BadRow[] {
  const faults = new Map<InputRow, string[]>();
  const violations = error instanceof InvalidArgument ? error.violations : [];
  for (const { field, description } of violations) {
    const parts = ROW_FIELD.exec(field);
    const row = parts === null ? undefined : rows[Number(parts[1])];
    if (row !== undefined) {
      const column = parts?.[2] ?? "";
      // The server may say the field again, by its own row number, which is not the input's.
      const text = description.startsWith(field)
        ? description.slice(field.length).replace(/^:? /, "")
        : description;
      const fault = column === "" ? text : `${column}: ${text}`;
      faults.set(row, [...(faults.get(row) ?? []), fault]);
    }
  }
  return rows
    .filter((row) => faults.has(row))
    .map((row) => toBad(row, (faults.get(row) ?? []).join("; ")));
}

/** Whether the error is about the rows, so that other rows may fare better. */
export function blamesRows(error: unknown): error is DomainError {
  return (
    error instanceof InvalidArgument ||
    (error instanceof Internal && error.reason === ErrorReason.MODEL_RUN_FAILED)
  );
}

/** Asks, and asks again while the server says that it is full; each time it is noted. */
export async function askPatiently(
  ask: Ask,
  rows: readonly InputRow[],
  context: {
    readonly output: Output;
    readonly signal: AbortSignal;
    readonly refusal?: DomainError;
  },
): Promise<PredictResponse> {
  let refusal: DomainError | undefined = context.refusal;
  for (let tries = 1; ; tries += 1) {
    if (refusal !== undefined) {
      const first = rows[0];
      context.output.note(
        `The server is full: ${rows.length} rows from ${first && place(first)} are sent again ` +
          `(${tries} of ${OVERLOAD_TRIES}).`,
      );
      await wait(refusal, context.signal);
    }
    try {
      return await ask(rows);
    } catch (error) {
      if (!(error instanceof ResourceExhausted) || tries >= OVERLOAD_TRIES) {
        throw error;
      }
      refusal = error;
    }
  }
}

/**
 * Predicts for the rows of a refused batch but the bad ones. Order is kept; bad rows are handed to
 * `onBad`. Errors that are not about rows are thrown.
 */
export async function* survivors(
  ask: Ask,
  rows: readonly InputRow[],
  context: { readonly refusal: DomainError; readonly onBad: (row: BadRow) => void },
): AsyncGenerator<Answered> {
  const named = badRowsOf(context.refusal, rows);
  for (const bad of named) {
    context.onBad(bad);
  }
  if (named.length === 0 && rows.length === 1) {
    context.onBad(toBad(rows[0]!, context.refusal.message));
    return;
  }
  const ordinals = new Set(named.map((bad) => bad.ordinal));
  const rest = rows.filter((row) => !ordinals.has(row.ordinal));
  const middle = Math.ceil(rest.length / 2);
  const parts = named.length > 0 ? [rest] : [rest.slice(0, middle), rest.slice(middle)];
  for (const part of parts.filter((some) => some.length > 0)) {
    let response: PredictResponse;
    try {
      response = await ask(part);
    } catch (error) {
      if (!blamesRows(error)) {
        throw error;
      }
      yield* survivors(ask, part, { ...context, refusal: error });
      continue;
    }
    yield { rows: part, response };
  }
}

async function wait(refusal: DomainError, signal: AbortSignal): Promise<void> {
  const ms = refusal instanceof ResourceExhausted ? refusal.retryAfterMs : 0;
  await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function toBad(row: InputRow, fault: string): BadRow {
  const { ordinal, line } = row;
  return line === undefined ? { ordinal, fault } : { ordinal, line, fault };
}
