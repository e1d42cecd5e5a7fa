// `plinth workspaces list|create|update|delete`.

import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  Workspace_Environment as Environment,
  type Workspace,
  WorkspaceSchema,
} from "../../gen/plinth/registry/v1/workspace_pb.js";
import { ListWorkspacesResponseSchema } from "../../gen/plinth/registry/v1/workspace_service_pb.js";
import { keyValues } from "./command.ts";
import { UsageError } from "./exit-codes.ts";
import { formatTime, pairsText } from "./format.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { factLines } from "./table.ts";

export interface WorkspaceOptions {
  readonly displayName?: string;
  /** False: --no-label. */
  readonly label?: readonly string[] | false;
  /** False: --no-production. */
  readonly production?: boolean;
}

/** `plinth workspaces list` */
export async function listWorkspaces(
  session: Session,
  _args: readonly [],
  options: { readonly limit: number },
): Promise<void> {
  const { output } = session;
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) => session.workspaces.listWorkspaces(page, session.call),
    items: (response) => response.workspaces,
  });
  if (output.json) {
    const all = create(ListWorkspacesResponseSchema, { workspaces: [...items] });
    return output.message(ListWorkspacesResponseSchema, all);
  }
  output.table(
    ["WORKSPACE", "ENVIRONMENT", "CREATED", "LABELS", "DISPLAY NAME"].map((title) => ({ title })),
    items.map((workspace) => [
      idOf(workspace.name),
      environmentText(workspace),
      formatTime(workspace.createTime),
      pairsText(workspace.labels),
      workspace.displayName,
    ]),
    'No workspaces. Make one with "plinth workspaces create".',
  );
  noteMore(session, more);
}

/** `plinth workspaces create` */
export async function createWorkspace(
  session: Session,
  [workspaceId]: readonly [string],
  options: WorkspaceOptions,
): Promise<void> {
  const request = { workspaceId, workspace: fieldsOf(options), requestId: randomUUID() };
  await print(session, await session.workspaces.createWorkspace(request, session.call));
}

/** `plinth workspaces update` */
export async function updateWorkspace(
  session: Session,
  [id]: readonly [string],
  options: WorkspaceOptions,
): Promise<void> {
  const paths = [
    options.displayName === undefined ? "" : "display_name",
    options.label === undefined ? "" : "labels",
    options.production === undefined ? "" : "environment",
  ].filter((path) => path !== "");
  if (paths.length === 0) {
    throw new UsageError("Say what to change: --display-name, --label, --production ...");
  }
  const workspace = { name: nameOf(id), ...fieldsOf(options) };
  const request = { workspace, updateMask: { paths } };
  await print(session, await session.workspaces.updateWorkspace(request, session.call));
}

/** `plinth workspaces delete` */
export async function deleteWorkspace(session: Session, [id]: readonly [string]): Promise<void> {
  const name = nameOf(id);
  await session.workspaces.deleteWorkspace({ name }, session.call);
  if (session.output.json) {
    session.output.value({ name, deleted: true });
  } else {
    session.output.line(`${idOf(name)} is deleted.`);
  }
}

function fieldsOf({ displayName = "", label, production }: WorkspaceOptions) {
  return {
    displayName,
    labels: keyValues(label || [], "--label"),
    ...(production !== undefined && {
      environment: production ? Environment.PRODUCTION : Environment.DEVELOPMENT,
    }),
  };
}

async function print({ output }: Session, workspace: Workspace): Promise<void> {
  if (output.json) {
    return output.message(WorkspaceSchema, workspace);
  }
  output.lines(
    factLines([
      ["workspace", workspace.name],
      ["environment", environmentText(workspace)],
      ["display name", workspace.displayName],
      ["labels", pairsText(workspace.labels)],
      ["created", formatTime(workspace.createTime)],
      ["updated", formatTime(workspace.updateTime)],
    ]),
  );
}

function environmentText({ environment }: Workspace): string {
  return environment === Environment.PRODUCTION ? "PRODUCTION" : "DEVELOPMENT";
}

function nameOf(id: string): string {
  return id.startsWith("workspaces/") ? id : `workspaces/${id}`;
}

function idOf(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
