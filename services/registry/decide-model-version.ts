// Approves, rejects, archives and restores a version. A decision that takes a version out of use is
// written first and deployments are looked at again after it, so that it cannot slip past a
// deployment that is being made; it is taken back when one did.

import type { Stored } from "../common/documents/port.ts";
import { getDocument, updateDocument, withoutStamps } from "../common/documents/resource.ts";
import { now, type RegistryDeps } from "./deps.ts";
import { archive, decide, type ModelVersion } from "./model-version.ts";
import { requireUnused } from "./remove-version.ts";

export type VersionDecision = { readonly name: string; readonly etag: string } & (
  | {
      readonly approval: "APPROVED" | "REJECTED";
      readonly actor: string;
      readonly comment: string;
    }
  | { readonly archive: boolean }
);

/**
 * Applies the decision; one that holds already changes nothing.
 * @throws FailedPrecondition when the version cannot be approved, or when a deployment serves a
 * version
 *   that is to be rejected or archived; NotFound; Aborted
 */
export async function decideModelVersion(
  deps: RegistryDeps,
  decision: VersionDecision,
): Promise<Stored<ModelVersion>> {
  const { store } = deps;
  const takesOut = "archive" in decision ? decision.archive : decision.approval === "REJECTED";
  let before: ModelVersion | undefined;
  const after = await updateDocument(store.versions, decision, async (current) => {
    const next = apply(deps, current, decision);
    if (next !== current && takesOut) {
      await requireUnused(store, { workspace: current.workspace, name: current._id });
    }
    before = next === current ? undefined : current;
    return next;
  });
  if (before !== undefined && takesOut) {
    try {
      await requireUnused(store, { workspace: after.workspace, name: after._id });
    } catch (error) {
      await takeBack(deps, { before, after });
      throw error;
    }
  }
  if (before !== undefined && "approval" in decision) {
    deps.events.modelVersionDecided(decision.name, decision.approval, decision.actor);
  }
  return after;
}

function apply(deps: RegistryDeps, version: ModelVersion, decision: VersionDecision): ModelVersion {
  if ("archive" in decision) {
    return archive(version, { restore: !decision.archive, now: now(deps) });
  }
  const { approval, actor, comment } = decision;
  return decide(version, { approval, record: { actor, comment, time: now(deps) } });
}

/** Only what the decision had changed: another call may have written since. */
async function takeBack(
  deps: RegistryDeps,
  change: { readonly before: ModelVersion; readonly after: Stored<ModelVersion> },
): Promise<void> {
  const { approval, approvalRecord, archived, archiveTime, updateTime } = change.before;
  const current = await getDocument(deps.store.versions, change.after._id);
  const restored = { approval, approvalRecord, archived, archiveTime, updateTime };
  await deps.store.versions.replaceOne(
    { ...withoutStamps(current), ...restored },
    { ifVersion: current.version },
  );
}
