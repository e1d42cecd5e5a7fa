// `plinth status`: asks the server how it is. Parts that it does not offer, or that the key may not
// see, are noted and do not fail the command.

import { HealthCheckResponse_ServingStatus as Serving } from "../../gen/grpc/health/v1/health_pb.js";
import {
  type Deployment,
  Deployment_State as DeploymentState,
} from "../../gen/plinth/registry/v1/deployment_pb.js";
import { DomainError } from "../common/errors/domain-error.ts";
import { ExitCode } from "./exit-codes.ts";
import { toneOfState } from "./format.ts";
import { listAll, type Session } from "./session.ts";
import { factLines, tableLines } from "./table.ts";
import { trafficText } from "./traffic.ts";
import { shortName } from "./version-reference.ts";

/** Long enough for a far server, short enough for a person or a probe. */
const TIMEOUT_DEFAULT_MS = 5000;

const DEPLOYMENTS_MAX = 1000;

/** `plinth status` */
export async function reportStatus(session: Session): Promise<ExitCode> {
  const { output } = session;
  const call = { timeoutMs: TIMEOUT_DEFAULT_MS, ...session.call };
  const startMs = performance.now();
  const { statuses } = await session.health.list({}, call).catch((error: unknown) => {
    if (output.json) {
      output.value({ address: session.address, reachable: false, serving: false });
    }
    throw error;
  });
  const latencyMs = performance.now() - startMs;
  const services = Object.entries(statuses)
    .filter(([name]) => name !== "")
    .map(([name, { status }]) => ({ name, status: Serving[status] }))
    .sort((a, b) => a.name.localeCompare(b.name));
  const [server, deployments] = await Promise.all([
    optional(session.protocol.serverMetadata({}, call)),
    optional(
      listAll({
        limit: DEPLOYMENTS_MAX,
        page: (page) =>
          session.deployments.listDeployments({ parent: session.parent, ...page }, call),
        items: (response) => response.deployments,
      }),
    ),
  ]);
  const whole = statuses[""]?.status ?? Serving.UNKNOWN;
  const serving = whole === Serving.SERVING && services.every(({ status }) => status === "SERVING");
  const exitCode = serving ? ExitCode.ok : ExitCode.unavailable;
  if (output.json) {
    output.value({
      address: session.address,
      reachable: true,
      serving,
      latencyMs: Number(latencyMs.toFixed(2)),
      server: server.value
        ? {
            name: server.value.name,
            version: server.value.version,
            extensions: [...server.value.extensions],
          }
        : null,
      services,
      deployments: (deployments.value?.items ?? []).map((deployment) => ({
        name: deployment.name,
        state: DeploymentState[deployment.state],
        revision: String(deployment.revision),
      })),
    });
    return exitCode;
  }
  output.lines(
    factLines([
      ["address", session.address],
      ["server", server.value && `${server.value.name} ${server.value.version}`],
      ["answered in", `${latencyMs.toFixed(1)} ms (connecting included)`],
    ]),
  );
  const healthRows = services.map(({ name, status }) => [name, status]);
  output.lines([
    "",
    ...toned(session, tableLines([{ title: "SERVICE" }, { title: "HEALTH" }], healthRows)),
  ]);
  deploymentLines(session, deployments);
  return exitCode;
}

interface Optional<T> {
  readonly value?: T;
  readonly error?: DomainError;
}

/** The answer, or why there is none; an unreachable server is still an error. */
async function optional<T>(promise: Promise<T>): Promise<Optional<T>> {
  try {
    return { value: await promise };
  } catch (error) {
    if (error instanceof DomainError) {
      return { error };
    }
    throw error;
  }
}

function deploymentLines(
  session: Session,
  found: Optional<{ readonly items: readonly Deployment[] }>,
): void {
  const { output } = session;
  if (found.value === undefined) {
    output.note(`\nDeployments are not shown: ${found.error?.message}`);
    return;
  }
  if (found.value.items.length === 0) {
    output.note(`\nNo deployments in ${session.parent}.`);
    return;
  }
  const rows = found.value.items.map((deployment) => [
    shortName(deployment.name),
    DeploymentState[deployment.state],
    trafficText(deployment.config),
  ]);
  const columns = ["DEPLOYMENT", "STATE", "TRAFFIC"].map((title) => ({ title }));
  output.lines(["", ...toned(session, tableLines(columns, rows))]);
}

/** Colours the state words of a table's rows; its width does not change. */
function toned(session: Session, lines: readonly string[]): readonly string[] {
  return lines.map((line, index) =>
    index === 0
      ? session.output.tone("strong", line)
      : line.replace(/\b[A-Z_]{5,}\b/, (state) => toneOfState(session.output, state)),
  );
}
