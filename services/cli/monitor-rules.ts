// `plinth monitor rules list|describe|delete`.

import { create } from "@bufbuild/protobuf";
import { type AlertRule, AlertRuleSchema } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { ListAlertRulesResponseSchema } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { alertRuleName } from "../common/names.ts";
import { UsageError } from "./exit-codes.ts";
import { RULE_COLUMNS, ruleCells, ruleLines } from "./monitor-rule-lines.ts";
import { listAll, noteMore, type Session } from "./session.ts";
import { shortName } from "./version-reference.ts";

/** `plinth monitor rules list` */
export async function listRules(
  session: Session,
  _args: readonly [],
  options: { readonly deployment?: string; readonly limit: number },
): Promise<void> {
  const { output } = session;
  const deployment = options.deployment ? session.deploymentName(options.deployment) : "";
  const { items, more } = await listAll({
    limit: options.limit,
    page: (page) =>
      session.alerts.listAlertRules({ parent: session.parent, ...page }, session.call),
    items: ({ alertRules }) => alertRules.filter((rule) => isOf(rule, deployment)),
  });
  if (output.json) {
    const all = create(ListAlertRulesResponseSchema, { alertRules: [...items] });
    return output.message(ListAlertRulesResponseSchema, all);
  }
  output.table(
    RULE_COLUMNS,
    items.map(ruleCells),
    'No alert rules. Make some with "plinth monitor rules apply rules.yaml".',
  );
  noteMore(session, more);
}

function isOf(rule: AlertRule, deployment: string): boolean {
  return deployment === "" || rule.deployment === deployment;
}

/** `plinth monitor rules describe` */
export async function describeRule(session: Session, [text]: readonly [string]): Promise<void> {
  const { output } = session;
  const rule = await session.alerts.getAlertRule(
    { name: ruleReference(session, text) },
    session.call,
  );
  if (output.json) {
    return output.message(AlertRuleSchema, rule);
  }
  output.lines(ruleLines(rule));
}

/** `plinth monitor rules delete` */
export async function deleteRule(session: Session, [text]: readonly [string]): Promise<void> {
  const { output } = session;
  const name = ruleReference(session, text);
  await session.alerts.deleteAlertRule({ name }, session.call);
  if (output.json) {
    output.value({ name, deleted: true });
  } else {
    output.line(`${shortName(name)} is deleted.`);
  }
}

function ruleReference(session: Session, text: string): string {
  const name = text.startsWith("workspaces/") ? text : `${session.parent}/alertRules/${text}`;
  if (alertRuleName.match(name) === undefined) {
    throw new UsageError(`A rule is named by its id; got "${text}".`);
  }
  return name;
}
