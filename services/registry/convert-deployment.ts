// Deployments to messages and back. Pure and total.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type DeploymentConfig as ConfigMessage,
  Deployment_State,
  type DeploymentConfigSchema,
  type DeploymentSchema,
  VersionServingStatus_State,
} from "../../gen/plinth/registry/v1/deployment_pb.js";
import type { DeploymentServing as ServingMessage } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import type { Stored } from "../common/documents/port.ts";
import { durationOf } from "../common/duration.ts";
import { headOf } from "./convert.ts";
import {
  type Deployment,
  type DeploymentConfig,
  type DeploymentServing,
  deploymentState,
  reportsOn,
  type ServerReport,
  type ServingState,
} from "./deployment.ts";

const SERVING_STATES: Readonly<Record<ServingState, VersionServingStatus_State>> = {
  LOADING: VersionServingStatus_State.LOADING,
  READY: VersionServingStatus_State.READY,
  DRAINING: VersionServingStatus_State.DRAINING,
  FAILED: VersionServingStatus_State.FAILED,
};

const REASON_LENGTH_MAX = 1000;

/** A deployment as callers see it; without `servers` its state and reports are left out. */
export function toDeployment(
  document: Stored<Deployment>,
  servers?: readonly ServerReport[],
): MessageInitShape<typeof DeploymentSchema> {
  const { current, history } = document;
  return {
    ...headOf(document),
    description: document.description,
    config: toConfig(current.config),
    revision: BigInt(current.number),
    history: history.map((revision) => ({
      revision: BigInt(revision.number),
      config: toConfig(revision.config),
      createTime: timestampFromDate(revision.createTime),
      actor: revision.actor,
    })),
    ...(servers === undefined ? {} : serving(document, servers)),
  };
}

/** The configuration a caller asks for; version names as they came. */
export function fromConfig(message: ConfigMessage | undefined): DeploymentConfig {
  const batching = message?.batching;
  const instances = message?.instances;
  const capture = message?.capture;
  const proofs = message?.proofs;
  return {
    targets: (message?.targets ?? []).map(({ modelVersion, weight }) => ({ modelVersion, weight })),
    shadows: (message?.shadows ?? []).map(({ modelVersion, sampleRate }) => ({
      modelVersion,
      sampleRate,
    })),
    batching:
      batching === undefined
        ? null
        : {
            maxBatchRows: batching.maxBatchRows,
            maxQueueDelayMs: milliseconds(batching.maxQueueDelay),
            maxQueueRequests: batching.maxQueueRequests,
            queueTimeoutMs: milliseconds(batching.queueTimeout),
          },
    instances:
      instances === undefined
        ? null
        : {
            count: instances.count,
            intraOpThreads: instances.intraOpThreads,
            runTimeoutMs: milliseconds(instances.runTimeout),
          },
    capture:
      capture === undefined
        ? null
        : {
            sampleRate: capture.sampleRate ?? null,
            maskedFields: [...new Set(capture.maskedFields)],
          },
    proofs:
      proofs === undefined ? null : { verifiable: proofs.verifiable, receipts: proofs.receipts },
  };
}

/** What a server reports. */
export function fromServing(message: ServingMessage): DeploymentServing {
  return {
    name: message.name,
    number: Number(message.revision),
    versions: message.versions.map(({ modelVersion, state, reason }) => ({
      modelVersion,
      state: servingState(state),
      reason: reason.slice(0, REASON_LENGTH_MAX),
    })),
  };
}

function toConfig(config: DeploymentConfig): MessageInitShape<typeof DeploymentConfigSchema> {
  const { batching, instances, capture, proofs } = config;
  return {
    targets: config.targets.map((target) => ({ ...target })),
    shadows: config.shadows.map((shadow) => ({ ...shadow })),
    ...(batching === null
      ? {}
      : {
          batching: {
            maxBatchRows: batching.maxBatchRows,
            ...duration("maxQueueDelay", batching.maxQueueDelayMs),
            maxQueueRequests: batching.maxQueueRequests,
            ...duration("queueTimeout", batching.queueTimeoutMs),
          },
        }),
    ...(instances === null
      ? {}
      : {
          instances: {
            count: instances.count,
            intraOpThreads: instances.intraOpThreads,
            ...duration("runTimeout", instances.runTimeoutMs),
          },
        }),
    ...(capture == null
      ? {}
      : {
          capture: {
            ...(capture.sampleRate === null ? {} : { sampleRate: capture.sampleRate }),
            maskedFields: [...capture.maskedFields],
          },
        }),
    ...(proofs == null ? {} : { proofs: { ...proofs } }),
  };
}

function serving(
  document: Deployment,
  servers: readonly ServerReport[],
): Pick<MessageInitShape<typeof DeploymentSchema>, "state" | "servingReports"> {
  return {
    state: Deployment_State[deploymentState(document, servers)],
    servingReports: reportsOn(document, servers).map((report) => ({
      serverId: report.serverId,
      revision: BigInt(report.number),
      reportTime: timestampFromDate(report.reportTime),
      versions: report.versions.map((version) => ({
        ...version,
        state: SERVING_STATES[version.state],
      })),
    })),
  };
}

function servingState(state: VersionServingStatus_State): ServingState {
  switch (state) {
    case VersionServingStatus_State.READY:
      return "READY";
    case VersionServingStatus_State.DRAINING:
      return "DRAINING";
    case VersionServingStatus_State.FAILED:
      return "FAILED";
    default:
      return "LOADING";
  }
}

/** With the fraction: a queue delay may well be below a millisecond. */
function milliseconds(duration: Duration | undefined): number | null {
  return duration === undefined ? null : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function duration<K extends string>(key: K, ms: number | null): { [P in K]?: Duration } {
  return ms === null ? {} : ({ [key]: durationOf(ms) } as { [P in K]: Duration });
}
