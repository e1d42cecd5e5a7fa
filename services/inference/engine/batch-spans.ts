// The spans of queue, batch and run, made after the batch is over from the times it took, and only
// for requests whose trace is recorded: an untraced request costs one look at its context.

import {
  type Attributes,
  type Context,
  type Link,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { Batch } from "./batch.ts";
import type { PendingRequest } from "./pending-request.ts";
import type { BatchTimes } from "./statistics.ts";

/** A batch has one parent only; its other requests find it through its links. */
const LINKS_MAX = 128;

export interface BatchTrace {
  readonly batch: Batch;
  /** Those of the servable's metrics. */
  readonly attributes: Attributes;
  /** Monotonic milliseconds when the answer came. */
  readonly finishedMs: number;
  /** What to add to monotonic milliseconds to get milliseconds since the epoch. */
  readonly epochOffsetMs: number;
  /** Absent: the run failed. */
  readonly times?: BatchTimes;
}

/**
 * A `queue` span under each recorded request; one `batch` span under the first of them, linked to
 * all, with a `run` span inside.
 */
export function traceBatch(record: BatchTrace): void {
  const { batch, attributes, epochOffsetMs, times } = record;
  if (!batch.requests.some(isRecorded)) {
    return;
  }
  // Looked up each time: a tracer stays with the provider of its first use.
  const tracer = trace.getTracer("plinth.inference");
  const links: Link[] = [];
  let parent: Context | undefined;
  const formed = batch.formedMs + epochOffsetMs;
  const finished = record.finishedMs + epochOffsetMs;
  for (const { request, enqueuedMs } of batch.requests) {
    const span = trace.getSpan(request.trace);
    if (span?.isRecording()) {
      parent ??= request.trace;
      if (links.length < LINKS_MAX) {
        links.push({ context: span.spanContext() });
      }
      const startTime = enqueuedMs + epochOffsetMs;
      tracer.startSpan("queue", { startTime, attributes }, request.trace).end(formed);
    }
  }
  if (parent === undefined) {
    return;
  }
  const batchSpan = tracer.startSpan(
    "batch",
    {
      startTime: formed,
      links,
      attributes: {
        ...attributes,
        "plinth.batch.rows": batch.rows,
        "plinth.batch.requests": batch.requests.length,
      },
    },
    parent,
  );
  const runEnd = finished - (times?.outputMs ?? 0);
  const startTime = times === undefined ? formed : Math.max(formed, runEnd - times.inferMs);
  const run = tracer.startSpan("run", { startTime, attributes }, trace.setSpan(parent, batchSpan));
  if (times === undefined) {
    run.setStatus({ code: SpanStatusCode.ERROR });
    batchSpan.setStatus({ code: SpanStatusCode.ERROR });
  }
  run.end(runEnd);
  batchSpan.end(finished);
}

function isRecorded({ request }: PendingRequest): boolean {
  return trace.getSpan(request.trace)?.isRecording() === true;
}
