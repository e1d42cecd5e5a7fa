// A deployment: the desired state that inference servers follow, its history, and what their
// reports say of it. Pure: reading and writing is the use cases' business.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, type FieldViolation } from "../common/errors/domain-error.ts";

export interface TrafficTarget {
  /** The version's resource name, by number once stored. */
  readonly modelVersion: string;
  readonly weight: number;
}

export interface ShadowTarget {
  readonly modelVersion: string;
  readonly sampleRate: number;
}

/** 0 and null stand for the documented defaults, which the inference server applies. */
export interface BatchingConfig {
  readonly maxBatchRows: number;
  readonly maxQueueDelayMs: number | null;
  readonly maxQueueRequests: number;
  readonly queueTimeoutMs: number | null;
}

export interface InstanceConfig {
  readonly count: number;
  readonly intraOpThreads: number;
  readonly runTimeoutMs: number | null;
}

/** What monitoring is told; null stands for the documented default. */
export interface CaptureConfig {
  readonly sampleRate: number | null;
  readonly maskedFields: readonly string[];
}

/** What shows that an answer is the model's. */
export interface ProofConfig {
  readonly verifiable: boolean;
  readonly receipts: boolean;
}

export interface DeploymentConfig {
  readonly targets: readonly TrafficTarget[];
  readonly shadows: readonly ShadowTarget[];
  readonly batching: BatchingConfig | null;
  readonly instances: InstanceConfig | null;
  /** Absent in what was stored before there was monitoring: as null. */
  readonly capture?: CaptureConfig | null;
  /** Absent in what was stored before there were proofs: as null. */
  readonly proofs?: ProofConfig | null;
}

export interface DeploymentRevision {
  readonly number: number;
  readonly config: DeploymentConfig;
  readonly createTime: Date;
  readonly actor: string;
}

export interface Deployment {
  readonly _id: string;
  readonly uid: string;
  readonly workspace: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly description: string;
  readonly current: DeploymentRevision;
  /** Earlier ones, newest first. */
  readonly history: readonly DeploymentRevision[];
  readonly requestKey?: string;
  readonly requestDigest: string;
}

export type ServingState = "LOADING" | "READY" | "DRAINING" | "FAILED";

export interface VersionServing {
  readonly modelVersion: string;
  readonly state: ServingState;
  readonly reason: string;
}

export interface DeploymentServing {
  readonly name: string;
  readonly number: number;
  readonly versions: readonly VersionServing[];
}

/** What one inference server serves. `_id` is the server's id. */
export interface ServerReport {
  readonly _id: string;
  readonly reportTime: Date;
  readonly deployments: readonly DeploymentServing[];
}

export type DeploymentState = "PENDING" | "READY" | "DEGRADED" | "FAILED";

const HISTORY_MAX = 10;
const TARGETS_MAX = 16;
const SHADOWS_MAX = 4;
const WEIGHT_MAX = 1_000_000;
const INSTANCES_MAX = 64;
const BATCH_ROWS_MAX = 1_000_000;
const QUEUE_REQUESTS_MAX = 1_000_000;
const DELAY_MS_MAX = 60_000;
const TIMEOUT_MS_MAX = 3_600_000;
const MASKED_FIELDS_MAX = 1000;
const FIELD_NAME_CHARACTERS_MAX = 1000;

/** Every fault of a configuration by itself; the versions it names are looked at elsewhere. */
export function configFaults(config: DeploymentConfig, field: string): readonly FieldViolation[] {
  const faults: FieldViolation[] = [];
  const check: Check = (holds, path, description) => {
    if (!holds) {
      faults.push({ field: `${field}.${path}`, description });
    }
  };
  const { targets, shadows, batching, instances, capture } = config;
  const count = targets.length;
  check(
    count >= 1 && count <= TARGETS_MAX,
    "targets",
    `has ${count}; 1 to ${TARGETS_MAX} are allowed`,
  );
  const sum = targets.reduce((total, target) => total + target.weight, 0);
  check(count === 0 || sum > 0, "targets", "have weights that sum to 0; give one of them a weight");
  for (const [i, target] of targets.entries()) {
    const path = `targets[${i}].weight`;
    check(target.weight <= WEIGHT_MAX, path, `is ${target.weight}; at most ${WEIGHT_MAX}`);
  }
  check(shadows.length <= SHADOWS_MAX, "shadows", `has ${shadows.length}; at most ${SHADOWS_MAX}`);
  for (const [i, { sampleRate }] of shadows.entries()) {
    const path = `shadows[${i}].sample_rate`;
    check(sampleRate >= 0 && sampleRate <= 1, path, `is ${sampleRate}; 0 to 1`);
  }
  if (batching !== null) {
    checkRange(check, "batching.max_batch_rows", batching.maxBatchRows, BATCH_ROWS_MAX);
    checkRange(check, "batching.max_queue_requests", batching.maxQueueRequests, QUEUE_REQUESTS_MAX);
    checkRange(check, "batching.max_queue_delay (ms)", batching.maxQueueDelayMs, DELAY_MS_MAX);
    checkRange(check, "batching.queue_timeout (ms)", batching.queueTimeoutMs, TIMEOUT_MS_MAX);
  }
  if (instances !== null) {
    checkRange(check, "instances.count", instances.count, INSTANCES_MAX);
    checkRange(check, "instances.intra_op_threads", instances.intraOpThreads, INSTANCES_MAX);
    checkRange(check, "instances.run_timeout (ms)", instances.runTimeoutMs, TIMEOUT_MS_MAX);
  }
  if (capture != null) {
    checkCapture(check, capture);
  }
  return faults;
}

/** Names that stand twice among the targets or among the shadows. */
export function duplicateFaults(
  config: DeploymentConfig,
  field: string,
): readonly FieldViolation[] {
  return (["targets", "shadows"] as const).flatMap((list) => {
    const names = config[list].map((target) => target.modelVersion);
    return names.flatMap((name, i) =>
      names.indexOf(name) === i
        ? []
        : [{ field: `${field}.${list}[${i}].model_version`, description: `repeats ${name}` }],
    );
  });
}

/** Every version a configuration names, each once. */
export function versionsOf(config: DeploymentConfig): readonly string[] {
  const names = [...config.targets, ...config.shadows].map((target) => target.modelVersion);
  return [...new Set(names)];
}

/** The deployment with a new configuration on top of its history. */
export function withConfig(
  deployment: Deployment,
  change: { readonly config: DeploymentConfig; readonly now: Date; readonly actor: string },
): Deployment {
  const { config, now, actor } = change;
  return {
    ...deployment,
    updateTime: now,
    current: { number: deployment.current.number + 1, config, createTime: now, actor },
    history: [deployment.current, ...deployment.history].slice(0, HISTORY_MAX),
  };
}

/**
 * The configuration to go back to; 0 means the one before the current.
 * @throws FailedPrecondition when it is not in the history.
 */
export function earlierConfig(deployment: Deployment, number: number): DeploymentConfig {
  const found =
    number === 0
      ? deployment.history[0]
      : deployment.history.find((revision) => revision.number === number);
  if (found !== undefined) {
    return found.config;
  }
  const known = deployment.history.map((revision) => revision.number).join(", ") || "none";
  const what = number === 0 ? "earlier revision" : `revision ${number}`;
  throw new FailedPrecondition(
    `${deployment._id} has no ${what} to go back to; its history holds ${known}.`,
    {
      reason: ErrorReason.STATE_FORBIDS,
      violations: [
        { type: "REVISION", subject: deployment._id, description: `history holds ${known}` },
      ],
    },
  );
}

/** One server's share in one deployment. */
export interface ServingReport extends DeploymentServing {
  readonly serverId: string;
  readonly reportTime: Date;
}

/** What the live servers say of one deployment, by server. */
export function reportsOn(
  deployment: Deployment,
  servers: readonly ServerReport[],
): readonly ServingReport[] {
  return servers.flatMap((server) => {
    const { _id: serverId, reportTime } = server;
    const serving = server.deployments.find((entry) => entry.name === deployment._id);
    return serving === undefined ? [] : [{ ...serving, serverId, reportTime }];
  });
}

/**
 * The deployment's state from the reports of the live servers. A server that does not mention it
 * yet counts as one that has still to load it.
 */
export function deploymentState(
  deployment: Deployment,
  servers: readonly ServerReport[],
): DeploymentState {
  const { number, config } = deployment.current;
  const current = reportsOn(deployment, servers).filter((report) => report.number === number);
  if (current.length === 0) {
    return "PENDING";
  }
  const stateOf = (report: ServingReport, name: string): ServingState | undefined =>
    report.versions.find((version) => version.modelVersion === name)?.state;
  const targets = current.flatMap((report) =>
    config.targets.map((target) => stateOf(report, target.modelVersion)),
  );
  const shadows = current.flatMap((report) =>
    config.shadows.map((shadow) => stateOf(report, shadow.modelVersion)),
  );
  const all = [...targets, ...shadows];
  if (targets.every((state) => state === "FAILED")) {
    return "FAILED";
  }
  if (all.includes("FAILED")) {
    return targets.includes("READY") ? "DEGRADED" : "PENDING";
  }
  const everywhere = current.length === servers.length;
  return everywhere && all.every((state) => state === "READY") ? "READY" : "PENDING";
}

type Check = (holds: boolean, path: string, description: string) => void;

function checkCapture(check: Check, { sampleRate, maskedFields }: CaptureConfig): void {
  const isRate = sampleRate === null || (sampleRate >= 0 && sampleRate <= 1);
  check(isRate, "capture.sample_rate", `is ${sampleRate}; 0 to 1`);
  const count = maskedFields.length;
  const path = "capture.masked_fields";
  check(count <= MASKED_FIELDS_MAX, path, `has ${count}; at most ${MASKED_FIELDS_MAX}`);
  // A mask that is not the name of anything hides nothing; an empty one surely is not.
  for (const [i, { length }] of maskedFields.slice(0, MASKED_FIELDS_MAX).entries()) {
    check(
      length >= 1 && length <= FIELD_NAME_CHARACTERS_MAX,
      `${path}[${i}]`,
      `has ${length} characters; 1 to ${FIELD_NAME_CHARACTERS_MAX}`,
    );
  }
}

function checkRange(check: Check, path: string, value: number | null, max: number): void {
  check(value === null || (value >= 0 && value <= max), path, `is ${value}; 0 to ${max}`);
}
