// `plinth deployments create|update|rollback|delete`, and the wait until what was asked for serves.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  BatchingConfigSchema,
  CaptureConfigSchema,
  type Deployment,
  type DeploymentConfig,
  DeploymentConfigSchema,
  InstanceConfigSchema,
  ProofConfigSchema,
  Deployment_State as State,
} from "../../gen/plinth/registry/v1/deployment_pb.js";
import { durationOf } from "../common/duration.ts";
import { Unavailable } from "../common/errors/domain-error.ts";
import { printDeployment } from "./deployments-read.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { spinner } from "./progress.ts";
import type { Session } from "./session.ts";
import { printable } from "./table.ts";
import { parseShadow, parseTarget } from "./traffic.ts";
import { shortName } from "./version-reference.ts";

export interface ConfigOptions {
  readonly model?: readonly string[];
  /** False: --no-shadow. */
  readonly shadow?: readonly string[] | boolean;
  readonly description?: string;
  readonly maxBatchRows?: number;
  readonly maxQueueDelay?: number;
  readonly maxQueueRequests?: number;
  readonly queueTimeout?: number;
  readonly instances?: number;
  readonly threads?: number;
  readonly runTimeout?: number;
  readonly captureRate?: number;
  /** False: --no-mask-field. */
  readonly maskField?: readonly string[] | boolean;
  readonly verifiable?: boolean;
  readonly receipts?: boolean;
  readonly wait?: boolean;
}

const WAIT_DEFAULT_MS = 60_000;
const POLL_MS = 250;

/** `plinth deployments create` */
export async function createDeployment(
  session: Session,
  [deploymentId]: readonly [string],
  options: ConfigOptions,
): Promise<void> {
  if (options.model === undefined) {
    throw new UsageError("Say which version serves: --model churn/3, --model churn@champion ...");
  }
  const config = changedConfig(create(DeploymentConfigSchema), options, session.workspace);
  const deployment = await session.deployments.createDeployment(
    {
      parent: session.parent,
      deploymentId,
      deployment: { description: options.description ?? "", config },
      requestId: randomUUID(),
    },
    session.call,
  );
  await finish(session, deployment, options);
}

/** `plinth deployments update`: reads, changes what was named, writes back under the etag read. */
export async function updateDeployment(
  session: Session,
  [id]: readonly [string],
  options: ConfigOptions,
): Promise<void> {
  const paths = changedPaths(options);
  if (paths.length === 0) {
    throw new UsageError("Say what to change: --model, --shadow, --max-batch-rows ...");
  }
  const name = session.deploymentName(id);
  const before = await session.deployments.getDeployment({ name }, session.call);
  const config = changedConfig(
    before.config ?? create(DeploymentConfigSchema),
    options,
    session.workspace,
  );
  const description = options.description ?? before.description;
  const deployment = await session.deployments.updateDeployment(
    { deployment: { name, etag: before.etag, description, config }, updateMask: { paths } },
    session.call,
  );
  await finish(session, deployment, options);
}

/** `plinth deployments rollback` */
export async function rollbackDeployment(
  session: Session,
  [id]: readonly [string],
  options: { readonly revision?: number; readonly wait?: boolean },
): Promise<void> {
  const name = session.deploymentName(id);
  const revision = BigInt(options.revision ?? 0);
  const deployment = await session.deployments.rollbackDeployment({ name, revision }, session.call);
  await finish(session, deployment, options);
}

/** `plinth deployments delete` */
export async function deleteDeployment(session: Session, [id]: readonly [string]): Promise<void> {
  const name = session.deploymentName(id);
  await session.deployments.deleteDeployment({ name }, session.call);
  if (session.output.json) {
    session.output.value({ name, deleted: true });
  } else {
    session.output.line(`${shortName(name)} is deleted.`);
  }
}

function changedConfig(
  config: DeploymentConfig,
  options: ConfigOptions,
  workspace: string,
): DeploymentConfig {
  const batching = { ...(config.batching ?? create(BatchingConfigSchema)) };
  const instances = { ...(config.instances ?? create(InstanceConfigSchema)) };
  const duration = (ms: number | undefined, before: typeof batching.maxQueueDelay) =>
    ms === undefined ? before : durationOf(ms);
  const queueTimeout = duration(options.queueTimeout, batching.queueTimeout);
  const maxQueueDelay = duration(options.maxQueueDelay, batching.maxQueueDelay);
  const runTimeout = duration(options.runTimeout, instances.runTimeout);
  const targets = options.model?.map((text) => parseTarget(text, workspace));
  const shadows =
    options.shadow === false
      ? []
      : Array.isArray(options.shadow)
        ? options.shadow.map((text) => parseShadow(text, workspace))
        : config.shadows;
  return create(DeploymentConfigSchema, {
    targets: targets ?? config.targets,
    shadows,
    batching: {
      maxBatchRows: options.maxBatchRows ?? batching.maxBatchRows,
      maxQueueRequests: options.maxQueueRequests ?? batching.maxQueueRequests,
      ...(maxQueueDelay === undefined ? {} : { maxQueueDelay }),
      ...(queueTimeout === undefined ? {} : { queueTimeout }),
    },
    instances: {
      count: options.instances ?? instances.count,
      intraOpThreads: options.threads ?? instances.intraOpThreads,
      ...(runTimeout === undefined ? {} : { runTimeout }),
    },
    ...changedCapture(config, options),
    ...changedProofs(config, options),
  });
}

/** The masks given replace all that were there, as --model replaces all targets. */
function changedCapture(
  { capture }: DeploymentConfig,
  { captureRate, maskField }: ConfigOptions,
): Pick<MessageInitShape<typeof DeploymentConfigSchema>, "capture"> {
  const masks = maskField === false ? [] : Array.isArray(maskField) ? maskField : undefined;
  if (captureRate === undefined && masks === undefined) {
    return capture === undefined ? {} : { capture };
  }
  const sampleRate = captureRate ?? capture?.sampleRate;
  return {
    capture: create(CaptureConfigSchema, {
      maskedFields: [...(masks ?? capture?.maskedFields ?? [])],
      ...(sampleRate === undefined ? {} : { sampleRate }),
    }),
  };
}

function changedProofs(
  { proofs }: DeploymentConfig,
  { verifiable, receipts }: ConfigOptions,
): Pick<MessageInitShape<typeof DeploymentConfigSchema>, "proofs"> {
  if (verifiable === undefined && receipts === undefined) {
    return proofs === undefined ? {} : { proofs };
  }
  return {
    proofs: create(ProofConfigSchema, {
      verifiable: verifiable ?? proofs?.verifiable ?? false,
      receipts: receipts ?? proofs?.receipts ?? false,
    }),
  };
}

function changedPaths(options: ConfigOptions): string[] {
  const given = (...values: readonly unknown[]): boolean => values.some((v) => v !== undefined);
  const { maxBatchRows, maxQueueDelay, maxQueueRequests, queueTimeout } = options;
  const { instances, threads, runTimeout, captureRate, maskField } = options;
  return [
    given(options.description) ? "description" : "",
    given(options.model) ? "config.targets" : "",
    options.shadow === false || Array.isArray(options.shadow) ? "config.shadows" : "",
    given(maxBatchRows, maxQueueDelay, maxQueueRequests, queueTimeout) ? "config.batching" : "",
    given(instances, threads, runTimeout) ? "config.instances" : "",
    given(captureRate) || maskField === false || Array.isArray(maskField) ? "config.capture" : "",
    given(options.verifiable, options.receipts) ? "config.proofs" : "",
  ].filter((path) => path !== "");
}

async function finish(
  session: Session,
  changed: Deployment,
  options: { readonly wait?: boolean },
): Promise<void> {
  if (options.wait !== true) {
    return printDeployment(session, changed);
  }
  const deployment = await settled(session, changed);
  await printDeployment(session, deployment);
  if (deployment.state !== State.READY) {
    throw notServing(deployment);
  }
}

/** Asks until the state of this revision, or of a later one, is known. */
async function settled(session: Session, changed: Deployment): Promise<Deployment> {
  const { name } = changed;
  const { output, signal } = session;
  const waitMs = session.call.timeoutMs ?? WAIT_DEFAULT_MS;
  const endMs = performance.now() + waitMs;
  using _spinner = spinner({
    show: output.showsProgress,
    title: `${shortName(name)} is being loaded`,
  });
  let deployment = changed;
  while (deployment.state === State.PENDING || loading(deployment)) {
    if (performance.now() >= endMs) {
      throw new CommandError(`${shortName(name)} does not serve yet, after ${waitMs / 1000} s.`, {
        exitCode: ExitCode.unavailable,
        advice: [
          deployment.servingReports.length === 0
            ? "No inference server has reported on it. Is one running? See `plinth status`."
            : `See "plinth deployments show ${shortName(name)}", or wait longer with --timeout.`,
        ],
      });
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    deployment = await ask(session, deployment);
  }
  return deployment;
}

/** A server that is away for a moment does not end the wait. */
async function ask(session: Session, last: Deployment): Promise<Deployment> {
  try {
    return await session.deployments.getDeployment({ name: last.name }, { signal: session.signal });
  } catch (error) {
    if (error instanceof Unavailable) {
      return last;
    }
    throw error;
  }
}

/** DEGRADED while some server is still loading may yet become READY. */
function loading(deployment: Deployment): boolean {
  return (
    deployment.state === State.DEGRADED &&
    !deployment.servingReports.some((report) => report.versions.some((v) => v.reason !== ""))
  );
}

function notServing(deployment: Deployment): CommandError {
  const reasons = deployment.servingReports.flatMap((report) =>
    report.versions
      .filter((version) => version.reason !== "")
      .map((version) => `  - ${shortName(version.modelVersion)}: ${printable(version.reason)}`),
  );
  const state = State[deployment.state];
  return new CommandError(`${shortName(deployment.name)} is ${state}.`, {
    exitCode: ExitCode.failed,
    advice: [
      ...reasons,
      `Undo with "plinth deployments rollback ${shortName(deployment.name)}", ` +
        "or deploy another version.",
    ],
  });
}
