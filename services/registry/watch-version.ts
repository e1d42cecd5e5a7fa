// Follows one version until its validation has ended.

import type { Stored } from "../common/documents/port.ts";
import { getDocument, notFound } from "../common/documents/resource.ts";
import type { ModelVersion } from "./model-version.ts";
import type { RegistryStore } from "./store.ts";

/**
 * The version now and after each change, until it is READY or FAILED.
 * @throws NotFound when there is none, or once it is deleted
 */
export async function* watchVersion(
  store: RegistryStore,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Stored<ModelVersion>> {
  // The revision is read first: a change that comes while the version is read is seen twice, not
  // never.
  const after = await store.versions.revision();
  let version = await getDocument(store.versions, name);
  yield version;
  if (version.state !== "VALIDATING") {
    return;
  }
  for await (const change of store.versions.changes(after, signal)) {
    const id = change.kind === "put" ? change.document._id : change.id;
    if (id !== name || change.revision <= version.revision) {
      continue;
    }
    if (change.kind === "delete" || change.document.deleting) {
      throw notFound(name);
    }
    version = change.document;
    yield version;
    if (version.state !== "VALIDATING") {
      return;
    }
  }
}
