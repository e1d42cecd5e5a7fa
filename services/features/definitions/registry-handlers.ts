// The handlers of FeatureRegistryService.

import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { FeatureRegistryService } from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { ModelService } from "../../../gen/plinth/registry/v1/model_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import {
  deploymentName,
  entityName,
  featureServiceName,
  featureServiceVersionName,
  featureViewName,
  featureViewVersionName,
  modelVersionName,
  onDemandFeatureViewName,
  onDemandFeatureViewVersionName,
  workspaceName,
} from "../../common/names.ts";
import { decodePageToken, encodePageToken, pageSizeOf } from "../../common/page-token.ts";
import { RequestFaults, WORKSPACE_ID } from "../../common/request-faults.ts";
import { createClient } from "../../common/rpc/client.ts";
import type { CallContext, ServiceHandlers } from "../../common/rpc/context.ts";
import type { FeaturesDeps } from "../deps.ts";
import { type Applied, applyDefinitions } from "./apply.ts";
import {
  nameOf,
  toChange,
  toEntity,
  toFeatureService,
  toFeatureView,
  toOnDemandFeatureView,
} from "./convert.ts";
import { fromApply } from "./convert-apply.ts";
import type { Versioned } from "./definitions.ts";
import {
  type DeleteDeps,
  deleteEntity,
  deleteFeatureService,
  deleteFeatureView,
  deleteOnDemandFeatureView,
  type Target,
} from "./delete-definitions.ts";
import { entryOf, newestOf, noSuch, noSuchVersion, versionNamed } from "./lookup.ts";
import { fromViewHealth, toViewHealth } from "./view-health.ts";

type Handlers = ServiceHandlers<typeof FeatureRegistryService>;

export type RegistryHandlersDeps = Pick<
  FeaturesDeps,
  "definitions" | "online" | "offline" | "events" | "registry" | "viewHealth"
>;

/** Handlers over the definition store. */
export function featureRegistryHandlers(deps: RegistryHandlersDeps): Handlers {
  const { definitions, registry } = deps;
  const models = registry === undefined ? undefined : createClient(ModelService, registry);
  return {
    applyDefinitions: (request, context) => apply(deps, request, context),

    async getEntity({ name }, context) {
      const { workspace, entity: id } = entityName.parse(name, "name");
      const { entities } = await definitions.fresh(authorized(workspace, "name", context));
      const entity = entryOf(entities, id);
      if (entity === undefined) {
        throw noSuch("entity", { workspace, id, known: Object.keys(entities) });
      }
      return toEntity({ workspace, id }, entity);
    },

    async getFeatureView({ name }, context) {
      const versioned = featureViewVersionName.match(name);
      const { workspace, view: id } = versioned ?? featureViewName.parse(name, "name");
      const { featureViews } = await definitions.fresh(authorized(workspace, "name", context));
      const of = { kind: "feature view", workspace, id, number: versioned?.version };
      const { definition, version } = chosen(featureViews, of);
      return toFeatureView({ workspace, id }, definition, version);
    },

    async getOnDemandFeatureView({ name }, context) {
      const versioned = onDemandFeatureViewVersionName.match(name);
      const { workspace, view: id } = versioned ?? onDemandFeatureViewName.parse(name, "name");
      const current = await definitions.fresh(authorized(workspace, "name", context));
      const of = { kind: "on-demand feature view", workspace, id, number: versioned?.version };
      const { definition, version } = chosen(current.onDemandFeatureViews, of);
      return toOnDemandFeatureView({ workspace, id }, definition, version);
    },

    async getFeatureService({ name }, context) {
      const versioned = featureServiceVersionName.match(name);
      const { workspace, service: id } = versioned ?? featureServiceName.parse(name, "name");
      const current = await definitions.fresh(authorized(workspace, "name", context));
      const of = { kind: "feature service", workspace, id, number: versioned?.version };
      const { definition, version } = chosen(current.featureServices, of);
      return toFeatureService(current, { id, service: definition, version });
    },

    getFeatureViewStatus: (request, context) => status(deps, request, context),
    reportFeatureViewHealth: (request, context) => reportHealth(deps, request, context),
    ...listHandlers(deps),
    ...deleteHandlers(deps, { ...deps, models }),
  };
}

/** The newest versions, by name; read from one state of the definitions a page. */
function listHandlers(
  deps: RegistryHandlersDeps,
): Pick<
  Handlers,
  "listEntities" | "listFeatureViews" | "listOnDemandFeatureViews" | "listFeatureServices"
> {
  const { definitions } = deps;
  return {
    async listEntities(request, context) {
      const workspace = parentOf(request.parent, context);
      const { entities } = await definitions.fresh(workspace);
      const { page, nextPageToken } = pageOf("ListEntities", entities, request);
      const list = page.map(([id, entity]) => toEntity({ workspace, id }, entity));
      return { entities: list, nextPageToken };
    },

    async listFeatureViews(request, context) {
      const workspace = parentOf(request.parent, context);
      const { featureViews } = await definitions.fresh(workspace);
      const { page, nextPageToken } = pageOf("ListFeatureViews", featureViews, request);
      const list = page.map(([id, one]) => toFeatureView({ workspace, id }, one, newestOf(one)));
      return { featureViews: list, nextPageToken };
    },

    async listOnDemandFeatureViews(request, context) {
      const workspace = parentOf(request.parent, context);
      const { onDemandFeatureViews: views } = await definitions.fresh(workspace);
      const { page, nextPageToken } = pageOf("ListOnDemandFeatureViews", views, request);
      const list = page.map(([id, one]) =>
        toOnDemandFeatureView({ workspace, id }, one, newestOf(one)),
      );
      return { onDemandFeatureViews: list, nextPageToken };
    },

    async listFeatureServices(request, context) {
      const current = await definitions.fresh(parentOf(request.parent, context));
      const { featureServices } = current;
      const { page, nextPageToken } = pageOf("ListFeatureServices", featureServices, request);
      const list = page.map(([id, service]) =>
        toFeatureService(current, { id, service, version: newestOf(service) }),
      );
      return { featureServices: list, nextPageToken };
    },
  };
}

function deleteHandlers(
  deps: RegistryHandlersDeps,
  deleteDeps: DeleteDeps,
): Pick<
  Handlers,
  "deleteEntity" | "deleteFeatureView" | "deleteOnDemandFeatureView" | "deleteFeatureService"
> {
  const remove = async (
    call: { readonly name: string; readonly target: Target; readonly context: CallContext },
    use: (deps: DeleteDeps, target: Target) => Promise<void>,
  ) => {
    authorized(call.target.workspace, "name", call.context);
    await use(deleteDeps, call.target);
    deps.events.definitionChanged(call.name, "deleted", call.context.principal.id);
    return {};
  };
  return {
    async deleteEntity({ name }, context) {
      const { workspace, entity: id } = entityName.parse(name, "name");
      return remove({ name, target: { workspace, id }, context }, deleteEntity);
    },

    async deleteFeatureView({ name }, context) {
      const { workspace, view: id } = featureViewName.parse(name, "name");
      return remove({ name, target: { workspace, id }, context }, deleteFeatureView);
    },

    async deleteOnDemandFeatureView({ name }, context) {
      const { workspace, view: id } = onDemandFeatureViewName.parse(name, "name");
      return remove({ name, target: { workspace, id }, context }, deleteOnDemandFeatureView);
    },

    async deleteFeatureService({ name }, context) {
      const versioned = featureServiceVersionName.match(name);
      const { workspace, service: id } = versioned ?? featureServiceName.parse(name, "name");
      const version = versioned?.version;
      return remove({ name, target: { workspace, id }, context }, (all, target) =>
        deleteFeatureService(all, { ...target, version }, context),
      );
    },
  };
}

async function apply(
  deps: RegistryHandlersDeps,
  request: Parameters<Handlers["applyDefinitions"]>[0],
  context: CallContext,
): ReturnType<Handlers["applyDefinitions"]> {
  const workspace = parentOf(request.parent, context);
  const faults = new RequestFaults();
  const wanted = fromApply(request, { workspace, faults });
  faults.done();
  let applied: Applied | undefined;
  await deps.definitions.change(workspace, (current, now) => {
    applied = applyDefinitions(current, wanted, { now, newUid: randomUUID });
    return request.dryRun ? current : applied.next;
  });
  const changes = applied?.changes ?? [];
  for (const change of request.dryRun ? [] : changes) {
    if (change.action !== "unchanged") {
      const what = change.action === "create" ? "created" : "updated";
      deps.events.definitionChanged(nameOf(workspace, change), what, context.principal.id);
    }
  }
  return { changes: changes.map((change) => toChange(workspace, change)) };
}

async function status(
  { definitions, offline, viewHealth }: RegistryHandlersDeps,
  { name }: Parameters<Handlers["getFeatureViewStatus"]>[0],
  context: CallContext,
): ReturnType<Handlers["getFeatureViewStatus"]> {
  const { workspace, view: id } = featureViewName.parse(name, "name");
  const { featureViews } = await definitions.fresh(authorized(workspace, "name", context));
  const of = { kind: "feature view", workspace, id, number: undefined };
  const { uid } = chosen(featureViews, of).definition;
  const found = await offline.status({ uid, workspace, view: id });
  const { minEventUs, maxEventUs, materializeTime } = found;
  return {
    name: `${name}/status`,
    offlineRows: BigInt(found.rows),
    offlineBytes: BigInt(found.sizeBytes),
    offlineFiles: found.files,
    pendingRows: BigInt(found.pendingRows),
    ...(minEventUs === undefined ? {} : { oldestEventTime: timestampOf(minEventUs) }),
    ...(maxEventUs === undefined ? {} : { newestEventTime: timestampOf(maxEventUs) }),
    ...(materializeTime === null ? {} : { materializeTime: timestampFromDate(materializeTime) }),
    unmaterializedRows: BigInt(found.unmaterializedRows),
    health: (await viewHealth.of(uid)).map(toViewHealth),
  };
}

async function reportHealth(
  { definitions, viewHealth }: RegistryHandlersDeps,
  { name, health }: Parameters<Handlers["reportFeatureViewHealth"]>[0],
  context: CallContext,
): ReturnType<Handlers["reportFeatureViewHealth"]> {
  const { workspace, view: id } = featureViewName.parse(name, "name");
  authorized(workspace, "name", context);
  const { deployment = "", modelVersion = "" } = health ?? {};
  const by = deploymentName.parse(deployment, "health.deployment");
  const of = modelVersionName.parse(modelVersion, "health.model_version");
  authorized(by.workspace, "health.deployment", context);
  authorized(of.workspace, "health.model_version", context);
  const faults = new RequestFaults();
  const isHere = by.workspace === workspace && of.workspace === workspace;
  faults.check(isHere, "health", "must be of a deployment and a version of the view's workspace");
  const parsed = fromViewHealth(health, faults);
  faults.done();
  const { featureViews } = await definitions.fresh(workspace);
  const wanted = { kind: "feature view", workspace, id, number: undefined };
  await viewHealth.put(chosen(featureViews, wanted).definition.uid, parsed);
  return {};
}

/** The workspace, when the caller may reach it and it can be one. */
function authorized(workspace: string, field: string, context: CallContext): string {
  requireWorkspace(context.principal, workspace);
  const faults = new RequestFaults();
  faults.id(field, workspace, WORKSPACE_ID);
  faults.done();
  return workspace;
}

function parentOf(parent: string, context: CallContext): string {
  return authorized(workspaceName.parse(parent, "parent").workspace, "parent", context);
}

/** A definition and the version asked for, or the newest. @throws NotFound */
function chosen<T extends { readonly number: number }>(
  definitions: Readonly<Record<string, Versioned<T>>>,
  of: {
    readonly kind: string;
    readonly workspace: string;
    readonly id: string;
    readonly number: string | undefined;
  },
): { readonly definition: Versioned<T>; readonly version: T } {
  const { kind, id, number } = of;
  const definition = entryOf(definitions, id);
  if (definition === undefined) {
    throw noSuch(kind, { ...of, known: Object.keys(definitions) });
  }
  const version = number === undefined ? newestOf(definition) : versionNamed(definition, number);
  if (version === undefined) {
    throw noSuchVersion(`The ${kind} "${id}"`, number ?? 0, definition);
  }
  return { definition, version };
}

/** A page of entries in the order of their ids. */
function pageOf<T>(
  method: string,
  entries: Readonly<Record<string, T>>,
  request: { readonly parent: string; readonly pageSize: number; readonly pageToken: string },
): { readonly page: readonly (readonly [string, T])[]; readonly nextPageToken: string } {
  const call = [method, request.parent];
  const size = pageSizeOf(request.pageSize);
  const [after] = decodePageToken(call, request.pageToken) ?? [];
  const rest = Object.entries(entries)
    .filter(([id]) => typeof after !== "string" || id > after)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const page = rest.slice(0, size);
  const last = page.at(-1);
  const isLast = rest.length <= size || last === undefined;
  return { page, nextPageToken: isLast ? "" : encodePageToken(call, [last[0]]) };
}

function timestampOf(us: number): Timestamp {
  const seconds = Math.floor(us / 1e6);
  return create(TimestampSchema, {
    seconds: BigInt(seconds),
    nanos: (us - seconds * 1e6) * 1000,
  });
}
