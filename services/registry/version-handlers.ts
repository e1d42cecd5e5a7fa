// The handlers of ModelService that are about model versions.

import { toBinary } from "@bufbuild/protobuf";
import {
  CreateModelVersionRequestSchema,
  type ModelService,
} from "../../gen/plinth/registry/v1/model_service_pb.js";
import type { ModelVersion as VersionMessage } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { type Principal, requireWorkspace } from "../common/auth/principal.ts";
import type { Stored } from "../common/documents/port.ts";
import { requestStamp } from "../common/documents/request-stamp.ts";
import { findDocument, updateDocument } from "../common/documents/resource.ts";
import { maskedPaths } from "../common/field-mask.ts";
import {
  featureServiceName,
  featureServiceVersionName,
  modelName,
  modelVersionName,
  uploadName,
} from "../common/names.ts";
import { type MapLimits, RequestFaults, TAG_LIMITS } from "../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../common/rpc/context.ts";
import { fromLineage, toVersion } from "./convert.ts";
import { createModelVersion } from "./create-model-version.ts";
import { decideModelVersion } from "./decide-model-version.ts";
import { now, type RegistryDeps } from "./deps.ts";
import { listVersions } from "./list-versions.ts";
import { type ModelVersion, pairsOf, type VersionDetails } from "./model-version.ts";
import { removeVersion } from "./remove-version.ts";
import { isVersionByNumber, resolveVersion, VERSION_NUMBER } from "./resolve-version.ts";
import { namesFault } from "./version-metadata.ts";
import { reportsOfVersions } from "./version-reports.ts";
import { watchVersion } from "./watch-version.ts";

type Handlers = ServiceHandlers<typeof ModelService>;

const DATASETS_MAX = 100;
const TEXT_LENGTH_MAX = 2000;
const FILE_NAME_LENGTH_MAX = 255;
const PARAMETER_LIMITS: MapLimits = { countMax: 256, keyLengthMax: 250, valueLengthMax: 6000 };
const FEATURE_SERVICE_PATH = "feature_service";
const UPDATABLE = ["description", "tags", "metrics", "parameters", "lineage"] as const;

/** Handlers over the registry's store. */
export function versionHandlers(
  deps: RegistryDeps,
): Pick<
  Handlers,
  | "createModelVersion"
  | "getModelVersion"
  | "listModelVersions"
  | "watchModelVersion"
  | "updateModelVersion"
  | "approveModelVersion"
  | "rejectModelVersion"
  | "archiveModelVersion"
  | "deleteModelVersion"
> {
  const { store } = deps;
  const present = async (version: Stored<ModelVersion>) => {
    const model = await findDocument(store.models, version.model);
    const reportsOf = await reportsOfVersions(deps, [version]);
    return toVersion(version, model?.aliases ?? [], reportsOf(version));
  };
  return {
    createModelVersion: async (request, context) => present(await create(deps, request, context)),

    async getModelVersion({ name }, context) {
      const { workspace } = modelVersionName.parse(name, "name");
      requireWorkspace(context.principal, workspace);
      const { version, model } = await resolveVersion(store, name, "name");
      const reportsOf = await reportsOfVersions(deps, [version]);
      return toVersion(version, model.aliases, reportsOf(version));
    },

    listModelVersions: (request, context) => listVersions(deps, request, context),

    async *watchModelVersion({ name }, context) {
      authorize(name, "name", context);
      for await (const version of watchVersion(store, name, context.signal)) {
        yield await present(version);
      }
    },

    updateModelVersion: async (request, context) => present(await update(deps, request, context)),

    async approveModelVersion(request, context) {
      authorize(request.name, "name", context);
      return present(
        await decideModelVersion(deps, { ...decision(request, context), approval: "APPROVED" }),
      );
    },

    async rejectModelVersion(request, context) {
      authorize(request.name, "name", context);
      return present(
        await decideModelVersion(deps, { ...decision(request, context), approval: "REJECTED" }),
      );
    },

    async archiveModelVersion({ name, etag, restore }, context) {
      authorize(name, "name", context);
      return present(await decideModelVersion(deps, { name, etag, archive: !restore }));
    },

    async deleteModelVersion({ name, etag }, context) {
      authorize(name, "name", context);
      await removeVersion(deps, { name, etag });
      return {};
    },
  };
}

function decision(
  request: { readonly name: string; readonly etag: string; readonly comment: string },
  context: CallContext,
) {
  const faults = new RequestFaults();
  faults.text("comment", request.comment, TEXT_LENGTH_MAX);
  faults.done();
  const { name, etag, comment } = request;
  return { name, etag, comment, actor: context.principal.id };
}

async function create(
  deps: RegistryDeps,
  request: Parameters<Handlers["createModelVersion"]>[0],
  context: CallContext,
): Promise<Stored<ModelVersion>> {
  const { workspace } = modelName.parse(request.parent, "parent");
  requireWorkspace(context.principal, workspace);
  const upload = uploadName.parse(request.upload, "upload");
  requireWorkspace(context.principal, upload.workspace);
  const message = request.modelVersion;
  const columns = message?.columns ?? [];
  const classLabels = message?.classLabels ?? [];
  const fileName = message?.artifact?.fileName ?? "";
  const faults = new RequestFaults();
  faults.check(upload.workspace === workspace, "upload", "must be of the model's workspace");
  faults.requestId(request.requestId);
  faults.note("model_version.columns", namesFault(columns));
  faults.note("model_version.class_labels", namesFault(classLabels));
  faults.text("model_version.artifact.file_name", fileName, FILE_NAME_LENGTH_MAX);
  const featureService = message?.featureService ?? "";
  faults.note("model_version.feature_service", featureServiceFault(featureService, context));
  const details = detailsOf(message, { faults, principal: context.principal });
  faults.done();
  return createModelVersion(deps, {
    ...details,
    workspace,
    model: request.parent,
    upload: request.upload,
    columns: [...columns],
    classLabels: [...classLabels],
    featureService,
    fileName,
    stamp: requestStamp({
      method: "CreateModelVersion",
      parent: request.parent,
      requestId: request.requestId,
      bytes: toBinary(CreateModelVersionRequestSchema, request),
    }),
  });
}

async function update(
  deps: RegistryDeps,
  request: Parameters<Handlers["updateModelVersion"]>[0],
  context: CallContext,
): Promise<Stored<ModelVersion>> {
  const message = request.modelVersion;
  const name = message?.name ?? "";
  authorize(name, "model_version.name", context);
  refuseFeatureService(request.updateMask?.paths ?? []);
  const paths = maskedPaths(request.updateMask, UPDATABLE);
  const faults = new RequestFaults();
  const details = detailsOf(message, { faults, principal: context.principal, paths });
  faults.done();
  const changes = Object.fromEntries([...paths].map((path) => [path, details[path]]));
  return updateDocument(deps.store.versions, { name, etag: message?.etag ?? "" }, (current) => ({
    ...current,
    ...changes,
    updateTime: now(deps),
  }));
}

/** What is wrong with the feature service of a new version, or undefined. */
function featureServiceFault(name: string, context: CallContext): string | undefined {
  const parts = featureServiceVersionName.match(name);
  if (name !== "" && (parts === undefined || !VERSION_NUMBER.test(parts.version))) {
    return (
      `is ${JSON.stringify(name.slice(0, 200))}; it must be empty or match ` +
      `${featureServiceVersionName.pattern} with a version number, so that what the model is ` +
      "served never changes"
    );
  }
  if (parts !== undefined) {
    requireWorkspace(context.principal, parts.workspace);
  }
  return undefined;
}

/** @throws InvalidArgument where an update would change what a version is served. */
function refuseFeatureService(paths: readonly string[]): void {
  const faults = new RequestFaults();
  const isNamed = paths.some((path) => path === FEATURE_SERVICE_PATH);
  faults.check(
    !isNamed,
    "update_mask.paths",
    `names ${FEATURE_SERVICE_PATH}, which never changes, because a version is served what it was ` +
      "trained on; register a new version with the other feature service",
  );
  faults.done();
}

/** What the caller says of a version, checked where `paths` (absent: everything) takes it over. */
function detailsOf(
  message: VersionMessage | undefined,
  options: {
    readonly faults: RequestFaults;
    readonly principal: Principal;
    readonly paths?: ReadonlySet<(typeof UPDATABLE)[number]>;
  },
): VersionDetails {
  const { description = "", tags = {}, metrics = {}, parameters = {} } = message ?? {};
  const lineage = fromLineage(message?.lineage);
  const { faults, principal, paths } = options;
  const isTaken = (path: (typeof UPDATABLE)[number]): boolean => paths?.has(path) ?? true;
  if (isTaken("description")) {
    faults.description("model_version.description", description);
  }
  if (isTaken("tags")) {
    faults.texts("model_version.tags", tags, TAG_LIMITS);
  }
  if (isTaken("metrics")) {
    faults.metrics("model_version.metrics", metrics);
  }
  if (isTaken("parameters")) {
    faults.texts("model_version.parameters", parameters, PARAMETER_LIMITS);
  }
  if (isTaken("lineage")) {
    checkLineage(lineage, { faults, principal });
  }
  return {
    description,
    tags: pairsOf(tags),
    metrics: pairsOf(metrics),
    parameters: pairsOf(parameters),
    lineage,
  };
}

function checkLineage(
  lineage: VersionDetails["lineage"],
  options: { readonly faults: RequestFaults; readonly principal: Principal },
): void {
  const { faults, principal } = options;
  const field = "model_version.lineage";
  faults.text(`${field}.source_run`, lineage.sourceRun, TEXT_LENGTH_MAX);
  faults.text(`${field}.source_revision`, lineage.sourceRevision, TEXT_LENGTH_MAX);
  const count = lineage.trainingDatasets.length;
  faults.check(
    count <= DATASETS_MAX,
    `${field}.training_datasets`,
    `has ${count}; at most ${DATASETS_MAX}`,
  );
  for (const [i, dataset] of lineage.trainingDatasets.entries()) {
    faults.text(`${field}.training_datasets[${i}]`, dataset, TEXT_LENGTH_MAX);
  }
  for (const [path, name, pattern] of [
    ["feature_service", lineage.featureService, featureServiceName],
    ["parent_version", lineage.parentVersion, modelVersionName],
  ] as const) {
    const parts = pattern.match(name);
    if (parts !== undefined) {
      requireWorkspace(principal, parts.workspace);
    }
    const isName = name === "" || parts !== undefined;
    faults.check(isName, `${field}.${path}`, `must be empty or match ${pattern.pattern}`);
  }
}

function authorize(name: string, field: string, context: CallContext): void {
  requireWorkspace(context.principal, modelVersionName.parse(name, field).workspace);
  const faults = new RequestFaults();
  faults.check(isVersionByNumber(name), field, "must end in a version number, not an alias");
  faults.done();
}
