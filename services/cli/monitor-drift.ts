// `plinth monitor drift`: asks for a report, prints it, and tells scripts by the exit code.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  DriftOptions,
  DriftOptionsSchema,
} from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import type { GetDriftReportRequestSchema } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { type DriftReport, DriftReportSchema } from "../../gen/plinth/monitoring/v1/report_pb.js";
import { ExitCode, UsageError } from "./exit-codes.ts";
import { driftLines } from "./monitor-drift-lines.ts";
import {
  givenRange,
  type RangeInit,
  type RangeOptions,
  rangeOf,
  versionOption,
} from "./monitor-range.ts";
import { isDrifted, methodOption } from "./monitor-words.ts";
import type { Session } from "./session.ts";

export interface DriftCommandOptions extends RangeOptions {
  readonly version?: string;
  readonly againstVersion?: string;
  readonly againstFrom?: string;
  readonly againstTo?: string;
  readonly method?: string;
  readonly column?: readonly string[];
  /** True: the data set. */
  readonly failOnDrift?: true | "dataset" | "column";
}

/** `plinth monitor drift` */
export async function reportDrift(
  session: Session,
  [id]: readonly [string],
  options: DriftCommandOptions,
): Promise<ExitCode> {
  const { output } = session;
  const deployment = session.deploymentName(id);
  const ask = driftQuestion(session, deployment, options);
  const report = await ask(await rangeOf(session, deployment, options));
  if (output.json) {
    await output.message(DriftReportSchema, report);
  } else {
    output.lines(driftLines(output, report));
  }
  return fails(report, options) ? ExitCode.drifted : ExitCode.ok;
}

/**
 * Asks for the report of a range; undefined: the newest closed window.
 * @throws UsageError at once for options that do not fit.
 */
export function driftQuestion(
  session: Session,
  deployment: string,
  options: DriftCommandOptions,
): (range: RangeInit | undefined) => Promise<DriftReport> {
  const reference = referenceOf(session, options);
  const modelVersion = versionOption(session, options.version);
  const method = options.method === undefined ? undefined : methodOption(options.method);
  return async (range) => {
    const drift = method === undefined ? undefined : await withMethod(session, deployment, method);
    return session.monitoring.getDriftReport(
      {
        deployment,
        modelVersion,
        columns: [...(options.column ?? [])],
        ...(range === undefined ? {} : { range }),
        ...(reference === undefined ? {} : { reference }),
        ...(drift === undefined ? {} : { options: drift }),
      },
      session.call,
    );
  };
}

type Reference = Exclude<
  MessageInitShape<typeof GetDriftReportRequestSchema>["reference"],
  undefined
>;

function referenceOf(session: Session, options: DriftCommandOptions): Reference | undefined {
  const { againstVersion, againstFrom, againstTo } = options;
  const value = givenRange(
    { from: againstFrom, to: againstTo },
    { from: "--against-from", to: "--against-to" },
  );
  if (againstVersion !== undefined && value !== undefined) {
    throw new UsageError("Give --against-version, or --against-from and --against-to; not both.");
  }
  if (againstVersion !== undefined) {
    return { case: "referenceVersion", value: versionOption(session, againstVersion) };
  }
  return value === undefined ? undefined : { case: "referenceRange", value };
}

/**
 * The monitor's options with one method for all columns. What is ignored stays so; thresholds of
 * columns belong to the methods they were set for, and go.
 */
async function withMethod(
  session: Session,
  deployment: string,
  method: DriftOptions["method"],
): Promise<MessageInitShape<typeof DriftOptionsSchema>> {
  const { drift } = await session.monitoring.getMonitor(
    { name: `${deployment}/monitor` },
    session.call,
  );
  const columns = (drift?.columns ?? [])
    .filter(({ ignored }) => ignored)
    .map(({ column }) => ({ column, ignored: true }));
  return { method, columns, datasetShare: drift?.datasetShare ?? 0 };
}

function fails(report: DriftReport, { failOnDrift }: DriftCommandOptions): boolean {
  if (failOnDrift === undefined) {
    return false;
  }
  const ofDataset = report.features?.isDrifted === true || report.predictions?.isDrifted === true;
  return (
    ofDataset || (failOnDrift === "column" && report.columns.some(({ drift }) => isDrifted(drift)))
  );
}
