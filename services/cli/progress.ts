// Bars and spinners on stderr for work that takes a while. They exist only on a terminal: a log
// file or a pipe sees none of it.

import type { SingleBar } from "cli-progress";

/** What a bar shows of the work done so far. */
export interface Progress extends Disposable {
  /** `value` of the total; `notes` replaces the text behind the bar ("1,200 rows"). */
  update(value: number, notes?: string): void;
}

const BAR_WIDTH = 30;
const FRAMES_PER_SECOND = 8;
const SPINNER_FRAMES = ["|", "/", "-", "\\"];
const SPINNER_MS = 120;

/** Steps of the estimate: many, so that it does not jump with every chunk. */
const ETA_STEPS = 200;

const none: Progress = { update() {}, [Symbol.dispose]() {} };

/**
 * A bar over a number of bytes: percentage, bytes, rate, time to go. A total of undefined (a pipe)
 * makes it a counter.
 */
export async function bytesBar(options: {
  readonly show: boolean;
  readonly title: string;
  readonly total: number | undefined;
}): Promise<Progress> {
  if (!options.show) {
    return none;
  }
  const { default: cliProgress } = await import("cli-progress");
  const { total, title } = options;
  // The rate counts from the first byte: before it the file may have been hashed.
  let startMs: number | undefined;
  const rate = (value: number): string => {
    if (value === 0) {
      return "";
    }
    startMs ??= performance.now();
    const ms = performance.now() - startMs;
    return ms === 0 ? "" : `${formatBytes((value * 1000) / ms)}/s`;
  };
  const format =
    total === undefined
      ? `${title}  {done}  {rate}  {notes}`
      : `${title} [{bar}] {percentage}%  {done} of ${formatBytes(total)}  {rate}  ETA {eta_formatted}  {notes}`;
  const bar: SingleBar = new cliProgress.SingleBar({
    format,
    stream: process.stderr,
    barsize: BAR_WIDTH,
    fps: FRAMES_PER_SECOND,
    etaBuffer: ETA_STEPS,
    hideCursor: true,
    // SIGINT is ours: it cancels the call, and the bar is stopped on the way out.
    gracefulExit: false,
    emptyOnZero: true,
  });
  bar.start(total ?? 0, 0, { done: "0 B", rate: "", notes: "" });
  return {
    update(value, notes = "") {
      bar.update(total === undefined ? 0 : Math.min(value, total), {
        done: formatBytes(value),
        rate: rate(value),
        notes,
      });
    },
    [Symbol.dispose]() {
      bar.stop();
    },
  };
}

/** A turning sign beside a sentence, gone when disposed. */
export function spinner(options: { readonly show: boolean; readonly title: string }): Disposable {
  if (!options.show) {
    return none;
  }
  let frame = 0;
  const draw = (): void => {
    process.stderr.write(`\r${SPINNER_FRAMES[frame % SPINNER_FRAMES.length]} ${options.title}`);
    frame += 1;
  };
  draw();
  const timer = setInterval(draw, SPINNER_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      process.stderr.write("\r\u001b[2K");
    },
  };
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** "14.2 MiB" */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** "12,345" */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** "1 row", "1,200 rows" */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}
