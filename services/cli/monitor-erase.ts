// `plinth monitor erase`: shows what would go, asks, and removes the kept predictions and labels of
// entities.

import {
  type ErasePredictionsResponse,
  ErasePredictionsResponseSchema,
} from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { canAsk, confirmed } from "./confirm.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { keyRows } from "./key-rows.ts";
import { counted } from "./progress.ts";
import type { Session } from "./session.ts";

interface EraseOptions {
  readonly key: readonly string[];
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** The protocol's limit of one erasure. */
const ENTITIES_MAX = 1000;

/** `plinth monitor erase` */
export async function erasePredictions(
  session: Session,
  _args: readonly [],
  options: EraseOptions,
): Promise<void> {
  const { output } = session;
  const entities = keyRows(options.key, "--key").map((row) => ({
    joinKeys: Object.fromEntries(Object.entries(row).map(([key, value]) => [key, String(value)])),
  }));
  if (entities.length > ENTITIES_MAX) {
    throw new UsageError(
      `--key names ${entities.length} entities; at most ${ENTITIES_MAX} at once.`,
    );
  }
  const erase = (dryRun: boolean): Promise<ErasePredictionsResponse> =>
    session.monitoring.erasePredictions({ parent: session.parent, entities, dryRun }, session.call);
  if (options.dryRun !== true && options.yes !== true) {
    if (!canAsk()) {
      throw new UsageError(
        "An erasure cannot be undone, and nobody can be asked here. Look with --dry-run, then add --yes.",
      );
    }
    const question = `Remove ${sizeText(await erase(true))} for good?`;
    if (!(await confirmed(question, session.signal))) {
      throw new CommandError("Nothing was erased.", { exitCode: ExitCode.failed });
    }
  }
  const gone = await erase(options.dryRun === true);
  if (output.json) {
    return output.message(ErasePredictionsResponseSchema, gone);
  }
  const text = sizeText(gone);
  output.line(
    options.dryRun === true ? `${text} would go; nothing was removed.` : `${text} are gone.`,
  );
}

function sizeText({ predictions, labels }: ErasePredictionsResponse): string {
  return `${counted(Number(predictions), "prediction")} and ${counted(Number(labels), "label")}`;
}
