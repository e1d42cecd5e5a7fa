// Removes model versions and models. A removal is first marked on the document, which hides it,
// then deployments are looked at once more, then everything that hangs on it goes, the document
// last; a removal that is cut off is finished by the sweep.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../common/documents/port.ts";
import { collect, updateDocument, withoutStamps } from "../common/documents/resource.ts";
import { Aborted, FailedPrecondition, NotFound } from "../common/errors/domain-error.ts";
import { collectArtifact } from "./collect-garbage.ts";
import { versionsOf } from "./deployment.ts";
import { now, type RegistryDeps } from "./deps.ts";
import { dropCircuits } from "./model-circuits.ts";
import { dropHealth } from "./model-health.ts";
import type { ModelVersion } from "./model-version.ts";
import { versionNameOf } from "./resolve-version.ts";
import type { RegisteredModel, RegistryStore } from "./store.ts";

/** A removal this old was cut off. */
const CUT_OFF_MS = 60_000;

/**
 * The deployment that has one of these versions as a target or shadow now, or undefined. History
 * does not count: a rollback checks for itself.
 */
async function findUser(
  store: RegistryStore,
  workspace: string,
  isUsed: (version: string) => boolean,
): Promise<{ readonly deployment: string; readonly version: string } | undefined> {
  for await (const deployment of store.deployments.find({ workspace })) {
    const version = versionsOf(deployment.current.config).find(isUsed);
    if (version !== undefined) {
      return { deployment: deployment._id, version };
    }
  }
  return undefined;
}

/** @throws FailedPrecondition (RESOURCE_IN_USE) naming the deployment that has the version. */
export async function requireUnused(
  store: RegistryStore,
  target: { readonly workspace: string; readonly name: string },
): Promise<void> {
  const isUsed = (version: string): boolean =>
    version === target.name || version.startsWith(`${target.name}/versions/`);
  const user = await findUser(store, target.workspace, isUsed);
  if (user !== undefined) {
    throw new FailedPrecondition(
      `${user.version} is served by ${user.deployment}. Take it out of that deployment first.`,
      {
        reason: ErrorReason.RESOURCE_IN_USE,
        metadata: { resource: user.version, deployment: user.deployment },
        violations: [
          {
            type: "IN_USE",
            subject: user.deployment,
            description: `serves ${user.version}; take it out of the deployment first`,
          },
        ],
      },
    );
  }
}

/** Removes a version, its aliases and, where nothing else has them, its bytes. */
export async function removeVersion(
  deps: RegistryDeps,
  target: { readonly name: string; readonly etag: string },
): Promise<void> {
  const { store } = deps;
  const version = await updateDocument(store.versions, target, async (current) => {
    await requireUnused(store, { workspace: current.workspace, name: current._id });
    return { ...current, deleting: true, updateTime: now(deps) };
  });
  await finishVersion(deps, version);
}

/** Removes a model; with `force` its versions too. */
export async function removeModel(
  deps: RegistryDeps,
  target: { readonly name: string; readonly etag: string; readonly force: boolean },
): Promise<void> {
  const { store } = deps;
  const model = await updateDocument(store.models, target, async (current) => {
    await requireUnused(store, { workspace: current.workspace, name: current._id });
    await requireNoVersions(store, target);
    return { ...current, deleting: true, updateTime: now(deps) };
  });
  await finishModel(deps, model, target);
}

/** Finishes removals that were cut off. */
export async function finishRemovals(deps: RegistryDeps): Promise<void> {
  const { store } = deps;
  const before = { $lt: new Date(deps.clock.now() - CUT_OFF_MS) };
  for (const model of await collect(store.models.find({ deleting: true, updateTime: before }))) {
    // Versions that it had when it was marked were to go with it: else it would not have been
    // marked.
    await unlessOvertaken(finishModel(deps, model, { name: model._id, force: true }));
  }
  const versions = store.versions.find({ deleting: true, updateTime: before });
  for (const version of await collect(versions)) {
    await unlessOvertaken(finishVersion(deps, version));
  }
  const workspaces = store.workspaces.find({ deleting: true, updateTime: before });
  for (const workspace of await collect(workspaces)) {
    const stays = { ...withoutStamps(workspace), deleting: false };
    await unlessOvertaken(store.workspaces.replaceOne(stays, { ifVersion: workspace.version }));
  }
}

/** A deployment may have taken a version meanwhile, or another replica may have been faster. */
async function unlessOvertaken(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const isOvertaken =
      error instanceof FailedPrecondition || error instanceof Aborted || error instanceof NotFound;
    if (!isOvertaken) {
      throw error;
    }
  }
}

async function requireNoVersions(
  store: RegistryStore,
  target: { readonly name: string; readonly force: boolean },
): Promise<void> {
  const left = target.force ? undefined : await store.versions.findOne({ model: target.name });
  if (left !== undefined) {
    throw new FailedPrecondition(
      `${target.name} still has versions, such as ${left._id}. Delete them first, or set force.`,
      {
        reason: ErrorReason.RESOURCE_IN_USE,
        metadata: { resource: target.name },
        violations: [
          { type: "IN_USE", subject: left._id, description: "delete it first, or set force" },
        ],
      },
    );
  }
}

/**
 * From the mark on: the version is hidden, and comes back only when a deployment had just taken it.
 */
async function finishVersion(deps: RegistryDeps, version: Stored<ModelVersion>): Promise<void> {
  const { store } = deps;
  try {
    await requireUnused(store, { workspace: version.workspace, name: version._id });
  } catch (error) {
    const stays = { ...withoutStamps(version), deleting: false };
    await store.versions.replaceOne(stays, { ifVersion: version.version });
    throw error;
  }
  await dropAliases(deps, version);
  await dropHealth(store, version.uid);
  await dropCircuits(store, version.uid);
  await store.versions.deleteOne(version._id, { ifVersion: version.version });
  await collectArtifact(deps, version.sha256);
}

async function finishModel(
  deps: RegistryDeps,
  model: Stored<RegisteredModel>,
  target: { readonly name: string; readonly force: boolean },
): Promise<void> {
  const { store } = deps;
  try {
    await requireUnused(store, { workspace: model.workspace, name: model._id });
    await requireNoVersions(store, target);
  } catch (error) {
    const stays = { ...withoutStamps(model), deleting: false };
    await store.models.replaceOne(stays, { ifVersion: model.version });
    throw error;
  }
  for (const version of await collect(store.versions.find({ model: model._id }))) {
    await dropHealth(store, version.uid);
    await dropCircuits(store, version.uid);
    await store.versions.deleteOne(version._id);
    await collectArtifact(deps, version.sha256);
  }
  await store.models.deleteOne(model._id, { ifVersion: model.version });
}

async function dropAliases(deps: RegistryDeps, version: ModelVersion): Promise<void> {
  try {
    await updateDocument(deps.store.models, { name: version.model }, (model) => {
      const aliases = model.aliases.filter(
        (alias) => versionNameOf(model._id, alias.value) !== version._id,
      );
      return aliases.length === model.aliases.length
        ? model
        : { ...model, aliases, updateTime: now(deps) };
    });
  } catch (error) {
    // The model itself is going: its aliases go with it.
    if (!(error instanceof NotFound)) {
      throw error;
    }
  }
}
