// Times of receipts, which are whole microseconds, for people and programs.

/** "2026-11-20T05:20:31.000123Z" */
export function microsecondsText(us: number): string {
  const micros = String(us % 1_000_000).padStart(6, "0");
  return `${new Date(Math.floor(us / 1000)).toISOString().slice(0, 19)}.${micros}Z`;
}
