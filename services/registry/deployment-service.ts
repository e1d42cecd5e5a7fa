// The handlers of DeploymentService.

import { randomUUID } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import {
  CreateDeploymentRequestSchema,
  type DeploymentService,
} from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { requireWorkspace } from "../common/auth/principal.ts";
import type { Stored } from "../common/documents/port.ts";
import { findReplayed, insertOnce, requestStamp } from "../common/documents/request-stamp.ts";
import { collect, getDocument, notFound, updateDocument } from "../common/documents/resource.ts";
import { etagOf, requireEtag } from "../common/etag.ts";
import { maskedPaths } from "../common/field-mask.ts";
import { listPage } from "../common/list-page.ts";
import { deploymentName, workspaceName } from "../common/names.ts";
import { RESOURCE_ID, RequestFaults } from "../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../common/rpc/context.ts";
import { fromConfig, fromServing, toDeployment } from "./convert-deployment.ts";
import {
  type Deployment,
  type DeploymentConfig,
  earlierConfig,
  type ServerReport,
  withConfig,
} from "./deployment.ts";
import { now, type RegistryDeps } from "./deps.ts";
import { keepIfParentStays, requireParentWorkspace } from "./parents.ts";
import { REPORT_TTL_SECONDS } from "./store.ts";
import { watchDeployments } from "./watch-deployments.ts";
import { checkConfig, requireStillServable, resolveConfig } from "./write-deployment.ts";

type Handlers = ServiceHandlers<typeof DeploymentService>;

const SERVER_ID_LENGTH_MAX = 128;
const REPORTED_DEPLOYMENTS_MAX = 10_000;
const REPORTED_VERSIONS_MAX = 32;
const PATHS = [
  "description",
  "config",
  "config.targets",
  "config.shadows",
  "config.batching",
  "config.instances",
  "config.capture",
  "config.proofs",
] as const;
const PARTS = ["targets", "shadows", "batching", "instances", "capture", "proofs"] as const;

/** Handlers over the registry's store. `stopping` ends the watches. */
export function deploymentHandlers(deps: RegistryDeps, stopping: AbortSignal): Handlers {
  const { store } = deps;
  return {
    async getDeployment({ name }, context) {
      authorize(name, "name", context);
      return present(deps, await getDocument(store.deployments, name));
    },

    async listDeployments({ parent, pageSize, pageToken }, context) {
      const { workspace } = workspaceName.parse(parent, "parent");
      requireWorkspace(context.principal, workspace);
      await requireParentWorkspace(store, workspace);
      const page = await listPage(store.deployments, {
        call: ["ListDeployments", parent],
        pageSize,
        pageToken,
        where: { workspace },
        matches: () => true,
        order: { field: "_id", kind: "text", descending: false },
        signal: context.signal,
      });
      const servers = await liveServers(deps);
      return {
        deployments: page.items.map((item) => toDeployment(item, servers)),
        nextPageToken: page.nextPageToken,
      };
    },

    createDeployment: (request, context) => create(deps, request, context),

    updateDeployment: (request, context) => update(deps, request, context),

    rollbackDeployment: (request, context) => rollback(deps, request, context),

    async deleteDeployment({ name, etag }, context) {
      authorize(name, "name", context);
      const { uid, version } = await getDocument(store.deployments, name);
      requireEtag(etag, etagOf(uid, version), name);
      const isThere = await (etag === ""
        ? store.deployments.deleteOne(name)
        : store.deployments.deleteOne(name, { ifVersion: version }));
      if (!isThere) {
        throw notFound(name);
      }
      deps.events.deploymentChanged(name, "deleted", context.principal.id);
      return {};
    },

    async *watchDeployments({ parent, resumeToken }, context) {
      const { workspace } = workspaceName.parse(parent, "parent");
      requireWorkspace(context.principal, workspace);
      const signal = AbortSignal.any([context.signal, stopping]);
      yield* watchDeployments(store, { workspace, resumeToken, signal });
    },

    reportServing: (request, context) => report(deps, request, context),
  };
}

async function create(
  deps: RegistryDeps,
  request: Parameters<Handlers["createDeployment"]>[0],
  context: CallContext,
): ReturnType<Handlers["createDeployment"]> {
  const { store } = deps;
  const { workspace } = workspaceName.parse(request.parent, "parent");
  const { principal } = context;
  requireWorkspace(principal, workspace);
  const { description = "", config: asked } = request.deployment ?? {};
  const faults = new RequestFaults();
  faults.id("deployment_id", request.deploymentId, RESOURCE_ID);
  faults.requestId(request.requestId);
  faults.description("deployment.description", description);
  faults.done();
  const config = fromConfig(asked);
  checkConfig(config, { workspace, principal });
  await requireParentWorkspace(store, workspace);
  const stamp = requestStamp({
    method: "CreateDeployment",
    parent: request.parent,
    requestId: request.requestId,
    bytes: toBinary(CreateDeploymentRequestSchema, request),
  });
  const earlier = await findReplayed(store.deployments, stamp);
  if (earlier !== undefined) {
    return present(deps, earlier);
  }
  const createTime = now(deps);
  const resolved = await resolveConfig(store, config);
  const name = deploymentName.format({ workspace, deployment: request.deploymentId });
  const { stored, isReplay } = await insertOnce(store.deployments, {
    _id: name,
    uid: randomUUID(),
    workspace,
    createTime,
    updateTime: createTime,
    description,
    current: { number: 1, config: resolved, createTime, actor: principal.id },
    history: [],
    ...stamp,
  });
  if (!isReplay) {
    const takeBack = () => store.deployments.deleteOne(name, { ifVersion: stored.version });
    await keepIfParentStays(store.workspaces, { name: request.parent }, takeBack);
    try {
      await requireStillServable(store, resolved);
    } catch (error) {
      await takeBack();
      throw error;
    }
    deps.events.deploymentChanged(name, "created", principal.id);
  }
  return present(deps, stored);
}

async function update(
  deps: RegistryDeps,
  request: Parameters<Handlers["updateDeployment"]>[0],
  context: CallContext,
): ReturnType<Handlers["updateDeployment"]> {
  const { name = "", etag = "", description = "", config: message } = request.deployment ?? {};
  const workspace = authorize(name, "deployment.name", context);
  const paths = maskedPaths(request.updateMask, PATHS, ["description", "config"]);
  const asked = fromConfig(message);
  const owner = { workspace, principal: context.principal };
  const faults = new RequestFaults();
  if (paths.has("description")) {
    faults.description("deployment.description", description);
  }
  faults.done();
  const parts = PARTS.filter((part) => paths.has("config") || paths.has(`config.${part}`));
  const change = async (current: Deployment): Promise<Deployment> => {
    const described = paths.has("description")
      ? { ...current, description, updateTime: now(deps) }
      : current;
    if (parts.length === 0) {
      return described;
    }
    const config = withParts(current.current.config, asked, parts);
    checkConfig(config, owner);
    const resolved = await resolveConfig(deps.store, config);
    return withConfig(described, { config: resolved, now: now(deps), actor: context.principal.id });
  };
  const stored = await writeChecked(deps, { name, etag, change });
  deps.events.deploymentChanged(name, "updated", context.principal.id);
  return present(deps, stored);
}

async function rollback(
  deps: RegistryDeps,
  request: Parameters<Handlers["rollbackDeployment"]>[0],
  context: CallContext,
): ReturnType<Handlers["rollbackDeployment"]> {
  const { name, revision, etag } = request;
  const workspace = authorize(name, "name", context);
  const owner = { workspace, principal: context.principal };
  const change = async (current: Deployment): Promise<Deployment> => {
    // What is masked stays masked and what is proved stays proved: going back to another model is no
    // reason to show more of the inputs or less of the outputs' origin.
    const { capture = null, proofs = null } = current.current.config;
    const config = { ...earlierConfig(current, Number(revision)), capture, proofs };
    checkConfig(config, owner);
    const resolved = await resolveConfig(deps.store, config);
    return withConfig(current, {
      config: resolved,
      now: now(deps),
      actor: context.principal.id,
    });
  };
  const after = await writeChecked(deps, { name, etag, change });
  deps.events.deploymentChanged(name, "rolled_back", context.principal.id);
  return present(deps, after);
}

/** Writes a change and takes it back when a version of it was taken out of use meanwhile. */
async function writeChecked(
  deps: RegistryDeps,
  write: {
    readonly name: string;
    readonly etag: string;
    readonly change: (current: Deployment) => Promise<Deployment>;
  },
): Promise<Stored<Deployment>> {
  const { store } = deps;
  let before: Deployment | undefined;
  const stored = await updateDocument(store.deployments, write, (current) => {
    before = current;
    return write.change(current);
  });
  const isNewConfig = before !== undefined && before.current.number !== stored.current.number;
  if (before !== undefined && isNewConfig) {
    try {
      await requireStillServable(store, stored.current.config);
    } catch (error) {
      const { number: _number, ...back } = before.current;
      // A revision of its own: servers may have begun to act on the one taken back.
      const restored = { ...before, current: { ...back, number: stored.current.number + 1 } };
      await store.deployments.replaceOne(restored, { ifVersion: stored.version });
      throw error;
    }
  }
  return stored;
}

async function report(
  deps: RegistryDeps,
  request: Parameters<Handlers["reportServing"]>[0],
  context: CallContext,
): ReturnType<Handlers["reportServing"]> {
  const { serverId, deployments } = request;
  const faults = new RequestFaults();
  const isId = serverId !== "" && serverId.length <= SERVER_ID_LENGTH_MAX;
  faults.check(isId, "server_id", `must have 1 to ${SERVER_ID_LENGTH_MAX} characters`);
  const count = deployments.length;
  const max = REPORTED_DEPLOYMENTS_MAX;
  faults.check(count <= max, "deployments", `has ${count}; at most ${max}`);
  for (const [i, { name, versions }] of deployments.entries()) {
    const field = `deployments[${i}]`;
    requireWorkspace(context.principal, deploymentName.parse(name, `${field}.name`).workspace);
    const isBounded = versions.length <= REPORTED_VERSIONS_MAX;
    faults.check(isBounded, `${field}.versions`, `at most ${REPORTED_VERSIONS_MAX}`);
  }
  faults.done();
  if (count === 0) {
    await deps.store.reports.deleteOne(serverId);
  } else {
    await deps.store.reports.putOne({
      _id: serverId,
      reportTime: now(deps),
      deployments: deployments.map(fromServing),
    });
  }
  return {};
}

async function present(deps: RegistryDeps, deployment: Stored<Deployment>) {
  return toDeployment(deployment, await liveServers(deps));
}

async function liveServers(deps: RegistryDeps): Promise<readonly ServerReport[]> {
  const since = new Date(deps.clock.now() - REPORT_TTL_SECONDS * 1000);
  return collect(deps.store.reports.find({ reportTime: { $gt: since } }));
}

function withParts(
  current: DeploymentConfig,
  asked: DeploymentConfig,
  parts: readonly (typeof PARTS)[number][],
): DeploymentConfig {
  const changes = Object.fromEntries(parts.map((part) => [part, asked[part]]));
  return { ...current, ...changes };
}

function authorize(name: string, field: string, context: CallContext): string {
  const { workspace } = deploymentName.parse(name, field);
  requireWorkspace(context.principal, workspace);
  return workspace;
}
