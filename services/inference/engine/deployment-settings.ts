// A deployment's configuration as the registry stores it, with the defaults that its proto
// documents filled in. Pure.

import type { Duration } from "@bufbuild/protobuf/wkt";
import type {
  BatchingConfig,
  CaptureConfig,
  DeploymentConfig,
  InstanceConfig,
  ProofConfig,
} from "../../../gen/plinth/registry/v1/deployment_pb.js";
import type { CaptureSettings } from "../capture/version-capture.ts";
import type { ProofSettings } from "../engine.ts";
import type { BatchingSettings } from "./batcher.ts";
import type { InstanceSettings } from "./servable.ts";

/** Defaults of BatchingConfig, InstanceConfig and CaptureConfig; see deployment.proto. */
const BATCH_ROWS_DEFAULT = 64;
const QUEUE_REQUESTS_DEFAULT = 1024;
const QUEUE_TIMEOUT_MS_DEFAULT = 30_000;
const INSTANCES_DEFAULT = 1;
const RUN_TIMEOUT_MS_DEFAULT = 60_000;
const SAMPLE_RATE_DEFAULT = 1;

/** A BatchingConfig without gaps. */
export interface DeploymentBatching extends BatchingSettings {
  readonly queueTimeoutMs: number;
}

/** What a deployment wants, in the terms of the engine. */
export interface DeploymentSettings {
  readonly targets: readonly { readonly modelVersion: string; readonly weight: number }[];
  readonly shadows: readonly { readonly modelVersion: string; readonly sampleRate: number }[];
  readonly batching: DeploymentBatching;
  readonly instances: InstanceSettings;
  readonly capture: CaptureSettings;
  readonly proofs: ProofSettings;
}

/** @param intraOpThreadsDefault the server's own, where the deployment says nothing. */
export function toDeploymentSettings(
  config: DeploymentConfig | undefined,
  intraOpThreadsDefault: number,
): DeploymentSettings {
  return {
    targets: config?.targets ?? [],
    shadows: config?.shadows ?? [],
    batching: toBatching(config?.batching),
    instances: toInstances(config?.instances, intraOpThreadsDefault),
    capture: toCapture(config?.capture),
    proofs: toProofs(config?.proofs),
  };
}

function toBatching(config: BatchingConfig | undefined): DeploymentBatching {
  return {
    maxBatchRows: config?.maxBatchRows || BATCH_ROWS_DEFAULT,
    maxQueueDelayMs: toMs(config?.maxQueueDelay) ?? 0,
    maxQueueRequests: config?.maxQueueRequests || QUEUE_REQUESTS_DEFAULT,
    queueTimeoutMs: toMs(config?.queueTimeout) ?? QUEUE_TIMEOUT_MS_DEFAULT,
  };
}

function toInstances(
  config: InstanceConfig | undefined,
  intraOpThreadsDefault: number,
): InstanceSettings {
  return {
    count: config?.count || INSTANCES_DEFAULT,
    intraOpThreads: config?.intraOpThreads || intraOpThreadsDefault,
    runTimeoutMs: toMs(config?.runTimeout) ?? RUN_TIMEOUT_MS_DEFAULT,
  };
}

function toCapture(config: CaptureConfig | undefined): CaptureSettings {
  return {
    sampleRate: config?.sampleRate ?? SAMPLE_RATE_DEFAULT,
    maskedFields: config?.maskedFields ?? [],
  };
}

function toProofs(config: ProofConfig | undefined): ProofSettings {
  return { verifiable: config?.verifiable ?? false, receipts: config?.receipts ?? false };
}

function toMs(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
