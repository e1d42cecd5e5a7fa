// `plinth monitor report`: asks for everything that is known of a version and writes it as one HTML
// file. Where a part is not to be had, the file says why.

import { writeFile } from "node:fs/promises";
import { Alert_State as AlertState } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { DomainError } from "../common/errors/domain-error.ts";
import { type DriftCommandOptions, driftQuestion } from "./monitor-drift.ts";
import { rangeOf } from "./monitor-range.ts";
import type { Answer, ReportData } from "./monitor-report-data.ts";
import { reportPage } from "./monitor-report-page.ts";
import { writeText } from "./output.ts";
import { formatBytes, spinner } from "./progress.ts";
import { listAll, type Session } from "./session.ts";

interface ReportOptions extends Omit<DriftCommandOptions, "column" | "failOnDrift"> {
  readonly html: string;
}

/** Windows that a chart can show; the newest. */
const WINDOWS_MAX = 1000;
const ALERTS_MAX = 200;

/** `plinth monitor report` */
export async function writeReport(
  session: Session,
  [id]: readonly [string],
  options: ReportOptions,
): Promise<void> {
  const { output, signal } = session;
  const data = await readData(session, session.deploymentName(id), options);
  const text = reportPage(data);
  if (options.html === "-") {
    return writeText(process.stdout, text, signal);
  }
  await writeFile(options.html, text);
  const sizeBytes = Buffer.byteLength(text);
  if (output.json) {
    output.value({ file: options.html, sizeBytes });
  } else {
    output.line(`${options.html}: ${formatBytes(sizeBytes)}.`);
  }
}

async function readData(
  session: Session,
  deployment: string,
  options: ReportOptions,
): Promise<ReportData> {
  const { monitoring, output, call } = session;
  using _spinner = spinner({ show: output.showsProgress, title: "Reading" });
  const ask = driftQuestion(session, deployment, options);
  // Without a time the report's drift is of one window; its course needs all of them.
  const given = await rangeOf(session, deployment, options);
  const drift = await ask(given);
  const { modelVersion } = drift;
  const range = given === undefined ? {} : { range: given };
  const [windows, performance, alerts] = await Promise.all([
    listAll({
      limit: WINDOWS_MAX,
      page: (page) =>
        monitoring.listWindows({ parent: deployment, modelVersion, ...range, ...page }, call),
      items: (response) => response.windows,
    }),
    optional(monitoring.getPerformance({ deployment, modelVersion, ...range }, call)),
    optional(alertsOf(session, deployment, modelVersion)),
  ]);
  return { drift, windows: [...windows.items].reverse(), performance, alerts, now: new Date() };
}

async function alertsOf(session: Session, deployment: string, modelVersion: string) {
  const { items } = await listAll({
    limit: ALERTS_MAX,
    page: (page) =>
      session.alerts.listAlerts({ parent: session.parent, deployment, ...page }, session.call),
    items: ({ alerts }) => alerts.filter((alert) => alert.modelVersion === modelVersion),
  });
  // What is wrong now before what was.
  const isOver = (state: AlertState): number => (state === AlertState.RESOLVED ? 1 : 0);
  return [...items].sort((a, b) => isOver(a.state) - isOver(b.state));
}

/** The answer, or why there is none; an unreachable server is still an error. */
async function optional<T>(promise: Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await promise };
  } catch (error) {
    if (error instanceof DomainError && error.kind !== "Unavailable") {
      return { missing: error.message };
    }
    throw error;
  }
}
