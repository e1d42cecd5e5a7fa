// Where manifests are kept, and the one way they change: read, work out the next one, compare and
// set. A file is one short line of text and sets of columns are stored once, so that a document of 8
// MiB holds some forty thousand files.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Digest } from "../../common/blobs/port.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { Aborted, AlreadyExists, FailedPrecondition } from "../../common/errors/domain-error.ts";
import type { Field, ValueType } from "../value.ts";
import type { History } from "./history.ts";
import type { Manifest, OfflineFile } from "./manifest.ts";

/** Of the document's 8 MiB; the rest is for what is not files. */
const FILES_BYTES_MAX = 7 * 1024 * 1024;

/** Writers of one manifest are few; more tries than this mean a fault. */
const TRIES_MAX = 50;
const RETRY_MS = 20;

/** A manifest with what only this folder needs to know. */
export interface ManifestState extends Manifest {
  /** Names of the join keys among the files' columns; empty until rows were pushed. */
  readonly joinKeys: readonly string[];
  /** Keys of the last additions, so that a resumed job does not add twice. */
  readonly recentAdds: readonly string[];
  /** Files that compactions replaced: their bytes stay a while for who reads them. */
  readonly retired: readonly RetiredFile[];
  /** When the history was deleted; it takes in nothing any more. Null: it lives. */
  readonly deleteTime: Date | null;
}

/** A file that was replaced and stays for a while, for who reads it. */
export interface RetiredFile {
  readonly digest: Digest;
  readonly time: Date;
}

interface StoredManifest extends Document {
  readonly workspace: string;
  readonly view: string;
  readonly snapshot: number;
  readonly files: readonly string[];
  /** Sets of columns that files refer to, each `name:TYPE,name:TYPE`. */
  readonly columnSets: readonly string[];
  readonly absorbed: readonly string[];
  readonly materializedSnapshot: number;
  readonly materializeTime: Date | null;
  readonly joinKeys: readonly string[];
  readonly recentAdds: readonly string[];
  readonly retired: readonly string[];
  readonly deleteTime: Date | null;
}

/** What a deleted history leaves behind keeps late pushes out, for this long. */
const DELETED_KEEP_SECONDS = 7 * 24 * 3600;

/** Owns the collection of manifests. */
export class ManifestStore {
  readonly #manifests: Collection<StoredManifest>;

  private constructor(manifests: Collection<StoredManifest>) {
    this.#manifests = manifests;
  }

  static async open(documents: DocumentStore): Promise<ManifestStore> {
    return new ManifestStore(
      await documents.collection<StoredManifest>({
        name: "feature_manifests",
        indexes: [{ keys: { deleteTime: 1 }, expireAfterSeconds: DELETED_KEEP_SECONDS }],
      }),
    );
  }

  /** The manifest as it is; an empty one where nothing was stored. */
  async get(history: History): Promise<ManifestState> {
    return (await this.#read(history)).state;
  }

  /**
   * Replaces the manifest by what `next` makes of it; the same object: nothing is written. `next` is
   * called again with a newer one when another writer was faster, and what it reads after it was
   * called is as new as the manifest it got.
   * @throws FailedPrecondition when there are more files than a manifest holds.
   */
  async change(
    history: History,
    next: (current: ManifestState) => ManifestState | Promise<ManifestState>,
  ): Promise<ManifestState> {
    for (let tries = 1; ; tries++) {
      const { state, version } = await this.#read(history);
      const changed = await next(state);
      if (changed === state) {
        return state;
      }
      try {
        const document = encode(changed);
        await (version === 0
          ? this.#manifests.insertOne(document)
          : this.#manifests.replaceOne(document, { ifVersion: version }));
        return changed;
      } catch (error) {
        const raced = error instanceof Aborted || error instanceof AlreadyExists;
        if (!raced || tries === TRIES_MAX) {
          throw error;
        }
      }
      await sleep(Math.random() * RETRY_MS);
    }
  }

  /** Every manifest. */
  async *all(signal: AbortSignal): AsyncGenerator<ManifestState> {
    for await (const document of this.#manifests.find({}, { signal })) {
      yield decode(document);
    }
  }

  async #read(history: History): Promise<{ state: ManifestState; version: number }> {
    const stored = await this.#manifests.findOne({ _id: history.uid });
    return stored === undefined
      ? { state: emptyManifest(history), version: 0 }
      : { state: decode(stored), version: stored.version };
  }
}

function emptyManifest(history: History): ManifestState {
  return {
    _id: history.uid,
    workspace: history.workspace,
    view: history.view,
    snapshot: 0,
    files: [],
    absorbed: [],
    materializedSnapshot: 0,
    materializeTime: null,
    joinKeys: [],
    recentAdds: [],
    retired: [],
    deleteTime: null,
  };
}

function encode(state: ManifestState): StoredManifest {
  const columnSets: string[] = [];
  const numberOf = setNumbers(columnSets);
  const files = state.files.map((file) => encodeFile(file, numberOf(file.columns)));
  let bytes = 0;
  for (const text of [...files, ...columnSets]) {
    bytes += text.length + 3;
  }
  if (bytes > FILES_BYTES_MAX) {
    throw tooManyFiles(state);
  }
  return {
    _id: state._id,
    workspace: state.workspace,
    view: state.view,
    snapshot: state.snapshot,
    files,
    columnSets,
    absorbed: state.absorbed,
    materializedSnapshot: state.materializedSnapshot,
    materializeTime: state.materializeTime,
    joinKeys: state.joinKeys,
    recentAdds: state.recentAdds,
    retired: state.retired.map(({ digest, time }) => `${digest} ${time.getTime()}`),
    deleteTime: state.deleteTime,
  };
}

/** Numbers sets of columns; texts of new ones are put into `texts`. */
function setNumbers(texts: string[]): (columns: readonly Field[]) => number {
  const numbers = new Map<readonly Field[], number>();
  return (columns) => {
    let number = numbers.get(columns);
    if (number === undefined) {
      const text = columns.map(({ name, type }) => `${name}:${type}`).join(",");
      const known = texts.indexOf(text);
      number = known === -1 ? texts.push(text) - 1 : known;
      numbers.set(columns, number);
    }
    return number;
  };
}

function encodeFile(file: OfflineFile, set: number): string {
  const { digest, day, sizeBytes, rows, minEventUs, maxEventUs, maxCreatedUs } = file;
  const numbers = [sizeBytes, rows, minEventUs, maxEventUs, maxCreatedUs, file.addedSnapshot, set];
  return `${digest} ${day} ${numbers.join(" ")}`;
}

function decode(stored: StoredManifest): ManifestState {
  const sets = stored.columnSets.map(decodeColumns);
  return {
    _id: stored._id,
    workspace: stored.workspace,
    view: stored.view,
    snapshot: stored.snapshot,
    files: stored.files.map((line) => decodeFile(line, sets)),
    absorbed: stored.absorbed,
    materializedSnapshot: stored.materializedSnapshot,
    materializeTime: stored.materializeTime,
    joinKeys: stored.joinKeys,
    recentAdds: stored.recentAdds,
    retired: stored.retired.map((line) => {
      const [digest = "", time] = line.split(" ");
      return { digest, time: new Date(Number(time)) };
    }),
    deleteTime: stored.deleteTime,
  };
}

function decodeColumns(text: string): readonly Field[] {
  return text.split(",").map((column) => {
    const [name = "", type] = column.split(":");
    return { name, type: type as ValueType };
  });
}

function decodeFile(line: string, sets: readonly (readonly Field[])[]): OfflineFile {
  const [digest = "", day = "", ...texts] = line.split(" ");
  const [sizeBytes, rows, minEventUs, maxEventUs, maxCreatedUs, addedSnapshot, set] = texts.map(
    Number,
  ) as [number, number, number, number, number, number, number];
  const columns = sets[set] ?? [];
  const times = { minEventUs, maxEventUs, maxCreatedUs };
  return { digest, day, sizeBytes, rows, ...times, addedSnapshot, columns };
}

function tooManyFiles(state: ManifestState): FailedPrecondition {
  const days = new Set(state.files.map((file) => file.day)).size;
  const description =
    `${state.files.length} files of ${days} days; a file holds the rows of one day. ` +
    "Compact the view, and push event times of fewer days";
  return new FailedPrecondition(
    `The history of "${state.view}" would have more files than can be kept: ${description}.`,
    {
      reason: ErrorReason.STATE_FORBIDS,
      violations: [{ type: "FILES", subject: state.view, description }],
    },
  );
}
