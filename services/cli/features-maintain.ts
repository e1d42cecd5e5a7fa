// `plinth features materialize|compact|check-skew`: work on what the stores hold already.

import { randomUUID } from "node:crypto";
import type { Job } from "../../gen/plinth/features/v1/job_pb.js";
import { ExitCode, UsageError } from "./exit-codes.ts";
import { carryOut, type StartOptions } from "./features-jobs.ts";
import { fullName, unversionedName } from "./features-names.ts";
import { timeOption } from "./features-times.ts";
import type { Session } from "./session.ts";

interface Interval {
  readonly from?: string;
  readonly to?: string;
}

/** `plinth features materialize` */
export async function materialize(
  session: Session,
  [views]: readonly [readonly string[]],
  options: StartOptions & Interval & { readonly rate?: number },
): Promise<void> {
  if ((options.from === undefined) !== (options.to === undefined)) {
    throw new UsageError("Give both --from and --to, or neither for what came since the last run.");
  }
  const interval = intervalOf(options);
  const start = (featureView: string): Promise<Job> =>
    session.jobs.materializeFeatures(
      {
        parent: session.parent,
        requestId: randomUUID(),
        materialization: { featureView, ...interval, keysPerSecondMax: options.rate ?? 0 },
      },
      session.call,
    );
  return each(session, views, options, start);
}

/** `plinth features compact` */
export async function compact(
  session: Session,
  [views]: readonly [readonly string[]],
  options: StartOptions,
): Promise<void> {
  return each(session, views, options, (featureView) =>
    session.jobs.compactFeatureView(
      { parent: session.parent, requestId: randomUUID(), compaction: { featureView } },
      session.call,
    ),
  );
}

/** `plinth features check-skew` */
export async function checkSkew(
  session: Session,
  [service]: readonly [string],
  options: StartOptions & Interval,
): Promise<ExitCode> {
  const featureService = fullName("service", service, session.workspace);
  const skewCheck = { featureService, ...intervalOf(options) };
  const job = await session.jobs.checkSkew(
    { parent: session.parent, requestId: randomUUID(), skewCheck },
    session.call,
  );
  const done = await carryOut(session, job, options);
  const result = done?.work.case === "skewCheck" ? done.work.value.result : undefined;
  if (result?.rowsChecked === 0n) {
    session.output.note("Reads are kept where the service has a loggingSampleRate above 0.");
  }
  return (result?.rowsDiffering ?? 0n) > 0n ? ExitCode.failed : ExitCode.ok;
}

/** A job a view; all are started before the first is waited for. */
async function each(
  session: Session,
  views: readonly string[],
  options: StartOptions,
  start: (featureView: string) => Promise<Job>,
): Promise<void> {
  const names = views.map((view) => unversionedName("view", view, session.workspace));
  const jobs: Job[] = [];
  for (const name of names) {
    jobs.push(await start(name));
  }
  for (const job of jobs) {
    await carryOut(session, job, options);
  }
}

function intervalOf({ from, to }: Interval) {
  return {
    ...(from === undefined ? {} : { startTime: timeOption(from, "--from") }),
    ...(to === undefined ? {} : { endTime: timeOption(to, "--to") }),
  };
}
