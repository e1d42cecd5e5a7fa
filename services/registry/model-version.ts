// A model version: what is kept of it and how its two states move. `state` is what the machine
// found (VALIDATING to READY or FAILED, once); `approval` is what people decided (PENDING,
// APPROVED, REJECTED).

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition } from "../common/errors/domain-error.ts";
import type { GraphInfo, ValidationFailure } from "./sandbox-report.ts";
import type { Signature } from "./signature.ts";

export type VersionState = "VALIDATING" | "READY" | "FAILED";
export type Approval = "PENDING" | "APPROVED" | "REJECTED";

/** A map as it is stored: keys are free text, which field names of a document store are not. */
export type Pairs<V> = readonly { readonly key: string; readonly value: V }[];

export interface ApprovalRecord {
  readonly actor: string;
  readonly time: Date;
  readonly comment: string;
}

export interface Lineage {
  readonly sourceRun: string;
  readonly sourceRevision: string;
  readonly trainingDatasets: readonly string[];
  readonly featureService: string;
  readonly parentVersion: string;
}

/** The graph with its maps as pairs. */
export interface StoredGraph {
  readonly irVersion: number;
  readonly producer: string;
  readonly parameterCount: number;
  readonly opsets: Pairs<number>;
  readonly operators: Pairs<number>;
  readonly metadata: Pairs<string>;
}

/** What a caller says of a version. */
export interface VersionDetails {
  readonly description: string;
  readonly tags: Pairs<string>;
  readonly metrics: Pairs<number>;
  readonly parameters: Pairs<string>;
  readonly lineage: Lineage;
}

export interface ModelVersion extends VersionDetails {
  /** The resource name. */
  readonly _id: string;
  readonly uid: string;
  readonly workspace: string;
  /** The model's resource name. */
  readonly model: string;
  readonly number: number;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly state: VersionState;
  readonly failure: ValidationFailure | null;
  readonly approval: Approval;
  readonly approvalRecord: ApprovalRecord | null;
  readonly signature: Signature | null;
  readonly graph: StoredGraph | null;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly fileName: string;
  readonly columns: readonly string[];
  readonly classLabels: readonly string[];
  /** With its version. Empty, and absent in documents of before there were any: none. */
  readonly featureService?: string;
  readonly archived: boolean;
  readonly archiveTime: Date | null;
  /** Being removed: hidden from every call, finished by the sweep should its remover die. */
  readonly deleting: boolean;
  /** The upload it came from; no two versions share one. */
  readonly upload: string;
  readonly requestKey?: string;
  readonly requestDigest: string;
}

/** What a decision changes. @throws FailedPrecondition when the version cannot be approved. */
export function decide(
  version: ModelVersion,
  decision: { readonly approval: "APPROVED" | "REJECTED"; readonly record: ApprovalRecord },
): ModelVersion {
  const { approval, record } = decision;
  if (version.approval === approval) {
    return version;
  }
  if (approval === "APPROVED" && version.state !== "READY") {
    const why =
      version.state === "FAILED"
        ? `it failed validation (${version.failure?.reason}: ${version.failure?.message})`
        : "it is still being validated; wait for READY";
    throw forbidden(version, `cannot be approved: ${why}`);
  }
  if (approval === "APPROVED" && version.archived) {
    throw forbidden(version, "cannot be approved: it is archived; restore it first");
  }
  return { ...version, approval, approvalRecord: record, updateTime: record.time };
}

/** The version archived or brought back. */
export function archive(
  version: ModelVersion,
  change: { readonly restore: boolean; readonly now: Date },
): ModelVersion {
  if (version.archived !== change.restore) {
    return version;
  }
  return {
    ...version,
    archived: !change.restore,
    archiveTime: change.restore ? null : change.now,
    updateTime: change.now,
  };
}

/** Why a deployment may not have it as a target, or undefined when it may. */
export function undeployable(version: ModelVersion): string | undefined {
  if (version.state !== "READY") {
    const why = version.failure === null ? "" : ` (${version.failure.reason})`;
    return `${version._id} is ${version.state}${why}; only READY versions can be deployed`;
  }
  if (version.approval !== "APPROVED") {
    return `${version._id} is ${version.approval}; approve it first`;
  }
  if (version.archived) {
    return `${version._id} is archived; restore it first`;
  }
  return undefined;
}

/** The graph as it is stored. */
export function storedGraph(graph: GraphInfo): StoredGraph {
  return {
    irVersion: graph.irVersion,
    producer: graph.producer,
    parameterCount: graph.parameterCount,
    opsets: pairsOf(graph.opsets),
    operators: pairsOf(graph.operators),
    metadata: pairsOf(graph.metadata),
  };
}

/** A map's entries in the order of their keys. */
export function pairsOf<V>(map: Readonly<Record<string, V>>): Pairs<V> {
  return Object.entries(map)
    .map(([key, value]) => ({ key, value }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** The value under a key. */
export function valueAt<V>(pairs: Pairs<V>, key: string): V | undefined {
  return pairs.find((pair) => pair.key === key)?.value;
}

function forbidden(version: ModelVersion, why: string): FailedPrecondition {
  return new FailedPrecondition(`${version._id} ${why}.`, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type: "STATE", subject: version._id, description: why }],
  });
}
