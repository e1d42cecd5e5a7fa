// Folders for work on its way: made here, removed by whoever made them, and where that one was
// killed by the next who looks. See scratch-owner.ts for how it is known.

import { mkdir, mkdtemp, readdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { ownerOf, ownMark } from "./scratch-owner.ts";

/** Folders of this kind in the scratch folder are of this service. */
const PREFIX = "proofs-";

/** How often a process says that its folders are still wanted. */
export const TOUCH_MS = 60_000;

/** Then the folder of a process that cannot be seen from here is nobody's. */
const SILENT_MS = 10 * TOUCH_MS;

/** A folder of one piece of work, which goes when it is disposed. */
export interface ScratchFolder extends AsyncDisposable {
  readonly path: string;
}

/** An empty folder that nobody else reads. */
export async function makeScratch(scratchDir: string, prefix: string): Promise<ScratchFolder> {
  await mkdir(scratchDir, { recursive: true, mode: 0o700 });
  const path = await mkdtemp(join(scratchDir, `${PREFIX}${ownMark()}${prefix}-`));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await remove(path);
    },
  };
}

/**
 * Removes what processes left that are gone. What this process works with is marked as wanted, for
 * those who cannot see whether it is there.
 *
 * @throws what was met last, where something could not be removed; everything else was.
 */
export async function sweepScratch(scratchDir: string): Promise<void> {
  const own = ownMark();
  const now = Date.now();
  const failures: unknown[] = [];
  for (const name of await readdir(scratchDir).catch(() => [])) {
    const path = join(scratchDir, name);
    const rest = name.slice(PREFIX.length);
    try {
      if (!name.startsWith(PREFIX)) {
        continue;
      }
      if (rest.startsWith(own)) {
        await utimes(path, new Date(now), new Date(now));
      } else if (await isNobodys(rest, path, now)) {
        await remove(path);
      }
    } catch (error) {
      // Whoever works with it may have removed it.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
        failures.push(error);
      }
    }
  }
  if (failures.length > 0) {
    throw failures.at(-1);
  }
}

async function isNobodys(name: string, path: string, now: number): Promise<boolean> {
  const owner = ownerOf(name);
  const isSeen = owner === "alive" || owner === "dead";
  return isSeen ? owner === "dead" : (await stat(path)).mtimeMs <= now - SILENT_MS;
}

async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
}
