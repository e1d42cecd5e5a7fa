// `plinth features delete`: asks first, because rows go with a view and nothing brings them back.

import { canAsk, confirmed } from "./confirm.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { type Found, findDefinition } from "./features-find.ts";
import { nameOf, parseDefinition, shortFeatureName } from "./features-names.ts";
import { formatCount } from "./progress.ts";
import type { Session } from "./session.ts";

/** `plinth features delete` */
export async function deleteDefinition(
  session: Session,
  [text]: readonly [string],
  options: { readonly yes?: boolean },
): Promise<void> {
  const { output } = session;
  const reference = parseDefinition(text, session.workspace);
  const found = await findDefinition(session, text);
  const { kind } = found;
  if (reference.version !== undefined && kind !== "service") {
    throw new UsageError("Only feature services are deleted by version; name it without one.");
  }
  const name = nameOf(kind, reference);
  if (options.yes !== true) {
    await ask(session, found, name);
  }
  await remove(session, kind, name);
  if (output.json) {
    output.value({ name, deleted: true });
  } else {
    output.line(`${shortFeatureName(name)} is deleted.`);
  }
}

async function ask(session: Session, found: Found, name: string): Promise<void> {
  if (!canAsk()) {
    throw new UsageError("Nobody can be asked here; add --yes to delete without a question.");
  }
  const rows = found.kind === "view" ? await rowsText(session, name) : "";
  if (!(await confirmed(`Delete ${shortFeatureName(name)}${rows}?`, session.signal))) {
    throw new CommandError("Nothing was deleted.", { exitCode: ExitCode.failed });
  }
}

async function rowsText(session: Session, name: string): Promise<string> {
  const status = await session.features.getFeatureViewStatus({ name }, session.call);
  const rows = Number(status.offlineRows + status.pendingRows);
  return ` with all its rows (${formatCount(rows)} of history)`;
}

async function remove(session: Session, kind: Found["kind"], name: string): Promise<void> {
  const { features, call } = session;
  switch (kind) {
    case "entity":
      await features.deleteEntity({ name }, call);
      break;
    case "view":
      await features.deleteFeatureView({ name }, call);
      break;
    case "on-demand":
      await features.deleteOnDemandFeatureView({ name }, call);
      break;
    case "service":
      await features.deleteFeatureService({ name }, call);
      break;
  }
}
