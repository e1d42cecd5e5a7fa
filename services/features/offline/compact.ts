// Compaction: the files of one day become one, without the rows that are there twice. Nothing that a
// reader could have seen before is lost: columns are kept even where the newest version of the view
// has none, because pinned older versions read them; files in which one name has two types stay
// apart.

import { mkdir, rm } from "node:fs/promises";
import type { Digest } from "../../common/blobs/port.ts";
import { Aborted } from "../../common/errors/domain-error.ts";
import type { Field } from "../value.ts";
import type { EngineProgress, OfflineEngine, Shape } from "./engine-tasks.ts";
import type { AddedFile, History, Snapshot } from "./history.ts";
import type { OfflineFile } from "./manifest.ts";

/** Days whose files changed under the work are tried again, this often. */
const TRIES_MAX = 5;

/** What compaction needs of the offline store. */
export interface CompactableStore {
  readonly engine: OfflineEngine;
  /** A new folder's path. */
  newScratchDir(): string;
  read(history: History): Promise<Snapshot>;
  replace(
    history: History,
    change: { readonly remove: readonly Digest[]; readonly add: readonly AddedFile[] },
  ): Promise<number>;
}

/** How a compaction runs. */
export interface CompactOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: EngineProgress) => void;
  /** Only days with at least that many files. Absent: 2. */
  readonly filesMin?: number;
}

/** The history before and after. */
export interface CompactionCounts {
  readonly filesBefore: number;
  readonly filesAfter: number;
  readonly rowsBefore: number;
  readonly rowsAfter: number;
}

/**
 * Compacts a history day by day; each day is done when it is done, whatever becomes of the others.
 * Of `shape` only the join keys matter.
 * @throws Aborted when others keep changing the same day; Cancelled when the signal aborts.
 */
export async function compactHistory(
  store: CompactableStore,
  history: History,
  shape: Pick<Shape, "joinKeys">,
  options: CompactOptions,
): Promise<CompactionCounts> {
  const before = await store.read(history);
  const days = daysToCompact(before, options.filesMin ?? 2);
  let saved = { files: 0, rows: 0 };
  for (const [done, day] of days.entries()) {
    options.signal.throwIfAborted();
    options.onProgress?.({ phase: "compacting", done, total: days.length, unit: "days" });
    const gain = await compactDay(store, history, { ...options, day, joinKeys: shape.joinKeys });
    saved = { files: saved.files + gain.files, rows: saved.rows + gain.rows };
  }
  return {
    filesBefore: before.files.length,
    filesAfter: before.files.length - saved.files,
    rowsBefore: before.rows,
    rowsAfter: before.rows - saved.rows,
  };
}

interface DayWork {
  readonly day: string;
  readonly joinKeys: readonly Field[];
  readonly signal: AbortSignal;
}

interface Gain {
  readonly files: number;
  readonly rows: number;
}

async function compactDay(store: CompactableStore, history: History, work: DayWork): Promise<Gain> {
  for (let tries = 1; ; tries++) {
    const snapshot = await store.read(history);
    try {
      let gain: Gain = { files: 0, rows: 0 };
      for (const group of mergeableFiles(snapshot, work.day)) {
        const more = await mergeFiles(store, history, { ...work, snapshot, files: group });
        gain = { files: gain.files + more.files, rows: gain.rows + more.rows };
      }
      return gain;
    } catch (error) {
      if (!(error instanceof Aborted) || tries === TRIES_MAX) {
        throw error;
      }
    }
  }
}

async function mergeFiles(
  store: CompactableStore,
  history: History,
  work: DayWork & { readonly snapshot: Snapshot; readonly files: readonly OfflineFile[] },
): Promise<Gain> {
  const { snapshot, files, day, joinKeys, signal } = work;
  const sources = files.map((file) => snapshot.sources[snapshot.files.indexOf(file)]!);
  const outDir = store.newScratchDir();
  await mkdir(outDir, { recursive: true });
  try {
    const shape: Shape = { joinKeys, features: featuresOf(files, joinKeys) };
    const input = { files: sources, shape, day, outDir };
    const { files: written, rowsBefore } = await store.engine.run("compact-day", input, { signal });
    const columns = [...shape.joinKeys, ...shape.features];
    const addedSnapshot = Math.max(...files.map((file) => file.addedSnapshot));
    const replaces = files[0]!.digest;
    await store.replace(history, {
      remove: files.map(({ digest }) => digest),
      add: written.map((file) => ({ file, columns, addedSnapshot, replaces })),
    });
    const rowsAfter = written.reduce((sum, { rows }) => sum + rows, 0);
    return { files: files.length - written.length, rows: rowsBefore - rowsAfter };
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

/** Days with so many files, oldest first. */
export function daysToCompact(snapshot: Pick<Snapshot, "files">, filesMin: number): string[] {
  const counts = new Map<string, number>();
  for (const { day } of snapshot.files) {
    counts.set(day, (counts.get(day) ?? 0) + 1);
  }
  return [...counts].flatMap(([day, files]) => (files >= filesMin ? [day] : [])).sort();
}

/**
 * The files of a day in groups of two and more that follow each other and whose columns agree in
 * type. None is put before one that came earlier: of rows equal in all times the first one counts.
 */
function mergeableFiles(snapshot: Snapshot, day: string): readonly (readonly OfflineFile[])[] {
  const groups: { readonly types: Map<string, string>; readonly files: OfflineFile[] }[] = [];
  for (const file of snapshot.files.filter((one) => one.day === day)) {
    let group = groups.at(-1);
    const types = group?.types;
    const fits = file.columns.every(({ name, type }) => (types?.get(name) ?? type) === type);
    if (group === undefined || !fits) {
      group = { types: new Map(), files: [] };
      groups.push(group);
    }
    group.files.push(file);
    for (const { name, type } of file.columns) {
      group.types.set(name, type);
    }
  }
  return groups.map(({ files }) => files).filter((files) => files.length > 1);
}

/** All features that any of the files has: those of the newest first. */
function featuresOf(files: readonly OfflineFile[], joinKeys: readonly Field[]): readonly Field[] {
  const names = new Set(joinKeys.map(({ name }) => name));
  const features: Field[] = [];
  for (const field of files.toReversed().flatMap(({ columns }) => columns)) {
    if (!names.has(field.name)) {
      names.add(field.name);
      features.push(field);
    }
  }
  return features;
}
