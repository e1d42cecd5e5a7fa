// Times of the API and times of windows.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { TimeRange, TimeRangeSchema } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import type { RequestFaults } from "../../common/request-faults.ts";
import type { TimeSpan } from "./report-sources.ts";

const SECOND_US = 1_000_000;
/** The years 1 to 9999, as a Timestamp may have. */
const SECONDS_MIN = -62_135_596_800;
const SECONDS_MAX = 253_402_300_799;

/** What a request asks for; microseconds since 1970. */
export type AskedRange = Partial<TimeSpan>;

/** A time as the API has it. */
export function timestampOf(us: number): MessageInitShape<typeof TimestampSchema> {
  const seconds = Math.floor(us / SECOND_US);
  return { seconds: BigInt(seconds), nanos: (us - seconds * SECOND_US) * 1000 };
}

/** A span as the API has it. */
export function rangeMessage(span: TimeSpan): MessageInitShape<typeof TimeRangeSchema> {
  return { startTime: timestampOf(span.startUs), endTime: timestampOf(span.endUs) };
}

/** In words: "2001-03-01T00:00:00Z to 2001-03-01T01:00:00Z". */
export function rangeWords(span: TimeSpan): string {
  return `${timeWords(span.startUs)} to ${timeWords(span.endUs)}`;
}

/** RFC 3339, to the millisecond where it has any. */
export function timeWords(us: number): string {
  const date = new Date(Math.floor(us / 1000));
  return Number.isNaN(date.getTime()) ? `${us} us` : date.toISOString().replace(".000Z", "Z");
}

/** The range of a request; what is wrong is noted under `field`. */
export function askedRange(
  range: TimeRange | undefined,
  field: string,
  faults: RequestFaults,
): AskedRange {
  const startUs = microsOf(range?.startTime, `${field}.start_time`, faults);
  const endUs = microsOf(range?.endTime, `${field}.end_time`, faults);
  const isOrdered = startUs === undefined || endUs === undefined || startUs < endUs;
  faults.check(isOrdered, `${field}.end_time`, "must be after start_time");
  return {
    ...(startUs === undefined ? {} : { startUs }),
    ...(endUs === undefined ? {} : { endUs }),
  };
}

function microsOf(
  time: Timestamp | undefined,
  field: string,
  faults: RequestFaults,
): number | undefined {
  if (time === undefined) {
    return undefined;
  }
  const seconds = Number(time.seconds);
  const isTime = seconds >= SECONDS_MIN && seconds <= SECONDS_MAX;
  const isPart = time.nanos >= 0 && time.nanos < 1e9;
  faults.check(isTime && isPart, field, "is no time of the years 1 to 9999");
  return isTime && isPart ? seconds * SECOND_US + Math.floor(time.nanos / 1000) : undefined;
}
