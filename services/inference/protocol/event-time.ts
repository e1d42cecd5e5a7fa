// When what is predicted happens, as a caller may say it for monitoring.

import { fromJson } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** Microseconds beyond these are no safe integers, and no time that anything is predicted for. */
const FIRST_US = Date.UTC(1900, 0, 1) * 1000;
const END_US = Date.UTC(2200, 0, 1) * 1000;

const NANOS_END = 1_000_000_000;

/** Completes "expected ...". */
export const EVENT_TIME_EXPECTED =
  'a time from 1900 to 2199 in RFC 3339, such as "2001-01-31T09:30:00Z"';

/** Microseconds since 1970, what is finer cut; undefined when it is none that can be taken. */
export function eventTimeOf({ seconds, nanos }: Timestamp): number | undefined {
  const us = Number(seconds) * 1_000_000 + Math.floor(nanos / 1000);
  const isTime = nanos >= 0 && nanos < NANOS_END && us >= FIRST_US && us < END_US;
  return isTime ? us : undefined;
}

/** The same of a text in RFC 3339. */
export function eventTimeFromText(text: string): number | undefined {
  try {
    return eventTimeOf(fromJson(TimestampSchema, text));
  } catch {
    return undefined;
  }
}
