// What monitoring found of model versions, kept apart from them: a report is no change of a
// version, so neither its etag nor its update time moves, and who watches versions does not hear
// of it.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { Document } from "../common/documents/port.ts";
import { collect, getDocument } from "../common/documents/resource.ts";
import { NotFound } from "../common/errors/domain-error.ts";
import { now, type RegistryDeps } from "./deps.ts";
import type { ModelVersion, Pairs } from "./model-version.ts";
import type { RegistryStore } from "./store.ts";

/** Older reports are left out: nobody monitors that version there any more. */
export const HEALTH_TTL_SECONDS = 30 * 86_400;

export type HealthState = "HEALTHY" | "DRIFTED" | "ALERTING" | "UNKNOWN";

/** What is said of one version in one deployment. */
export interface ModelHealth {
  readonly state: HealthState;
  readonly windowEndTime: Date | null;
  readonly rows: number;
  /** Null: not measured. */
  readonly featureDriftShare: number | null;
  readonly predictionDriftShare: number | null;
  readonly driftedColumns: readonly string[];
  readonly liveMetrics: Pairs<number>;
  readonly firingAlerts: readonly string[];
}

/**
 * A report as stored, under the uids of both: a version or deployment that is made anew under its
 * old name has none.
 */
export interface HealthReport extends Document, ModelHealth {
  readonly versionUid: string;
  /** Name. */
  readonly deployment: string;
  readonly deploymentUid: string;
  readonly reportTime: Date;
}

/**
 * Stores a report in place of the one before of the same deployment.
 * @throws NotFound where the version or the deployment is gone.
 */
export async function reportHealth(
  deps: RegistryDeps,
  report: { readonly version: string; readonly deployment: string; readonly health: ModelHealth },
): Promise<void> {
  const { store } = deps;
  const version = await getDocument(store.versions, report.version);
  const deployment = await getDocument(store.deployments, report.deployment);
  if (deployment.workspace !== version.workspace) {
    throw new NotFound(`${report.deployment} is in another workspace than ${report.version}.`, {
      reason: ErrorReason.RESOURCE_NOT_FOUND,
      metadata: { resource: report.deployment },
    });
  }
  await store.health.putOne({
    _id: `${version.uid}/${deployment.uid}`,
    versionUid: version.uid,
    deployment: report.deployment,
    deploymentUid: deployment.uid,
    reportTime: now(deps),
    ...report.health,
  });
}

/** The reports of these versions, by their uid, each in the order of the deployments' names. */
export async function healthOf(
  deps: Pick<RegistryDeps, "store" | "clock">,
  versions: readonly ModelVersion[],
): Promise<ReadonlyMap<string, readonly HealthReport[]>> {
  const { store, clock } = deps;
  const since = new Date(clock.now() - HEALTH_TTL_SECONDS * 1000);
  const uids = versions.map(({ uid }) => uid);
  const found = await collect(
    store.health.find({ versionUid: { $in: uids }, reportTime: { $gt: since } }),
  );
  const there = await deploymentUids(store, found);
  const current = found
    .filter((report) => there.get(report.deployment) === report.deploymentUid)
    .sort((a, b) => (a.deployment < b.deployment ? -1 : 1));
  return Map.groupBy(current, ({ versionUid }) => versionUid);
}

/** Removes what was said of a version. */
export async function dropHealth(store: RegistryStore, versionUid: string): Promise<void> {
  for (const { _id } of await collect(store.health.find({ versionUid }))) {
    await store.health.deleteOne(_id);
  }
}

/** Of the deployments that are there, by name. */
async function deploymentUids(
  store: RegistryStore,
  reports: readonly HealthReport[],
): Promise<ReadonlyMap<string, string>> {
  const names = [...new Set(reports.map(({ deployment }) => deployment))];
  if (names.length === 0) {
    return new Map();
  }
  const there = await collect(store.deployments.find({ _id: { $in: names } }));
  return new Map(there.map(({ _id, uid }) => [_id, uid]));
}
