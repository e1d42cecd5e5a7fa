// Ranges of messages as milliseconds, for the axes of charts.

import type { TimeRange } from "../../gen/plinth/monitoring/v1/report_pb.js";

/** Start, middle and end in milliseconds since 1970; an absent end is the start. */
export function spanOf(range: TimeRange | undefined): {
  readonly start: number;
  readonly middle: number;
  readonly end: number;
} {
  const start = millis(range?.startTime) ?? millis(range?.endTime) ?? 0;
  const end = millis(range?.endTime) ?? start;
  return { start, middle: (start + end) / 2, end };
}

function millis(time: TimeRange["startTime"]): number | undefined {
  return time === undefined ? undefined : Number(time.seconds) * 1000 + time.nanos / 1e6;
}
