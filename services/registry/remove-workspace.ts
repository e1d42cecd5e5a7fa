// Removes an empty workspace. Its name is not given out again: features, windows, proofs and receipts
// of it stay with the services that keep them, and would be a later tenant's.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { isUsable } from "../common/auth/keys.ts";
import { DEFAULT_WORKSPACE } from "../common/auth/principal.ts";
import { insertIfNew, updateDocument, withoutStamps } from "../common/documents/resource.ts";
import { FailedPrecondition } from "../common/errors/domain-error.ts";
import { workspaceName } from "../common/names.ts";
import type { RegistryDeps } from "./deps.ts";

const KEYS_LOOKED_AT = 1000;

/**
 * Removes a workspace that holds nothing and has no key that works: a key would open a later
 * workspace of the same name.
 * @throws FailedPrecondition (RESOURCE_IN_USE) naming what is still there; NotFound; Aborted
 */
export async function removeWorkspace(
  deps: RegistryDeps,
  target: { readonly name: string; readonly etag: string },
): Promise<void> {
  const { store } = deps;
  const { workspace } = workspaceName.parse(target.name, "name");
  if (workspace === DEFAULT_WORKSPACE) {
    throw inUse(target.name, "is where calls go that name no workspace; it cannot be removed");
  }
  await requireEmpty(deps, workspace);
  const leaving = await updateDocument(store.workspaces, target, (current) => ({
    ...current,
    deleting: true,
  }));
  try {
    await requireEmpty(deps, workspace);
  } catch (error) {
    const stays = { ...withoutStamps(leaving), deleting: false };
    await store.workspaces.replaceOne(stays, { ifVersion: leaving.version });
    throw error;
  }
  const removeTime = new Date(deps.clock.now());
  await insertIfNew(store.removedWorkspaces, { _id: target.name, removeTime });
  await store.workspaces.deleteOne(target.name, { ifVersion: leaving.version });
}

async function requireEmpty(deps: RegistryDeps, workspace: string): Promise<void> {
  const { store, keys, clock } = deps;
  const name = workspaceName.format({ workspace });
  const child =
    (await store.deployments.findOne({ workspace })) ?? (await store.models.findOne({ workspace }));
  if (child !== undefined) {
    throw inUse(name, `still holds ${child._id}`);
  }
  for (const key of await keys.list({ workspace, limit: KEYS_LOOKED_AT })) {
    if (isUsable(key, clock.now())) {
      throw inUse(name, `still has the key ${name}/apiKeys/${key.id}; revoke it`);
    }
  }
}

function inUse(name: string, why: string): FailedPrecondition {
  return new FailedPrecondition(`${name} ${why}.`, {
    reason: ErrorReason.RESOURCE_IN_USE,
    metadata: { resource: name },
    violations: [{ type: "IN_USE", subject: name, description: why }],
  });
}
