// Removes definitions that nothing needs any more. A view goes from the definitions first, so that
// nobody reads or pushes it, and its rows after it; a note in the same document has them removed
// later where the process ends in between.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { ModelService } from "../../../gen/plinth/registry/v1/model_service_pb.js";
import {
  FailedPrecondition,
  NotFound,
  type PreconditionViolation,
} from "../../common/errors/domain-error.ts";
import {
  featureServiceName,
  featureServiceVersionName,
  featureViewName,
  modelName,
} from "../../common/names.ts";
import type { CallContext, Client } from "../../common/rpc/context.ts";
import type { FeaturesDeps } from "../deps.ts";
import { readsHistory } from "../offline/history.ts";
import { servicesOf } from "./broken-services.ts";
import type { Definitions, FeatureService, Leaving, Versioned } from "./definitions.ts";
import { entryOf, newestOf, noSuch, noSuchVersion, versionNamed } from "./lookup.ts";

export type DeleteDeps = Pick<FeaturesDeps, "definitions" | "online" | "offline"> & {
  /** Undefined: no registry is reachable from here. */
  readonly models: Pick<Client<typeof ModelService>, "listModelVersions"> | undefined;
};

/** What is to go. */
export interface Target {
  readonly workspace: string;
  readonly id: string;
}

/** All of a service, or one version of it. */
export interface ServiceTarget extends Target {
  readonly version: string | undefined;
}

/** Removes an entity. @throws NotFound; FailedPrecondition (RESOURCE_IN_USE) naming its views. */
export async function deleteEntity(deps: DeleteDeps, target: Target): Promise<void> {
  const { workspace, id } = target;
  await deps.definitions.change(workspace, (current) => {
    if (entryOf(current.entities, id) === undefined) {
      throw noSuch("entity", { workspace, id, known: Object.keys(current.entities) });
    }
    const views = Object.entries(current.featureViews)
      .filter(([, view]) => newestOf(view).entities.includes(id))
      .map(([view]) => featureViewName.format({ workspace, view }));
    requireUnused(`Entity "${id}"`, views, "has it: delete the view first");
    return { ...current, entities: without(current.entities, id) };
  });
}

/**
 * Removes a feature view with its rows in both stores. Called again after it failed half-way, it
 * removes the rest.
 * @throws NotFound; FailedPrecondition (RESOURCE_IN_USE) naming the feature services that read it
 */
export async function deleteFeatureView(deps: DeleteDeps, target: Target): Promise<void> {
  const { workspace, id } = target;
  await deps.definitions.change(workspace, (current) => {
    const view = entryOf(current.featureViews, id);
    if (view === undefined) {
      if (current.leaving?.some((one) => one.view === id) === true) {
        return current;
      }
      throw noSuch("feature view", { workspace, id, known: Object.keys(current.featureViews) });
    }
    requireUnread("Feature view", current, id);
    const leaving = { uid: view.uid, view: id, online: true };
    return {
      ...current,
      featureViews: without(current.featureViews, id),
      leaving: [...(current.leaving ?? []), leaving],
    };
  });
  await finishRemovals(deps, workspace);
}

/** Removes an on-demand view. @throws as deleteFeatureView */
export async function deleteOnDemandFeatureView(deps: DeleteDeps, target: Target): Promise<void> {
  const { workspace, id } = target;
  await deps.definitions.change(workspace, (current) => {
    const { onDemandFeatureViews } = current;
    if (entryOf(onDemandFeatureViews, id) === undefined) {
      const known = Object.keys(onDemandFeatureViews);
      throw noSuch("on-demand feature view", { workspace, id, known });
    }
    requireUnread("On-demand feature view", current, id);
    return { ...current, onDemandFeatureViews: without(onDemandFeatureViews, id) };
  });
}

/**
 * Removes a feature service, or the version asked for, with the reads kept of it.
 * @throws NotFound; FailedPrecondition (RESOURCE_IN_USE) naming the model versions that read it;
 *   Unavailable when the registry cannot be asked
 */
export async function deleteFeatureService(
  deps: DeleteDeps,
  target: ServiceTarget,
  context: CallContext,
): Promise<void> {
  const { workspace, id } = target;
  if (deps.models !== undefined) {
    chosen(await deps.definitions.fresh(workspace), target);
    await requireNoModels(deps.models, target, context);
  }
  await deps.definitions.change(workspace, (current) => {
    const { service, versions } = chosen(current, target);
    const rest = service.versions.filter((version) => !versions.includes(version));
    const leaving = versions.map(({ number }): Leaving => {
      const version = String(number);
      const name = featureServiceVersionName.format({ workspace, service: id, version });
      const { uid, view } = readsHistory(workspace, name);
      return { uid, view, online: false };
    });
    const isGone = rest.length === 0;
    return {
      ...current,
      featureServices: isGone
        ? without(current.featureServices, id)
        : { ...current.featureServices, [id]: { ...service, versions: rest } },
      ...(isGone
        ? { retiredNumbers: { ...current.retiredNumbers, [id]: service.latestNumber } }
        : {}),
      leaving: [...(current.leaving ?? []), ...leaving],
    };
  });
  await finishRemovals(deps, workspace);
}

/**
 * Removes the rows of what was deleted before and had not ended. Harmless to repeat; to be called
 * for every workspace when the service starts.
 */
async function finishRemovals(
  deps: Pick<DeleteDeps, "definitions" | "online" | "offline">,
  workspace: string,
): Promise<void> {
  const { leaving = [] } = await deps.definitions.fresh(workspace);
  for (const { uid, view, online } of leaving) {
    await deps.offline.delete({ uid, workspace, view });
    if (online) {
      await deps.online.deleteView(workspace, uid);
    }
    await deps.definitions.change(workspace, (current) => {
      const rest = (current.leaving ?? []).filter((one) => one.uid !== uid);
      return rest.length === (current.leaving ?? []).length
        ? current
        : { ...current, leaving: rest };
    });
  }
}

/**
 * finishRemovals for every workspace; to be called when the service starts. Never throws: what
 * fails is told to `failed`, and repeated by the next start or delete.
 */
export async function finishAllRemovals(
  deps: Pick<DeleteDeps, "definitions" | "online" | "offline">,
  failed: (workspace: string, error: unknown) => void,
): Promise<void> {
  try {
    for await (const workspace of deps.definitions.workspaces()) {
      await finishRemovals(deps, workspace).catch((error: unknown) => failed(workspace, error));
    }
  } catch (error) {
    failed("-", error);
  }
}

/** The service and those of its versions that are to go. */
function chosen(
  current: Definitions,
  target: ServiceTarget,
): { readonly service: Versioned<FeatureService>; readonly versions: readonly FeatureService[] } {
  const { workspace, id, version } = target;
  const service = entryOf(current.featureServices, id);
  if (service === undefined) {
    const known = Object.keys(current.featureServices);
    throw noSuch("feature service", { workspace, id, known });
  }
  if (version === undefined) {
    return { service, versions: service.versions };
  }
  const found = versionNamed(service, version);
  if (found === undefined) {
    throw noSuchVersion(featureServiceName.format({ workspace, service: id }), version, service);
  }
  return { service, versions: [found] };
}

const USERS_SHOWN_MAX = 20;

async function requireNoModels(
  models: NonNullable<DeleteDeps["models"]>,
  target: ServiceTarget,
  context: CallContext,
): Promise<void> {
  const { workspace, id, version } = target;
  // The registry takes the name of the service for all of its versions.
  const name =
    version === undefined
      ? featureServiceName.format({ workspace, service: id })
      : featureServiceVersionName.format({ workspace, service: id, version });
  const found: string[] = [];
  // Archived versions can come back; a filter that does not name them leaves them out.
  for (const rest of ["", " AND archived = true"]) {
    const request = {
      parent: modelName.format({ workspace, model: "-" }),
      filter: `feature_service = "${name}"${rest}`,
      pageSize: USERS_SHOWN_MAX,
    };
    found.push(...(await modelNames(models, request, context)));
  }
  requireUnused(`Feature service "${id}"`, found, "reads it: delete the model version first");
}

async function modelNames(
  models: NonNullable<DeleteDeps["models"]>,
  request: { readonly parent: string; readonly filter: string; readonly pageSize: number },
  context: CallContext,
): Promise<readonly string[]> {
  try {
    const { modelVersions } = await models.listModelVersions(request, { parent: context });
    return modelVersions.map(({ name }) => name);
  } catch (error) {
    // Features may be defined in a workspace that the registry does not know: it has no models.
    if (error instanceof NotFound) {
      return [];
    }
    throw error;
  }
}

function requireUnread(kind: string, current: Definitions, id: string): void {
  requireUnused(`${kind} "${id}"`, servicesOf(current, id), "reads it: delete the service first");
}

function requireUnused(what: string, users: readonly string[], why: string): void {
  if (users.length === 0) {
    return;
  }
  const shown = users.slice(0, USERS_SHOWN_MAX);
  const violations = shown.map((subject): PreconditionViolation => {
    return { type: "RESOURCE_IN_USE", subject, description: why };
  });
  const rest = users.length - shown.length;
  throw new FailedPrecondition(
    `${what} is in use: ${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""} ${why}.`,
    { reason: ErrorReason.RESOURCE_IN_USE, violations },
  );
}

function without<T>(entries: Readonly<Record<string, T>>, id: string): Record<string, T> {
  const { [id]: _gone, ...rest } = entries;
  return rest;
}
