// The handlers of ModelService that are about registered models and their aliases.

import { randomUUID } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import {
  CreateRegisteredModelRequestSchema,
  type ModelService,
} from "../../gen/plinth/registry/v1/model_service_pb.js";
import { requireWorkspace } from "../common/auth/principal.ts";
import { insertOnce, requestStamp } from "../common/documents/request-stamp.ts";
import {
  findDocument,
  getDocument,
  notFound,
  updateDocument,
} from "../common/documents/resource.ts";
import { maskedPaths } from "../common/field-mask.ts";
import { listPage, parseOrderBy } from "../common/list-page.ts";
import { modelName, workspaceName } from "../common/names.ts";
import { RESOURCE_ID, RequestFaults, TAG_LIMITS } from "../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../common/rpc/context.ts";
import { ALIASES_MAX, aliasFault, withAlias, withoutAlias } from "./alias.ts";
import { toModel } from "./convert.ts";
import { now, type RegistryDeps } from "./deps.ts";
import { type FilterFields, parseFilter } from "./filter.ts";
import { pairsOf, valueAt } from "./model-version.ts";
import { keepIfParentStays, requireParentWorkspace } from "./parents.ts";
import { removeModel } from "./remove-version.ts";
import { versionNameOf } from "./resolve-version.ts";
import type { RegisteredModel } from "./store.ts";

type Handlers = ServiceHandlers<typeof ModelService>;

const FILTER_FIELDS: FilterFields<RegisteredModel> = {
  name: { kind: "text", read: (model) => modelName.match(model._id)?.model },
  "tags.": { kind: "text", read: (model, key) => valueAt(model.tags, key) },
  archived: { kind: "boolean", read: (model) => model.archived },
};

/** Handlers over the registry's store. */
export function modelHandlers(
  deps: RegistryDeps,
): Pick<
  Handlers,
  | "getRegisteredModel"
  | "listRegisteredModels"
  | "createRegisteredModel"
  | "updateRegisteredModel"
  | "archiveRegisteredModel"
  | "deleteRegisteredModel"
  | "setModelAlias"
  | "deleteModelAlias"
> {
  const { store } = deps;
  return {
    async getRegisteredModel({ name }, context) {
      authorize(name, "name", context);
      return toModel(await getDocument(store.models, name));
    },

    listRegisteredModels: (request, context) => listModels(deps, request, context),

    createRegisteredModel: (request, context) => createModel(deps, request, context),

    updateRegisteredModel: (request, context) => updateModel(deps, request, context),

    async archiveRegisteredModel({ name, etag, restore }, context) {
      authorize(name, "name", context);
      const stored = await updateDocument(store.models, { name, etag }, (current) =>
        current.archived === !restore
          ? current
          : {
              ...current,
              archived: !restore,
              archiveTime: restore ? null : now(deps),
              updateTime: now(deps),
            },
      );
      return toModel(stored);
    },

    async deleteRegisteredModel({ name, etag, force }, context) {
      authorize(name, "name", context);
      await removeModel(deps, { name, etag, force });
      return {};
    },

    setModelAlias: (request, context) => setAlias(deps, request, context),

    async deleteModelAlias({ name, alias }, context) {
      authorize(name, "name", context);
      const stored = await updateDocument(store.models, { name }, (current) =>
        valueAt(current.aliases, alias) === undefined
          ? current
          : {
              ...current,
              aliases: withoutAlias(current.aliases, alias),
              updateTime: now(deps),
            },
      );
      return toModel(stored);
    },
  };
}

async function listModels(
  { store }: RegistryDeps,
  request: Parameters<Handlers["listRegisteredModels"]>[0],
  context: CallContext,
): ReturnType<Handlers["listRegisteredModels"]> {
  const { parent, filter, orderBy } = request;
  const { workspace } = workspaceName.parse(parent, "parent");
  requireWorkspace(context.principal, workspace);
  const parsed = parseFilter(filter, FILTER_FIELDS);
  const order = parseOrderBy<RegisteredModel>(orderBy === "" ? "name" : orderBy, {
    name: () => ({ field: "_id", kind: "text" }),
    create_time: () => ({ field: "createTime", kind: "date" }),
  });
  await requireParentWorkspace(store, workspace);
  const page = await listPage(store.models, {
    call: ["ListRegisteredModels", parent, filter, orderBy],
    pageSize: request.pageSize,
    pageToken: request.pageToken,
    where: { workspace },
    matches: (model) =>
      !model.deleting &&
      (parsed.fields.has("archived") || !model.archived) &&
      parsed.matches(model),
    order,
    signal: context.signal,
  });
  return { registeredModels: page.items.map(toModel), nextPageToken: page.nextPageToken };
}

async function createModel(
  deps: RegistryDeps,
  request: Parameters<Handlers["createRegisteredModel"]>[0],
  context: CallContext,
): ReturnType<Handlers["createRegisteredModel"]> {
  const { store } = deps;
  const { workspace } = workspaceName.parse(request.parent, "parent");
  requireWorkspace(context.principal, workspace);
  const { description = "", tags = {} } = request.registeredModel ?? {};
  const faults = new RequestFaults();
  faults.id("model_id", request.modelId, RESOURCE_ID);
  faults.requestId(request.requestId);
  faults.description("registered_model.description", description);
  faults.texts("registered_model.tags", tags, TAG_LIMITS);
  faults.done();
  await requireParentWorkspace(store, workspace);
  const model: RegisteredModel = {
    _id: modelName.format({ workspace, model: request.modelId }),
    uid: randomUUID(),
    workspace,
    createTime: now(deps),
    updateTime: now(deps),
    description,
    tags: pairsOf(tags),
    aliases: [],
    latestNumber: 0,
    archived: false,
    archiveTime: null,
    deleting: false,
    ...requestStamp({
      method: "CreateRegisteredModel",
      parent: request.parent,
      requestId: request.requestId,
      bytes: toBinary(CreateRegisteredModelRequestSchema, request),
    }),
  };
  const { stored, isReplay } = await insertOnce(store.models, model);
  if (!isReplay) {
    await keepIfParentStays(store.workspaces, { name: request.parent }, () =>
      store.models.deleteOne(model._id, { ifVersion: stored.version }),
    );
  }
  return toModel(stored);
}

async function updateModel(
  deps: RegistryDeps,
  request: Parameters<Handlers["updateRegisteredModel"]>[0],
  context: CallContext,
): ReturnType<Handlers["updateRegisteredModel"]> {
  const { name = "", etag = "", description = "", tags = {} } = request.registeredModel ?? {};
  authorize(name, "registered_model.name", context);
  const paths = maskedPaths(request.updateMask, ["description", "tags"]);
  const faults = new RequestFaults();
  if (paths.has("description")) {
    faults.description("registered_model.description", description);
  }
  if (paths.has("tags")) {
    faults.texts("registered_model.tags", tags, TAG_LIMITS);
  }
  faults.done();
  const stored = await updateDocument(deps.store.models, { name, etag }, (current) => ({
    ...current,
    updateTime: now(deps),
    ...(paths.has("description") ? { description } : {}),
    ...(paths.has("tags") ? { tags: pairsOf(tags) } : {}),
  }));
  return toModel(stored);
}

async function setAlias(
  deps: RegistryDeps,
  request: Parameters<Handlers["setModelAlias"]>[0],
  context: CallContext,
): ReturnType<Handlers["setModelAlias"]> {
  const { store } = deps;
  const { name, alias } = request;
  authorize(name, "name", context);
  const number = Number(request.version);
  const faults = new RequestFaults();
  faults.note("alias", aliasFault(alias));
  faults.check(number >= 1, "version", "must be a version number, 1 or more");
  faults.done();
  await getDocument(store.models, name);
  const target = versionNameOf(name, number);
  await getDocument(store.versions, target);
  const stored = await updateDocument(store.models, { name }, (current) => {
    if (valueAt(current.aliases, alias) === number) {
      return current;
    }
    const aliases = withAlias(current.aliases, alias, number);
    const full = new RequestFaults();
    full.check(aliases.length <= ALIASES_MAX, "alias", `is one more than ${ALIASES_MAX}, the most`);
    full.done();
    return { ...current, aliases, updateTime: now(deps) };
  });
  if ((await findDocument(store.versions, target)) === undefined) {
    // The version was removed in between, perhaps after its aliases had been dropped.
    await updateDocument(store.models, { name }, (current) =>
      valueAt(current.aliases, alias) === number
        ? { ...current, aliases: withoutAlias(current.aliases, alias) }
        : current,
    );
    throw notFound(target);
  }
  return toModel(stored);
}

function authorize(name: string, field: string, context: CallContext): void {
  requireWorkspace(context.principal, modelName.parse(name, field).workspace);
}
