// Children and their parents without transactions: a child is stored, then its parent looked at
// again; a parent is marked as leaving, then its children looked for again. Whoever comes second
// sees the first.

import type { Document } from "../common/documents/port.ts";
import { findDocument, getDocument } from "../common/documents/resource.ts";
import { workspaceName } from "../common/names.ts";
import type { RegistryStore } from "./store.ts";

/** @throws NotFound when the workspace does not exist. */
export async function requireParentWorkspace(
  store: RegistryStore,
  workspace: string,
): Promise<void> {
  await getDocument(store.workspaces, workspaceName.format({ workspace }));
}

/**
 * After a child was stored: takes it back when its parent left meanwhile.
 * @throws NotFound for the parent
 */
export async function keepIfParentStays<P extends Document & { readonly uid: string }>(
  parents: Parameters<typeof findDocument<P>>[0],
  parent: { readonly name: string; readonly uid?: string },
  takeBack: () => Promise<unknown>,
): Promise<void> {
  const found = await findDocument(parents, parent.name);
  if (found === undefined || (parent.uid !== undefined && found.uid !== parent.uid)) {
    await takeBack();
    await getDocument(parents, parent.name);
  }
}
