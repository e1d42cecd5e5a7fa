// Scales of the report's charts: round numbers and round times where the marks of an axis stand.

/** From values to pixels. */
export type Scale = (value: number) => number;

/** Steps that people count in. */
const STEPS = [1, 2, 2.5, 5, 10];

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  ...[1, 5, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7, 14, 28, 56, 91, 182, 365].map((count) => count * DAY),
];

/** A straight line through two points. */
export function linear(
  [from, to]: readonly [number, number],
  [start, end]: readonly [number, number],
): Scale {
  const span = to - from || 1;
  return (value) => start + ((value - from) / span) * (end - start);
}

/** Round numbers from `min` to `max`, about `count` of them. */
export function ticks(min: number, max: number, count = 4): readonly number[] {
  if (!(max > min)) {
    return [min];
  }
  const raw = (max - min) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = (STEPS.find((one) => one * power >= raw * 0.999) ?? 10) * power;
  const first = Math.ceil(min / step - 1e-9);
  const last = Math.floor(max / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
}

/** Round times between two, in milliseconds, at most `count` of them. */
export function timeTicks(start: number, end: number, count = 6): readonly number[] {
  const span = end - start;
  const last = TIME_STEPS.at(-1) ?? DAY;
  const step =
    TIME_STEPS.find((one) => span / one <= count) ?? last * Math.ceil(span / last / count);
  const first = Math.ceil(start / step);
  const length = Math.max(0, Math.floor(end / step) - first + 1);
  return Array.from({ length }, (_, index) => (first + index) * step);
}

/** "14:00" within days, "31 Jan" beyond: whichever tells the marks of the axis apart. */
export function timeLabel(ms: number, spanMs: number): string {
  const text = new Date(ms).toISOString();
  if (spanMs <= 2 * DAY && ms % DAY !== 0) {
    return text.slice(11, 16);
  }
  return spanMs > 500 * DAY ? text.slice(0, 7) : `${Number(text.slice(8, 10))} ${monthOf(text)}`;
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

function monthOf(iso: string): string {
  return MONTHS[Number(iso.slice(5, 7)) - 1] ?? "";
}

const SUFFIXES = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
] as const;

/** "1.2M", "250", "0.05": short enough for an axis. */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  const [unit, suffix] = SUFFIXES.find(([least]) => size >= least && size >= 10_000) ?? [1, ""];
  if (size !== 0 && (size < 1e-3 || size >= 1e15)) {
    return value.toExponential(1);
  }
  return `${Number((value / unit).toPrecision(4))}${suffix}`;
}
