// Documents to messages and back, for workspaces, models, versions and uploads. Pure and total.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Lineage as LineageMessage,
  ModelVersion_Approval,
  ModelVersion_State,
  type ModelVersionSchema,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import type { RegisteredModelSchema } from "../../gen/plinth/registry/v1/registered_model_pb.js";
import type { SignatureSchema } from "../../gen/plinth/registry/v1/signature_pb.js";
import type { UploadSchema } from "../../gen/plinth/registry/v1/upload_pb.js";
import {
  Workspace_Environment,
  type WorkspaceSchema,
} from "../../gen/plinth/registry/v1/workspace_pb.js";
import type { Stored } from "../common/documents/port.ts";
import { etagOf } from "../common/etag.ts";
import { aliasesOf } from "./alias.ts";
import { toCircuits } from "./convert-circuits.ts";
import { toHealth } from "./convert-health.ts";
import type { Lineage, ModelVersion, Pairs, StoredGraph } from "./model-version.ts";
import type { Signature } from "./signature.ts";
import type { RegisteredModel, Upload, Workspace } from "./store.ts";
import type { VersionReports } from "./version-reports.ts";

const STATES = {
  VALIDATING: ModelVersion_State.VALIDATING,
  READY: ModelVersion_State.READY,
  FAILED: ModelVersion_State.FAILED,
} as const;

const APPROVALS = {
  PENDING: ModelVersion_Approval.PENDING,
  APPROVED: ModelVersion_Approval.APPROVED,
  REJECTED: ModelVersion_Approval.REJECTED,
} as const;

/** A workspace as callers see it. */
export function toWorkspace(document: Stored<Workspace>): MessageInitShape<typeof WorkspaceSchema> {
  return {
    ...headOf(document),
    displayName: document.displayName,
    labels: mapOf(document.labels),
    environment: Workspace_Environment[document.environment ?? "DEVELOPMENT"],
  };
}

/** A model as callers see it. */
export function toModel(
  document: Stored<RegisteredModel>,
): MessageInitShape<typeof RegisteredModelSchema> {
  return {
    ...headOf(document),
    description: document.description,
    tags: mapOf(document.tags),
    aliases: Object.fromEntries(document.aliases.map(({ key, value }) => [key, BigInt(value)])),
    latestVersion: BigInt(document.latestNumber),
    ...time("archiveTime", document.archiveTime),
  };
}

/** A version as callers see it; `aliases` are its model's, `reports` what others say of it. */
export function toVersion(
  document: Stored<ModelVersion>,
  aliases: Pairs<number>,
  reports: VersionReports,
): MessageInitShape<typeof ModelVersionSchema> {
  const { approvalRecord, failure, signature, graph } = document;
  return {
    ...headOf(document),
    version: BigInt(document.number),
    state: STATES[document.state],
    ...(failure === null ? {} : { failure: { ...failure } }),
    approval: APPROVALS[document.approval],
    ...(approvalRecord === null
      ? {}
      : { approvalRecord: { ...approvalRecord, time: timestampFromDate(approvalRecord.time) } }),
    description: document.description,
    tags: mapOf(document.tags),
    metrics: mapOf(document.metrics),
    parameters: mapOf(document.parameters),
    ...(signature === null ? {} : { signature: toSignature(signature) }),
    ...(graph === null ? {} : { graph: toGraph(graph) }),
    artifact: {
      sha256: document.sha256,
      sizeBytes: BigInt(document.sizeBytes),
      fileName: document.fileName,
    },
    lineage: { ...document.lineage, trainingDatasets: [...document.lineage.trainingDatasets] },
    columns: [...document.columns],
    classLabels: [...document.classLabels],
    aliases: [...aliasesOf(aliases, document.number)],
    ...time("archiveTime", document.archiveTime),
    featureService: document.featureService ?? "",
    health: reports.health.map(toHealth),
    circuits: toCircuits(reports.circuits),
  };
}

/** An upload as callers see it. */
export function toUpload(document: Upload): MessageInitShape<typeof UploadSchema> {
  return {
    name: document._id,
    createTime: timestampFromDate(document.createTime),
    expireTime: timestampFromDate(document.expireTime),
    sha256: document.sha256,
    sizeBytes: BigInt(document.sizeBytes),
    receivedBytes: BigInt(document.receivedBytes),
    complete: document.complete,
  };
}

/** The lineage a caller gave; absent is all empty. */
export function fromLineage(message: LineageMessage | undefined): Lineage {
  return {
    sourceRun: message?.sourceRun ?? "",
    sourceRevision: message?.sourceRevision ?? "",
    trainingDatasets: [...(message?.trainingDatasets ?? [])],
    featureService: message?.featureService ?? "",
    parentVersion: message?.parentVersion ?? "",
  };
}

/** What every resource says of itself. */
export function headOf(document: {
  readonly _id: string;
  readonly uid: string;
  readonly version: number;
  readonly createTime: Date;
  readonly updateTime: Date;
}): { name: string; uid: string; createTime: Timestamp; updateTime: Timestamp; etag: string } {
  return {
    name: document._id,
    uid: document.uid,
    createTime: timestampFromDate(document.createTime),
    updateTime: timestampFromDate(document.updateTime),
    etag: etagOf(document.uid, document.version),
  };
}

function time<K extends string>(key: K, date: Date | null): { [P in K]?: Timestamp } {
  return date === null ? {} : ({ [key]: timestampFromDate(date) } as { [P in K]: Timestamp });
}

function mapOf<V>(pairs: Pairs<V>): Record<string, V> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, value]));
}

function toSignature(signature: Signature): MessageInitShape<typeof SignatureSchema> {
  const specs = (side: Signature["inputs"]) =>
    side.map((spec) => ({
      ...spec,
      shape: spec.shape.map((size) => BigInt(size)),
      dimensionNames: [...spec.dimensionNames],
    }));
  return {
    inputs: specs(signature.inputs),
    outputs: specs(signature.outputs),
    batchable: signature.batchable,
  };
}

function toGraph(graph: StoredGraph): MessageInitShape<typeof ModelVersionSchema>["graph"] {
  const counts = (pairs: Pairs<number>) =>
    Object.fromEntries(pairs.map(({ key, value }) => [key, BigInt(value)]));
  return {
    irVersion: BigInt(graph.irVersion),
    opsets: counts(graph.opsets),
    producer: graph.producer,
    operators: counts(graph.operators),
    metadata: mapOf(graph.metadata),
    parameterCount: BigInt(graph.parameterCount),
  };
}
