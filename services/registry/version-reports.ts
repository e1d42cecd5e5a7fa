// What other services say of model versions, read together wherever versions are shown.

import type { RegistryDeps } from "./deps.ts";
import { type CircuitReport, circuitsOf } from "./model-circuits.ts";
import { type HealthReport, healthOf } from "./model-health.ts";
import type { ModelVersion } from "./model-version.ts";

/** What is said of one version. */
export interface VersionReports {
  /** By monitoring, one a deployment. */
  readonly health: readonly HealthReport[];
  /** By the proofs service. Undefined: it has no circuit. */
  readonly circuits: CircuitReport | undefined;
}

/** Reads what is said of these versions. */
export async function reportsOfVersions(
  deps: Pick<RegistryDeps, "store" | "clock">,
  versions: readonly ModelVersion[],
): Promise<(version: ModelVersion) => VersionReports> {
  const [health, circuits] = await Promise.all([
    healthOf(deps, versions),
    circuitsOf(deps, versions),
  ]);
  return ({ uid }) => ({ health: health.get(uid) ?? [], circuits: circuits.get(uid) });
}
