// Lets inference servers follow the deployments: all of them, then each change. A reader slower
// than the changes is sent the newest state of a deployment only, so what waits for it is bounded
// by the number of deployments, however often they change.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { WatchDeploymentsResponseSchema } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { newestChanges } from "../common/documents/newest-changes.ts";
import type { Change } from "../common/documents/port.ts";
import { FailedPrecondition } from "../common/errors/domain-error.ts";
import { toDeployment } from "./convert-deployment.ts";
import type { Deployment } from "./deployment.ts";
import type { RegistryStore } from "./store.ts";

export interface DeploymentWatch {
  /** `-`: all of them. */
  readonly workspace: string;
  readonly resumeToken: string;
  readonly signal: AbortSignal;
}

type Event = MessageInitShape<typeof WatchDeploymentsResponseSchema>;

/**
 * Snapshot, `synced`, changes; with a token only the changes since. Ends without error when the
 * signal aborts.
 * @throws FailedPrecondition (RESUME_TOKEN_EXPIRED) when the token is unknown or too old
 */
export async function* watchDeployments(
  store: RegistryStore,
  watch: DeploymentWatch,
): AsyncGenerator<Event> {
  const { workspace, signal } = watch;
  let after: number;
  if (watch.resumeToken === "") {
    // Read before the snapshot: what changes while it is sent comes again, as a change.
    after = await store.deployments.revision();
    const filter = workspace === "-" ? {} : { workspace };
    for await (const deployment of store.deployments.find(filter, { signal })) {
      yield { event: { case: "deployment", value: toDeployment(deployment) }, resumeToken: "" };
    }
    const resumeToken = encodeToken(workspace, after);
    yield { event: { case: "synced", value: {} }, resumeToken };
  } else {
    after = decodeToken(watch.resumeToken, workspace);
  }
  const prefix = workspace === "-" ? "workspaces/" : `workspaces/${workspace}/`;
  const changes = newestChanges<Change<Deployment>, Change<Deployment>>({
    open: (until) => store.deployments.changes(after, until),
    itemsOf: (change) => {
      const key = change.kind === "put" ? change.document._id : change.id;
      return key.startsWith(prefix) ? [{ key, item: change }] : [];
    },
    signal,
  });
  for await (const change of changes) {
    yield {
      event:
        change.kind === "put"
          ? { case: "deployment", value: toDeployment(change.document) }
          : { case: "deleted", value: change.id },
      resumeToken: encodeToken(workspace, change.revision),
    };
  }
}

function encodeToken(workspace: string, revision: number): string {
  return Buffer.from(JSON.stringify([workspace, revision])).toString("base64url");
}

function decodeToken(token: string, workspace: string): number {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    if (Array.isArray(value) && value[0] === workspace && Number.isSafeInteger(value[1])) {
      return value[1];
    }
  } catch {
    // Not one of ours; refused below.
  }
  throw new FailedPrecondition(
    "The resume_token is not one of this watch. Watch again without one, for a snapshot.",
    { reason: ErrorReason.RESUME_TOKEN_EXPIRED },
  );
}
