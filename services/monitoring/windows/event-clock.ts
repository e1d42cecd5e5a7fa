// The time of a target, which is that of its events: it decides which windows have closed. And into
// which window a time falls, where people may change how long windows are. Pure.

/** How long windows are from some time on, which is a multiple of the length. */
export interface WindowLength {
  readonly fromUs: number;
  readonly lengthUs: number;
}

/** When a window begins (included) and ends (not included), microseconds since 1970. */
export interface WindowRange {
  readonly startUs: number;
  readonly endUs: number;
}

/** Before all times. */
const ALWAYS_US = Number.MIN_SAFE_INTEGER;
/** Changes that are remembered: older ones are of windows that have closed long ago. */
const LENGTHS_MAX = 8;

/** The newest event time seen, and what has passed since it was. */
export function clockAt(
  newest: { readonly newestEventUs: number; readonly newestSeenMs: number },
  nowMs: number,
): number {
  return newest.newestEventUs + Math.max(0, nowMs - newest.newestSeenMs) * 1000;
}

/** Of a target that never had another length. */
export function firstLength(lengthUs: number): readonly WindowLength[] {
  return [{ fromUs: ALWAYS_US, lengthUs }];
}

/**
 * With another length from the first multiple of it after `newestUs`, so that rows that were seen
 * stay in the window that they fell into. A change that has not begun to count is replaced.
 */
export function withLength(
  lengths: readonly WindowLength[],
  lengthUs: number,
  newestUs: number,
): readonly WindowLength[] {
  const begun = lengths.filter(({ fromUs }) => fromUs <= newestUs);
  if (begun.at(-1)?.lengthUs === lengthUs) {
    return begun;
  }
  const fromUs = (Math.floor(newestUs / lengthUs) + 1) * lengthUs;
  const kept = [...begun, { fromUs, lengthUs }].slice(-LENGTHS_MAX);
  return kept.map((length, i) => (i === 0 ? { ...length, fromUs: ALWAYS_US } : length));
}

/** The window that a time falls into; it ends early where another length begins. */
export function windowAt(lengths: readonly WindowLength[], timeUs: number): WindowRange {
  const place = lengths.findLastIndex(({ fromUs }) => fromUs <= timeUs);
  const { lengthUs } = lengths[Math.max(place, 0)]!;
  const startUs = Math.floor(timeUs / lengthUs) * lengthUs;
  const next = lengths[place + 1]?.fromUs ?? Number.POSITIVE_INFINITY;
  return { startUs, endUs: Math.min(startUs + lengthUs, next) };
}
