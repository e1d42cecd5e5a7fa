// Brings the newest row of each key from offline files online, in the order of the keys, so that a
// run that was cut off goes on after the last key it wrote. Without a rate the engine makes the
// next chunk while the last one is written. With a rate the rows are taken in batches of about a
// minute's worth and the engine is let go meanwhile: others wait for it.

import { notFound } from "../../common/documents/resource.ts";
import { Cancelled } from "../../common/errors/domain-error.ts";
import { featureViewName } from "../../common/names.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import { entryOf } from "../definitions/lookup.ts";
import { sliceRows } from "../offline/batch-codec.ts";
import type { SourceFile } from "../offline/engine-tasks.ts";
import { shapeOf } from "../offline/view-history.ts";
import type { Cell, RowBatch } from "../value.ts";
import type { RunningJob } from "./job.ts";
import { areThere, type JobDeps, READ_TRIES } from "./job-deps.ts";
import { KeyPace } from "./key-pace.ts";
import { lastKeyOf } from "./key-position.ts";

/** Rows held at once for a slow rate. */
const HELD_ROWS_MAX = 100_000;
const HELD_SECONDS = 60;

/** What was done so far. */
export interface OnlineProgress {
  /** Undefined: nothing yet. */
  readonly afterKey: readonly Cell[] | undefined;
  readonly rowsRead: number;
  readonly keysWritten: number;
  readonly keysUnchanged: number;
}

/** The progress of a copy that has not begun. */
export const NOTHING_WRITTEN: OnlineProgress = {
  afterKey: undefined,
  rowsRead: 0,
  keysWritten: 0,
  keysUnchanged: 0,
};

/** What to bring online, and from where to go on. */
export interface OnlineCopy {
  readonly view: ViewVersion;
  /** Asked for each time the engine is needed; files may have been compacted in between. */
  readonly files: () => Promise<readonly SourceFile[]>;
  /** Inclusive; absent: from the first. */
  readonly startUs?: number;
  /** Exclusive; absent: to the last. */
  readonly endUs?: number;
  /** 0: as fast as it goes. */
  readonly keysPerSecondMax: number;
  readonly from: OnlineProgress;
  readonly signal: AbortSignal;
  /** Durable when it resolves. */
  readonly checkpoint: (progress: OnlineProgress) => Promise<void>;
}

/** Copies what is left to copy; what was done in all. */
export async function writeOnline(
  deps: JobDeps,
  job: RunningJob,
  copy: OnlineCopy,
): Promise<OnlineProgress> {
  const writer = new OnlineWriter(deps, job, copy);
  for (let isDone = false; !isDone; ) {
    isDone = await readOn(deps, copy, writer);
    await writer.finish();
  }
  return writer.progress;
}

/** Runs the engine from where the writer is. False when it was let go before the last key. */
async function readOn(deps: JobDeps, copy: OnlineCopy, writer: OnlineWriter): Promise<boolean> {
  const { afterKey } = writer.progress;
  const files = await copy.files();
  if (files.length === 0) {
    return true;
  }
  const letGo = new AbortController();
  const { startUs, endUs } = copy;
  const input = {
    files,
    shape: shapeOf(copy.view),
    ...(startUs === undefined ? {} : { startUs }),
    ...(endUs === undefined ? {} : { endUs }),
    ...(afterKey === undefined ? {} : { afterKey }),
  };
  try {
    const { rowsRead } = await deps.engine.run("latest-rows", input, {
      signal: AbortSignal.any([copy.signal, letGo.signal]),
      onChunk: async (chunk) => {
        if (!(await writer.take(chunk))) {
          letGo.abort();
        }
      },
    });
    writer.addRowsRead(rowsRead);
    return true;
  } catch (error) {
    if (letGo.signal.aborted && !copy.signal.aborted && error instanceof Cancelled) {
      return false;
    }
    await writer.abandon();
    if (copy.signal.aborted || (await areThere(files)) || !writer.mayReadAgain()) {
      throw error;
    }
    return false;
  }
}

/** Owns the rows on their way into the online store. */
class OnlineWriter {
  readonly #deps: JobDeps;
  readonly #job: RunningJob;
  readonly #copy: OnlineCopy;
  readonly #pace: KeyPace | undefined;
  readonly #heldRowsMax: number;
  #progress: OnlineProgress;
  #writing: Promise<void> = Promise.resolve();
  #held: RowBatch[] = [];
  #heldRows = 0;
  #readsFailed = 0;

  constructor(deps: JobDeps, job: RunningJob, copy: OnlineCopy) {
    const rate = copy.keysPerSecondMax;
    this.#deps = deps;
    this.#job = job;
    this.#copy = copy;
    this.#pace = rate === 0 ? undefined : new KeyPace(deps.clock, rate);
    this.#heldRowsMax = Math.min(HELD_ROWS_MAX, rate * HELD_SECONDS);
    this.#progress = copy.from;
  }

  get progress(): OnlineProgress {
    return this.#progress;
  }

  addRowsRead(rows: number): void {
    this.#progress = { ...this.#progress, rowsRead: this.#progress.rowsRead + rows };
  }

  /** Whether files that vanished are reason to read what is there now, and not to give up. */
  mayReadAgain(): boolean {
    this.#readsFailed += 1;
    return this.#readsFailed < READ_TRIES;
  }

  /** Takes a chunk in; false when that is enough for now. Resolves when the next may come. */
  async take(chunk: RowBatch): Promise<boolean> {
    if (this.#pace !== undefined) {
      this.#held.push(chunk);
      this.#heldRows += chunk.rows;
      return this.#heldRows < this.#heldRowsMax;
    }
    await this.#writing;
    this.#writing = this.#write(chunk);
    // It is awaited before the next one; until then its failure is not an unhandled one.
    this.#writing.catch(() => {});
    return true;
  }

  /** Resolves when all that was taken is written. */
  async finish(): Promise<void> {
    await this.#writing;
    const held = this.#held;
    this.#held = [];
    this.#heldRows = 0;
    for (const chunk of held) {
      await this.#writeSlowly(chunk);
    }
  }

  /** Resolves when nothing is under way any more. */
  async abandon(): Promise<void> {
    await this.#writing.catch(() => {});
  }

  async #writeSlowly(chunk: RowBatch): Promise<void> {
    const pace = this.#pace as KeyPace;
    for (let start = 0; start < chunk.rows; start += pace.pieceKeys) {
      const piece = sliceRows(chunk, start, Math.min(start + pace.pieceKeys, chunk.rows));
      await pace.turn(piece.rows, this.#copy.signal);
      await this.#write(piece);
    }
  }

  /** Rows of a view that was deleted meanwhile would stay where nobody finds them. */
  async #checkLives(): Promise<void> {
    const { workspace } = this.#job;
    const { view, uid } = this.#copy.view;
    const { featureViews } = await this.#deps.definitions.get(workspace);
    if (entryOf(featureViews, view)?.uid !== uid) {
      throw notFound(featureViewName.format({ workspace, view }), "It was deleted meanwhile.");
    }
  }

  async #write(chunk: RowBatch): Promise<void> {
    const { view, signal, checkpoint } = this.#copy;
    signal.throwIfAborted();
    await this.#checkLives();
    const done = await this.#deps.online.write(this.#job.workspace, view, chunk);
    this.#progress = {
      ...this.#progress,
      afterKey: lastKeyOf(shapeOf(view), chunk),
      keysWritten: this.#progress.keysWritten + done.written,
      keysUnchanged: this.#progress.keysUnchanged + done.unchanged,
    };
    const keys = this.#progress.keysWritten + this.#progress.keysUnchanged;
    this.#job.progress({ phase: "writing online", done: keys, total: 0, unit: "keys" });
    await checkpoint(this.#progress);
  }
}
