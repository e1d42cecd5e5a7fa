// `plinth monitor rules apply`: makes the rules of a file so; others stay as they are. Applying
// twice is applying once: only what differs is sent.

import { randomUUID } from "node:crypto";
import { create, type JsonObject } from "@bufbuild/protobuf";
import type { AlertRule } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { ListAlertRulesResponseSchema } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import { CommandError } from "./exit-codes.ts";
import { refused } from "./features-load.ts";
import { placeIn } from "./features-places.ts";
import type { Fault } from "./features-tree.ts";
import { differences } from "./monitor-rule-lines.ts";
import { rulesOf, type ShapedRule } from "./monitor-rule-shape.ts";
import { yamlFile } from "./monitor-yaml.ts";
import { messageJson, type Tone } from "./output.ts";
import { listAll, type Session } from "./session.ts";
import { printable, tableLines } from "./table.ts";

interface ApplyOptions {
  readonly dryRun?: boolean;
  readonly secrets?: boolean;
}

/** More rules than any workspace has. */
const RULES_MAX = 100_000;

type Action = "create" | "update" | "same";

/** What becomes of one rule. */
interface Change {
  readonly shaped: ShapedRule;
  readonly action: Action;
  readonly differences: readonly string[];
  readonly before: AlertRule | undefined;
}

const MARKS: Readonly<Record<Action, readonly [string, Tone]>> = {
  create: ["+ create", "good"],
  update: ["~ update", "warn"],
  same: ["= same", "dim"],
};

/** `plinth monitor rules apply` */
export async function applyRules(
  session: Session,
  [path]: readonly [string],
  options: ApplyOptions,
): Promise<void> {
  const { output } = session;
  const shaped = await readRules(session, path);
  const { items: known } = await listAll({
    limit: RULES_MAX,
    page: (page) =>
      session.alerts.listAlertRules({ parent: session.parent, ...page }, session.call),
    items: ({ alertRules }) => alertRules,
  });
  const byName = new Map(known.map((rule) => [rule.name, rule]));
  const changes = shaped.map((one) => changeOf(one, byName.get(one.rule.name), options));
  refuseMoved(changes);
  const dryRun = options.dryRun === true;
  const rules = dryRun
    ? changes.map(({ shaped: { rule } }) => withoutSecrets(rule))
    : await carryOut(session, changes);
  if (output.json) {
    const list = create(ListAlertRulesResponseSchema, { alertRules: [...rules] });
    const json = await messageJson(ListAlertRulesResponseSchema, list);
    const { alertRules } = json as unknown as { readonly alertRules: readonly JsonObject[] };
    return output.value({
      dryRun,
      changes: changes.map((change, index) => ({
        action: change.action,
        differences: [...change.differences],
        alertRule: alertRules[index] ?? {},
      })),
    });
  }
  printPlan(session, changes, dryRun);
  tellSecrets(session, changes, rules);
}

/** @throws CommandError with every fault of the file by line and column. */
async function readRules(session: Session, path: string): Promise<readonly ShapedRule[]> {
  const faults: Fault[] = [];
  const trees = await yamlFile(path, faults);
  const shaped = trees.flatMap((tree) => rulesOf(tree, { parent: session.parent }, faults));
  const seen = new Map<string, ShapedRule>();
  for (const one of shaped) {
    const before = seen.get(one.id);
    if (before !== undefined) {
      faults.push({ at: one.tree.at, text: `${one.id}: said before at ${before.tree.at}` });
    }
    seen.set(one.id, one);
  }
  if (faults.length > 0) {
    throw refused(faults, "rules");
  }
  return shaped;
}

function changeOf(
  shaped: ShapedRule,
  before: AlertRule | undefined,
  { secrets = false }: ApplyOptions,
): Change {
  if (before === undefined) {
    return { shaped, action: "create", differences: [], before };
  }
  const found = [
    ...differences(before, shaped.rule),
    ...(secrets && shaped.rule.webhooks.some(({ secret }) => secret !== "")
      ? ["secrets of webhooks: set"]
      : []),
  ];
  return { shaped, action: found.length > 0 ? "update" : "same", differences: found, before };
}

/** A rule stays with its deployment; another one is another rule. */
function refuseMoved(changes: readonly Change[]): void {
  const faults = changes
    .filter(({ shaped, before }) => before && before.deployment !== shaped.rule.deployment)
    .map(({ shaped, before }) => ({
      at: shaped.tree.at,
      text:
        `${shaped.id}: it is a rule of ${before?.deployment.split("/").at(-1)}, which cannot ` +
        "change; give this one another name, or delete that one first",
    }));
  if (faults.length > 0) {
    throw refused(faults, "rules");
  }
}

/** The rules as the server has them then. What it refuses is told by the places in the file. */
async function carryOut(
  session: Session,
  changes: readonly Change[],
): Promise<readonly AlertRule[]> {
  const faults: Fault[] = [];
  const rules: AlertRule[] = [];
  for (const change of changes) {
    try {
      rules.push(await send(session, change));
    } catch (error) {
      const found = faultsOf(error, change.shaped);
      if (found.length === 0) {
        throw error;
      }
      faults.push(...found);
    }
  }
  if (faults.length > 0) {
    const error = refused(faults, "rules");
    throw new CommandError(
      `${error.message.replace(/; nothing.*$/, ".")} The others of the file are applied.`,
      error,
    );
  }
  return rules;
}

function send(session: Session, { action, shaped, before }: Change): Promise<AlertRule> {
  const { id, rule } = shaped;
  switch (action) {
    case "create":
      return session.alerts.createAlertRule(
        { parent: session.parent, alertRuleId: id, alertRule: rule, requestId: randomUUID() },
        session.call,
      );
    case "update":
      return session.alerts.updateAlertRule(
        { alertRule: { ...rule, etag: before?.etag ?? "" } },
        session.call,
      );
    case "same":
      return Promise.resolve(before ?? rule);
  }
}

/** "alert_rule.metric.column" is where the metric's column stands in the file. */
function faultsOf(error: unknown, { tree, id }: ShapedRule): readonly Fault[] {
  if (!(error instanceof InvalidArgument)) {
    return [];
  }
  return error.violations.map(({ field, description }) => {
    const path = field.replace(/^alert_rule\.?/, "").replace(/^condition\./, "");
    const said = path === "" ? "" : `, ${path}`;
    return { at: placeIn(tree, path), text: `${id}${said}: ${description}` };
  });
}

function withoutSecrets(rule: AlertRule): AlertRule {
  return { ...rule, webhooks: rule.webhooks.map((hook) => ({ ...hook, secret: "" })) };
}

function printPlan({ output }: Session, changes: readonly Change[], dryRun: boolean): void {
  const columns = [{ title: "CHANGE" }, { title: "RULE" }, { title: "DEPLOYMENT" }];
  const rows = changes.map(({ action, shaped: { id, rule } }) => [
    MARKS[action][0],
    id,
    rule.deployment.split("/").at(-1) ?? "",
  ]);
  const [head = "", ...body] = tableLines(columns, rows, { lineWidth: output.lineWidth });
  output.line(output.tone("strong", head));
  for (const [index, line] of body.entries()) {
    const change = changes[index];
    output.line(output.tone(MARKS[change?.action ?? "same"][1], line));
    output.lines((change?.differences ?? []).map((text) => `          ${printable(text)}`));
  }
  const words: Readonly<Record<Action, string>> = dryRun
    ? { create: "to create", update: "to update", same: "unchanged" }
    : { create: "created", update: "updated", same: "unchanged" };
  const said = (["create", "update", "same"] as const).flatMap((action) => {
    const count = changes.filter((change) => change.action === action).length;
    return count === 0 ? [] : [`${count} ${words[action]}`];
  });
  output.line(`${said.join(", ")}.`);
}

/** A secret that the server made is given back once: here. */
function tellSecrets(
  { output }: Session,
  changes: readonly Change[],
  rules: readonly AlertRule[],
): void {
  for (const [index, { shaped, action }] of changes.entries()) {
    for (const hook of action === "same" ? [] : (rules[index]?.webhooks ?? [])) {
      const isMade = shaped.rule.webhooks.every(({ secret }) => secret !== hook.secret);
      if (hook.secret !== "" && isMade) {
        output.line(
          `${shaped.id}: what is sent to ${printable(hook.url)} is signed with ${hook.secret} ` +
            "(shown this once).",
        );
      }
    }
  }
}
