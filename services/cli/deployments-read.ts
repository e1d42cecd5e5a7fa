// `plinth deployments list|show`: reads, and prints a table or JSON.

import { create } from "@bufbuild/protobuf";
import {
  type Deployment,
  type DeploymentConfig,
  DeploymentSchema,
  VersionServingStatus_State as ServingState,
  Deployment_State as State,
} from "../../gen/plinth/registry/v1/deployment_pb.js";
import { ListDeploymentsResponseSchema } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { formatDuration, formatTime, toneOfState } from "./format.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { factLines, tableLines } from "./table.ts";
import { shadowText, trafficText } from "./traffic.ts";
import { shortName } from "./version-reference.ts";

/** `plinth deployments list` */
export async function listDeployments(
  session: Session,
  _args: readonly [],
  options: { readonly limit: number },
): Promise<void> {
  const { output } = session;
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) =>
      session.deployments.listDeployments({ parent: session.parent, ...page }, session.call),
    items: (response) => response.deployments,
  });
  if (output.json) {
    const all = create(ListDeploymentsResponseSchema, { deployments: [...items] });
    return output.message(ListDeploymentsResponseSchema, all);
  }
  output.table(
    ["DEPLOYMENT", "STATE", "TRAFFIC", "SHADOWS", "REVISION", "UPDATED"].map((title) => ({
      title,
    })),
    items.map((deployment) => [
      shortName(deployment.name),
      State[deployment.state],
      trafficText(deployment.config),
      shadowText(deployment.config),
      String(deployment.revision),
      formatTime(deployment.updateTime),
    ]),
    `No deployments in ${session.parent}. Make one with "plinth deployments create".`,
  );
  noteMore(session, more);
}

/** `plinth deployments show` */
export async function showDeployment(session: Session, [id]: readonly [string]): Promise<void> {
  const name = session.deploymentName(id);
  await printDeployment(session, await session.deployments.getDeployment({ name }, session.call));
}

/** Prints one deployment in full. */
export async function printDeployment(session: Session, deployment: Deployment): Promise<void> {
  const { output } = session;
  if (output.json) {
    return output.message(DeploymentSchema, deployment);
  }
  const state = State[deployment.state];
  const facts = factLines([
    ["deployment", deployment.name],
    ["state", state],
    ["description", deployment.description],
    ["revision", String(deployment.revision)],
    ["traffic", trafficText(deployment.config)],
    ["shadows", shadowText(deployment.config)],
    ["batching", batchingText(deployment.config)],
    ["instances", instancesText(deployment.config)],
    ["capture", captureText(deployment.config)],
    ["proofs", proofsText(deployment.config)],
    ["created", formatTime(deployment.createTime)],
    ["updated", formatTime(deployment.updateTime)],
  ]);
  output.lines(
    facts.map((line) =>
      line.startsWith("state:") ? line.replace(state, toneOfState(output, state)) : line,
    ),
  );
  output.lines(reportLines(deployment));
  output.lines(historyLines(deployment));
}

function batchingText(config: DeploymentConfig | undefined): string {
  const batching = config?.batching;
  return [
    `up to ${batching?.maxBatchRows || 64} rows`,
    `delay ${formatDuration(batching?.maxQueueDelay) || "0"}`,
    `queue ${batching?.maxQueueRequests || 1024}`,
    `queue timeout ${formatDuration(batching?.queueTimeout) || "30 s"}`,
  ].join(", ");
}

function instancesText(config: DeploymentConfig | undefined): string {
  const instances = config?.instances;
  return [
    `${instances?.count || 1} a version and server`,
    instances?.intraOpThreads ? `${instances.intraOpThreads} threads a run` : "",
    `run timeout ${formatDuration(instances?.runTimeout) || "60 s"}`,
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function captureText(config: DeploymentConfig | undefined): string {
  const masks = config?.capture?.maskedFields ?? [];
  const rate = `${Number(((config?.capture?.sampleRate ?? 1) * 100).toPrecision(3))}% of inferences`;
  return masks.length === 0 ? rate : `${rate}, without ${masks.join(", ")}`;
}

function proofsText(config: DeploymentConfig | undefined): string {
  const { verifiable = false, receipts = false } = config?.proofs ?? {};
  const parts = [
    verifiable ? "answers are proved where a request asks for it" : "",
    receipts ? "every inference has a receipt" : "",
  ].filter((part) => part !== "");
  return parts.join("; ") || "none";
}

function reportLines(deployment: Deployment): readonly string[] {
  const rows = deployment.servingReports.flatMap((report) =>
    report.versions.map((version) => [
      report.serverId,
      shortName(version.modelVersion),
      ServingState[version.state],
      String(report.revision),
      formatTime(report.reportTime),
      version.reason,
    ]),
  );
  if (rows.length === 0) {
    return ["", "No inference server has reported yet."];
  }
  const titles = ["SERVER", "VERSION", "STATE", "REVISION", "REPORTED", "REASON"];
  return [
    "",
    ...tableLines(
      titles.map((title) => ({ title })),
      rows,
    ),
  ];
}

function historyLines(deployment: Deployment): readonly string[] {
  if (deployment.history.length === 0) {
    return [];
  }
  const rows = deployment.history.map((entry) => [
    String(entry.revision),
    formatTime(entry.createTime),
    trafficText(entry.config),
    shadowText(entry.config),
    entry.actor,
  ]);
  const titles = ["EARLIER", "SET", "TRAFFIC", "SHADOWS", "BY"];
  return [
    "",
    ...tableLines(
      titles.map((title) => ({ title })),
      rows,
    ),
  ];
}
