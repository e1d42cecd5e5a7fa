// The handlers of WorkspaceService.

import { randomUUID } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { Workspace_Environment } from "../../gen/plinth/registry/v1/workspace_pb.js";
import {
  CreateWorkspaceRequestSchema,
  type WorkspaceService,
} from "../../gen/plinth/registry/v1/workspace_service_pb.js";
import { DEFAULT_WORKSPACE, requireWorkspace } from "../common/auth/principal.ts";
import { insertOnce, requestStamp } from "../common/documents/request-stamp.ts";
import { getDocument, updateDocument } from "../common/documents/resource.ts";
import { AlreadyExists } from "../common/errors/domain-error.ts";
import { maskedPaths } from "../common/field-mask.ts";
import { listPage } from "../common/list-page.ts";
import { workspaceName } from "../common/names.ts";
import { type MapLimits, RequestFaults, WORKSPACE_ID } from "../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../common/rpc/context.ts";
import { toWorkspace } from "./convert.ts";
import { now, type RegistryDeps } from "./deps.ts";
import { pairsOf } from "./model-version.ts";
import { removeWorkspace } from "./remove-workspace.ts";
import type { Workspace, WorkspaceEnvironment } from "./store.ts";

type Handlers = ServiceHandlers<typeof WorkspaceService>;

const DISPLAY_NAME_LENGTH_MAX = 200;
const LABEL_LIMITS: MapLimits = { countMax: 64, keyLengthMax: 63, valueLengthMax: 255 };

/** Handlers over the registry's store. */
export function workspaceHandlers(deps: RegistryDeps): Handlers {
  const { store } = deps;
  return {
    async getWorkspace({ name }, context) {
      authorize(name, "name", context);
      return toWorkspace(await getDocument(store.workspaces, name));
    },

    async listWorkspaces({ pageSize, pageToken }, context) {
      const { workspace } = context.principal;
      const own = workspace === "-" ? undefined : workspaceName.format({ workspace });
      const page = await listPage(store.workspaces, {
        call: ["ListWorkspaces", workspace],
        pageSize,
        pageToken,
        where: own === undefined ? {} : { _id: { $in: [own] } },
        matches: (item) => !item.deleting,
        order: { field: "_id", kind: "text", descending: false },
        signal: context.signal,
      });
      return { workspaces: page.items.map(toWorkspace), nextPageToken: page.nextPageToken };
    },

    createWorkspace: (request, context) => createWorkspace(deps, request, context),

    async updateWorkspace(request, context) {
      const { name = "", etag = "", displayName = "", labels = {} } = request.workspace ?? {};
      const asked = request.workspace?.environment ?? Workspace_Environment.UNSPECIFIED;
      authorize(name, "workspace.name", context);
      const paths = maskedPaths(request.updateMask, ["display_name", "labels", "environment"]);
      const faults = new RequestFaults();
      if (paths.has("display_name")) {
        faults.text("workspace.display_name", displayName, DISPLAY_NAME_LENGTH_MAX);
      }
      if (paths.has("labels")) {
        faults.texts("workspace.labels", labels, LABEL_LIMITS);
      }
      const environment = paths.has("environment") ? fromEnvironment(asked, faults) : undefined;
      // Whoever does not know of environments must not unmark a workspace by naming no paths.
      const isKept =
        asked === Workspace_Environment.UNSPECIFIED && !request.updateMask?.paths.length;
      faults.done();
      const stored = await updateDocument(store.workspaces, { name, etag }, (current) => ({
        ...current,
        updateTime: now(deps),
        ...(paths.has("display_name") ? { displayName } : {}),
        ...(paths.has("labels") ? { labels: pairsOf(labels) } : {}),
        ...(environment === undefined || isKept ? {} : { environment }),
      }));
      return toWorkspace(stored);
    },

    async deleteWorkspace({ name, etag }, context) {
      authorize(name, "name", context);
      await removeWorkspace(deps, { name, etag });
      return {};
    },
  };
}

async function createWorkspace(
  deps: RegistryDeps,
  request: Parameters<Handlers["createWorkspace"]>[0],
  context: CallContext,
): ReturnType<Handlers["createWorkspace"]> {
  requireWorkspace(context.principal, "-");
  const { displayName = "", labels = {} } = request.workspace ?? {};
  const asked = request.workspace?.environment ?? Workspace_Environment.UNSPECIFIED;
  const faults = new RequestFaults();
  faults.id("workspace_id", request.workspaceId, WORKSPACE_ID);
  faults.requestId(request.requestId);
  faults.text("workspace.display_name", displayName, DISPLAY_NAME_LENGTH_MAX);
  faults.texts("workspace.labels", labels, LABEL_LIMITS);
  const environment = fromEnvironment(asked, faults);
  faults.done();
  await refuseRemoved(deps, workspaceName.format({ workspace: request.workspaceId }));
  const { stored } = await insertOnce(deps.store.workspaces, {
    ...newWorkspace(deps, request.workspaceId),
    displayName,
    labels: pairsOf(labels),
    environment,
    ...requestStamp({
      method: "CreateWorkspace",
      parent: "",
      requestId: request.requestId,
      bytes: toBinary(CreateWorkspaceRequestSchema, request),
    }),
  });
  return toWorkspace(stored);
}

/** @throws AlreadyExists for a name that a removed workspace had */
async function refuseRemoved({ store }: RegistryDeps, name: string): Promise<void> {
  if ((await store.removedWorkspaces.findOne({ _id: name })) !== undefined) {
    throw new AlreadyExists(
      `${name} was removed. Other services may still keep features, proofs or receipts of it, so ` +
        "its id is not given out again; choose another one.",
      { reason: ErrorReason.RESOURCE_EXISTS, metadata: { resource: name } },
    );
  }
}

/** Makes the workspace `default` where it is missing. */
export async function ensureDefaultWorkspace(deps: RegistryDeps): Promise<void> {
  const document = newWorkspace(deps, DEFAULT_WORKSPACE);
  try {
    await deps.store.workspaces.insertOne({ ...document, displayName: "Default" });
  } catch (error) {
    if (!(error instanceof AlreadyExists && error.reason === ErrorReason.RESOURCE_EXISTS)) {
      throw error;
    }
  }
}

function newWorkspace(deps: RegistryDeps, workspace: string): Workspace {
  return {
    _id: workspaceName.format({ workspace }),
    uid: randomUUID(),
    createTime: now(deps),
    updateTime: now(deps),
    displayName: "",
    labels: [],
    environment: "DEVELOPMENT",
    deleting: false,
    requestDigest: "",
  };
}

function fromEnvironment(
  environment: Workspace_Environment,
  faults: RequestFaults,
): WorkspaceEnvironment {
  switch (environment) {
    case Workspace_Environment.UNSPECIFIED:
    case Workspace_Environment.DEVELOPMENT:
      return "DEVELOPMENT";
    case Workspace_Environment.PRODUCTION:
      return "PRODUCTION";
    default:
      faults.check(
        false,
        "workspace.environment",
        `is ${environment}; must be DEVELOPMENT or PRODUCTION`,
      );
      return "PRODUCTION";
  }
}

function authorize(name: string, field: string, context: CallContext): void {
  requireWorkspace(context.principal, workspaceName.parse(name, field).workspace);
}
