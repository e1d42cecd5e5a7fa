// Where predictions are written: stdout, or a file that is only complete once it was closed.

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { UsageError } from "./exit-codes.ts";
import { writeText } from "./output.ts";

export interface ResultFile {
  /** Whether something is there already that this run adds to. */
  readonly continued: boolean;
  /** Resolves when the text is on its way and more may come. */
  write(text: string): Promise<void>;
  /** Resolves when everything is written. */
  close(): Promise<void>;
}

/**
 * Opens the file, or stdout when there is none. An existing file is replaced unless `append` is
 * set.
 * @throws UsageError when rows are skipped and the file that holds the earlier ones would be
 *   replaced.
 */
export async function openResult(options: {
  readonly path: string | undefined;
  readonly append: boolean;
  readonly skipRows: number;
  readonly signal: AbortSignal;
}): Promise<ResultFile> {
  const { path, append, skipRows, signal } = options;
  if (path === undefined) {
    return {
      continued: append,
      write: (text) => writeText(process.stdout, text, signal),
      close: async () => {},
    };
  }
  const size = await sizeOf(path);
  if (size > 0 && skipRows > 0 && !append) {
    throw new UsageError(
      `"${path}" exists and would be replaced by an answer without its first rows. ` +
        "Add --append to go on in it, or name another file.",
    );
  }
  const stream: Writable = createWriteStream(path, { flags: append ? "a" : "w" });
  const done = finished(stream);
  // Its failure comes out of the next write or of close().
  done.catch(() => undefined);
  return {
    continued: append && size > 0,
    async write(text) {
      // Not tied to Ctrl-C: a prediction that was begun is written whole.
      if (!stream.write(text) && stream.errored === null) {
        await once(stream, "drain");
      }
      if (stream.errored !== null) {
        throw stream.errored;
      }
    },
    async close() {
      stream.end();
      await done;
    },
  };
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return 0;
    }
    throw error;
  }
}
