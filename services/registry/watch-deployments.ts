// Lets inference servers follow the deployments: all of them, then each change. A reader slower
// than the changes is sent the newest state of a deployment only, so what waits for it is bounded
// by the number of deployments, however often they change.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { WatchDeploymentsResponseSchema } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
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
  for await (const change of newest((until) => store.deployments.changes(after, until), watch)) {
    yield {
      event:
        change.kind === "put"
          ? { case: "deployment", value: toDeployment(change.document) }
          : { case: "deleted", value: change.id },
      resumeToken: encodeToken(workspace, change.revision),
    };
  }
}

/**
 * The changes of a workspace, with those that a later one of the same deployment has overtaken left
 * out. They come by revision, so that all up to the one last given have been given or overtaken.
 */
async function* newest(
  open: (signal: AbortSignal) => AsyncIterable<Change<Deployment>>,
  watch: DeploymentWatch,
): AsyncGenerator<Change<Deployment>> {
  const pending = new Map<string, Change<Deployment>>();
  const done = new AbortController();
  const signal = AbortSignal.any([watch.signal, done.signal]);
  const bell = newBell();
  let ending: { readonly error?: unknown } | undefined;
  const prefix = watch.workspace === "-" ? "workspaces/" : `workspaces/${watch.workspace}/`;
  const pump = (async () => {
    try {
      for await (const change of open(signal)) {
        const name = change.kind === "put" ? change.document._id : change.id;
        if (name.startsWith(prefix)) {
          // Deleted first, so that it moves to the end of the order.
          pending.delete(name);
          pending.set(name, change);
          bell.ring();
        }
      }
      ending = {};
    } catch (error) {
      ending = { error };
    }
    bell.ring();
  })();
  try {
    while (true) {
      const [next] = pending;
      if (next !== undefined) {
        pending.delete(next[0]);
        yield next[1];
      } else if (ending !== undefined) {
        if ("error" in ending) {
          throw ending.error;
        }
        return;
      } else {
        await bell.wait();
      }
    }
  } finally {
    done.abort();
    await pump;
  }
}

/** Wakes the one who waits; a ring that nobody waits for wakes the next one. */
function newBell(): { readonly ring: () => void; readonly wait: () => Promise<void> } {
  let { promise, resolve } = Promise.withResolvers<void>();
  return {
    ring: () => resolve(),
    wait: async () => {
      await promise;
      ({ promise, resolve } = Promise.withResolvers<void>());
    },
  };
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
