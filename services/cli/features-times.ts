// Times and ages of features: read from the command line and from files, written for people.
// To the microsecond, as they are stored.

import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { UsageError } from "./exit-codes.ts";

/** A date, with a time of day, with a zone; without one it is UTC. */
const TIME =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/i;

const MICROSECOND_DIGITS = 6;

/** Seconds and nanoseconds of a time in text; undefined when it is none. */
export function parseTime(
  text: string,
): { readonly seconds: bigint; readonly nanos: number } | undefined {
  const parts = TIME.exec(text.trim());
  if (parts === null) {
    return undefined;
  }
  const [, date = "", minutes = "00:00", seconds = "00", fraction = "", zone = "Z"] = parts;
  const offset = /^[+-]\d{4}$/.test(zone) ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone;
  const ms = Date.parse(`${date}T${minutes}:${seconds}${offset.toUpperCase()}`);
  // Date.parse takes February 31st for March 3rd in some forms; a date must come back as it went in.
  if (Number.isNaN(ms) || !isDate(date)) {
    return undefined;
  }
  const micros = fraction.padEnd(MICROSECOND_DIGITS, "0").slice(0, MICROSECOND_DIGITS);
  return { seconds: BigInt(ms / 1000), nanos: Number(micros) * 1000 };
}

function isDate(date: string): boolean {
  const ms = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(date);
}

/** The time of an option. @throws UsageError that shows the form. */
export function timeOption(text: string, option: string) {
  const time = parseTime(text);
  if (time === undefined) {
    throw new UsageError(
      `${option} must be a time such as 2001-01-31 or 2001-01-31T08:00:00Z; got "${text}".`,
    );
  }
  return time;
}

/** "2001-01-31 08:00:00Z", with a fraction where it has one; "" when absent. */
export function exactTime(time: Timestamp | undefined): string {
  if (time === undefined) {
    return "";
  }
  const whole = new Date(Number(time.seconds) * 1000).toISOString().slice(0, 19).replace("T", " ");
  const micros = Math.floor(time.nanos / 1000);
  const fraction = micros === 0 ? "" : `.${String(micros).padStart(6, "0").replace(/0+$/, "")}`;
  return `${whole}${fraction}Z`;
}

const UNITS = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
] as const;

/** "3d 4h", "12s": the two largest parts. Below a second "0s"; of the future "in 5m". */
export function ageText(seconds: number): string {
  const parts: string[] = [];
  let rest = Math.floor(Math.abs(seconds));
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (unit === "s" && parts.length === 0)) {
      parts.push(`${count}${unit}`);
    } else if (parts.length > 0) {
      break;
    }
  }
  const text = parts.slice(0, 2).join(" ");
  return seconds < -1 ? `in ${text}` : text;
}
