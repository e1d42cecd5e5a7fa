// Milliseconds with a fraction to google.protobuf.Duration, whose nanoseconds must be whole.

import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";

/** Rounded to the nanosecond. */
export function durationOf(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  return Math.abs(nanos) === 1e9
    ? create(DurationSchema, { seconds: BigInt(seconds + Math.sign(nanos)), nanos: 0 })
    : create(DurationSchema, { seconds: BigInt(seconds), nanos });
}
