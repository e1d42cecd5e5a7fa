// The progress of a job on the server: its phase, a bar where the number of steps is known, else a
// count. On a terminal only.

import { formatCount } from "./progress.ts";

/** How far a job is, as the server says it. */
export interface Steps {
  readonly phase: string;
  readonly done: number;
  /** 0: not known. */
  readonly total: number;
  readonly unit: string;
}

export interface JobBar extends Disposable {
  update(steps: Steps): void;
}

const BAR_WIDTH = 30;
const FRAMES_PER_SECOND = 8;

const none: JobBar = { update() {}, [Symbol.dispose]() {} };

/** A line on stderr that follows a job; gone when disposed. */
export async function jobBar(options: {
  readonly show: boolean;
  readonly title: string;
}): Promise<JobBar> {
  if (!options.show) {
    return none;
  }
  const { default: cliProgress } = await import("cli-progress");
  const bar = new cliProgress.SingleBar({
    format: (_options, _params, payload: { readonly text: string }) => payload.text,
    stream: process.stderr,
    fps: FRAMES_PER_SECOND,
    hideCursor: true,
    clearOnComplete: true,
    // SIGINT is ours: it ends the watch, and the bar is stopped on the way out.
    gracefulExit: false,
  });
  bar.start(1, 0, { text: `${options.title}  waiting for a worker` });
  return {
    update(steps) {
      bar.update(0, { text: `${options.title}  ${stepsText(steps)}` });
    },
    [Symbol.dispose]() {
      bar.stop();
    },
  };
}

/** "joining [===---] 43%  430 of 1,000 rows", or "joining  430 rows" where the end is not known. */
export function stepsText({ phase, done, total, unit }: Steps): string {
  if (total <= 0) {
    return done > 0 ? `${phase}  ${formatCount(done)} ${unit}` : phase;
  }
  const share = Math.min(1, done / total);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = "=".repeat(filled) + "-".repeat(BAR_WIDTH - filled);
  const percent = `${Math.floor(share * 100)}%`;
  return `${phase} [${bar}] ${percent}  ${formatCount(done)} of ${formatCount(total)} ${unit}`;
}
