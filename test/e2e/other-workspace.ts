// Every RPC that takes a name, called with names of one workspace: what isolation.test.ts goes
// through.

import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { GRPCInferenceService } from "../../gen/inference/grpc_service_pb.js";
import { Role } from "../../gen/plinth/common/v1/options_pb.js";
import { FeatureRegistryService } from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { FeatureStoreService } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { JobService } from "../../gen/plinth/features/v1/job_service_pb.js";
import { InferenceService } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { Comparison, Metric_Kind } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { AlertService } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { CaptureService } from "../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { MonitoringService } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import {
  CircuitService,
  ExportCircuitRequest_File,
} from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { ProofService } from "../../gen/plinth/proofs/v1/proof_service_pb.js";
import { ReceiptService } from "../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { ApiKeyService } from "../../gen/plinth/registry/v1/api_key_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { WorkspaceService } from "../../gen/plinth/registry/v1/workspace_service_pb.js";
import { collect } from "./use-models.ts";

export const SERVICES: readonly DescService[] = [
  WorkspaceService,
  ModelService,
  DeploymentService,
  ApiKeyService,
  FeatureRegistryService,
  FeatureStoreService,
  JobService,
  MonitoringService,
  AlertService,
  CaptureService,
  CircuitService,
  ProofService,
  ReceiptService,
  GRPCInferenceService,
  InferenceService,
];

/** What a workspace has, or might have. */
export interface Names {
  readonly workspace: string;
  readonly model: string;
  readonly version: string;
  readonly upload: string;
  readonly deployment: string;
  readonly key: string;
  readonly entity: string;
  readonly featureView: string;
  readonly onDemandFeatureView: string;
  readonly featureService: string;
  readonly table: string;
  readonly job: string;
  readonly alertRule: string;
  readonly alert: string;
  readonly circuit: string;
  readonly powersOfTau: string;
  readonly proofJob: string;
  readonly proof: string;
}

type Requests = Readonly<Record<string, (names: Names) => object>>;

const KEYS = [{ name: "place", strings: ["here"] }];

const KEY = { displayName: "k", roles: [Role.VIEWER] };

const LABEL = {
  key: { case: "inferenceId", value: "one" },
  value: { case: "label", value: "yes" },
};

const RULE = {
  metric: { kind: Metric_Kind.FEATURE_DRIFT_SHARE },
  condition: { case: "threshold", value: { comparison: Comparison.GREATER, value: 0.5 } },
};

const target = (n: Names) => ({ config: { targets: [{ modelVersion: n.version, weight: 100 }] } });

/** A request that reaches into the workspace of the names, by service and method. */
export const REACHING: Readonly<Record<string, Requests>> = {
  WorkspaceService: {
    getWorkspace: (n) => ({ name: n.workspace }),
    updateWorkspace: (n) => ({ workspace: { name: n.workspace, displayName: "mine" } }),
    deleteWorkspace: (n) => ({ name: n.workspace }),
    // A workspace's key makes no workspaces at all, whether the id is free or not.
    createWorkspace: (n) => ({ workspaceId: n.workspace.split("/")[1] }),
  },
  ModelService: {
    getRegisteredModel: (n) => ({ name: n.model }),
    listRegisteredModels: (n) => ({ parent: n.workspace }),
    createRegisteredModel: (n) => ({ parent: n.workspace, modelId: n.model.split("/")[3] }),
    updateRegisteredModel: (n) => ({ registeredModel: { name: n.model, description: "mine" } }),
    archiveRegisteredModel: (n) => ({ name: n.model }),
    deleteRegisteredModel: (n) => ({ name: n.model, force: true }),
    setModelAlias: (n) => ({ name: n.model, alias: "mine", version: 1n }),
    deleteModelAlias: (n) => ({ name: n.model, alias: "champion" }),
    createUpload: (n) => ({ parent: n.workspace, sha256: "0".repeat(64), sizeBytes: 1n }),
    getUpload: (n) => ({ name: n.upload }),
    uploadArtifact: (n) => ({ payload: { case: "start", value: { name: n.upload, offset: 0n } } }),
    downloadArtifact: (n) => ({ name: n.version }),
    createModelVersion: (n) => ({ parent: n.model, upload: n.upload, modelVersion: {} }),
    getModelVersion: (n) => ({ name: n.version }),
    listModelVersions: (n) => ({ parent: n.model }),
    watchModelVersion: (n) => ({ name: n.version }),
    updateModelVersion: (n) => ({ modelVersion: { name: n.version, description: "mine" } }),
    approveModelVersion: (n) => ({ name: n.version }),
    rejectModelVersion: (n) => ({ name: n.version }),
    archiveModelVersion: (n) => ({ name: n.version }),
    reportModelHealth: (n) => ({ name: n.version, health: { deployment: n.deployment } }),
    reportModelCircuits: (n) => ({ name: n.version }),
    deleteModelVersion: (n) => ({ name: n.version }),
  },
  DeploymentService: {
    getDeployment: (n) => ({ name: n.deployment }),
    listDeployments: (n) => ({ parent: n.workspace }),
    createDeployment: (n) => ({ parent: n.workspace, deploymentId: "d", deployment: target(n) }),
    updateDeployment: (n) => ({ deployment: { name: n.deployment, ...target(n) } }),
    rollbackDeployment: (n) => ({ name: n.deployment }),
    deleteDeployment: (n) => ({ name: n.deployment }),
    watchDeployments: (n) => ({ parent: n.workspace }),
    reportServing: (n) => ({ serverId: "s", deployments: [{ name: n.deployment }] }),
  },
  ApiKeyService: {
    createApiKey: (n) => ({ parent: n.workspace, apiKey: KEY }),
    listApiKeys: (n) => ({ parent: n.workspace }),
    revokeApiKey: (n) => ({ name: n.key }),
  },
  FeatureRegistryService: {
    applyDefinitions: (n) => ({ parent: n.workspace }),
    getEntity: (n) => ({ name: n.entity }),
    listEntities: (n) => ({ parent: n.workspace }),
    deleteEntity: (n) => ({ name: n.entity }),
    getFeatureView: (n) => ({ name: n.featureView }),
    listFeatureViews: (n) => ({ parent: n.workspace }),
    getFeatureViewStatus: (n) => ({ name: n.featureView }),
    reportFeatureViewHealth: (n) => ({
      name: n.featureView,
      health: { deployment: n.deployment },
    }),
    deleteFeatureView: (n) => ({ name: n.featureView }),
    getOnDemandFeatureView: (n) => ({ name: n.onDemandFeatureView }),
    listOnDemandFeatureViews: (n) => ({ parent: n.workspace }),
    deleteOnDemandFeatureView: (n) => ({ name: n.onDemandFeatureView }),
    getFeatureService: (n) => ({ name: n.featureService }),
    listFeatureServices: (n) => ({ parent: n.workspace }),
    deleteFeatureService: (n) => ({ name: n.featureService }),
  },
  FeatureStoreService: {
    pushFeatures: (n) => ({ featureView: n.featureView, columns: KEYS }),
    streamPushFeatures: (n) => ({ batch: { featureView: n.featureView, columns: KEYS } }),
    getOnlineFeatures: (n) => ({
      parent: n.workspace,
      featureService: n.featureService,
      entities: KEYS,
    }),
  },
  JobService: {
    uploadTable: (n) => ({ payload: { case: "start", value: { parent: n.workspace } } }),
    createTrainingSet: (n) => ({
      parent: n.workspace,
      trainingSet: { featureService: n.featureService, table: n.table },
    }),
    materializeFeatures: (n) => ({
      parent: n.workspace,
      materialization: { featureView: n.featureView },
    }),
    ingestFeatures: (n) => ({
      parent: n.workspace,
      ingestion: { featureView: n.featureView, table: n.table },
    }),
    eraseEntity: (n) => ({ parent: n.workspace, erasure: { entity: n.entity, keys: KEYS } }),
    compactFeatureView: (n) => ({
      parent: n.workspace,
      compaction: { featureView: n.featureView },
    }),
    checkSkew: (n) => ({ parent: n.workspace, skewCheck: { featureService: n.featureService } }),
    getJob: (n) => ({ name: n.job }),
    listJobs: (n) => ({ parent: n.workspace }),
    watchJob: (n) => ({ name: n.job }),
    cancelJob: (n) => ({ name: n.job }),
    deleteJob: (n) => ({ name: n.job }),
    downloadTrainingSet: (n) => ({ name: n.job }),
  },
  MonitoringService: {
    getMonitor: (n) => ({ name: `${n.deployment}/monitor` }),
    updateMonitor: (n) => ({ monitor: { name: `${n.deployment}/monitor` } }),
    getBaseline: (n) => ({ name: `${n.version}/baseline` }),
    uploadBaseline: (n) => ({
      payload: { case: "start", value: { name: `${n.version}/baseline` } },
    }),
    listWindows: (n) => ({ parent: n.deployment }),
    getDriftReport: (n) => ({ deployment: n.deployment }),
    getPerformance: (n) => ({ deployment: n.deployment }),
    watchMetrics: (n) => ({ parent: n.deployment }),
    recordGroundTruth: (n) => ({ deployment: n.deployment, labels: [LABEL] }),
    streamGroundTruth: (n) => ({ request: { deployment: n.deployment, labels: [LABEL] } }),
    erasePredictions: (n) => ({ parent: n.workspace, entities: [{ joinKeys: { place: "here" } }] }),
  },
  // Held by no key; names of other workspaces are tried by services/monitoring/capture.
  CaptureService: {
    captureInferences: () => ({ payload: { case: "start", value: { sender: "s" } } }),
  },
  AlertService: {
    getAlertRule: (n) => ({ name: n.alertRule }),
    listAlertRules: (n) => ({ parent: n.workspace }),
    createAlertRule: (n) => ({
      parent: n.workspace,
      alertRuleId: "r",
      alertRule: { ...RULE, deployment: n.deployment },
    }),
    updateAlertRule: (n) => ({
      alertRule: { name: n.alertRule, ...RULE, deployment: n.deployment },
    }),
    deleteAlertRule: (n) => ({ name: n.alertRule }),
    getAlert: (n) => ({ name: n.alert }),
    listAlerts: (n) => ({ parent: n.workspace }),
    acknowledgeAlert: (n) => ({ name: n.alert }),
    watchAlerts: (n) => ({ parent: n.workspace }),
  },
  CircuitService: {
    createCircuit: (n) => ({ parent: n.version }),
    getCircuit: (n) => ({ name: n.circuit }),
    listCircuits: (n) => ({ parent: n.version }),
    watchCircuit: (n) => ({ name: n.circuit }),
    activateCircuit: (n) => ({ name: n.circuit }),
    deleteCircuit: (n) => ({ name: n.circuit }),
    exportCircuit: (n) => ({ name: n.circuit, file: ExportCircuitRequest_File.VERIFYING_KEY }),
    uploadContribution: (n) => ({ payload: { case: "start", value: { name: n.circuit } } }),
    applyBeacon: (n) => ({ name: n.circuit, beaconHash: "00" }),
    importPowersOfTau: (n) => ({
      payload: {
        case: "start",
        value: {
          parent: n.workspace,
          powersOfTauId: "p",
          digest: { case: "sha256", value: "0".repeat(64) },
        },
      },
    }),
    listPowersOfTau: (n) => ({ parent: n.workspace }),
    deletePowersOfTau: (n) => ({ name: n.powersOfTau }),
  },
  ProofService: {
    proveInference: (n) => ({ circuit: n.circuit, rows: 1 }),
    getProofJob: (n) => ({ name: n.proofJob }),
    listProofJobs: (n) => ({ parent: n.workspace }),
    watchProof: (n) => ({ name: n.proofJob }),
    cancelProofJob: (n) => ({ name: n.proofJob }),
    getProof: (n) => ({ name: n.proof }),
    listProofs: (n) => ({ parent: n.workspace }),
    exportProof: (n) => ({ name: n.proof }),
    verifyProof: (n) => ({ circuit: n.circuit }),
    deleteProof: (n) => ({ name: n.proof }),
  },
  ReceiptService: {
    logReceipts: (n) => ({ senderId: "s", sequence: 1n, deployment: n.deployment }),
    getReceipts: (n) => ({ parent: n.workspace, inferenceId: "one" }),
    listReceipts: (n) => ({ parent: n.workspace }),
    getTreeHead: (n) => ({ parent: n.workspace }),
    getConsistencyProof: (n) => ({ parent: n.workspace }),
  },
  GRPCInferenceService: {
    modelReady: (n) => ({ name: n.deployment }),
    modelMetadata: (n) => ({ name: n.deployment }),
    modelInfer: (n) => ({ modelName: n.deployment }),
    modelStreamInfer: (n) => ({ modelName: n.deployment }),
    modelConfig: (n) => ({ name: n.deployment }),
    modelStatistics: (n) => ({ name: n.deployment }),
    repositoryIndex: (n) => ({ repositoryName: n.workspace.split("/")[1] }),
  },
  InferenceService: {
    predict: (n) => ({ deployment: n.deployment, rows: [{ x: [1, 1, 1, 1] }] }),
    streamPredict: (n) => ({ request: { deployment: n.deployment } }),
  },
};

/** Methods that take no name, or that answer the same whatever name they get. */
export const NAMELESS: readonly string[] = [
  "listWorkspaces",
  "serverLive",
  "serverReady",
  "serverMetadata",
  "repositoryModelLoad",
  "repositoryModelUnload",
  "systemSharedMemoryStatus",
  "systemSharedMemoryRegister",
  "systemSharedMemoryUnregister",
  "cudaSharedMemoryStatus",
  "cudaSharedMemoryRegister",
  "cudaSharedMemoryUnregister",
  "traceSetting",
  "logSettings",
];

type AnyMethod = (request: unknown, options?: object) => Promise<unknown> & AsyncIterable<unknown>;

/** Calls a method with one request, whatever its kind; gives the answer or all of them. */
export async function callMethod(
  client: unknown,
  method: DescMethod,
  request: object,
): Promise<unknown> {
  const run = (client as Record<string, AnyMethod>)[method.localName]!;
  async function* one() {
    yield request;
  }
  switch (method.methodKind) {
    case "unary":
      return run(request);
    case "client_streaming":
      return run(one());
    case "server_streaming":
      return collect(run(request));
    case "bidi_streaming":
      return collect(run(one()));
  }
}
