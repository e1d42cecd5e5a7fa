// Lists the versions of a model, or of all models of a workspace.

import type { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { requireWorkspace } from "../common/auth/principal.ts";
import { findDocument, getDocument } from "../common/documents/resource.ts";
import { listPage, parseOrderBy } from "../common/list-page.ts";
import { featureServiceName, featureServiceVersionName, modelName } from "../common/names.ts";
import type { CallContext, ServiceHandlers } from "../common/rpc/context.ts";
import { toVersion } from "./convert.ts";
import type { RegistryDeps } from "./deps.ts";
import { type FilterFields, parseFilter } from "./filter.ts";
import { type ModelVersion, type Pairs, valueAt } from "./model-version.ts";
import { requireParentWorkspace } from "./parents.ts";
import type { RegistryStore } from "./store.ts";
import { reportsOfVersions } from "./version-reports.ts";

type List = ServiceHandlers<typeof ModelService>["listModelVersions"];

const ALL_MODELS = "-";

const FILTER_FIELDS: FilterFields<ModelVersion> = {
  state: {
    kind: "choice",
    options: ["VALIDATING", "READY", "FAILED"],
    read: (version) => version.state,
  },
  approval: {
    kind: "choice",
    options: ["PENDING", "APPROVED", "REJECTED"],
    read: (version) => version.approval,
  },
  "tags.": { kind: "text", read: (version, key) => valueAt(version.tags, key) },
  "metrics.": { kind: "number", read: (version, key) => valueAt(version.metrics, key) },
  feature_service: {
    kind: "resource",
    patterns: [featureServiceName, featureServiceVersionName],
    read: (version) => version.featureService ?? "",
  },
  archived: { kind: "boolean", read: (version) => version.archived },
};

/** ListModelVersions. */
export async function listVersions(
  deps: RegistryDeps,
  request: Parameters<List>[0],
  context: CallContext,
): ReturnType<List> {
  const { store } = deps;
  const { parent, filter, orderBy } = request;
  const { workspace, model } = modelName.parse(parent, "parent");
  requireWorkspace(context.principal, workspace);
  const parsed = parseFilter(filter, FILTER_FIELDS);
  const order = parseOrderBy<ModelVersion>(orderBy === "" ? "create_time desc" : orderBy, {
    create_time: () => ({ field: "createTime", kind: "date" }),
    version: () => ({ field: "number", kind: "number" }),
    "metrics.": (key) => ({ read: (version) => valueAt(version.metrics, key) }),
  });
  if (model === ALL_MODELS) {
    await requireParentWorkspace(store, workspace);
  } else {
    await getDocument(store.models, parent);
  }
  const page = await listPage(store.versions, {
    call: ["ListModelVersions", parent, filter, orderBy],
    pageSize: request.pageSize,
    pageToken: request.pageToken,
    where: model === ALL_MODELS ? { workspace } : { model: parent },
    matches: (version) =>
      !version.deleting &&
      (parsed.fields.has("archived") || !version.archived) &&
      parsed.matches(version),
    order,
    signal: context.signal,
  });
  const aliases = await aliasesByModel(store, page.items);
  const reportsOf = await reportsOfVersions(deps, page.items);
  return {
    modelVersions: page.items.map((item) =>
      toVersion(item, aliases.get(item.model) ?? [], reportsOf(item)),
    ),
    nextPageToken: page.nextPageToken,
  };
}

async function aliasesByModel(
  store: RegistryStore,
  versions: readonly ModelVersion[],
): Promise<ReadonlyMap<string, Pairs<number>>> {
  const aliases = new Map<string, Pairs<number>>();
  for (const { model } of versions) {
    if (!aliases.has(model)) {
      aliases.set(model, (await findDocument(store.models, model))?.aliases ?? []);
    }
  }
  return aliases;
}
