// `plinth features apply`: reads the files, shows what would change, asks, and changes it.

import {
  DefinitionChange_Action as Action,
  type ApplyDefinitionsResponse,
  ApplyDefinitionsResponseSchema,
  type DefinitionChange,
} from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { canAsk, confirmed } from "./confirm.ts";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { listsOf } from "./features-lists.ts";
import { loadDefinitions } from "./features-load.ts";
import { shortFeatureName } from "./features-names.ts";
import { placed } from "./features-places.ts";
import type { Shaped } from "./features-shape.ts";
import type { Output } from "./output.ts";
import { counted } from "./progress.ts";
import type { Session } from "./session.ts";
import { printable, tableLines } from "./table.ts";

interface ApplyOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

const MARKS: Readonly<Record<Action, string>> = {
  [Action.UNSPECIFIED]: "?",
  [Action.CREATE]: "+ create",
  [Action.UPDATE]: "~ update",
  [Action.UNCHANGED]: "= same",
};

/** `plinth features apply` */
export async function applyDefinitions(
  session: Session,
  files: readonly [readonly string[]],
  options: ApplyOptions,
): Promise<void> {
  const { output } = session;
  const definitions = await loadDefinitions(files[0]);
  const plan = await apply(session, definitions, { dryRun: true });
  const changes = plan.changes.filter(({ action }) => action !== Action.UNCHANGED);
  if (options.dryRun === true || changes.length === 0) {
    return report(session, plan, { applied: false, shown: false });
  }
  const ask = options.yes !== true && canAsk();
  if (ask) {
    process.stderr.write(`${planLines(output, plan).join("\n")}\n`);
    if (!(await confirmed(`Apply ${counted(changes.length, "change")}?`, session.signal))) {
      throw new CommandError("Nothing was changed.", { exitCode: ExitCode.failed });
    }
  }
  const done = await apply(session, definitions, { dryRun: false });
  return report(session, done, { applied: true, shown: ask });
}

async function apply(
  session: Session,
  definitions: readonly Shaped[],
  { dryRun }: { readonly dryRun: boolean },
): Promise<ApplyDefinitionsResponse> {
  const request = { parent: session.parent, dryRun, ...listsOf(definitions) };
  try {
    return await session.features.applyDefinitions(request, session.call);
  } catch (error) {
    throw placed(error, definitions);
  }
}

async function report(
  session: Session,
  response: ApplyDefinitionsResponse,
  { applied, shown }: { readonly applied: boolean; readonly shown: boolean },
): Promise<void> {
  const { output } = session;
  if (output.json) {
    return output.message(ApplyDefinitionsResponseSchema, response);
  }
  if (!shown) {
    output.lines(planLines(output, response));
  }
  const count = (action: Action): number =>
    response.changes.filter((change) => change.action === action).length;
  const counts = [
    [count(Action.CREATE), applied ? "created" : "to create"],
    [count(Action.UPDATE), applied ? "updated" : "to update"],
    [count(Action.UNCHANGED), "unchanged"],
  ] as const;
  const said = counts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
  output.line(`${said.join(", ")}.`);
}

/** One line a definition, and below it one a difference. */
function planLines(output: Output, response: ApplyDefinitionsResponse): readonly string[] {
  const columns = [{ title: "CHANGE" }, { title: "DEFINITION" }, { title: "VERSION" }];
  const rows = response.changes.map((change) => [
    MARKS[change.action],
    shortFeatureName(change.name),
    change.version === 0n ? "" : String(change.version),
  ]);
  const [head = "", ...body] = tableLines(columns, rows, { lineWidth: output.lineWidth });
  return [
    output.tone("strong", head),
    ...body.flatMap((line, index) => {
      const change = response.changes[index]!;
      return [toned(output, change, line), ...change.differences.map(difference)];
    }),
  ];
}

function difference(text: string): string {
  return `            ${printable(text)}`;
}

function toned(output: Output, change: DefinitionChange, line: string): string {
  switch (change.action) {
    case Action.CREATE:
      return output.tone("good", line);
    case Action.UPDATE:
      return output.tone("warn", line);
    case Action.UNCHANGED:
    case Action.UNSPECIFIED:
      return output.tone("dim", line);
  }
}
