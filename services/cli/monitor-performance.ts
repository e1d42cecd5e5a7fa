// `plinth monitor performance`: how good the predictions were, where labels have come.

import {
  type PerformanceReport,
  PerformanceReportSchema,
} from "../../gen/plinth/monitoring/v1/performance_pb.js";
import { performanceLines } from "./monitor-performance-lines.ts";
import { type RangeOptions, rangeOf, versionOption } from "./monitor-range.ts";
import type { Session } from "./session.ts";

interface PerformanceOptions extends RangeOptions {
  readonly version?: string;
}

/** `plinth monitor performance` */
export async function reportPerformance(
  session: Session,
  [id]: readonly [string],
  options: PerformanceOptions,
): Promise<void> {
  const { output } = session;
  const report = await performanceReport(session, session.deploymentName(id), options);
  if (output.json) {
    return output.message(PerformanceReportSchema, report);
  }
  output.lines(performanceLines(output, report));
}

/** The report that the options ask for. */
async function performanceReport(
  session: Session,
  deployment: string,
  options: PerformanceOptions,
): Promise<PerformanceReport> {
  const modelVersion = versionOption(session, options.version);
  const range = await rangeOf(session, deployment, options);
  return session.monitoring.getPerformance(
    { deployment, modelVersion, ...(range === undefined ? {} : { range }) },
    session.call,
  );
}
