// The circuits of model versions, as the proofs service says them, kept apart from the versions: a
// report is no change of a version, so neither its etag nor its update time moves.

import type { Document } from "../common/documents/port.ts";
import { collect, getDocument } from "../common/documents/resource.ts";
import { now, type RegistryDeps } from "./deps.ts";
import type { ModelVersion } from "./model-version.ts";
import type { RegistryStore } from "./store.ts";

/** What is said of one circuit. */
export interface ModelCircuit {
  /** Name. */
  readonly circuit: string;
  readonly active: boolean;
  readonly development: boolean;
  readonly modelCommitment: string;
  readonly circuitHash: string;
  /** Empty: it has none. */
  readonly verifyingKeyHash: string;
}

/**
 * All circuits of one version, newest first. `_id` is the uid of the version: one that is made anew
 * under its old name has none.
 */
export interface CircuitReport extends Document {
  readonly circuits: readonly ModelCircuit[];
  readonly reportTime: Date;
}

/**
 * Stores a report in place of the one before.
 * @throws NotFound where the version is gone.
 */
export async function reportCircuits(
  deps: RegistryDeps,
  report: { readonly version: string; readonly circuits: readonly ModelCircuit[] },
): Promise<void> {
  const { store } = deps;
  const { uid } = await getDocument(store.versions, report.version);
  if (report.circuits.length === 0) {
    await dropCircuits(store, uid);
    return;
  }
  const { circuits } = report;
  await store.circuits.putOne({ _id: uid, circuits, reportTime: now(deps) });
}

/** The reports of these versions, by their uid. */
export async function circuitsOf(
  { store }: Pick<RegistryDeps, "store">,
  versions: readonly ModelVersion[],
): Promise<ReadonlyMap<string, CircuitReport>> {
  const uids = versions.map(({ uid }) => uid);
  const found = uids.length === 0 ? [] : await collect(store.circuits.find({ _id: { $in: uids } }));
  return new Map(found.map((report) => [report._id, report]));
}

/** Removes what was said of a version. */
export async function dropCircuits(store: RegistryStore, versionUid: string): Promise<void> {
  await store.circuits.deleteOne(versionUid);
}
