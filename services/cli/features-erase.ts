// `plinth features erase`: shows what would go, lets the key be typed, and removes everything of it.

import { randomUUID } from "node:crypto";
import type { Job } from "../../gen/plinth/features/v1/job_pb.js";
import type { Column } from "../../gen/plinth/features/v1/value_pb.js";
import { answer, canAsk } from "./confirm.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { entityColumns, readKeys } from "./features-columns.ts";
import { resultLines } from "./features-job-report.ts";
import { carryOut, type StartOptions } from "./features-jobs.ts";
import { shortFeatureName, unversionedName } from "./features-names.ts";
import { finished } from "./features-watch.ts";
import type { InputRow } from "./row-source.ts";
import type { Session } from "./session.ts";
import { printable } from "./table.ts";

export interface EraseOptions extends StartOptions {
  readonly key?: readonly string[];
  readonly file?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** The protocol's limit of one erasure. */
const KEYS_MAX = 1000;

/** `plinth features erase` */
export async function eraseEntity(
  session: Session,
  [text]: readonly [string],
  options: EraseOptions,
): Promise<void> {
  const name = unversionedName("entity", text, session.workspace);
  const entity = await session.features.getEntity({ name }, session.call);
  const { key: pairs, file, dryRun, yes } = options;
  const rows = await readKeys(session, { pairs, file, option: "--key", rowsMax: KEYS_MAX });
  const extras = file === undefined ? "refuse" : "leave-out";
  const keys = entityColumns(rows, entity.joinKeys, { extras });
  const start = (dry: boolean): Promise<Job> => startErasure(session, name, keys, dry);
  if (dryRun === true) {
    await carryOut(session, await start(true), options);
    return;
  }
  if (yes !== true) {
    if (!canAsk()) {
      throw new UsageError(
        "An erasure cannot be undone, and nobody can be asked here. Look with --dry-run, then add --yes.",
      );
    }
    const rehearsal = await finished(session, await start(true), { cancelOnInterrupt: true });
    process.stderr.write(`${resultLines(rehearsal).join("\n")}\n`);
    await ask(session, name, rows);
  }
  await carryOut(session, await start(false), options);
}

function startErasure(
  session: Session,
  entity: string,
  keys: readonly Column[],
  dryRun: boolean,
): Promise<Job> {
  return session.jobs.eraseEntity(
    {
      parent: session.parent,
      requestId: randomUUID(),
      erasure: { entity, keys: [...keys], dryRun },
    },
    session.call,
  );
}

/** One key is typed by its values, several by the entity's name. */
async function ask(session: Session, name: string, rows: readonly InputRow[]): Promise<void> {
  const [first] = rows;
  const what = rows.length === 1 ? "the key" : `${rows.length} keys`;
  const expected =
    rows.length === 1
      ? Object.values(first?.values ?? {}).join(",")
      : shortFeatureName(name).replace(/^entity\//, "");
  const typed = await answer(
    `This removes everything of ${what} for good. Type "${printable(expected)}" to go on: `,
    session.signal,
  );
  if (typed !== expected) {
    throw new CommandError("Nothing was erased.", { exitCode: ExitCode.failed });
  }
}
