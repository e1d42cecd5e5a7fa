// Lets people and programs follow the alerts of a workspace: those that are active, then each
// change. A reader slower than the changes is sent the newest state of an alert only, so what waits
// for it is bounded by the number of alerts; a request for retraining is never left out.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { WatchAlertsResponseSchema } from "../../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { newestChanges, type PendingItem } from "../../common/documents/newest-changes.ts";
import type { Change, Stored } from "../../common/documents/port.ts";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import type { AlertRecord } from "./alert.ts";
import type { AlertStore } from "./alert-store.ts";
import { toAlert } from "./convert-alert.ts";

export interface AlertsWatch {
  readonly workspace: string;
  readonly resumeToken: string;
  readonly signal: AbortSignal;
}

type Event = MessageInitShape<typeof WatchAlertsResponseSchema>;

/**
 * Snapshot, `synced`, changes; with a token only the changes since. Ends without error when the
 * signal aborts. Every request for retraining comes at least once after `synced`: it goes before the
 * change that made it, with the token of what was before, so that who resumes there has it again.
 * @throws FailedPrecondition (RESUME_TOKEN_EXPIRED) when the token is unknown or too old
 */
export async function* watchAlerts(alerts: AlertStore, watch: AlertsWatch): AsyncGenerator<Event> {
  const { workspace, signal } = watch;
  let after: number;
  if (watch.resumeToken === "") {
    // Read before the snapshot: what changes while it is sent comes again, as a change.
    after = await alerts.revision();
    for await (const alert of alerts.allActive({ workspace }, signal)) {
      yield { event: { case: "alert", value: toAlert(alert) }, resumeToken: "" };
    }
    yield { event: { case: "synced", value: {} }, resumeToken: encodeToken(workspace, after) };
  } else {
    after = decodeToken(watch.resumeToken, workspace);
  }
  let resumeToken = encodeToken(workspace, after);
  const changes = newestChanges<Change<AlertRecord>, Told>({
    open: (until) => alerts.changes(after, until),
    itemsOf: (change) => {
      return change.kind === "put" && isSeen(change.document, workspace)
        ? toldOf(change.document)
        : [];
    },
    signal,
  });
  for await (const { kind, alert } of changes) {
    if (kind === "retraining") {
      yield { event: { case: "retraining", value: retrainingOf(alert) }, resumeToken };
    } else {
      resumeToken = encodeToken(workspace, alert.revision);
      yield { event: { case: "alert", value: toAlert(alert) }, resumeToken };
    }
  }
}

type Alert = Stored<AlertRecord>;

/** What is told of an alert. */
interface Told {
  readonly kind: "alert" | "retraining";
  readonly alert: Alert;
}

/** A request for retraining is not held up by the changes that come behind it. */
function toldOf(alert: Alert): PendingItem<Told>[] {
  const { _id, version, retrainingVersion } = alert;
  const change = { key: _id, item: { kind: "alert", alert } } as const;
  const request = {
    key: `${_id} retraining`,
    item: { kind: "retraining", alert },
    keepsPlace: true,
  } as const;
  return version === retrainingVersion ? [request, change] : [change];
}

/** Of the workspace, and not a change that nobody sees. */
function isSeen(alert: Alert, workspace: string): boolean {
  return alert.workspace === workspace && alert.version !== alert.quietVersion;
}

function retrainingOf(alert: AlertRecord) {
  return {
    alert: alert._id,
    deployment: alert.deployment,
    modelVersion: alert.modelVersion,
    reason: alert.summary,
  };
}

function encodeToken(workspace: string, revision: number): string {
  return Buffer.from(JSON.stringify(["alerts", workspace, revision])).toString("base64url");
}

function decodeToken(token: string, workspace: string): number {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    const [kind, of, revision] = Array.isArray(value) ? value : [];
    if (kind === "alerts" && of === workspace && Number.isSafeInteger(revision)) {
      return revision;
    }
  } catch {
    // Not one of ours; refused below.
  }
  throw new FailedPrecondition(
    "The resume_token is not one of this watch. Watch again without one, for a snapshot.",
    { reason: ErrorReason.RESUME_TOKEN_EXPIRED },
  );
}
