// How long to wait before something is tried again. Pure; the randomness is the caller's.

/** Of any pause. */
const PAUSE_MS_MAX = 3_600_000;
/** The share of a pause that is random, so that what failed together does not come back together. */
const JITTER = 0.25;

/**
 * Twice as long after each try, up to an hour, and up to a quarter shorter by chance; never shorter
 * than the other side asked for, unless it asked for more than an hour.
 */
export function retryPauseMs(retry: {
  readonly firstMs: number;
  /** Those that have failed, from 1. */
  readonly tries: number;
  readonly askedMs?: number;
  /** 0 up to, not including, 1. */
  readonly random: number;
}): number {
  const { firstMs, tries, askedMs = 0, random } = retry;
  const doubled = Math.min(firstMs * 2 ** (tries - 1), PAUSE_MS_MAX);
  const pause = doubled * (1 - JITTER * random);
  return Math.round(Math.max(pause, Math.min(askedMs, PAUSE_MS_MAX)));
}
