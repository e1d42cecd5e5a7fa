// How a manifest changes when files take the place of others: pure.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Digest } from "../../common/blobs/port.ts";
import { Aborted } from "../../common/errors/domain-error.ts";
import type { OfflineFile } from "./manifest.ts";
import type { ManifestState } from "./manifest-store.ts";

/** Files that go, and those that come for them. */
export interface FileChange {
  readonly remove: readonly Digest[];
  readonly add: readonly (OfflineFile & { readonly replaces?: Digest | undefined })[];
  /** When it happens; undefined: the bytes of the removed files go at once. */
  readonly retireTime: Date | undefined;
}

/**
 * The manifest with the change made. Files keep the order in which their rows came, because of rows
 * with the same key and times the one that came first counts.
 * @throws Aborted when a file to remove is not there.
 */
export function replaceFiles(current: ManifestState, change: FileChange): ManifestState {
  const remove = new Set(change.remove);
  const present = new Set(current.files.map(({ digest }) => digest));
  const missing = change.remove.filter((digest) => !present.has(digest));
  if (missing.length > 0) {
    throw new Aborted(
      `${missing.length} of ${change.remove.length} files of "${current.view}" were replaced ` +
        "meanwhile; read the history again.",
      { reason: ErrorReason.ETAG_MISMATCH },
    );
  }
  const pending = [...change.add];
  const take = (fits: (file: FileChange["add"][number]) => boolean): OfflineFile[] => {
    const taken = pending.filter(fits);
    for (const file of taken) {
      pending.splice(pending.indexOf(file), 1);
    }
    return taken.map(({ replaces: _, ...file }) => file);
  };
  const files: OfflineFile[] = [];
  for (const file of current.files) {
    if (!remove.has(file.digest)) {
      files.push(file);
      continue;
    }
    files.push(...take((added) => added.replaces === file.digest));
    files.push(...take((added) => added.replaces === undefined && added.day === file.day));
  }
  const { retireTime } = change;
  const retired = change.remove.map((digest) => ({ digest, time: retireTime ?? new Date(0) }));
  return {
    ...current,
    snapshot: current.snapshot + 1,
    files: [...files, ...take(() => true)],
    retired: retireTime === undefined ? [] : [...current.retired, ...retired],
  };
}
