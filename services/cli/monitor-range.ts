// Which version and which time a report is about: --version, --from, --to and --last.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { TimeRangeSchema } from "../../gen/plinth/monitoring/v1/report_pb.js";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { timeOption } from "./features-times.ts";
import type { Session } from "./session.ts";
import { parseReference } from "./version-reference.ts";

/** A range as a request has it. */
export type RangeInit = MessageInitShape<typeof TimeRangeSchema>;

/** The options of commands that look at a time. */
export interface RangeOptions {
  readonly from?: string;
  readonly to?: string;
  /** Milliseconds. */
  readonly last?: number;
}

const NUMBER = /^[1-9]\d{0,17}$/;

/**
 * The range of the options; undefined: the server's default. `--last` counts back from the end of
 * the newest window, by event time, so that it means something in a replay of the past as well.
 */
export async function rangeOf(
  session: Session,
  deployment: string,
  options: RangeOptions,
): Promise<RangeInit | undefined> {
  const { from, to, last } = options;
  if (last !== undefined && (from !== undefined || to !== undefined)) {
    throw new UsageError("Give --last, or --from and --to; not both.");
  }
  if (last !== undefined) {
    const end = await newestEnd(session, deployment);
    const ms = Number(end.seconds) * 1000 + end.nanos / 1e6 - last;
    const seconds = Math.floor(ms / 1000);
    const nanos = Math.round((ms - seconds * 1000) * 1e6);
    return { startTime: { seconds: BigInt(seconds), nanos }, endTime: end };
  }
  return givenRange({ from, to }, { from: "--from", to: "--to" });
}

/** A range of two texts; undefined where neither is given. */
export function givenRange(
  { from, to }: { readonly from: string | undefined; readonly to: string | undefined },
  names: { readonly from: string; readonly to: string },
): RangeInit | undefined {
  if (from === undefined && to === undefined) {
    return undefined;
  }
  if (from === undefined) {
    throw new UsageError(`${names.to} needs ${names.from}.`);
  }
  const startTime = timeOption(from, names.from);
  if (to === undefined) {
    return { startTime };
  }
  const endTime = timeOption(to, names.to);
  if (microseconds(endTime) <= microseconds(startTime)) {
    throw new UsageError(`${names.to} must be after ${names.from}.`);
  }
  return { startTime, endTime };
}

async function newestEnd(session: Session, deployment: string): Promise<Timestamp> {
  const { windows } = await session.monitoring.listWindows(
    { parent: deployment, pageSize: 1 },
    session.call,
  );
  const end = windows[0]?.range?.endTime;
  if (end === undefined) {
    const id = deployment.split("/").at(-1);
    throw new CommandError(`Nothing of ${id} has been captured yet.`, {
      exitCode: ExitCode.notFound,
      advice: [`"plinth monitor watch ${id}" shows what comes.`],
    });
  }
  return end;
}

function microseconds(time: { readonly seconds: bigint; readonly nanos: number }): bigint {
  return time.seconds * 1_000_000n + BigInt(Math.floor(time.nanos / 1000));
}

/** "3" stays a number, which the server finds among the deployment's versions; others get a name. */
export function versionOption(session: Session, text: string | undefined): string {
  if (text === undefined || NUMBER.test(text)) {
    return text ?? "";
  }
  const { model, version } = parseReference(text, session.workspace);
  if (version === undefined || !NUMBER.test(version)) {
    throw new UsageError(`A version is a number such as 3, or model/3; got "${text}".`);
  }
  return `${model}/versions/${version}`;
}

/** Whether a version's full name is the one asked for, by number or name; "": any. */
export function isVersion(name: string, wanted: string): boolean {
  return wanted === "" || name === wanted || name.endsWith(`/versions/${wanted}`);
}
