// `plinth features ingest`: a whole file into a view, by a job on the server.

import { randomUUID } from "node:crypto";
import { BadRows, PushTarget } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { ExitCode } from "./exit-codes.ts";
import { carryOut, type StartOptions } from "./features-jobs.ts";
import { unversionedName } from "./features-names.ts";
import { tableFormat, uploadTable } from "./features-upload.ts";
import type { Session } from "./session.ts";

export interface IngestOptions extends StartOptions {
  readonly target: TargetWord;
  readonly badRows: BadRowsWord;
  readonly inputFormat?: string;
}

/** Where rows go, as --target says it. */
export type TargetWord = "online" | "offline" | "both";

/** What happens to the good rows beside bad ones, as --bad-rows says it. */
export type BadRowsWord = "reject" | "skip";

/** --target in the terms of the protocol; the server sends rows only where the view keeps them. */
export const TARGETS: Readonly<Record<TargetWord, PushTarget>> = {
  both: PushTarget.UNSPECIFIED,
  online: PushTarget.ONLINE,
  offline: PushTarget.OFFLINE,
};

/** --bad-rows in the terms of the protocol. */
export const BAD_ROWS: Readonly<Record<BadRowsWord, BadRows>> = {
  reject: BadRows.REJECT_BATCH,
  skip: BadRows.SKIP,
};

/** `plinth features ingest` */
export async function ingestFile(
  session: Session,
  [view, path]: readonly [string, string],
  options: IngestOptions,
): Promise<ExitCode> {
  const featureView = unversionedName("view", view, session.workspace);
  // A view that is not there is found before a large file was sent.
  await session.features.getFeatureView({ name: featureView }, session.call);
  const table = await uploadTable(session, path, tableFormat(options.inputFormat, path));
  const job = await session.jobs.ingestFeatures(
    {
      parent: session.parent,
      requestId: randomUUID(),
      ingestion: {
        featureView,
        table: table.name,
        target: TARGETS[options.target],
        badRows: BAD_ROWS[options.badRows],
      },
    },
    session.call,
  );
  const done = await carryOut(session, job, options);
  const result = done?.work.case === "ingestion" ? done.work.value.result : undefined;
  return (result?.rowsRefused ?? 0n) > 0n ? ExitCode.partly : ExitCode.ok;
}
